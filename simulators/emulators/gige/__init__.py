"""An emulated GigE Vision camera on the loopback network, for the real Aravis library; its pixels come from a world.

Each has an address of its own (127.x.y.z), where it listens on the port that all GigE Vision cameras have. One thread
answers commands, one exposes, one sends frames at the pace of gigabit Ethernet.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import logging
import os
import queue
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drivers.contract import ConfigurationError
from drivers.quantity import Seconds
from simulators.emulators.base import Emulator, EmulatorOptions
from simulators.emulators.gige import wire
from simulators.emulators.gige.registers import MONO8, MONO12, Act, At, Model, Refused, Registers, Settings
from simulators.emulators.sensor import Sensor

log = logging.getLogger(__name__)

_LINK_BYTES_PER_S = 118e6
_AHEAD_S = 2e-4
"""By how much packets may be sent before their time."""
_KEPT_FRAMES = 4
"""Frames in the camera's memory, whose packets can be sent again."""
_LOOK_EVERY_S = 0.1
_PENDING_S = 0.2
"""So often it says that an answer will come."""
_POLL_S = 0.005
_LATE_S = 1.0
"""By how much the mutation "late" misses the specification."""
_LINE_FRAMES = 64
"""That it is armed for at once on the trigger line, if it was not told how many will come."""


class GigECameraOptions(EmulatorOptions):
    """What a bench file may say of the emulated camera."""

    model: str = Field("Emulated GigE", max_length=31)
    serial: str | None = Field(None, max_length=15)
    firmware: str = Field("2.4.1", max_length=31)
    late: Seconds = Field(4.0, gt=0, le=60, description="delay of a frame under the fault late")


class _Exposed(NamedTuple):
    """A frame on its way. due_s: when it leaves (monotonic). generation: of the acquisition that it belongs to."""

    image: wire.Image
    to: tuple[str, int]
    due_s: float
    generation: int
    lost: bool


class GigECamera(Emulator):
    """A camera with software trigger and one input; noise, light, sensor size and exposure limits are the world's."""

    Options = GigECameraOptions
    options: GigECameraOptions
    supplies = frozenset({"address", "electrons_per_count", "full_scale_counts"})
    faults = frozenset({"mute", "late", "corrupt-crc", "over-range", "port-loss", "firmware"})
    mutations = frozenset({"scale", "stale", "dark", "ignore-setpoint", "late"})

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        super().__init__(name, world, options)
        self.serial = self.options.serial or self.serial_like("GV-0001")
        self.delay: Callable[[], float] | None = None
        """Asked for each frame: by how much longer, in s, it stays on its way to the host."""
        self._to_lose = 0
        self._packets_to_lose = 0
        self._on = False
        self._address = ""

    # --- power ------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Power on, at a free address; see the base class."""
        if self._on:
            self.stop()
        if self.world.clock.virtual:
            raise ConfigurationError(f"{self.name}: an emulated camera needs a bench in real time: clock = 'real'")
        self._socket, address = self._bound()
        self._stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stream.bind((address, 0))
        self._sensor = Sensor(self)
        self._lock = threading.Lock()
        self._zero_ns = time.monotonic_ns()
        self._registers = Registers(self._model(address), self._clock_ns, plain=self.fault == "firmware")
        self._registers.deaf = self.mutation == "ignore-setpoint"
        self._registers.put_source(self._stream.getsockname()[1])
        self._master: Any = None
        self._heard_s = 0.0
        self._answered: tuple[Any, bytes] = (None, b"")
        self._generation = 0
        self._number = 0
        self._busy_until_ns = 0
        self._pending = False
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._way: queue.SimpleQueue[_Exposed | None] = queue.SimpleQueue()
        self._kept: collections.deque[_Exposed] = collections.deque(maxlen=_KEPT_FRAMES)
        self._wake, self._asleep = socket.socketpair()
        self._on = True
        self._threads = [
            threading.Thread(target=work, name=f"{self.name} {work.__name__.strip('_')}", daemon=True)
            for work in (self._listen, self._expose, self._send)
        ]
        for thread in self._threads:
            thread.start()
        return {"address": address, **self._counts()}

    def stop(self) -> None:
        """Power off."""
        if not self._on:
            return
        self._on = False
        self._wake.send(b"!")
        self._jobs.put(None)
        self._way.put(None)
        for thread in self._threads:
            thread.join(10)
        for line in (self._socket, self._stream, self._wake, self._asleep):
            line.close()
        self._sensor.detach()

    def _bound(self) -> tuple[socket.socket, str]:
        """A socket at an address of the loopback network that nobody else uses."""
        first = os.getpid() * 2654435761 % 65536
        others = [f"127.71.{(first + k) // 256 % 256}.{(first + k) % 254 + 1}" for k in range(256)]
        for address in filter(None, (self._address, *others)):
            found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                found.bind((address, wire.PORT))
            except OSError as error:
                found.close()
                if error.errno != errno.EADDRINUSE:
                    raise ConfigurationError(
                        f"{self.name}: an emulated GigE camera needs an address such as {address} on the loopback "
                        f"network, which this system does not have ({error}); Linux has it"
                    ) from error
                continue
            self._address = address
            return found, address
        raise ConfigurationError(f"{self.name}: 256 emulated GigE cameras are on; stop one")

    def _model(self, address: str) -> Model:
        c, o = self.world.parameters.camera, self.options
        return Model(
            address=address,
            model=o.model,
            serial=self.serial,
            firmware="0.9.9" if self.fault == "firmware" else o.firmware,
            columns=c.columns,
            rows=c.rows,
            pitch_um=round(c.pitch * 1e6, 6),
            row_ns=round(c.row_time * 1e9),
            longest_us=float(int(c.max_exposure * 1e6)),
            link_bytes_per_s=_LINK_BYTES_PER_S,
        )

    def _counts(self) -> dict[str, float]:
        """What a data sheet says of the deepest pixel format."""
        c = self.world.parameters.camera
        per_count = 1.0 if c.ideal else float(c.electrons_per_count)
        well = float(self._sensor.baseline + int(c.full_well / per_count))
        return {"electrons_per_count": per_count, "full_scale_counts": min(well, float(self._sensor.most))}

    def _clock_ns(self) -> int:
        return time.monotonic_ns() - self._zero_ns

    # --- faults -----------------------------------------------------------------------------------------------------

    def inject(self, fault: str | None) -> None:
        """Break it; see the base class. mute: it neither answers nor sends nor counts heartbeats. corrupt-crc: packets
        arrive with a wrong check sum, so that the host drops them. over-range: more light than the sensor takes.
        firmware: an old one; it holds from the next power-on.
        """
        super().inject(fault)

    def mutate(self, mutation: str | None) -> None:
        """Make it wrong; see the base class. ignore-setpoint holds for exposure time and place of the region."""
        super().mutate(mutation)
        if self._on:
            self._registers.deaf = mutation == "ignore-setpoint"

    def lose(self, frames: int) -> None:
        """Let the next ``frames`` frames be exposed and lost on their way to the host."""
        self._to_lose = frames

    def lose_packets(self, packets: int) -> None:
        """Let so many of the next packets of pixels be lost; they can be sent again."""
        self._packets_to_lose = packets

    @property
    def _cut(self) -> bool:
        return self.fault in ("mute", "port-loss")

    # --- commands ---------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        with selectors.DefaultSelector() as lines:
            for known in (self._socket, self._asleep):
                known.setblocking(False)
                lines.register(known, selectors.EVENT_READ)
            while self._on:
                for key, _ in lines.select(_LOOK_EVERY_S):
                    if key.fileobj is self._socket:
                        self._hear()
                if self._registers.controlled and self.fault != "mute":
                    silent_s = time.monotonic() - self._heard_s
                    if silent_s > self._registers.heartbeat_s:
                        self._release()

    def _hear(self) -> None:
        while True:
            try:
                packet, sender = self._socket.recvfrom(1 << 16)
            except OSError:
                return
            asked = wire.command(packet)
            if asked is None or self._cut:
                continue
            if sender == self._master:
                self._heard_s = time.monotonic()
            if asked.what == wire.RESEND:
                self._resend(asked)
                continue
            if self._answered[0] != (sender, packet):  # else it is asked again, and done already
                try:
                    reply = wire.answer(asked, self._answer(asked, sender))
                except Refused as refused:
                    reply = wire.answer(asked, status=refused.status)
                except (ValueError, IndexError, struct.error):
                    reply = wire.answer(asked, status=wire.INVALID_PARAMETER)
                self._answered = (sender, packet), reply
            if asked.wants_answer:
                self._reply(self._answered[1], sender)

    def _reply(self, packet: bytes, sender: Any) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(packet, sender)

    def _answer(self, asked: wire.Command, sender: Any) -> bytes:
        match asked.what:
            case wire.DISCOVERY:
                return self._registers.read(0, 0xF8)
            case wire.READ_REGISTERS:
                return b"".join(self._registers.read(at, 4) for at in asked.words())
            case wire.READ_MEMORY:
                at, size = asked.words()[:2]
                return asked.data[:4] + self._registers.read(at, size & 0xFFFF)
            case wire.WRITE_REGISTERS:
                words = asked.words()
                for at, value in zip(words[::2], words[1::2], strict=False):
                    self._write(at, value.to_bytes(4, "big"), asked, sender)
                return (len(words) // 2).to_bytes(4, "big")
            case wire.WRITE_MEMORY:
                self._write(asked.words()[0], asked.data[4:], asked, sender)
                return (len(asked.data) - 4).to_bytes(4, "big")
        raise Refused(wire.NOT_IMPLEMENTED)

    def _write(self, at: int, data: bytes, asked: wire.Command, sender: Any) -> None:
        if self._master is not None and sender != self._master:
            raise Refused(wire.ACCESS_DENIED)
        if self._master is None and at != At.CONTROL:
            raise Refused(wire.ACCESS_DENIED)
        match self._registers.write(at, data):
            case Act.CONTROL if self._registers.controlled:
                if self._master is None:
                    self._jobs.put(self._sensor.enter)  # exposures are counted from here
                self._master, self._heard_s = sender, time.monotonic()
            case Act.CONTROL:
                self._release()
            case Act.START:
                armed = self._begin()
                while not armed.wait(_PENDING_S) and self._on:
                    self._reply(wire.pending(asked, 5 * _PENDING_S), sender)
            case Act.STOP:
                self._end()
            case Act.TRIGGER:
                self._trigger()
            case Act.TEST_PACKET:
                self._test_packet()

    def _release(self) -> None:
        self._master = None
        self._registers.release()
        self._end()

    def _begin(self) -> threading.Event:
        """Start an acquisition; set once pulses would be answered."""
        self._end()
        self._registers.acquiring = True
        self._number = 0
        settings, generation, armed = self._registers.true, self._generation, threading.Event()
        if settings.line and self._registers.triggered:
            self._jobs.put(lambda: self._follow_line(settings, generation, armed))
        else:
            armed.set()
        return armed

    def _end(self) -> None:
        with self._lock:
            self._generation += 1
            self._pending = False
            self._busy_until_ns = 0
            self._kept.clear()

    def _trigger(self) -> None:
        r = self._registers
        settings, generation = r.true, self._generation
        with self._lock:
            free = not self._pending and time.monotonic_ns() >= self._busy_until_ns
            if not r.acquiring or not r.triggered or settings.line or not free:
                return  # a trigger that comes too early does nothing
            self._pending = True
        self._jobs.put(lambda: self._expose_once(settings, generation))

    def _test_packet(self) -> None:
        to = self._registers.destination
        if to is not None:
            self._put(bytes(self._registers.packet_bytes - 28), memoryview(b""), to)

    def _put(self, header: bytes, data: memoryview, to: tuple[str, int]) -> None:
        if not self._cut:
            with contextlib.suppress(OSError):
                self._stream.sendmsg([header, data], [], 0, to)

    # --- exposures --------------------------------------------------------------------------------------------------

    def _expose(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("%s: an exposure failed", self.name)

    def _expose_once(self, settings: Settings, generation: int) -> None:
        exposed = self._sensor.expose(settings.exposure_ns, settings.roi) if generation == self._generation else None
        with self._lock:
            self._pending = False
            if exposed is None:
                return
            self._busy_until_ns = exposed[1] + self._registers.busy_ns(settings)
        self._dispatch(*exposed, settings, generation)

    def _follow_line(self, settings: Settings, generation: int, armed: threading.Event) -> None:
        """Answer pulses until the acquisition ends."""
        wanted = settings.frames or _LINE_FRAMES
        answers = self._sensor.arm(wanted, settings.exposure_ns, settings.roi)
        armed.set()
        if not answers:
            return
        while self._on and generation == self._generation and wanted:
            for _ in range(self._sensor.came(wanted)):
                self._dispatch(*self._sensor.fetch(), settings, generation)
                wanted -= bool(settings.frames)
            time.sleep(_POLL_S)
        self._sensor.disarm()

    def _dispatch(self, counts: NDArray[np.uint16], start_ns: int, settings: Settings, generation: int) -> None:
        """Send a frame on its way, from when it is read out."""
        r = self._registers
        read_ns = start_ns + settings.exposure_ns + r.readout_ns(settings)
        late_s = self.delay() if self.delay is not None else 0.0
        late_s += self.options.late if self.fault == "late" else 0.0
        late_s += _LATE_S if self.mutation == "late" else 0.0
        pixels = self._pixels(counts, settings)
        with self._lock:
            to = r.destination
            if generation != self._generation or to is None:
                return
            self._number = wire.next_number(self._number)
            lost = self._to_lose > 0
            self._to_lose -= lost
            image = wire.Image(
                number=self._number,
                time_ticks=start_ns - self._zero_ns,
                pixel_format=settings.pixel_format,
                column=r.told.roi.column,
                row=r.told.roi.row,
                columns=settings.roi.columns,
                rows=settings.roi.rows,
                pixels=pixels,
                packet_bytes=r.packet_bytes,
            )
        self._way.put(_Exposed(image, to, read_ns * 1e-9 + late_s, generation, lost))

    def _pixels(self, counts: NDArray[np.uint16], settings: Settings) -> memoryview:
        """Counts in the pixel format: the upper bits of a shallow one, at the upper end of a deep one."""
        bits = {MONO8: 8, MONO12: 12}.get(settings.pixel_format, 16)
        shift = bits - self._sensor.bits
        shifted = counts << shift if shift >= 0 else counts >> -shift
        return memoryview(np.ascontiguousarray(shifted, "u1" if bits == 8 else "<u2").tobytes())

    # --- sending ----------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        while (frame := self._way.get()) is not None:
            while self._on and frame.generation == self._generation:
                left_s = frame.due_s - time.monotonic()
                if left_s <= 0:
                    self._send_frame(frame)
                    break
                time.sleep(min(left_s, _LOOK_EVERY_S))

    def _send_frame(self, frame: _Exposed) -> None:
        if frame.lost:
            return
        self._kept.append(frame)
        begun_s, sent = time.monotonic(), 0
        for k, header, data in frame.image.packets():
            if not self._spoilt(frame.image, k):
                if self._packets_to_lose and 0 < k < frame.image.last:
                    self._packets_to_lose -= 1
                else:
                    self._put(header, data, frame.to)
            sent += len(data) + wire.HEADERS
            ahead_s = begun_s + sent / _LINK_BYTES_PER_S - time.monotonic()
            if ahead_s > _AHEAD_S:
                time.sleep(ahead_s)
            if frame.generation != self._generation:
                return

    def _spoilt(self, image: wire.Image, k: int) -> bool:
        return self.fault == "corrupt-crc" and k % 3 == 1 and k < image.last

    def _resend(self, asked: wire.Command) -> None:
        words = asked.words()
        if len(words) < 3:
            return
        number, first, last = words[0] & 0xFFFF, words[1] & 0xFFFFFF, words[2] & 0xFFFFFF
        frame = next((kept for kept in list(self._kept) if kept.image.number == number), None)
        if frame is None:
            return
        for k in range(first, min(last, frame.image.last) + 1):
            if not self._spoilt(frame.image, k):
                self._put(*frame.image.packet(k), frame.to)
