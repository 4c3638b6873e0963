"""The profile that two halves of a strip make at the zeroth order, and where the line of such profiles lies.

The model and its limits are told in `calibration.prbm_window`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.stats import norm, t

from labctl.client import CalibrationError

WAVEFRONT_ROW_PX = 0.15
"""Standard uncertainty of the line's row by the wavefront, camera pixels: rows of a band, which interfere, differ in
phase by its slope."""

PIXEL_RESPONSE = 0.005
"""Spread of the camera pixels' response. The line is as high as the diffraction of one row, 900 pixels, so that 0.1 %
of light between the scans moves its middle by 1.5 pixels."""

WARMING_PER_S = 5e-5
"""By which a source that warms up (3 % with a time constant of 600 s) brightens from scan to scan, relative."""


class Profile(NamedTuple):
    """Interference C (columns,) per second and its standard error at camera columns, but for what all have in common:
    ``common`` is that, relative. time_s: on the bench, in the middle of the scan."""

    columns: NDArray[np.float64]
    c: NDArray[np.float64]
    error: NDArray[np.float64]
    common: float
    time_s: float

    @property
    def response_error(self) -> float:
        """Relative, of the whole profile, by the pixels that it is seen with, for each row."""
        return PIXEL_RESPONSE * math.sqrt(float((self.c**2).sum())) / float(np.abs(self.c).sum())


def interference(x: Any, c0: float, x0: float, k: float) -> Any:
    """Interference of two evenly lit halves."""
    u = k * (np.asarray(x) - x0)
    return c0 * np.cos(u) * np.sinc(u / (2 * math.pi)) ** 2


def fit_profile(scan: Profile, plan_k: float) -> tuple[list[float], list[float]]:
    """Parameters of `interference` and their standard errors, scaled up where it scatters more than it should."""
    peak = int(np.argmax(scan.c))
    start = [float(scan.c[peak]), float(scan.columns[peak]), plan_k]
    # Where the model is trusted: the main lobe. The side lobes are those of the illumination's edges.
    near = np.abs(scan.columns - start[1]) < 2.2 / plan_k
    if np.count_nonzero(near) < 4:
        near = np.abs(scan.columns - start[1]) < 3
    try:
        fit, covariance = curve_fit(
            interference, scan.columns[near], scan.c[near], start, sigma=scan.error[near], absolute_sigma=True
        )
    except RuntimeError:
        raise CalibrationError(
            "the zeroth order's profile has not the shape of two interfering halves: is the SLM's image sharp on the "
            "grating, and the lens of the bench the plan's?"
        ) from None
    left = (scan.c[near] - interference(scan.columns[near], *fit)) / scan.error[near]
    stretch = math.sqrt(max(1.0, float((left**2).sum()) / max(len(left) - 3, 1)))
    return [float(v) for v in fit], [float(e) for e in stretch * np.sqrt(np.diag(covariance))]


def student(degrees: int) -> float:
    """By how much a standard error of so few degrees of freedom is widened, to cover 95 % as a normal one does."""
    return float(t.ppf(0.975, degrees) / norm.ppf(0.975))


def place_of_line(
    rows: list[int], scans: list[Profile], fits: list[tuple[list[float], list[float]]], middle: int, scan_rows: int
) -> dict[str, float]:
    """Row of the line's brightest point and its tilt, from fits at three heights; the plan's row with fewer."""
    if len(rows) < 3:
        return {"row": float(middle), "row_px": float(middle), "row_error": 30.0, "tilt": 0.0, "tilt_error": 0.02}
    c = np.array([f[0][0] for f in fits])
    common = math.sqrt(float(np.mean([s.common**2 for s in scans])))
    pixels = np.array([s.response_error for s in scans]) / math.sqrt(scan_rows)
    relative = np.sqrt((np.array([f[1][0] for f in fits]) / c) ** 2 + common**2 + pixels**2)
    height = float(rows[1] - rows[0])
    if (c <= 0).any():
        raise CalibrationError("the zeroth order is seen at one height of the camera only: is something in the beam?")
    log = np.log(c)
    slope, bend = (log[2] - log[0]) / (2 * height), (log[2] - 2 * log[1] + log[0]) / height**2
    if bend >= 0:
        raise CalibrationError("the zeroth order's line is no brighter in its middle: is something in the beam?")
    row = middle - slope / bend
    warming = WARMING_PER_S * (scans[2].time_s - scans[0].time_s)
    slope_error = math.hypot(relative[0], relative[2], warming) / (2 * height)
    bend_error = math.sqrt(float(relative @ (relative * (1, 4, 1)))) / height**2
    error = math.hypot(slope_error / bend, bend_error * slope / bend**2, WAVEFRONT_ROW_PX)
    shift, errors = fits[2][0][1] - fits[0][0][1], math.hypot(fits[2][1][1], fits[0][1][1])
    inside = min(max(row, middle - 60.0), middle + 60.0)
    return {
        "row": row,
        "row_px": inside,
        "row_error": error,
        "tilt": -shift / (2 * height),
        "tilt_error": errors / (2 * height),
    }
