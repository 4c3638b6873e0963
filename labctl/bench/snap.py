"""``camera.snap()``: a picture of what the SLM shows, once it is stable, labelled with the pattern it shows.

A client's convenience, made of `SLM.settle` and `Camera.trigger`; loops that need many pictures play sequences.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from drivers.contract import UNKNOWN_PATTERN, Frame
from labctl.bus.proxy import DeviceProxy
from labctl.bus.signatures import signature_of

_WRITES = ("write", "write_gray")


class LastPatterns:
    """What this client had the SLMs show last, and whether they have settled since.

    held: whether this client has control of a device, so that nobody else can have changed it.
    """

    def __init__(self, held: Callable[[str], bool]) -> None:
        self._held = held
        self._shown: dict[str, tuple[int, bool]] = {}

    def forget(self) -> None:
        """Somebody else may have been there since."""
        self._shown.clear()

    def begin(self, slms: Iterable[str], operation: str) -> None:
        """An operation that may change the SLMs is asked for; whether it succeeds is not known yet."""
        for slm in slms:
            if operation != "settle":
                self._shown[slm] = (UNKNOWN_PATTERN, False)

    def end(self, slms: Iterable[str], operation: str, value: Any) -> None:
        """And this is what it gave."""
        for slm in slms:
            if operation in _WRITES and isinstance(value, int):
                self._shown[slm] = (value, False)
            elif operation == "settle" and slm in self._shown:
                self._shown[slm] = (self._shown[slm][0], True)

    def unsettled(self, slms: Iterable[str]) -> list[str]:
        """Those that this client changed and nobody has waited for."""
        return [slm for slm in slms if slm in self._shown and not self._shown[slm][1]]

    def pattern(self, slms: Iterable[str]) -> int:
        """Id of what the only one of them shows; `UNKNOWN_PATTERN` where several are, or somebody else may write."""
        known = list(slms)
        if len(known) != 1 or not self._held(known[0]):
            return UNKNOWN_PATTERN
        return self._shown.get(known[0], (UNKNOWN_PATTERN, False))[0]


class Snap:
    """Wait until what was written to the SLM is stable, expose once, and return the frame.

    It is labelled with the pattern that this program wrote last, if it has control of the SLM: without, somebody else
    may have written since, and its pattern is unknown. Light needs control, and ``bench.source.emission = True``.

    Raises DeviceTimeout when no frame came, LeaseError if somebody else has control.
    """

    def __init__(
        self,
        camera: str,
        trigger: Callable[[int], Frame],
        settle: dict[str, Callable[[], int]],
        patterns: LastPatterns,
    ) -> None:
        self._camera = camera
        self._trigger = trigger
        self._settle = settle
        self._patterns = patterns
        self.__name__ = "snap"
        self.__signature__ = signature_of("() -> Frame")
        self.__doc__ = f"snap() -> Frame\n\n{inspect.getdoc(type(self))}"

    def __call__(self) -> Frame:
        for slm in self._patterns.unsettled(self._settle):
            self._settle[slm]()
        return self._trigger(self._patterns.pattern(self._settle))

    def __repr__(self) -> str:
        return f"<operation {self._camera}.snap() -> Frame>"


def add_snap(devices: Mapping[str, DeviceProxy], patterns: LastPatterns) -> None:
    """Give every camera of a bench its ``snap``. The SLM it sees is that of the sequencer it shares, else any."""
    slms = {name for name, device in devices.items() if device.kind == "slm"}
    shared = {name: slms & {name, *device.description.parts} for name, device in devices.items()}
    for name, device in devices.items():
        if shared[name]:
            device.note_in(_Noted(patterns, sorted(shared[name])))
    for name, device in devices.items():
        if device.kind == "camera":
            own = set().union(*(shared[d] for d in devices if name in devices[d].description.parts)) or slms
            settle = {slm: devices[slm].settle for slm in sorted(own)}
            device.extend("snap", Snap(name, device.trigger, settle, patterns))


class _Noted:
    """`labctl.bus.proxy.Noting` of an SLM, or of what drives some."""

    def __init__(self, patterns: LastPatterns, slms: Iterable[str]) -> None:
        self._patterns = patterns
        self._slms = tuple(slms)

    def begin(self, operation: str) -> None:
        self._patterns.begin(self._slms, operation)

    def end(self, operation: str, value: Any) -> None:
        self._patterns.end(self._slms, operation, value)
