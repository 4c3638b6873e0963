"""Exposure metering: choose the exposure that fills the camera's well to a wanted fraction."""

from __future__ import annotations

import math
from collections.abc import Callable

from labctl.client import CalibrationError

TARGET_FILL = 0.75
"""Fraction of full scale at which patterns are exposed: near the best signal to noise, with room for the brightest."""
_TRIES = 24


class TooBright(Exception):
    """Light saturates the camera at its shortest exposure; less power may do. Stays among those that meter."""

    @property
    def told(self) -> CalibrationError:
        """What is raised where power cannot be lowered."""
        return CalibrationError(
            f"the camera saturates even at its shortest exposure, {self.args[0] * 1e6:.1f} us: lower the source's "
            "power or add a neutral-density filter"
        )


def metered_exposure_s(
    peak_at: Callable[[float], tuple[float, bool]],
    full_scale: float,
    start_s: float,
    shortest_s: float,
    longest_s: float,
    target_fill: float = TARGET_FILL,
    where: str = "at the zeroth order",
) -> float:
    """Exposure at which ``peak_at`` reaches ``target_fill`` of full scale; see `exposure_or_too_bright`.

    Raises CalibrationError if there is no light, or too much at the shortest exposure.
    """
    try:
        return exposure_or_too_bright(peak_at, full_scale, start_s, shortest_s, longest_s, target_fill, where)
    except TooBright as error:
        raise error.told from None


def exposure_or_too_bright(
    peak_at: Callable[[float], tuple[float, bool]],
    full_scale: float,
    start_s: float,
    shortest_s: float,
    longest_s: float,
    target_fill: float = TARGET_FILL,
    where: str = "at the zeroth order",
) -> float:
    """Exposure at which ``peak_at`` reaches ``target_fill`` of full scale.

    peak_at: exposes for so many seconds and returns the largest count above dark and whether anything saturated.
    where: is looked at, for messages.

    Raises CalibrationError if there is no light, and TooBright if there is too much at the shortest exposure.
    """
    exposure_s = start_s
    if math.isinf(full_scale):
        return exposure_s
    for _ in range(_TRIES):
        peak, saturated = peak_at(exposure_s)
        if saturated:
            if exposure_s <= shortest_s:
                raise TooBright(shortest_s)
            exposure_s = max(exposure_s / 8, shortest_s)
            continue
        fill = peak / full_scale
        if fill < 1e-3:
            if exposure_s >= longest_s:
                raise CalibrationError(
                    f"no light {where} in an exposure of {exposure_s:.3g} s (peak {peak:.1f} counts above "
                    "dark): check emission, shutters and beam blocks, and where the bench file's alignment has it"
                )
            exposure_s = min(exposure_s * 20, longest_s)
            continue
        wanted_s = min(max(exposure_s * target_fill / fill, shortest_s), longest_s)
        if 0.8 < wanted_s / exposure_s < 1.25 or wanted_s in (shortest_s, longest_s):
            return wanted_s
        exposure_s = wanted_s
    raise CalibrationError(
        f"the light {where} varies too much to find an exposure: {_TRIES} were tried, the last {exposure_s:.3g} s, and "
        f"none gave about {target_fill:.0%} of full scale. Check the source and the trigger wiring; where a table is "
        "not calibrated, `labctl calibrate --all` finds the place to look at"
    )
