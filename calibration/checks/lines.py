"""Do lines of blazes still fall where the map of the camera has them?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from calibration.checks import SIGMAS
from labctl.client import Calibration, CalibrationError, Check


def compare(
    found: Calibration, r: dict[str, Any], place: np.ndarray, error: np.ndarray, allowed_px: float
) -> tuple[Check, ...]:
    """r: what `calibration.slm_camera.SlmCamera.run` returned. place, error: (lines,) columns that were found.

    Lines that are nowhere are nan. Raises CalibrationError if half of them are.
    """
    there = np.isfinite(place)
    if there.mean() < 0.5:
        raise CalibrationError(
            f"{int((~there).sum())} of {len(there)} lines are not where they were planned: check emission, the SLM, "
            "and what covers the Fourier plane; if all is well, measure the map anew"
        )
    rotation, scale = found.number("rotation"), found.number("scale")
    x_px, height = r["x_m"] / r["pitch_m"], r["rows"] - found.number("row")
    expected = found.number("column") + scale / math.cos(rotation) * x_px - math.tan(rotation) * height
    off, own = (place - expected)[there], error[there]
    # What the fit left of lines that it had not seen is how well a line's place can be told.
    own = np.hypot(own, found.number("residual"))
    n = len(off)
    half = np.sign(x_px[there])
    bound = allowed_px + SIGMAS * float(np.sqrt((own**2).mean() / n))
    checks = [Check(name="lines, mean shift", value=float(off.mean()), unit="px", low=-bound, high=bound)]
    if len(set(half)) == 2:
        spread = float((off * half).mean())
        checks.append(Check(name="lines, spread of the two sides", value=spread, unit="px", low=-bound, high=bound))
    return tuple(checks)
