"""SLMs that slmsuite drives: any of its classes by name."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel, Field

from drivers.contract import ConfigurationError, DeviceError
from drivers.site import Site
from drivers.slmsuite_slm import CLOSE_S, Hand, Line, SlmsuiteSLM, WindowLine, WindowOptions, quiet_slmsuite
from drivers.slmsuite_window import ScreenLock, is_window, no_hidden_window, other_side, pyglet_display, window_lives
from drivers.x11 import Access, Display, Rectangle, X11Error


class AnySlmsuiteSLM(SlmsuiteSLM):
    """An SLM by the name of its slmsuite class, such as ``slmsuite.hardware.slms.meadowlark.Meadowlark``.

    What it shows cannot be read back: `read_back` is what was sent.
    """

    class Options(WindowOptions):
        """slm_class: dotted name of the class. keywords: what it is given, by slmsuite's names and in its units."""

        slm_class: str
        keywords: dict[str, Any] = Field(default_factory=dict)

    broken = (*SlmsuiteSLM.broken, X11Error)

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options)
        self._of = options

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> AnySlmsuiteSLM:
        """As the bench file says."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(f"{name}: `slm_class`, the dotted name of an slmsuite SLM class, is needed")
        return cls(name, options)

    def _connect(self) -> Line:
        quiet_slmsuite(self.name)
        factory = self._factory()
        access = Access(self._of.x_display, self._of.x_authority) if is_window(factory) else None
        number = self._of.keywords.get("display_number")
        lock = ScreenLock(self.name, access.name, number) if access is not None and isinstance(number, int) else None
        timeout_s = self._options.timeout
        hand = Hand(self.name)
        made: list[Line] = []

        def make() -> Line:
            if access is None:
                made.append(Line(hand, self._made(factory), timeout_s))
                return made[0]
            with pyglet_display(self.name, access):
                line = WindowLine(hand, self._made(factory), timeout_s, lock)
            made.append(line)
            line.side, _ = other_side(access)
            line.area = self._area(line.side)
            return line

        def undo() -> None:
            if made:
                made[0].release()
            elif lock is not None:
                lock.release()

        try:
            return hand.call(make, self._options.open_within)
        except BaseException:
            hand.end(undo, CLOSE_S)
            raise

    def _made(self, factory: Any) -> Any:
        keywords = {"wav_um": self._options.wavelength * 1e6, **self._of.keywords}
        try:
            return factory(**keywords)
        except TypeError as error:
            raise ConfigurationError(
                f"{self.name}: {self._of.slm_class} does not take keywords = {self._of.keywords} ({error}); it takes "
                f"{inspect.signature(factory)}"
            ) from error

    def _factory(self) -> Any:
        module_name, _, class_name = self._of.slm_class.rpartition(".")
        no_hidden_window()
        try:
            found = getattr(importlib.import_module(module_name), class_name)
            base = importlib.import_module("slmsuite.hardware.slms.slm").SLM
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigurationError(
                f"{self.name}: slm_class = {self._of.slm_class!r}: {error}; needed is module and class, such as "
                "slmsuite.hardware.slms.holoeye.Holoeye, and the vendor's package that it needs"
            ) from error
        if not (isinstance(found, type) and issubclass(found, base)):
            raise ConfigurationError(f"{self.name}: slm_class = {self._of.slm_class!r} is no SLM of slmsuite")
        return found

    def _area(self, side: Display | None) -> Rectangle | None:
        """Where the screen lies that the keywords name; None if it is off, or nobody knows."""
        number = self._of.keywords.get("display_number")
        if side is None or not isinstance(number, int):
            return None
        screens = side.screens()
        return screens[number].area if 0 <= number < len(screens) else None

    def _check(self, line: Line, frame: NDArray[Any]) -> None:
        if not isinstance(line, WindowLine):
            return
        line.lost = True
        if not window_lives(line.slm):
            raise DeviceError(
                f"{self.name}: the X11 server of its screen has gone; the window is opened anew at the next pattern. "
                "Start the server, and leave it running"
            )
        if self._area(line.side) != line.area:
            raise DeviceError(
                f"{self.name}: its screen is off, or has another size or place than when the window was opened; it "
                "is opened anew at the next pattern. Switch the SLM on, check its cable and xrandr"
            )
        line.lost = False
