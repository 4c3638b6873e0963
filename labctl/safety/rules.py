"""Rules that light must keep to, as the bench file declares them; `judge` says what is wrong with what was seen.

Rules hold no state and ask no device: they are given what was `Seen` and how it is with the `Light`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from drivers.quantity import Seconds, Watts, parse_quantity
from drivers.settings import Limits, SettingInfo

if TYPE_CHECKING:
    from labctl.bench.config import DeviceConfig

NOTHING_WRONG = None


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """What is known of a watched device.

    at_ns: bench time of the newest value, 0 if there is none. value: that value, in SI. count: how many values in a row
    were like it, or bad, as the rule counts. trouble: why there is none newer.
    """

    at_ns: int = 0
    value: Any = None
    count: int = 0
    trouble: str = ""


@dataclass(frozen=True)
class Light:
    """How it is with the light of an interlock's emitters. since_ns: since when it is on, None while dark or coming."""

    lit: bool
    since_ns: int | None
    now_ns: int
    dose_j: float = 0.0

    def on_for(self, seconds: float, at_ns: int) -> bool:
        """Whether at that time the light had been on for so long."""
        return self.since_ns is not None and at_ns - self.since_ns >= seconds * 1e9


@dataclass(frozen=True)
class Interlock:
    """A rule of the bench file by its name, and whose light goes out when it trips.

    elsewhere: further ones that it guards, where these are only those of one server.
    """

    name: str
    rule: Rule
    guards: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()


class Violation(NamedTuple):
    """What is wrong: which device, the value found, and what is allowed."""

    device: str
    value: str
    limit: str


class Objection(NamedTuple):
    """What is wrong with a rule in a bench file: key, what was found, what is allowed."""

    key: str
    found: str
    allowed: str = ""


class Rule(BaseModel):
    """The keys that every ``[interlocks.NAME]`` has.

    guards: devices whose light goes out; by default every device of the bench that emits. every: how often the rule is
    looked at while there is light, real time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latches: ClassVar[bool] = True
    """Whether light stays out until somebody acknowledges."""
    at_rest: ClassVar[bool] = False
    """Whether it is looked at without light, too."""

    rule: str
    guards: tuple[str, ...] | None = None
    every: Annotated[Seconds, Field(ge=0.01, le=1)] = 0.05

    @field_validator("guards", mode="before")
    @classmethod
    def _a_list(cls, value: object) -> object:
        if not isinstance(value, (list, tuple)) or not value:
            raise ValueError('it must be a list of devices that emit; write for example guards = ["pump"]')
        return value

    def watched(self, guards: Sequence[str]) -> tuple[str, ...]:
        """Devices that are looked at."""
        return ()

    def resolved(self, devices: Mapping[str, DeviceConfig], guards: Sequence[str]) -> Rule | list[Objection]:
        """The rule with its quantities in SI, or what is wrong with it on these devices."""
        return self

    def judge(self, device: str, seen: Seen, light: Light) -> Violation | None:
        """What is wrong, None if nothing is."""
        return NOTHING_WRONG


class Watching(Rule):
    """A rule that watches one device. within: a value older than this is not known, and what is not known is not
    safe."""

    kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of device that can be watched so; all if empty."""

    device: str
    within: Annotated[Seconds, Field(gt=0, le=3600)] = 1.0

    def watched(self, guards: Sequence[str]) -> tuple[str, ...]:
        """The one."""
        return (self.device,)

    def resolved(self, devices: Mapping[str, DeviceConfig], guards: Sequence[str]) -> Rule | list[Objection]:
        """Checks that the device is of a kind that can be watched, and that it can answer in time."""
        return unwatchable(self, self.device, self.kinds, self.within, devices) or self

    def unknown(self, seen: Seen, light: Light) -> Violation | None:
        """Whether what was seen is too old to be relied on."""
        return too_old(self.device, self.within, seen, light)


def unwatchable(
    rule: Rule, device: str, kinds: Sequence[str], within_s: float, devices: Mapping[str, DeviceConfig]
) -> list[Objection]:
    """Why a device cannot be watched: it is of another kind than those, if any are named, or asked too seldom."""
    wrong = []
    if kinds and devices[device].kind not in kinds:
        fitting = [name for name, d in devices.items() if d.kind in kinds]
        found = f'"{device}" is a {devices[device].kind}, which the rule {rule.rule} cannot watch'
        wrong.append(Objection("device", found, ", ".join(fitting) or f"a {' or '.join(kinds)}"))
    if within_s < 2 * rule.every:
        found = f"{within_s:g} s is too short for a device that is looked at every {rule.every:g} s"
        wrong.append(Objection("within", found, f"at least {2 * rule.every:g} s, or a shorter `every`"))
    return wrong


def too_old(device: str, within_s: float, seen: Seen, light: Light) -> Violation | None:
    """Whether what was seen of a device is older than it may be: what is not known is not safe."""
    trouble = f" ({seen.trouble})" if seen.trouble else ""
    limit = f"a value of the last {within_s:g} s"
    if not seen.at_ns:
        return Violation(device, f"{device} has not been seen{trouble}", limit)
    age_s = (light.now_ns - seen.at_ns) / 1e9
    if age_s > within_s:
        return Violation(device, f"{device} was last seen {age_s:.2f} s ago{trouble}", limit)
    return NOTHING_WRONG


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


_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))


def shown(value: float, unit: str) -> str:
    """A quantity with six digits at most and a fitting prefix."""
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{value / factor:.6g} {prefix}{unit}".rstrip()
    return f"{value:.6g} {unit}".rstrip()


def bounds(low: float | None, high: float | None, unit: str) -> str:
    """What is allowed, in words."""
    limits = Limits(minimum=low, maximum=high)
    if limits.minimum is None and limits.maximum is None:
        return "a value within the detector's range"
    if limits.minimum is None:
        return f"at most {shown(float(high or 0.0), unit)}"
    if limits.maximum is None:
        return f"at least {shown(float(low or 0.0), unit)}"
    return f"{shown(limits.minimum, unit)} to {shown(limits.maximum, unit)}"
