"""Checks of photodetectors: readings follow the light in proportion and size, and are honest about noise and time."""

from __future__ import annotations

import time

import numpy as np

from drivers.conformance.common import COMMON, SLOWEST_READ_S
from drivers.conformance.rig import Rig, Suite, expect, in_time, near

PHOTODETECTOR = Suite("photodetector", based_on=COMMON)

_POWERS = (0.08, 0.16, 0.24, 0.36)
_WITHIN = 0.03


def _mean_w(rig: Rig, readings: int = 4) -> float:
    return float(np.mean([rig.subject.measure().power_w for _ in range(readings)]))


@PHOTODETECTOR.check
def readings_come_in_time(rig: Rig) -> None:
    """Within integration and what an instrument needs besides."""
    in_time("a reading", rig.subject.measure, rig.subject.integration_s + SLOWEST_READ_S)


@PHOTODETECTOR.check
def reads_nothing_in_the_dark(rig: Rig) -> None:
    """Less than a hundredth of what it reads in the light."""
    lit_w = rig.watts_at_meter("supercontinuum", 0.36)
    near("power in the dark", _mean_w(rig), 0.0, absolute=0.01 * lit_w)


@PHOTODETECTOR.check
def readings_follow_the_light(rig: Rig) -> None:
    """In proportion and in size."""
    for fraction in (*_POWERS, _POWERS[0]):
        with rig.lit(fraction):
            wanted_w = rig.watts_at_meter("supercontinuum", fraction)
            near(f"power at {fraction:.0%} of the source", _mean_w(rig), wanted_w, relative=_WITHIN)


@PHOTODETECTOR.check
def readings_are_numbered(rig: Rig) -> None:
    """Each reading is a new one."""
    numbers = [rig.subject.measure().reading_id for _ in range(4)]
    expect(numbers == sorted(set(numbers)), f"reading ids {numbers}")


@PHOTODETECTOR.check
def readings_are_new(rig: Rig) -> None:
    """None is from before the light changed."""
    with rig.lit(_POWERS[3]):
        bright_w = _mean_w(rig, 2)
    dark_w = rig.subject.measure().power_w
    expect(dark_w < 0.1 * bright_w, f"{dark_w:.3g} W read after the light went off, {bright_w:.3g} W before")


@PHOTODETECTOR.check
def readings_tell_their_time(rig: Rig) -> None:
    """They begin before they end, take the integration time, and follow one another."""
    readings = [rig.subject.measure() for _ in range(5)]
    taken_s = [(reading.end_ns - reading.start_ns) / 1e9 for reading in readings]
    expect(min(taken_s) > 0, f"a reading of {min(taken_s)} s")
    # The shortest: where a busy machine stalls between question and answer, a reading honestly says so.
    near("integration", min(taken_s), rig.subject.integration_s, relative=0.5, absolute=0.02)
    starts = [reading.start_ns for reading in readings]
    expect(starts == sorted(starts), "a reading began before the one that was taken earlier")
    expect(abs(readings[0].utc_start_ns - time.time_ns()) < 86_400e9, "utc_start_ns is not today")


@PHOTODETECTOR.check
def noise_is_as_told(rig: Rig) -> None:
    """Readings scatter no more than a few times what they say (false alarm below 1e-6 at 12 readings and factor 4)."""
    with rig.lit(_POWERS[2]):
        readings = [rig.subject.measure() for _ in range(12)]
    scatter_w = float(np.std([r.power_w for r in readings], ddof=1))
    told_w = float(np.mean([r.standard_power_w for r in readings]))
    size_w = float(np.mean([r.power_w for r in readings]))
    expect(scatter_w <= 4 * told_w + 2e-3 * size_w, f"readings scatter by {scatter_w:.3g} W, told {told_w:.3g} W")


@PHOTODETECTOR.check
def integration_reads_back(rig: Rig) -> None:
    """As the instrument rounds it."""
    before = rig.subject.integration_s
    for wanted_s in (0.02, 0.05):
        rig.subject.integration_s = wanted_s
        near("integration_s", rig.subject.integration_s, wanted_s, relative=0.5)
    rig.subject.integration_s = before


@PHOTODETECTOR.check
def wavelength_reads_back(rig: Rig) -> None:
    """To a nanometre."""
    before = rig.subject.wavelength_m
    for wanted_m in (633e-9, 532e-9):
        rig.subject.wavelength_m = wanted_m
        near("wavelength_m", rig.subject.wavelength_m, wanted_m, absolute=1.1e-9)
    rig.subject.wavelength_m = before


@PHOTODETECTOR.check
def the_wavelength_matters(rig: Rig) -> None:
    """The same light reads differently where the responsivity is taken for another wavelength, and as before after."""
    before_m = rig.subject.wavelength_m
    with rig.lit(_POWERS[3]):
        first_w = _mean_w(rig)
        rig.subject.wavelength_m = before_m + 60e-9
        other_w = _mean_w(rig)
        rig.subject.wavelength_m = before_m
        last_w = _mean_w(rig)
    expect(0.02 < abs(other_w / first_w - 1) < 0.6, f"{first_w:.4g} W became {other_w:.4g} W 60 nm away")
    near("power at the first wavelength again", last_w, first_w, relative=_WITHIN)


@PHOTODETECTOR.check
def a_trace_has_its_length_and_the_light_s_size(rig: Rig) -> None:
    """Samples in a row, in watts."""
    with rig.lit(_POWERS[2]):
        trace = np.asarray(rig.subject.trace(8), float)
        wanted_w = rig.watts_at_meter("supercontinuum", _POWERS[2])
    expect(trace.shape == (8,), f"a trace of 8 samples has shape {trace.shape}")
    near("mean of a trace", float(trace.mean()), wanted_w, relative=2 * _WITHIN)


@PHOTODETECTOR.check
def range_is_told(rig: Rig) -> None:
    """And holds the light it reads."""
    expect(rig.subject.range_w > rig.watts_at_meter("supercontinuum", 0.36), f"range_w is {rig.subject.range_w}")
