"""Rules about lasers: that they do what they are told, how much light they have given, how fast they rise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from drivers.quantity import Fraction, Joules, Seconds, Watts, parse_quantity
from labctl.safety.rules import NOTHING_WRONG, Light, Objection, Rule, Seen, Violation, shown, too_old, unwatchable

if TYPE_CHECKING:
    from labctl.bench.device import DeviceConfig


def set_point(device: DeviceConfig) -> str:
    """Name of the setting that is a laser's set-point; "" for an emitter without."""
    name = str(getattr(device.factory, "set_point_setting", "") or "")
    return name if name in device.factory.declared_settings() else ""


def set_point_unit(device: DeviceConfig) -> str:
    """ "W" or "1"; "" for an emitter without set-point."""
    name = set_point(device)
    return (device.factory.declared_settings()[name].unit or "") if name else ""


class ReadBack(Rule):
    """What the laser says of itself agrees with what it was told: emission, set-point and, if named, its power monitor.

    tolerance: of the power, as a fraction of the largest allowed set-point. after: what it was told is judged so long
    after it was told. monitor: a setting in which the laser tells the power that it sees itself. Without light, too: a
    laser that was told to be dark and says that it emits has ignored it.
    """

    at_rest = True
    tolerance: Annotated[Fraction, Field(gt=0, le=1)] = 0.02
    after: Annotated[Seconds, Field(ge=0.05, le=600)] = 0.5
    within: Annotated[Seconds, Field(gt=0, le=3600)] = 2.0
    monitor: str | None = None

    def watched(self, guards: Sequence[str]) -> tuple[str, ...]:
        """The lasers themselves."""
        return tuple(guards)

    def resolved(self, devices: Mapping[str, DeviceConfig], guards: Sequence[str]) -> Rule | list[Objection]:
        """Checks that every laser has the monitor, in the unit of its set-point."""
        if self.monitor is None:
            return self
        wrong, names = [], set()
        for guard in guards:
            declared = devices[guard].factory.declared_settings()
            unit = set_point_unit(devices[guard])
            fitting = {s.info(s.limits).file_key: n for n, s in declared.items() if s.unit == unit and unit}
            name = fitting.get(self.monitor, self.monitor)
            if name not in fitting.values():
                found = f'{guard} has no setting "{self.monitor}" in the unit of its set-point'
                wrong.append(Objection("monitor", found, ", ".join(fitting) or "leave this key out"))
            names.add(name)
        if not wrong and len(names) > 1:
            wrong.append(Objection("monitor", "names different settings of different lasers", "an interlock for each"))
        return wrong or self.model_copy(update={"monitor": names.pop()})

    def judge(self, device: str, seen: Seen, light: Light) -> Violation | None:
        """value: None, or what the laser says, what it was told, in words, and whether it emits though told not to."""
        if seen.value is not None:
            return Violation(device, str(seen.value[0]), str(seen.value[1]))
        if light.since_ns is None:
            return NOTHING_WRONG
        age_s = (light.now_ns - max(seen.at_ns, light.since_ns)) / 1e9
        if age_s > self.within:
            trouble = f" ({seen.trouble})" if seen.trouble else ""
            found = f"{device} has said nothing of itself for {age_s:.2f} s{trouble}"
            return Violation(device, found, f"an answer of the last {self.within:g} s")
        return NOTHING_WRONG


class Dose(Rule):
    """The energy that the sample was given has a limit; how much it was is kept on disk.

    limit: J. per: "session", until control is given back in order; "day", by UTC; "sample", until a new one is put in
    (``labctl ack --new-sample``). device: the photodetector that measures it; without one it is what the lasers are
    told to give. factor: power on the sample, per power measured or told. full_power: what a laser emits whose
    set-point is a fraction, at 1. within: of a photodetector's readings.
    """

    limit: Annotated[Joules, Field(gt=0)]
    per: Literal["session", "day", "sample"]
    device: str | None = None
    factor: Annotated[float, Field(gt=0, le=1e12)] = 1.0
    full_power: Annotated[Watts, Field(gt=0)] | None = None
    within: Annotated[Seconds, Field(gt=0, le=3600)] = 1.0

    def watched(self, guards: Sequence[str]) -> tuple[str, ...]:
        """The photodetector, if there is one."""
        return () if self.device is None else (self.device,)

    def resolved(self, devices: Mapping[str, DeviceConfig], guards: Sequence[str]) -> Rule | list[Objection]:
        """Checks that the power is known from somewhere."""
        if self.device is not None:
            return unwatchable(self, self.device, ("photodetector",), self.within, devices) or self
        wrong = []
        for guard in guards:
            unit = set_point_unit(devices[guard])
            if unit == "1" and self.full_power is None:
                found = f"the set-point of {guard} is a fraction, and its power is not known"
                wrong.append(Objection("full_power", found, "what it emits at 100 %, or a photodetector as `device`"))
            if unit not in ("W", "1"):
                found = f"{guard} has no set-point in watts"
                wrong.append(Objection("device", found, "a photodetector that measures its light"))
        return wrong or self

    def judge(self, device: str, seen: Seen, light: Light) -> Violation | None:
        """value: lowest and highest power at the photodetector, W."""
        if light.dose_j >= self.limit:
            since = {"session": "in this session", "day": "today", "sample": "since the sample was put in"}[self.per]
            found = f"the sample was given {shown(light.dose_j, 'J')} {since}"
            return Violation(self.device or device, found, f"less than {shown(self.limit, 'J')}")
        if self.device is None:
            return NOTHING_WRONG
        if seen.value is not None and not math.isfinite(seen.value[1]):
            found = f"{self.device} is {'saturated' if seen.value[1] > 0 else 'no number'}, and the dose is not known"
            return Violation(self.device, found, "a power within the detector's range")
        return too_old(self.device, self.within, seen, light)

    def power_w(self, device: DeviceConfig, told: float | None) -> float:
        """On the sample, of a laser that was told ``told``, W; as much as it can if that is not known."""
        unit = set_point_unit(device)
        if told is None:
            name = set_point(device)
            highest = device.limits[name].maximum if name in device.limits else None
            told = highest if highest is not None else 1.0 if unit == "1" else 0.0
        return told * self.factor * ((self.full_power or 0.0) if unit == "1" else 1.0)


class Ramp(Rule):
    """The power rises by at most so much in a second, also when the light comes on; it falls at once.

    rate: in W/s, or in 1/s where the set-point is a fraction. step: how often it is told a little more.
    """

    rate: Any
    step: Annotated[Seconds, Field(ge=0.005, le=1)] = 0.05

    def resolved(self, devices: Mapping[str, DeviceConfig], guards: Sequence[str]) -> Rule | list[Objection]:
        """Reads the rate in the unit of the lasers' set-points."""
        units = {guard: set_point_unit(devices[guard]) for guard in guards}
        without = [guard for guard, unit in units.items() if unit not in ("W", "1")]
        if without:
            return [Objection("guards", f"{', '.join(without)} has no set-point that could rise", "lasers")]
        if len(set(units.values())) > 1:
            return [Objection("guards", "set-points in W and in fractions", "an interlock for each kind of laser")]
        unit = f"{next(iter(units.values()), 'W')}/s"
        try:
            rate = parse_quantity(self.rate, unit)
        except ValueError as error:
            found, _, allowed = str(error).partition("; ")
            return [Objection("rate", found, f"a value in {unit}, {allowed.removeprefix('write ')}")]
        if not rate > 0:
            return [Objection("rate", f"{self.rate} is no rise", f"more than 0 {unit}")]
        return self.model_copy(update={"rate": rate})
