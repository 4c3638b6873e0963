"""Rules about what is seen of devices: armed emitters, cameras, panels, photodetectors, and settings of any of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PrivateAttr, model_validator

from drivers.quantity import Seconds, Watts, parse_quantity
from drivers.settings import SettingInfo
from labctl.safety.rules import (
    NOTHING_WRONG,
    Light,
    Objection,
    Rule,
    Seen,
    Violation,
    Watching,
    bounds,
    shown,
)

if TYPE_CHECKING:
    from labctl.bench.device import DeviceConfig


class Armed(Rule):
    """Light only after a laser operator armed it. for: time after which it is disarmed again."""

    latches = False

    for_: Annotated[Seconds, Field(gt=0, le=7 * 86400)] | None = Field(None, alias="for")


class CameraPresent(Watching):
    """A camera answers, and is not saturated in so many successive frames.

    frames: so many are too many. pixels: so many saturated ones are allowed in a frame.
    """

    kinds = ("camera",)
    within: Annotated[Seconds, Field(gt=0, le=3600)] = 5.0
    frames: Annotated[int, Field(ge=1, le=100_000)] = 3
    pixels: Annotated[int, Field(ge=0)] = 0

    def judge(self, device: str, seen: Seen, light: Light) -> Violation | None:
        """value: saturated pixels of the last frame; count: frames in a row that had too many."""
        if seen.count >= self.frames:
            return Violation(
                self.device,
                f"{self.device} was saturated in {seen.count} successive frames, in {seen.value} pixels of the last",
                f"fewer than {self.frames} successive frames with more than {self.pixels} such pixels",
            )
        return self.unknown(seen, light)


class PatternWritten(Watching):
    """The SLM shows a pattern that was written in this session."""

    kinds = ("slm",)
    within: Annotated[Seconds, Field(gt=0, le=3600)] = 2.0

    def judge(self, device: str, seen: Seen, light: Light) -> Violation | None:
        """value: whether one was written."""
        unknown = self.unknown(seen, light)
        if unknown is None and seen.value is not True:
            return Violation(self.device, f"no pattern was written to {self.device} in this session", "a pattern")
        return unknown


class ReadingWithin(Watching):
    """A photodetector reads a power within bounds; a frozen value and a saturated one are none.

    min: judged once the light has been on for ``after``. frozen: so many equal readings in a row, while there is light,
    are no readings; 0 for a detector without noise.
    """

    kinds = ("photodetector",)
    min: Watts | None = None
    max: Watts | None = None
    after: Annotated[Seconds, Field(ge=0, le=600)] = 0.5
    frozen: Annotated[int, Field(ge=0, le=100_000)] = 10

    @model_validator(mode="after")
    def _in_order(self) -> ReadingWithin:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} W lies above max {self.max:g} W; write min up to max")
        return self

    def judge(self, device: str, seen: Seen, light: Light) -> Violation | None:
        """value: lowest and highest power of the last reading or readings, W, inf if the detector was saturated; count:
        equal readings in a row."""
        unknown = self.unknown(seen, light)
        if unknown is not None:
            return unknown
        low_w, high_w = (float(power) for power in seen.value)
        limit = bounds(self.min, self.max, "W")
        if math.isinf(high_w):
            return Violation(self.device, f"{self.device} is saturated", limit)
        if not math.isfinite(low_w + high_w) or (self.max is not None and high_w > self.max):
            return Violation(self.device, f"{self.device} reads {shown(high_w, 'W')}", limit)
        if not light.on_for(self.after, seen.at_ns):
            return NOTHING_WRONG
        if self.min is not None and low_w < self.min:
            return Violation(self.device, f"{self.device} reads {shown(low_w, 'W')}", limit)
        if self.frozen and seen.count >= self.frozen:
            return Violation(
                self.device,
                f"{self.device} read {shown(high_w, 'W')} {seen.count} times in a row, to the last digit",
                f"readings that differ ({self.frozen} equal ones are frozen)",
            )
        return NOTHING_WRONG


class SettingWithin(Watching):
    """A setting of any device, as read back, lies within bounds or equals a value: a temperature, a shutter."""

    setting: str
    min: Any = None
    max: Any = None
    equals: Any = None
    _unit: str = PrivateAttr("")

    def resolved(self, devices: Mapping[str, DeviceConfig], guards: Sequence[str]) -> Rule | list[Objection]:
        """Finds the setting by its name or its key in a bench file, and reads bounds in its unit."""
        base = super().resolved(devices, guards)
        wrong = base if isinstance(base, list) else []
        declared = [s.info(s.limits) for s in devices[self.device].factory.declared_settings().values()]
        watchable = [info for info in declared if info.value_type in ("float", "int", "bool", "str")]
        info = next((i for i in watchable if self.setting in (i.name, i.file_key)), None)
        if info is None:
            found = f'"{self.setting}" is no setting of {self.device} that can be watched'
            return [*wrong, Objection("setting", found, ", ".join(i.file_key for i in watchable))]
        given = {key: getattr(self, key) for key in ("min", "max", "equals") if getattr(self, key) is not None}
        number = info.value_type in ("float", "int")
        if not given or ("equals" in given and len(given) > 1):
            return [
                *wrong,
                Objection("setting", "no bounds" if not given else "bounds and equals", "min, max or equals"),
            ]
        if not number and "equals" not in given:
            return [*wrong, Objection(next(iter(given)), f"{info.file_key} is no number and has no bounds", "equals")]
        values: dict[str, Any] = {"setting": info.name}
        for key, value in given.items():
            try:
                values[key] = _in_si(value, info)
            except ValueError as error:
                found, _, allowed = str(error).partition("; ")
                wrong.append(Objection(key, found, allowed.removeprefix("write ")))
        if not wrong and "min" in values and "max" in values and values["min"] > values["max"]:
            wrong.append(Objection("min", f"min lies above max = {self.max}", "min up to max"))
        if wrong:
            return wrong
        made = self.model_copy(update=values)
        made._unit = "" if info.unit in (None, "1") else info.unit
        return made

    def judge(self, device: str, seen: Seen, light: Light) -> Violation | None:
        """value: as read back."""
        unknown = self.unknown(seen, light)
        if unknown is not None:
            return unknown
        value, what = seen.value, f"{self.device}.{self.setting}"
        if self.equals is not None:
            if value == self.equals and isinstance(value, bool) == isinstance(self.equals, bool):
                return NOTHING_WRONG
            return Violation(self.device, f"{what} is {value!r}", repr(self.equals))
        number = isinstance(value, (int, float)) and math.isfinite(value)
        if number and (self.min is None or value >= self.min) and (self.max is None or value <= self.max):
            return NOTHING_WRONG
        found = f"{value:.6g} {self._unit}".rstrip() if number else repr(value)
        return Violation(self.device, f"{what} is {found}", bounds(self.min, self.max, self._unit))


def _in_si(value: object, info: SettingInfo) -> Any:
    """A value of the bench file as the setting reads it back. ValueError says what is wrong; what is allowed."""
    if info.value_type == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is not true or false; write true or false")
        return value
    if info.value_type == "str":
        if not isinstance(value, str) or (info.choices is not None and value not in info.choices):
            raise ValueError(f"{value!r} is none of the choices; write {', '.join(info.choices or ('text',))}")
        return value
    if info.unit is not None:
        return parse_quantity(value, info.unit)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number; write a number")
    return value
