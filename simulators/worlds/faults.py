"""Faults planted in a simulated table, so that what recovers from them can be tried: frames that do not come, a panel
that does not follow.

Each is told by the device's name and the number of the exposure, reading or pattern that it begins with, counted from 0
since the table was set up, or by bench time: a run with faults repeats as any other does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from drivers.quantity import Seconds

Kind = Literal["lost", "late", "repeated", "frozen", "saturated", "stuck"]

KINDS: tuple[Kind, ...] = get_args(Kind)

_WORDS = re.compile(r"(\S+)\s+(\S+)\s+(\d+)(?:\s*\+\s*(\d+))?")


class Fault(BaseModel):
    """One of ``world.faults``.

    Of detectors: lost, a frame or reading never comes; late, it comes after whoever waits for it has given up;
    repeated, the one before comes again, number and beginning included; frozen, the one before comes again as if it
    were new; saturated, every pixel, or the reading, is at the end of its range. Of panels: stuck, what is sent is not
    shown. A text "lost camera 57" or "lost camera 57 + 3" says what, where, from which number on and how many.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: Kind
    device: str = Field(min_length=1, description="its name in the bench file")
    exposure: int | None = Field(None, ge=0, description="first exposure, reading or pattern that it meets, from 0 on")
    count: int = Field(1, ge=0, description="how many it meets; 0 is all that follow")
    at: Seconds | None = Field(None, ge=0, description="bench time at which it begins, in place of exposure")
    lasts: Seconds | None = Field(None, gt=0, description="for how long, where it begins by time; else for ever")

    @model_validator(mode="after")
    def _begins_once(self) -> Fault:
        if (self.exposure is None) == (self.at is None):
            raise ValueError('it must begin somewhere; write either exposure = 57 or at = "3 s"')
        if self.at is None and self.lasts is not None:
            raise ValueError("`lasts` goes with `at`; write count for how many exposures it meets")
        if self.at is not None and self.count != 1:
            raise ValueError("`count` goes with `exposure`; write lasts for how long it meets them")
        return self

    def meets(self, number: int, time_ns: int) -> bool:
        """Whether an exposure of this number, or at this bench time, is met."""
        if self.exposure is not None:
            return number >= self.exposure and (self.count == 0 or number < self.exposure + self.count)
        assert self.at is not None
        since_s = time_ns * 1e-9 - self.at
        return since_s >= 0 and (self.lasts is None or since_s < self.lasts)

    def may_meet(self, first: int, end: int) -> bool:
        """Whether one of the exposures ``first`` to ``end`` - 1 may be met, whenever they begin."""
        if self.exposure is None:
            return True
        return end > self.exposure and (self.count == 0 or first < self.exposure + self.count)


def _read(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    matched = _WORDS.fullmatch(value.strip())
    if matched is None:
        raise ValueError(f'"{value}" is no fault; write "lost camera 57", or "lost camera 57 + 3" for three')
    what, device, first, count = matched.groups()
    return {"what": what, "device": device, "exposure": int(first), "count": int(count or 1)}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, (str, dict)) else value


FaultList = Annotated[tuple[Annotated[Fault, BeforeValidator(_read)], ...], BeforeValidator(_listed)]
"""The key ``faults`` of a world: a list of tables or texts, or one of them."""


class Faults:
    """Those of a table, by device."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._of: dict[str, list[Fault]] = {}
        for fault in faults:
            self._of.setdefault(fault.device, []).append(fault)
        self._struck: dict[str, Kind | None] = {}

    def strike(self, device: str, what: Kind | None) -> None:
        """A drill: what befalls a device from now on, whatever is planted for it, until it is None."""
        self._struck[device] = what

    def of(self, device: str, number: int, time_ns: int) -> Kind | None:
        """What befalls an exposure, reading or pattern of a device; the first in the list, None for nothing."""
        struck = self._struck.get(device)
        return struck or next((f.what for f in self._of.get(device, ()) if f.meets(number, time_ns)), None)

    def may_meet(self, device: str, first: int, end: int) -> bool:
        """Whether anything may befall a device's exposures or patterns ``first`` to ``end`` - 1."""
        return bool(self._struck.get(device)) or any(f.may_meet(first, end) for f in self._of.get(device, ()))

    def watch(self, device: str) -> bool:
        """Whether a device has any, so that its last frame must be kept."""
        return device in self._of or device in self._struck
