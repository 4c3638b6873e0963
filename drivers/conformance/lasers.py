"""Checks of lasers: the light follows emission and power, and goes off when it is told to."""

from __future__ import annotations

import time

from drivers.conformance.common import COMMON, SLOWEST_READ_S, settings_of
from drivers.conformance.rig import Broken, Rig, Suite, expect, in_time, near, refused
from drivers.errors import LimitError

SETTLED_AFTER_S = 8.0
"""Longest that a laser takes to its new power (pumps 1-5 s)."""

_WITHIN = 0.03
_STEPS = 5


def _power(rig: Rig) -> str:
    return "power_w" if rig.subject.kind == "pump" else "power_fraction"


def _range(rig: Rig) -> tuple[float, float]:
    """Powers within the device's limits at which it is tried out."""
    (info,) = [s for s in settings_of(rig.subject) if s.name == _power(rig)]
    highest = info.limits.maximum if info.limits.maximum is not None else 1.0
    lowest = max(info.limits.minimum or 0.0, 0.1 * highest)
    return lowest, 0.8 * highest


def _powers(rig: Rig) -> list[float]:
    low, high = _range(rig)
    return [low + (high - low) * k / (_STEPS - 1) for k in range(_STEPS)]


def _reading(rig: Rig) -> float:
    return float(rig.meter.measure().power_w)


def _settled(rig: Rig, wanted_w: float) -> float:
    """The meter's reading once the light is where it should be, or when it has had time enough."""
    until = time.monotonic() + SETTLED_AFTER_S
    while True:
        found = _reading(rig)
        if abs(found - wanted_w) <= _WITHIN * wanted_w or rig.virtual or time.monotonic() > until:
            return found
        time.sleep(0.05)


def _dark(rig: Rig) -> float:
    until = time.monotonic() + SETTLED_AFTER_S
    found = _reading(rig)
    limit_w = 0.01 * rig.watts_at_meter(rig.subject.kind, _range(rig)[1])
    while found > limit_w and time.monotonic() < until:
        found = _reading(rig)
    return found / rig.watts_at_meter(rig.subject.kind, _range(rig)[1])


LASER = Suite("laser", based_on=COMMON)


@LASER.check
def emission_is_off_at_first(rig: Rig) -> None:
    """Nothing shines before it is told to."""
    expect(rig.subject.emission is False, f"emission is {rig.subject.emission!r} at first")
    expect(_dark(rig) < 0.01, "there is light before emission was turned on")


@LASER.check
def power_reads_back(rig: Rig) -> None:
    """Every set-point, within the instrument's resolution."""
    low, high = _range(rig)
    for k in range(11):
        wanted = low + (high - low) * k / 10
        setattr(rig.subject, _power(rig), wanted)
        near(_power(rig), getattr(rig.subject, _power(rig)), wanted, absolute=max(0.0006 * high, 0.006 * high / 10))


@LASER.check
def set_points_are_set_in_time(rig: Rig) -> None:
    """Writing a power takes no longer than an instrument of its kind."""
    in_time("setting the power", lambda: setattr(rig.subject, _power(rig), _range(rig)[0]), 2 * SLOWEST_READ_S)


@LASER.check
def emission_reads_back_and_makes_light(rig: Rig) -> None:
    """On is on and off is off, for who reads and for who measures."""
    power = _range(rig)[1]
    setattr(rig.subject, _power(rig), power)
    rig.subject.emission = True
    try:
        expect(rig.subject.emission is True, "emission reads off after it was turned on")
        wanted_w = rig.watts_at_meter(rig.subject.kind, power)
        expect(_settled(rig, wanted_w) > 0.5 * wanted_w, "there is no light though emission is on")
    finally:
        rig.subject.emission = False
    expect(rig.subject.emission is False, "emission reads on after it was turned off")
    expect(_dark(rig) < 0.01, "there is light though emission is off")


@LASER.check
def light_follows_the_set_point(rig: Rig) -> None:
    """In proportion and in size, over the range, up and down."""
    powers = _powers(rig)
    rig.subject.emission = True
    try:
        for power in [*powers, powers[1]]:
            setattr(rig.subject, _power(rig), power)
            wanted_w = rig.watts_at_meter(rig.subject.kind, getattr(rig.subject, _power(rig)))
            near(f"light at {_power(rig)} = {power:.4g}", _settled(rig, wanted_w), wanted_w, relative=_WITHIN)
    finally:
        rig.subject.emission = False


@LASER.check
def power_can_be_set_without_light(rig: Rig) -> None:
    """A set-point alone does not turn emission on."""
    setattr(rig.subject, _power(rig), _range(rig)[1])
    expect(rig.subject.emission is False, "emission came on with a set-point")
    expect(_dark(rig) < 0.01, "there is light from a set-point alone")


@LASER.check
def safe_turns_the_light_off(rig: Rig) -> None:
    """From full emission, at once."""
    setattr(rig.subject, _power(rig), _range(rig)[1])
    rig.subject.emission = True
    rig.subject.safe()
    expect(rig.subject.emission is False, "emission reads on after safe()")
    expect(_dark(rig) < 0.01, "there is light after safe()")


@LASER.check
def a_refused_set_point_leaves_the_light_as_it_was(rig: Rig) -> None:
    """A value beyond the limits changes nothing while the laser emits."""
    power = _range(rig)[0]
    setattr(rig.subject, _power(rig), power)
    rig.subject.emission = True
    try:
        refused(LimitError, lambda: setattr(rig.subject, _power(rig), 1e6), _power(rig))
        expect(rig.subject.emission is True, "emission went off because a set-point was refused")
        wanted_w = rig.watts_at_meter(rig.subject.kind, getattr(rig.subject, _power(rig)))
        near("light after a refused set-point", _settled(rig, wanted_w), wanted_w, relative=_WITHIN)
    finally:
        rig.subject.emission = False


SUPERCONTINUUM = Suite("supercontinuum", based_on=LASER)


@SUPERCONTINUUM.check
def edges_of_the_band_keep_their_order(rig: Rig) -> None:
    """The short edge cannot be set beyond the long one."""
    low, high = rig.subject.wavelength_min_m, rig.subject.wavelength_max_m
    expect(low < high, f"the band is {low:.3g} to {high:.3g} m")
    refused(LimitError, lambda: setattr(rig.subject, "wavelength_min_m", min(high + 1e-9, 2.4e-6)), "wavelength_min_m")
    expect(rig.subject.wavelength_min_m == low, "the short edge changed though it was refused")


PUMP = Suite("pump", based_on=LASER)


@PUMP.check
def wavelength_is_told(rig: Rig) -> None:
    """In metres, and one that light can have."""
    expect(2e-7 < rig.subject.wavelength_m < 3e-6, f"wavelength_m is {rig.subject.wavelength_m}")


@PUMP.check
def modulation_it_does_not_have_is_refused(rig: Rig) -> None:
    """Each of the contract's is taken and read back, or refused and not taken."""
    before = rig.subject.modulation
    for choice in ("cw", "pulsed", "external"):
        try:
            rig.subject.modulation = choice
        except LimitError:
            expect(rig.subject.modulation == before, f"modulation changed to {rig.subject.modulation} though refused")
            continue
        if rig.subject.modulation != choice:
            raise Broken(f"modulation = {choice} was taken and reads {rig.subject.modulation}")
        rig.subject.modulation = before
