"""Rules that light must keep to, as the bench file declares them; `judge` says what is wrong with what was seen.

Rules hold no state and ask no device: they are given what was `Seen` and how it is with the `Light`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from drivers.quantity import Seconds
from drivers.settings import Limits

if TYPE_CHECKING:
    from labctl.bench.device import DeviceConfig

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
