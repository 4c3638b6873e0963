"""An SLM that is a screen (HOLOEYE PLUTO and any other on HDMI), by slmsuite and without vendor software.

The graphics card knows nothing of a phase modulator: a window over it, a gamma ramp, another resolution or a second
program spoil the pattern and report nothing. So what is really on the screen is looked at, from the other side.
"""

from __future__ import annotations

import importlib
import logging
import time
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from drivers.contract import ConfigurationError, DeviceError, Identity, operation
from drivers.edid import Edid, parse_edid
from drivers.site import Site
from drivers.slmsuite_slm import (
    NOT_TOLD,
    Hand,
    Line,
    SlmsuiteSLM,
    WindowLine,
    WindowOptions,
    quiet_slmsuite,
    version,
)
from drivers.slmsuite_window import ScreenLock, close_window, no_hidden_window, other_side, pyglet_display
from drivers.x11 import Access, Display, Rectangle, Screen, X11Error

log = logging.getLogger(__name__)

_APPEARS_S = 0.5
"""A swap of buffers returns before the screen shows it; half the timeout if that is less."""


class ScreenOptions(WindowOptions):
    """display: which screen, counted from 0 as slmsuite's ``ScreenMirrored.info()`` lists them. panel_rows,
    panel_columns: of the SLM, which the screen must have. verify: look at the screen after every pattern, only when it
    is opened, or never.
    """

    display: int = Field(1, ge=0, le=63)
    panel_rows: int = Field(1080, ge=2, le=8192)
    panel_columns: int = Field(1920, ge=2, le=8192)
    verify: Literal["always", "start", "never"] = "always"


class ScreenLine(WindowLine):
    """The window, and the other side of the screen it is on. why_not: why that cannot be looked at."""

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
        super().__init__(hand, slm, timeout_s, lock, side, area)
        self.lock: ScreenLock = lock
        self.why_not = why_not
        self.looked_at = False


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

    def _vendor(self) -> Any:
        """slmsuite's class; imported before the time for opening runs, which is the screen's and not Python's."""
        no_hidden_window()
        try:
            return importlib.import_module("slmsuite.hardware.slms.screenmirrored").ScreenMirrored
        except ImportError as error:
            raise ConfigurationError(
                f"{self.name}: slmsuite's window cannot be used ({error}); install it: pip install 'labctl[hardware]'"
            ) from error

    def _connect(self) -> ScreenLine:
        o = self._screen_options
        quiet_slmsuite(self.name)
        screen_mirrored = self._vendor()
        access = Access(o.x_display, o.x_authority)
        lock = ScreenLock(self.name, access.name, o.display)
        hand = Hand(self.name)
        windows: list[Any] = []
        sides: list[Display] = []

        def make() -> ScreenLine:
            side, why_not = other_side(access)
            area = None
            if side is not None:
                sides.append(side)
                area = self._check_size(side).area
            windows.append(self._open_window(access, screen_mirrored))
            return ScreenLine(hand, windows[0], o.timeout, lock, side, area, why_not)

        def undo() -> None:
            try:
                for window in windows:
                    close_window(window)
                for side in sides:
                    side.close()
            finally:
                lock.release()

        try:
            return hand.call(make, o.open_within)
        except BaseException:
            hand.end(undo, o.timeout)
            raise

    def _open_window(self, access: Access, screen_mirrored: Any) -> Any:
        o = self._screen_options
        with pyglet_display(self.name, access):
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
        self._check_panel(side, screen)
        self._check_gamma(side, screen)
        self._check_uncovered(line, side, screen)
        self._check_pixels(side, screen, frame)
        line.looked_at = True

    def _told_serial(self, line: Line) -> str:
        side = line.side if isinstance(line, ScreenLine) else None
        edid = None if side is None else self._edid(side, self._screen(side))[0]
        return "" if edid is None else edid.serial_number

    def _edid(self, side: Display, screen: Screen) -> tuple[Edid | None, str]:
        """What the panel tells of itself, or why that is not known."""
        data = side.edid(screen)
        if not data:
            return None, f"the X11 server has no EDID of screen {screen.output}"
        try:
            return parse_edid(data), ""
        except ValueError as error:
            return None, f"what screen {screen.output} tells of itself is garbled: {error}"

    def _check_panel(self, side: Display, screen: Screen) -> str:
        """ "" if it is the panel it was, else why that is not known. DeviceError if it is another one."""
        edid, why_not = self._edid(side, screen)
        if edid is None or not edid.serial_number:
            return why_not or "the EDID holds no serial number"
        self._check_serial(edid.serial_number)
        return ""

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
        deadline = time.monotonic() + min(_APPEARS_S, self._options.timeout / 2)
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
            unseen = dict.fromkeys(("panel", "gamma", "window", "pixels"), f"missing: {line.why_not}")
            return report | {"size": "passed"} | unseen
        frame = self._sent
        for name, check in (
            ("size", lambda: self._check_size(side)),
            ("panel", lambda: self._check_panel(side, self._screen(side))),
            ("gamma", lambda: self._check_gamma(side, self._screen(side))),
            ("window", lambda: self._check_uncovered(line, side, self._screen(side))),
            ("pixels", lambda: self._check_pixels(side, self._check_size(side), frame)),
        ):
            try:
                why_not = check()
                report[name] = f"missing: {why_not}" if isinstance(why_not, str) and why_not else "passed"
            except (DeviceError, ConfigurationError) as error:
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
        """What the panel tells of itself (EDID), else the bench file. HDMI carries no firmware version."""
        self._must_be_open("identity")
        with self._turn, self._link.talk("identity") as line:
            o = self._screen_options
            edid, output = line.hand.call(lambda: self._who(line), line.timeout_s)
            model = (edid.model if edid is not None else "") or o.model or f"screen {output}"
            serial = (edid.serial_number if edid is not None else "") or o.serial or NOT_TOLD
            return Identity(
                model=f"{model} {o.panel_columns}x{o.panel_rows}",
                serial=serial,
                firmware=f"{NOT_TOLD}; slmsuite {version()}",
            )

    def _who(self, line: Line) -> tuple[Edid | None, str]:
        """What the panel tells of itself, if it does and it can be seen, and on which output it is."""
        side = line.side if isinstance(line, ScreenLine) else None
        if side is None:
            return None, str(self._screen_options.display)
        screen = self._screen(side)
        edid, why_not = self._edid(side, screen)
        if why_not:
            log.info("%s: %s", self.name, why_not)
        return edid, screen.output
