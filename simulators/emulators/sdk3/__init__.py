"""An emulated Andor SDK3 camera: a library in C with the vendor's interface, whose pixels come from a world.

The library (``atcore.c``) holds features, limits, timing and buffers, and runs in the driver's process with nothing of
ours around it. For each exposure it asks this emulator, over a socket, for one frame, which arrives in a mapped file.
Every emulated camera of a user stands in one folder, under the index by which the library opens it, so that a process
needs to load the library only once, whatever cameras come and go.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import selectors
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drivers.contract import ROI, ConfigurationError
from drivers.quantity import Seconds
from simulators.emulators.base import Emulator, EmulatorOptions
from simulators.emulators.sensor import Sensor

log = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("atcore.c")
_COMPILE = ("-O2", "-shared", "-fPIC", "-pthread", "-Wl,-soname,atcore.dll")
_MOST_CAMERAS = 64

_HEAD = struct.Struct("<8s4i3q4i3d64s64s64s")
"""magic, alive, fault, mutation, baseline, row, longest exposure (rows), power-on, sensor rows, columns, bits, -,
pitch (um), electrons per count, temperature (degC), model, serial, firmware"""
_ALIVE, _FAULT, _MUTATION = 8, 12, 16
_PIXELS_AT = 4096
_RECORD = struct.Struct("<8q")

_OPEN, _EXPOSE, _ARM, _POLL, _FETCH, _DISARM = range(1, 7)
_SUCCESS, _COMM, _IN_USE = 0, 17, 38

_LIBRARY_FAULTS = {"corrupt-crc": 3, "port-loss": 5, "firmware": 6}
_LIBRARY_MUTATIONS = {"ignore-setpoint": 4}

_NOMINAL_ELECTRONS_PER_COUNT = 0.45
_LATE_S = 1.0
"""By how much the mutation "late" misses the specification."""


def library() -> Path:
    """The compiled library, made when it is first needed and kept in the system's temporary folder.

    Raises ConfigurationError if there is no C compiler.
    """
    digest = hashlib.sha256(_SOURCE.read_bytes() + " ".join(_COMPILE).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir(), f"labctl-sdk3-{os.getuid()}-{digest}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()  # of a link, whoever made it: what it leads to may change before the library is loaded
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise ConfigurationError(f"{folder} is not this user's alone; remove it or set TMPDIR")
    (folder / "cameras").mkdir(mode=0o700, exist_ok=True)
    made = folder / "atcore.so"
    if not made.exists():
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise ConfigurationError(
                "the emulated SDK3 library is compiled when it is first needed, and there is no C compiler: install "
                "the package gcc (Debian: apt install gcc libc6-dev)"
            )
        draft = folder / f"atcore-{os.getpid()}-{threading.get_ident()}.so"
        done = subprocess.run(
            [compiler, *_COMPILE, "-o", str(draft), str(_SOURCE), "-lm"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ConfigurationError(
                f"the emulated SDK3 library does not compile ({done.stderr.strip()[-300:]}); are the packages gcc and "
                "libc6-dev installed?"
            )
        draft.replace(made)
    return made


class SDK3CameraOptions(EmulatorOptions):
    """What a bench file may say of the emulated camera."""

    model: str = Field("ZYLA-5.5-CL3", max_length=60)
    serial: str | None = Field(None, max_length=60)
    firmware: str = Field("11.7.30.0", max_length=60)
    late: Seconds = Field(4.0, gt=0, le=60, description="delay of a frame under the fault late")


class SDK3Camera(Emulator):
    """A Zyla 5.5 below the vendor's library; noise, light and sensor size are the world's."""

    Options = SDK3CameraOptions
    options: SDK3CameraOptions
    supplies = frozenset({"library", "index", "electrons_per_count", "full_well_electrons"})
    faults = frozenset({"mute", "late", "corrupt-crc", "over-range", "port-loss", "firmware"})
    mutations = frozenset({"scale", "stale", "dark", "ignore-setpoint", "late"})

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        super().__init__(name, world, options)
        self.serial = self.options.serial or self.serial_like("VSC-00000")
        self.delay: Callable[[], float] | None = None
        """Asked for each frame: by how much longer, in s, it stays on its way to the host."""
        self._on = False
        self._to_lose = 0
        self._lock = threading.Lock()

    # --- power ------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Power on, at a free index; see the base class."""
        if self._on:
            self.stop()
        if self.world.clock.virtual:
            raise ConfigurationError(f"{self.name}: an emulated camera needs a bench in real time: clock = 'real'")
        made = library()
        self._folder = made.parent / "cameras"
        self._index, self._claim = self._free_index()
        self._sensor = Sensor(self)
        self._map()
        path = self._folder / f"{self._index}.sock"
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._wake, self._asleep = socket.socketpair()
        self._on = True
        self._thread = threading.Thread(target=self._listen, name=f"{self.name} SDK3", daemon=True)
        self._thread.start()
        camera = self.world.parameters.camera
        supplied = {"library": str(made), "index": self._index, "full_well_electrons": float(camera.full_well)}
        per_count = 1.0 if camera.ideal else float(camera.electrons_per_count)
        if per_count != _NOMINAL_ELECTRONS_PER_COUNT:  # else the driver knows it, of every gain mode
            supplied["electrons_per_count"] = per_count
        return supplied

    def stop(self) -> None:
        """Power off: the library finds the camera gone."""
        if not self._on:
            return
        self._on = False
        self._store(_ALIVE, 0)
        self._wake.close()
        self._thread.join(10)
        for line in (self._listener, self._asleep):
            line.close()
        for ending in ("sock", "frame"):
            (self._folder / f"{self._index}.{ending}").unlink(missing_ok=True)
        self._pixels = np.empty(0, np.uint16)
        self._memory.close()
        self._claim.close()
        self._sensor.detach()

    def _free_index(self) -> tuple[int, BinaryIO]:
        for index in range(_MOST_CAMERAS):
            claim = (self._folder / f"{index}.lock").open("ab")
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                claim.close()
                continue
            return index, claim
        raise ConfigurationError(f"{self.name}: {_MOST_CAMERAS} emulated cameras are on; stop one")

    def _map(self) -> None:
        c, o = self.world.parameters.camera, self.options
        path = self._folder / f"{self._index}.frame"
        path.unlink(missing_ok=True)
        size = _PIXELS_AT + 2 * c.rows * c.columns
        row_ns = round(c.row_time * 1e9)
        with path.open("w+b") as file:
            file.truncate(size)
            self._memory = mmap.mmap(file.fileno(), size)
        self._pixels = np.frombuffer(self._memory, np.uint16, c.rows * c.columns, _PIXELS_AT)
        self._memory[: _HEAD.size] = _HEAD.pack(
            b"SDK3EMU1",
            1,
            _LIBRARY_FAULTS.get(self.fault or "", 0),
            _LIBRARY_MUTATIONS.get(self.mutation or "", 0),
            self._sensor.baseline,
            row_ns,
            int(c.max_exposure * 1e9) // row_ns,
            time.monotonic_ns(),
            c.rows,
            c.columns,
            c.bit_depth,
            0,
            c.pitch * 1e6,
            1.0 if c.ideal else c.electrons_per_count,
            0.0,
            o.model.encode(),
            self.serial.encode(),
            o.firmware.encode(),
        )

    def _store(self, where: int, value: int) -> None:
        # One aligned store: the library reads it at any moment.
        np.frombuffer(self._memory, np.int32, 1, where)[0] = value

    # --- faults -----------------------------------------------------------------------------------------------------

    def inject(self, fault: str | None) -> None:
        """Break it; see the base class. corrupt-crc: the block behind each image that tells its time is garbled.

        over-range: more light than the sensor takes.
        """
        super().inject(fault)
        if self._on:
            self._store(_FAULT, _LIBRARY_FAULTS.get(fault or "", 0))

    def mutate(self, mutation: str | None) -> None:
        """Make it wrong; see the base class. ignore-setpoint holds for exposure time and place of the region."""
        super().mutate(mutation)
        if self._on:
            self._store(_MUTATION, _LIBRARY_MUTATIONS.get(mutation or "", 0))

    def lose(self, frames: int) -> None:
        """Let the next ``frames`` frames be exposed and lost on their way to the host."""
        with self._lock:
            self._to_lose = frames

    # --- the library's requests -------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """One thread for all lines: a remote world keeps a connection for each thread that ever asked it."""
        lines = selectors.DefaultSelector()
        for known in (self._listener, self._asleep):
            lines.register(known, selectors.EVENT_READ)
        user: socket.socket | None = None
        while self._on:
            for key, _ in lines.select():
                if key.fileobj is self._listener:
                    lines.register(self._listener.accept()[0], selectors.EVENT_READ)
                elif key.fileobj is not self._asleep and key.fd >= 0:
                    line: Any = key.fileobj
                    user, stays = self._serve(line, user)
                    if not stays:
                        lines.unregister(line)
                        line.close()
        for key in list(lines.get_map().values()):
            if key.fileobj not in (self._listener, self._asleep):
                lines.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
        lines.close()

    def _serve(self, line: socket.socket, user: socket.socket | None) -> tuple[socket.socket | None, bool]:
        """Answer one request. Returns who uses the camera from now, and whether the line goes on."""
        try:
            request = line.recv(_RECORD.size, socket.MSG_WAITALL)
            if len(request) < _RECORD.size:
                raise ConnectionError
            what, *numbers = _RECORD.unpack(request)
            answer: tuple[int, ...] = (_IN_USE,)
            if what == _OPEN and (user is None or _has_left(user)):
                user = line
                answer = self._answer(what, numbers)
            elif user is line:
                answer = self._answer(what, numbers)
            line.sendall(_RECORD.pack(*answer, *[0] * (8 - len(answer))))
        except OSError:
            if user is line:
                self._answer(_DISARM, [])
                user = None
            return user, False
        return user, True

    def _answer(self, what: int, numbers: list[int]) -> tuple[int, ...]:
        sensor = self._sensor
        match what:
            case 1:  # OPEN
                return (_SUCCESS if sensor.enter() else _COMM,)
            case 2:  # EXPOSE
                return self._expose(*numbers[:5])
            case 3:  # ARM
                exposure_ns, top, left, rows, columns, frames = numbers[:6]
                roi = ROI(row=top, column=left, rows=rows, columns=columns)
                return (_SUCCESS if sensor.arm(frames, exposure_ns, roi) else _COMM,)
            case 4:  # POLL
                return _SUCCESS, sensor.came(numbers[0])
            case 5:  # FETCH
                return self._hand_over(*sensor.fetch())
            case 6:  # DISARM
                sensor.disarm()
                return (_SUCCESS,)
        return (_COMM,)

    def _expose(self, exposure_ns: int, top: int, left: int, rows: int, columns: int) -> tuple[int, ...]:
        if self.fault == "mute":
            return _SUCCESS, 0, time.monotonic_ns(), 0
        exposed = self._sensor.expose(exposure_ns, ROI(row=top, column=left, rows=rows, columns=columns))
        return (_COMM,) if exposed is None else self._hand_over(*exposed)

    def _hand_over(self, counts: NDArray[np.uint16], start_ns: int) -> tuple[int, ...]:
        with self._lock:
            lost = self._to_lose > 0
            self._to_lose -= lost
        if lost or self.fault == "mute":
            return _SUCCESS, 0, start_ns, 0
        self._pixels[: counts.size] = counts.ravel()
        delay_s = self.delay() if self.delay is not None else 0.0
        delay_s += self.options.late if self.fault == "late" else 0.0
        delay_s += _LATE_S if self.mutation == "late" else 0.0
        return _SUCCESS, 1, start_ns, round(delay_s * 1e9)


def _has_left(user: socket.socket) -> bool:
    """Whether it has closed the camera, which may not have been noticed yet."""
    try:
        return user.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
