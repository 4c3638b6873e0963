"""An SLM that is a screen: an X server of our own whose second screen is the panel of a world's SLM.

The driver opens its window there as it does on the table. What the server would send down the HDMI cable (the frame
buffer through the gamma ramp) goes to the world. The server is asked in the X11 protocol itself, with neither the
driver's code nor the library that the driver uses.
"""

from __future__ import annotations

import logging
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drivers.errors import ConfigurationError, DeviceError, LabError
from simulators.emulators.base import Emulator, EmulatorOptions
from simulators.emulators.edid import Panel, edid
from simulators.emulators.x11_client import ANSWER_S, Client, authority_entry

log = logging.getLogger(__name__)

_REFRESH_S = 1 / 60
_IDLE_S = 0.1
_LISTEN_S = 0.008
_LATE_S = 1.0
_START_S = 20.0
_FIRST_SCREEN = (640, 480)
_LARGER = (16, 8)
"""By how many columns and rows the wrong mode of the second screen is larger."""

_CONFIGURATION = """
Section "ServerFlags"
    Option "AutoAddDevices" "false"
    Option "AutoEnableDevices" "false"
    Option "AutoAddGPU" "false"
    Option "BlankTime" "0"
    Option "DontVTSwitch" "true"
EndSection
Section "Device"
    Identifier "dummy"
    Driver "dummy"
    VideoRam {kilobytes}
EndSection
Section "Screen"
    Identifier "screen"
    Device "dummy"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Virtual {width} {height}
    EndSubSection
EndSection
"""


class ScreenOptions(EmulatorOptions):
    """one_screen: an Xvfb with a single screen in place of an Xorg with two. rows, columns: of the panel, the world's
    unless given. panel_name, panel_serial: what it tells of itself; a serial number of its own unless given. edid:
    whether it tells anything.
    """

    one_screen: bool = False
    rows: int | None = Field(None, ge=2, le=4320)
    columns: int | None = Field(None, ge=2, le=7680)
    panel_name: str = Field("HE PLUTO-2.1", pattern=r"^[ -~]{0,13}$")
    panel_serial: str | None = Field(None, pattern=r"^[ -~]{0,13}$")
    edid: bool = True


class Screen(Emulator):
    """An X server with the panel as its second screen; see the module.

    Faults: port-loss (the screen is switched off), gamma (somebody sets a ramp), window (one is opened over the
    panel), wrong-size (another video mode), mute (the panel takes nothing and keeps its pattern), frozen (the server
    does not answer).
    """

    supplies = frozenset({"display", "x_display", "x_authority", "panel_rows", "panel_columns", "pitch"})

    Options = ScreenOptions
    faults: ClassVar[frozenset[str]] = frozenset({"port-loss", "gamma", "window", "wrong-size", "mute", "frozen"})
    mutations: ClassVar[frozenset[str]] = frozenset({"scale", "stale", "late"})

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        super().__init__(name, world, options)
        o = self.options if isinstance(self.options, ScreenOptions) else ScreenOptions()
        self._one_screen = o.one_screen
        slm = getattr(world.parameters, "slm", None)
        rows, columns = o.rows or getattr(slm, "rows", None), o.columns or getattr(slm, "columns", None)
        if rows is None or columns is None:
            raise ConfigurationError(f"{name}: the world does not say how large its panel is; give `rows`, `columns`")
        self._rows, self._columns = int(rows), int(columns)
        self._pitch_m = float(getattr(slm, "pitch", 8e-6))
        self._server: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._number = -1
        self._cookie = b""
        self._hand: Client | None = None
        self._cover = 0
        self._panel: _Panel | None = None
        self._plugged: bytes = b""
        if o.edid:
            serial = self.serial_like("6010-01188") if o.panel_serial is None else o.panel_serial
            self._plugged = edid(Panel("HOL", 0x0021, 1188, o.panel_name, serial), self._rows, self._columns)

    # --- power ------------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Start the server. Returns the driver's options: which screen, of which server, how large."""
        if self._server is None:
            try:
                self._start_server()
            except BaseException:
                self.stop()
                raise
        options: dict[str, Any] = {
            "display": 0 if self._one_screen else 1,
            "x_display": f":{self._number}",
            "x_authority": str(self._authority),
            "panel_rows": self._rows,
            "panel_columns": self._columns,
            "pitch": f"{self._pitch_m:.9g} m",
        }
        return options

    def stop(self) -> None:
        """End the server."""
        self.fault = self.mutation = None
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(signal.SIGCONT)
        if self._panel is not None:
            self._panel.stop()
        if self._hand is not None:
            self._hand.close()
        self._panel = self._hand = None
        if server is not None:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def _authority(self) -> Path:
        return self._needs_folder() / "cookie"

    def _needs_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="labctl-screen-"))
        return self._folder

    def _start_server(self) -> None:
        folder = self._needs_folder()
        self._cookie = os.urandom(16)
        self._authority.touch(mode=0o600)
        self._authority.write_bytes(authority_entry(self._cookie))
        told, tell = os.pipe()
        try:
            with open(folder / "output", "wb") as output:
                self._server = subprocess.Popen(
                    # -terminate: away with it when the last client has gone, should we be killed.
                    [
                        *self._command(folder),
                        *["-displayfd", str(tell), "-auth", str(self._authority)],
                        *["-terminate", "-nolisten", "tcp"],
                    ],
                    pass_fds=[tell],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # an interrupt typed at the terminal is not for the server
                )
            os.close(tell)
            tell = -1
            self._number = self._read_number(told, folder)
        finally:
            os.close(told)
            if tell >= 0:
                os.close(tell)
        self._hand = Client(self._number, self._cookie)
        if not self._one_screen:
            self._arrange_screens()
        self._hand.tell(not self._one_screen, self._plugged)
        self._panel = _Panel(self, Client(self._number, self._cookie))

    def _command(self, folder: Path) -> list[str]:
        if self._one_screen:
            return [
                _program(self.name, "Xvfb", "xvfb"),
                *["-screen", "0", f"{self._columns}x{self._rows}x24"],
            ]
        _program(self.name, "xrandr", "x11-xserver-utils")
        width = _FIRST_SCREEN[0] + self._columns + _LARGER[0]
        height = max(_FIRST_SCREEN[1], self._rows + _LARGER[1])
        width += -width % 64
        configuration = folder / "xorg.conf"
        configuration.write_text(
            _CONFIGURATION.format(width=width, height=height, kilobytes=max(16384, width * height * 8 // 1024))
        )
        return [
            _program(self.name, "Xorg", "xserver-xorg-core xserver-xorg-video-dummy"),
            *["-config", str(configuration), "-logfile", str(folder / "log")],
            *["-novtswitch", "-sharevts", "-keeptty"],
        ]

    def _read_number(self, told: int, folder: Path) -> int:
        text, more = b"", b"-"
        # It writes the end of the line separately, and ends itself if nobody reads it.
        while more and not text.endswith(b"\n") and select.select([told], [], [], _START_S)[0]:
            more = os.read(told, 32)
            text += more
        if text.endswith(b"\n"):
            return int(text)
        said = "".join((folder / f).read_text(errors="replace") for f in ("log", "output") if (folder / f).exists())
        if "module" in said and re.search(r"dummy.*(not exist|Failed)|Failed to load module \"dummy\"", said):
            raise ConfigurationError(
                f"{self.name}: Xorg has no dummy video driver; install it: apt install xserver-xorg-video-dummy"
            )
        problems = [line.strip() for line in said.splitlines() if "(EE)" in line or "rror" in line]
        raise ConfigurationError(
            f"{self.name}: the X server did not start: {'; '.join(problems[-3:]) or 'it said nothing'}. "
            "Packages it needs: xserver-xorg-core xserver-xorg-video-dummy (two screens), xvfb (one screen)"
        )

    # --- screens ----------------------------------------------------------------------------------------------------

    def _arrange_screens(self) -> None:
        width, height = _FIRST_SCREEN
        self._xrandr("--output", "DUMMY0", "--mode", f"{width}x{height}", "--primary")
        for name, w, h in (
            ("panel", self._columns, self._rows),
            ("larger", self._columns + _LARGER[0], self._rows + _LARGER[1]),
        ):
            clock = 60e-6 * (w + 4) * (h + 4)
            self._xrandr(
                "--newmode",
                name,
                f"{clock:.6f}",
                *[str(w + i) for i in (0, 1, 2, 4)],
                *[str(h + i) for i in (0, 1, 2, 4)],
            )
            self._xrandr("--addmode", "DUMMY1", name)
        self._light_panel("panel")

    def _light_panel(self, mode: str) -> None:
        self._xrandr("--output", "DUMMY1", "--mode", mode, "--right-of", "DUMMY0")

    def _xrandr(self, *arguments: str) -> None:
        environment = os.environ | {"DISPLAY": f":{self._number}", "XAUTHORITY": str(self._authority)}
        done = subprocess.run(
            ["xrandr", *arguments], env=environment, capture_output=True, text=True, timeout=10, check=False
        )
        if done.returncode:
            raise ConfigurationError(f"{self.name}: xrandr {' '.join(arguments)}: {done.stderr.strip()}")

    def plug_in(self, panel: Panel | bytes) -> None:
        """Another panel on the same cable, of the same size; or bytes, which no panel should tell, b"" for nothing."""
        self._plugged = panel if isinstance(panel, bytes) else edid(panel, self._rows, self._columns)
        if self._hand is not None:
            self._hand.tell(not self._one_screen, self._plugged)

    # --- what is wrong with it --------------------------------------------------------------------------------------

    def inject(self, fault: str | None) -> None:
        """Break it, or repair it with None; see the class."""
        if self._one_screen and fault not in (None, "window", "mute", "frozen"):
            raise ConfigurationError(f"{self.name}: an Xvfb with one screen has no fault {fault!r}")
        before = self.fault
        super().inject(None)
        if self._server is None or self._hand is None:
            super().inject(fault)
            return
        match before:
            case "frozen":
                self._server.send_signal(signal.SIGCONT)
            case "port-loss" | "wrong-size":
                self._light_panel("panel")
                self._hand.tell(True, self._plugged)
            case "gamma":
                self._xrandr("--output", "DUMMY1", "--gamma", "1:1:1")
            case "window":
                self._hand.destroy(self._cover)
        super().inject(fault)
        match fault:
            case "frozen":
                self._server.send_signal(signal.SIGSTOP)
            case "port-loss":
                self._xrandr("--output", "DUMMY1", "--off")
                self._hand.tell(True, b"")
            case "wrong-size":
                self._light_panel("larger")
            case "gamma":
                self._xrandr("--output", "DUMMY1", "--gamma", "1.3:1.3:1.3")
            case "window":
                place = self._hand.panel(not self._one_screen)
                if place is None:
                    raise ConfigurationError(f"{self.name}: the screen is off; no window can cover it")
                self._cover = self._hand.open_window(place.x + 2, place.y + 2, 12, 8)
        self._wake()

    def mutate(self, mutation: str | None) -> None:
        """Make what reaches the panel wrong."""
        super().mutate(mutation)
        self._wake()

    def _wake(self) -> None:
        if self._panel is not None:
            self._panel.look_again()


def _program(device: str, name: str, packages: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(f"{device}: the emulated screen needs {name}; install it: apt install {packages}")
    return found


class _Panel:
    """The thread that carries what the screen shows to the world's panel."""

    def __init__(self, screen: Screen, client: Client) -> None:
        self._screen = screen
        self._client: Client | None = client
        self._second = not screen._one_screen
        self._on_screen = np.zeros((screen._rows, screen._columns), np.uint8)
        self._before = self._on_screen
        self._ramp: NDArray[np.uint8] | None = None
        self._panel = self._on_screen
        self._late: list[tuple[float, NDArray[np.uint8]]] = []
        self._flag: int | None = None
        self._complained = False
        self._seen_ns = 0
        self._stop = threading.Event()
        self._again = threading.Event()
        self._attach()
        client.watch()
        self._again.set()
        self._thread = threading.Thread(target=self._run, name=f"{screen.name}-panel", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(2 * ANSWER_S + 3)

    def look_again(self) -> None:
        """Something changed that the server does not tell."""
        self._again.set()

    def _run(self) -> None:
        screen = self._screen
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                if self._client is None:
                    self._client = Client(self._screen._number, self._screen._cookie)
                    self._client.watch()
                    self._again.set()
                self._look(self._client)
            except OSError as error:  # the server does not answer, or is gone
                if self._client is not None:
                    self._client.close()
                self._client = None
                self._seen(screen.world.clock.now_ns())
                log.debug("%s: %s", self._screen.name, error)
                self._stop.wait(_IDLE_S)
            except LabError as error:
                if not self._complained:
                    log.warning("%s: the world takes no pattern: %s", self._screen.name, error)
                self._complained = True
                self._stop.wait(_IDLE_S)
            self._stop.wait(max(0.0, begun + _REFRESH_S - time.monotonic()))
        self._seen(0)
        if self._client is not None:
            self._client.close()

    def _seen(self, time_ns: int) -> None:
        """The world's panel is up to date with the screen of then (bench time); 0: it is not looked after."""
        self._seen_ns = time_ns
        if "panel_seen_ns" in (self._screen.world.state.dtype.names or ()):
            self._screen.world.state["panel_seen_ns"][0] = time_ns

    def _listen(self, client: Client) -> tuple[bool, int]:
        """Wait a while for a change. Whether there is one, and the bench time of the beginning of the look at it."""
        until = time.monotonic() + (0.0 if self._again.is_set() else _IDLE_S)
        clock = self._screen.world.clock
        while True:
            now_ns = clock.now_ns()
            if client.damaged(max(0.0, min(_LISTEN_S, until - time.monotonic()))):
                return True, now_ns
            if time.monotonic() >= until or self._stop.is_set():
                return False, now_ns
            self._seen(now_ns)

    def _look(self, client: Client) -> None:
        damaged, now_ns = self._listen(client)
        again = self._again.is_set()
        self._again.clear()
        place = client.panel(self._second)
        if place is not None and (place.width, place.height) == (self._screen._columns, self._screen._rows):
            ramp = client.ramp(place.crtc)
            if damaged or again:
                shown = client.green(place)
                if shown is not None and not np.array_equal(shown, self._on_screen):
                    self._before, self._on_screen = self._on_screen, shown
            self._ramp = ramp
        self._carry()
        self._seen(now_ns)

    def _carry(self) -> None:
        """Bring the world's panel up to what the cable carries, bent by what is wrong."""
        screen = self._screen
        if self._lost_place():
            self._attach()
        mutation = screen.mutation
        wanted = self._before if mutation == "stale" else self._on_screen
        if self._ramp is not None:
            wanted = self._ramp[wanted]
        if mutation == "scale":
            wanted = np.rint(0.9 * wanted).astype(np.uint8)
        if mutation == "late":
            now = time.monotonic()
            if not self._late or not np.array_equal(wanted, self._late[-1][1]):
                self._late.append((now + _LATE_S, wanted))
            due = [frame for when, frame in self._late if when <= now]
            if not due:
                return
            wanted = due[-1]
            self._late = [(when, frame) for when, frame in self._late if when > now] or [(now, wanted)]
        else:
            self._late = []
        if screen.fault == "mute":
            return
        if wanted is self._panel:
            return
        differs = wanted != self._panel
        rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
        if not rows.size:
            self._panel = wanted
            return
        top, left = int(rows[0]), int(columns[0])
        region = np.ascontiguousarray(wanted[top : rows[-1] + 1, left : columns[-1] + 1])
        # It changed after the last look. Where this process was not given the processor for a while that is long ago,
        # and no graphics card is ever so late.
        since_ns = 0 if mutation == "late" else self._seen_ns
        try:
            screen.world.write(region, top, left, since_ns)
        except DeviceError:
            self._attach()
            screen.world.write(np.ascontiguousarray(wanted), 0, 0)
        self._panel = wanted
        self._complained = False

    # A world that is set up anew forgets its devices and rests at gray 0. Our own stop flag, which stands for nothing
    # in an SLM without a memory, is a mark that is then gone.

    def _attach(self) -> None:
        world = self._screen.world
        flag = world.attach(self._screen.name, "slm")
        self._panel = np.zeros_like(self._on_screen)
        self._flag = None
        if isinstance(flag, int) and "stop" in (world.state.dtype.names or ()):
            world.state["stop"][0, flag] = 1
            self._flag = flag

    def _lost_place(self) -> bool:
        return self._flag is not None and not self._screen.world.state["stop"][0, self._flag]
