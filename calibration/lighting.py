"""Light for a routine: the source on at a set-point within the bench's limits, and off again whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from labctl.client import Bench, CalibrationError, InterlockError

LEAST_POWER = 0.005
"""Fraction of full power below which a supercontinuum need not emit at all."""


def most_power(bench: Bench) -> float:
    """Largest set-point that the bench file and the laser allow, as a fraction."""
    return limits(bench, "source", "power_fraction")[1]


def limits(bench: Bench, role: str, setting: str) -> tuple[float, float]:
    """Limits of a setting in force, in its unit; 0 and infinity where there are none."""
    found = bench[role].limits(setting)
    least, most = found.minimum, found.maximum
    return (0.0 if least is None else float(least), float("inf") if most is None else float(most))


@contextmanager
def light(bench: Bench, power_fraction: float) -> Iterator[None]:
    """The source on at a set-point (cut to the bench's limit) inside the block; afterwards off, at its old set-point.

    Raises CalibrationError if the laser refuses, or is found to be off at the end of the block: what was measured in
    between was then not all measured with light.
    """
    source = bench.source
    before = float(source.power_fraction)
    try:
        set_power(bench, power_fraction)
        try:
            source.emission = True
        except InterlockError as error:
            raise CalibrationError(
                f"the source does not emit, so there is nothing to calibrate with: {error}"
            ) from error
        yield
        must_emit(bench)
    finally:
        source.emission = False
        source.power_fraction = before


def set_power(bench: Bench, power_fraction: float) -> float:
    """Set the source's power, cut to the bench's limit, and return what it is set to."""
    source = bench.source
    source.power_fraction = min(max(power_fraction, LEAST_POWER), most_power(bench))
    return float(source.power_fraction)


def must_emit(bench: Bench) -> None:
    """CalibrationError if the source is off."""
    if not bench.source.emission:
        raise CalibrationError(
            "the source went off during the measurement: look at its interlock, its shutter and its error state, and "
            "measure again"
        )


def set_band(bench: Bench, shortest_m: float, longest_m: float) -> tuple[float, float]:
    """Let the source emit a band of wavelengths, and return the edges (m) that it then reads back: a filter has steps.

    Raises CalibrationError if the source's filter does not reach so far.
    """
    source = bench.source
    least_m, most_m = _reach(bench)
    if not least_m <= shortest_m < longest_m <= most_m:
        raise CalibrationError(
            f"a band of {shortest_m * 1e9:.2f} to {longest_m * 1e9:.2f} nm is wanted, and the source's filter goes "
            f"from {least_m * 1e9:.0f} to {most_m * 1e9:.0f} nm: see [alignment] for the table's wavelengths"
        )
    # The edges may never cross on their way.
    if longest_m > float(source.wavelength_min_m):
        source.wavelength_max_m, source.wavelength_min_m = longest_m, shortest_m
    else:
        source.wavelength_min_m, source.wavelength_max_m = shortest_m, longest_m
    return float(source.wavelength_min_m), float(source.wavelength_max_m)


def whole_band(bench: Bench) -> None:
    """Let the source emit all wavelengths that its filter lets through."""
    set_band(bench, *_reach(bench))


def _reach(bench: Bench) -> tuple[float, float]:
    return limits(bench, "source", "wavelength_min_m")[0], limits(bench, "source", "wavelength_max_m")[1]
