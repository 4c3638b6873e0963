"""An SLM that is a screen (HOLOEYE PLUTO and any other on HDMI), by slmsuite and without vendor software.

The graphics card knows nothing of a phase modulator: a window over it, a gamma ramp, another resolution or a second
program spoil the pattern and report nothing. So what is really on the screen is looked at, from the other side.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from drivers.contract import ConfigurationError, DeviceError, Identity, operation
from drivers.site import Site
from drivers.slmsuite_any import Hand, Line, SlmsuiteOptions, SlmsuiteSLM, quiet_slmsuite, version
from drivers.x11 import Access, Display, Rectangle, Screen, Survivor, X11Error, libraries

log = logging.getLogger(__name__)

_OPEN_S = 15.0
_OWN_S = 2.0
_APPEARS_S = 0.5
"""A swap of buffers returns before the screen shows it."""


class ScreenOptions(SlmsuiteOptions):
    """display: which screen, counted from 0 as slmsuite's ``ScreenMirrored.info()`` lists them. x_display: X11 server,
    such as ":0"; None is the environment's. x_authority: file with the server's cookie, if not the usual one.
    panel_rows, panel_columns: of the SLM, which the screen must have. verify: look at the screen after every pattern,
    only when it is opened, or never.
    """

    display: int = Field(1, ge=0, le=63)
    x_display: str | None = Field(None, pattern=r"^[\w.\-/]*:\d+(\.\d+)?$")
    x_authority: str | None = None
    panel_rows: int = Field(1080, ge=2, le=8192)
    panel_columns: int = Field(1920, ge=2, le=8192)
    verify: Literal["always", "start", "never"] = "always"


class ScreenLine(Line):
    """The window, and the other side of the screen it is on. side: None where it cannot be looked at,
    and ``why_not``. area: where the screen lay when the window was opened."""

    def __init__(
        self,
        hand: Hand,
        slm: Any,
        timeout_s: float,
        lock: ScreenLock,
        side: Display | None,
        area: Rectangle | None,
        why_not: str,
    ) -> None:
        super().__init__(hand, slm, timeout_s)
        self.lock = lock
        self.side = side
        self.area = area
        self.why_not = why_not
        self.looked_at = False

    def _release(self) -> None:
        try:
            _close_window(self.slm)
            if self.side is not None:
                self.side.close()
        finally:
            self.lock.release()


class ScreenSLM(SlmsuiteSLM):
    """An SLM on a screen of the computer: slmsuite's ``ScreenMirrored`` with self-checks.

    A check that fails is a DeviceError of the pattern that was written; one that cannot be made on this system is
    reported by `self_checks` as missing.
    """

    Options = ScreenOptions

    broken = (*SlmsuiteSLM.broken, X11Error)

    def __init__(self, name: str, options: ScreenOptions) -> None:
        super().__init__(name, options)
        self._screen_options = options

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> ScreenSLM:
        """As the bench file says."""
        return cls(name, options if isinstance(options, ScreenOptions) else ScreenOptions())

    # --- opening ----------------------------------------------------------------------------------------------------

    def _connect(self) -> ScreenLine:
        o = self._screen_options
        quiet_slmsuite(self.name)
        access = Access(o.x_display, o.x_authority)
        lock = ScreenLock(self.name, access.name, o.display)
        hand = Hand(self.name)
        windows: list[Any] = []
        sides: list[Display] = []

        def make() -> ScreenLine:
            side, why_not = self._other_side(access)
            area = None
            if side is not None:
                sides.append(side)
                area = self._check_size(side).area
            windows.append(self._open_window(access))
            return ScreenLine(hand, windows[0], o.timeout, lock, side, area, why_not)

        def undo() -> None:
            try:
                for window in windows:
                    _close_window(window)
                for side in sides:
                    side.close()
            finally:
                lock.release()

        try:
            return hand.call(make, max(o.timeout, _OPEN_S))
        except BaseException:
            hand.end(undo, o.timeout)
            raise

    def _other_side(self, access: Access) -> tuple[Display | None, str]:
        """A connection that sees the screen, or why there is none."""
        try:
            libraries()
        except X11Error as error:
            return None, str(error)
        side = Display(access)
        if side.behind_wayland():
            side.close()
            return None, "a Wayland compositor draws the screen; what it shows cannot be read"
        return side, ""

    def _open_window(self, access: Access) -> Any:
        o = self._screen_options
        with _pyglet_display(self.name, access):
            screen_mirrored = importlib.import_module("slmsuite.hardware.slms.screenmirrored").ScreenMirrored
            slm = screen_mirrored(
                o.display,
                bitdepth=8,
                name=self.name,
                wav_um=o.wavelength * 1e6,
                pitch_um=[(o.pitch or 8e-6) * 1e6] * 2,
                settle_time_s=0,
                gpu=False,
            )
        if slm.shape != (o.panel_rows, o.panel_columns):
            slm.close()
            raise self._wrong_size(*slm.shape)
        return slm

    # --- self-checks ------------------------------------------------------------------------------------------------

    def _check(self, line: Line, frame: NDArray[Any]) -> None:
        """Every check that can be made."""
        verify = self._screen_options.verify
        if not isinstance(line, ScreenLine) or verify == "never" or (verify == "start" and line.looked_at):
            return
        side = line.side
        if side is None:
            return
        line.lost = True
        screen = self._check_size(side)
        if screen.area != line.area:
            raise DeviceError(
                f"{self.name}: screen {screen.output} is now at {screen.area.x}, {screen.area.y} of the desktop and "
                "our window is not; it is opened anew at the next pattern. Leave the arrangement of screens alone"
            )
        line.lost = False
        self._check_gamma(side, screen)
        self._check_uncovered(line, side, screen)
        self._check_pixels(side, screen, frame)
        line.looked_at = True

    def _screen(self, side: Display) -> Screen:
        screens, number = side.screens(), self._screen_options.display
        if number >= len(screens):
            raise DeviceError(
                f"{self.name}: display = {number}: the X11 server has {len(screens)} lit screens "
                f"({', '.join(s.output for s in screens) or 'none'}). Switch the SLM on, check its cable and xrandr"
            )
        return screens[number]

    def _check_size(self, side: Display) -> Screen:
        o = self._screen_options
        screen = self._screen(side)
        if (screen.area.height, screen.area.width) != (o.panel_rows, o.panel_columns):
            raise self._wrong_size(screen.area.height, screen.area.width)
        if not screen.upright:
            raise DeviceError(f"{self.name}: screen {screen.output} is rotated or mirrored; set xrandr --rotate normal")
        return screen

    def _wrong_size(self, rows: int, columns: int) -> DeviceError:
        o = self._screen_options
        return DeviceError(
            f"{self.name}: screen {o.display} has {rows}x{columns} pixels (rows x columns), the panel "
            f"{o.panel_rows}x{o.panel_columns}; patterns would be scaled. Set the screen's resolution (xrandr --mode), "
            "or panel_rows, panel_columns and display in the bench file"
        )

    def _check_gamma(self, side: Display, screen: Screen) -> str:
        """ "" if the ramp is 1.0, else why it is not known. DeviceError if it is another."""
        ramp = side.gamma_ramp(screen)
        if ramp is None or not ramp.any():
            return "the graphics card does not tell its gamma ramp"
        n = ramp.shape[1]
        off = np.abs(ramp - np.linspace(0, 65535, n)).max() / 256  # in levels of eight bits
        if off > 1:
            raise DeviceError(
                f"{self.name}: the gamma ramp of screen {screen.output} is not 1.0: levels are up to {off:.0f} off. "
                f"Set xrandr --output {screen.output} --gamma 1:1:1 and end night light or colour management"
            )
        return ""

    def _check_uncovered(self, line: ScreenLine, side: Display, screen: Screen) -> str:
        """ "" if no window lies over ours, else why it is not known. DeviceError if one does."""
        if side.composited():
            return "a compositing manager draws the windows; only the pixels tell"
        above = side.windows_above(int(line.slm.window.canvas.x_window), screen.area)
        if above:
            raise DeviceError(
                f"{self.name}: {len(above)} windows lie over the SLM's on screen {screen.output}: "
                f"{', '.join(above[:3])}. Close or move them, and leave this screen to the SLM"
            )
        return ""

    def _check_pixels(self, side: Display, screen: Screen, frame: NDArray[Any]) -> None:
        expected = frame.astype(np.uint32) * np.uint32(0x010101)
        deadline = time.monotonic() + _APPEARS_S
        while True:
            differs = side.pixels(screen.area) != expected
            if not differs.any():
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
        n = int(differs.sum())
        row, column = (int(x) for x in np.argwhere(differs)[0])
        raise DeviceError(
            f"{self.name}: {n} of {frame.size} pixels on screen {screen.output} are not what was written, the first at "
            f"row {row}, column {column}. Something draws over the SLM's window, or the graphics driver changes "
            "colours (dithering, limited range, colour management): switch that off"
        )

    @operation(observes=True)
    def self_checks(self) -> dict[str, str]:
        """Each check now: "passed", "failed: ..." or "missing: why it cannot be made on this system"."""
        self._must_be_open("self_checks")
        with self._turn, self._link.talk("self_checks") as line:
            return line.hand.call(lambda: self._report(line), line.timeout_s)

    def _report(self, line: Line) -> dict[str, str]:
        assert isinstance(line, ScreenLine)
        report = {"lock": "passed" if line.lock.held else f"missing: {line.lock.why_not}"}
        side = line.side
        if side is None:
            # slmsuite knows the size of the screen it opened, whatever the system.
            return (
                report | {"size": "passed"} | dict.fromkeys(("gamma", "window", "pixels"), f"missing: {line.why_not}")
            )
        frame = self._sent
        for name, check in (
            ("size", lambda: self._check_size(side)),
            ("gamma", lambda: self._check_gamma(side, self._screen(side))),
            ("window", lambda: self._check_uncovered(line, side, self._screen(side))),
            ("pixels", lambda: self._check_pixels(side, self._check_size(side), frame)),
        ):
            try:
                why_not = check()
                report[name] = f"missing: {why_not}" if isinstance(why_not, str) and why_not else "passed"
            except DeviceError as error:
                report[name] = f"failed: {error}"
        return report

    # --- the other operations ---------------------------------------------------------------------------------------

    def read_back(self) -> NDArray[Any]:
        """What the screen really shows, its green if something on it is coloured; what was sent where that is
        hidden (see `self_checks`).
        """
        with self._turn:
            self._must_be_open("read_back")
            with self._link.talk("read_back") as line:
                side = line.side if isinstance(line, ScreenLine) else None
                if side is None:
                    return self._handed_out(self._sent)
                shown = line.hand.call(lambda: side.pixels(self._check_size(side).area), line.timeout_s)
            return self._handed_out(((shown >> np.uint32(8)) & np.uint32(0xFF)).astype(np.uint8))

    def identity(self) -> Identity:
        """What the display tells of itself (EDID), else which screen it is. HDMI carries no firmware version."""
        self._must_be_open("identity")
        with self._turn, self._link.talk("identity") as line:
            side = line.side if isinstance(line, ScreenLine) else None
            model, serial = "", ""
            if side is not None:
                screen = line.hand.call(lambda: self._screen(side), line.timeout_s)
                model, serial = line.hand.call(lambda: side.monitor(screen), line.timeout_s)
                model = model or f"screen {screen.output}"
            o = self._screen_options
            return Identity(
                model=f"{model or f'screen {o.display}'} {o.panel_columns}x{o.panel_rows}",
                serial=serial,
                firmware=f"not told; slmsuite {version()}",
            )


# --- one SLM per screen -----------------------------------------------------------------------------------------------


class ScreenLock:
    """That no second program of ours writes to the same screen: a locked file per X11 server and screen."""

    def __init__(self, device: str, x_display: str, number: int) -> None:
        """Raises DeviceError, naming the process that has it, if the screen is taken."""
        server = re.sub(r"\.\d+$", "", x_display.removeprefix("localhost").removeprefix("unix"))
        key = re.sub(r"[^\w.-]+", "_", f"{server or sys.platform}-{number}")
        # Where the servers' own sockets are, whatever each program takes for its temporary folder.
        path = Path("/tmp" if os.name == "posix" else tempfile.gettempdir(), f"labctl-slm{key}.lock")
        self._file: int | None = None
        self.why_not = ""
        try:
            found = _open_shared(path)
        except OSError as error:
            self.why_not = f"{path} cannot be opened: {error}"
            return
        # A window of our own that is still being closed (the server did not answer) is waited for.
        deadline = time.monotonic() + _OWN_S
        while not _locked(found):
            holder = os.pread(found, 32, 1).decode(errors="replace").strip() if hasattr(os, "pread") else ""
            if holder != str(os.getpid()) or time.monotonic() > deadline:
                os.close(found)
                raise DeviceError(
                    f"{device}: screen {number} of {x_display or 'this computer'} is in use as an SLM"
                    + (f" by process {holder}" if holder else "")
                    + ". End that program, or name another screen in the bench file"
                )
            time.sleep(0.05)
        self._file = found
        with contextlib.suppress(OSError):
            os.ftruncate(found, 0)
            os.write(found, f" {os.getpid()}\n".encode())

    @property
    def held(self) -> bool:
        """Whether the screen is ours."""
        return self._file is not None

    def release(self) -> None:
        """Give the screen up. The file stays: one that is removed could be locked twice."""
        found, self._file = self._file, None
        if found is not None:
            os.close(found)


def _open_shared(path: Path) -> int:
    """A file that all users may lock, and none may put a link in the place of."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, flags)  # not to be created where others made it: a sticky folder refuses that
    except FileNotFoundError:
        found = os.open(path, flags | os.O_CREAT, 0o666)
        if hasattr(os, "fchmod"):
            os.fchmod(found, 0o666)
        return found


if sys.platform == "win32":
    import msvcrt

    def _lock(found: int) -> None:
        msvcrt.locking(found, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(found: int) -> None:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(found: int) -> bool:
    try:
        _lock(found)
    except OSError:
        return False
    return True


# --- pyglet -----------------------------------------------------------------------------------------------------------

# slmsuite opens its window on whatever X11 server pyglet knows, which is one for the life of a process and the one the
# environment names. Here it is the one of the bench file, and another after that has died.

_pyglet_lock = threading.RLock()
_servers: dict[str, tuple[Any, Survivor]] = {}
_dead: list[tuple[Any, Survivor]] = []


@contextlib.contextmanager
def _pyglet_display(device: str, access: Access) -> Any:
    """While this lasts, pyglet's display is the wanted X11 server (elsewhere than on X11: the desktop)."""
    with _pyglet_lock:
        try:
            pyglet = importlib.import_module("pyglet")
            # A hidden window which would be opened on import, on the server the environment names.
            pyglet.options["shadow_window"] = False
            display_module = importlib.import_module("pyglet.display")
        except ImportError as error:
            raise ConfigurationError(
                f"{device}: pyglet cannot be used ({error}); install it: pip install 'labctl[hardware]', and on Debian "
                "apt install libgl1 libgl1-mesa-dri libxrandr2"
            ) from error
        if sys.platform.startswith("linux"):
            ours = _server(display_module, access)
            for other in list(display_module._displays):
                if other is not ours:
                    display_module._displays.discard(other)
            display_module._displays.add(ours)
        yield


def _server(display_module: Any, access: Access) -> Any:
    """pyglet's connection to the server; made once, since pyglet never closes one."""
    if access.name in _servers:
        display, survivor = _servers[access.name]
        if _lives(display, survivor):
            return display
        _dead.append(_servers.pop(access.name))  # kept: what pyglet still does with it must come to no harm
    try:
        display = access.connect(lambda name: display_module.Display(name or None))
    except display_module.xlib.NoSuchDisplayException as error:
        raise X11Error(f"no X11 server answers at {access.name!r}, or it refuses us") from error
    survivor = Survivor(_pointer(display))
    _servers[access.name] = (display, survivor)
    return display


def _pointer(display: Any) -> int:
    return ctypes.cast(display._display, ctypes.c_void_p).value or 0


def _lives(display: Any, survivor: Survivor) -> bool:
    if not survivor.lost:
        libraries().x.XSync(_pointer(display), 0)
    return not survivor.lost


def _close_window(slm: Any) -> None:
    """Close slmsuite's window, on a server that may have died."""
    window = slm.window
    for display, survivor in [*_servers.values(), *_dead]:
        if window is not None and window.display is display and not _lives(display, survivor):
            window._context = None  # pyglet then leaves the window alone, which has gone with the server
    slm.close()
