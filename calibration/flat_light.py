"""Even light on the camera from a phase modulator, and the exposure that suits it.

The camera lies in the focal plane of the panel, where an even pattern is one bright line. A chirp, a phase that is
quadratic along the panel's columns, sends each column elsewhere, so the light of the whole panel spreads evenly.
Unlike a diffuser it has no speckle, and what changes (power, flicker) changes everywhere alike. What is left of the
diffraction at the panel's edges differs from one tilt of the chirp to the next and averages out; steps of the whole
phase do the same to the interference with light that the panel does not modulate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.exposure import metered_exposure_s
from calibration.lighting import LEAST_POWER, limits, set_power
from labctl.client import ROI, Bench, CalibrationError

_GOLDEN = 0.6180339887498949


def chirp(rows: int, columns: int, spread: float, number: int, tilts: int) -> NDArray[np.float64]:
    """Phase (rows, columns), rad, that spreads light evenly over ``spread`` of the first diffraction order's width.

    number: 0 to tilts - 1, which of the tilts, all within a quarter of the spread, and steps of the whole phase.
    """
    n = np.arange(columns) - (columns - 1) / 2
    tilt = ((number + 0.5) / tilts - 0.5) * spread * math.pi / 4
    whole = 2 * math.pi * (number * _GOLDEN % 1.0)
    line = np.mod(spread * math.pi / columns * n**2 + tilt * n + whole, 2 * math.pi)
    return np.ascontiguousarray(np.broadcast_to(line, (rows, columns)))


def middle_region(camera: Any, rows: int | None, columns: int | None) -> ROI:
    """So many rows and columns at the middle of the sensor; None is all of them."""
    rows, columns = min(rows or camera.rows, camera.rows), min(columns or camera.columns, camera.columns)
    return ROI(row=(camera.rows - rows) // 2, column=(camera.columns - columns) // 2, rows=rows, columns=columns)


def metered(
    bench: Bench, dark_counts: float, fill: float, least_s: float, level: Callable[[NDArray[Any]], Any] = np.median
) -> float:
    """Exposure (s) at which the region's pixels, by their ``level`` (the median), have ``fill`` of full scale.

    The source's power is lowered, if need be, until that is ``least_s`` at least: in a long exposure flicker of the
    panel averages out, and fluctuations of the pulses are small beside the photons'. Raises CalibrationError if
    there is no light, or too much.
    """
    camera = bench.camera
    shortest_s, longest_s = limits(bench, "camera", "exposure_s")
    full_scale = float(camera.full_scale_counts)

    def peak_at(exposure_s: float) -> tuple[float, bool]:
        camera.exposure_s = exposure_s
        frame = camera.trigger()
        saturated = frame.saturated > (0.01 * frame.data.size if level is np.median else 0)
        return float(level(frame.data)) - dark_counts, saturated

    def meter(start_s: float) -> float:
        start_s = min(max(start_s, shortest_s), longest_s)
        return metered_exposure_s(
            peak_at, full_scale - dark_counts, start_s, shortest_s, longest_s, fill, where="in the camera's region"
        )

    try:
        found_s = meter(least_s)
    except CalibrationError as error:
        if "saturates" not in str(error):
            raise
        found_s = 0.0
    for _ in range(4):
        if found_s >= 0.8 * least_s:
            return found_s
        now = float(bench.source.power_fraction)
        wanted = now * max(found_s / least_s, 0.02)
        if set_power(bench, wanted) >= now or wanted < LEAST_POWER:
            break
        found_s = meter(least_s)
    return meter(least_s)
