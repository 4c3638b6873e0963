"""Do wavelengths still light the rows that they did, with the power that they had?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calibration.checks import unchanged
from labctl.client import Calibration, Check

Array = NDArray[np.float64]


def compare(
    found: Calibration, wavelength_m: Array, row: Array, power: Array, allowed_px: float, allowed_power: float
) -> tuple[Check, ...]:
    """wavelength_m: (n,) of those that were calibrated. row: (n,) centres now. power: (n,) on any scale."""
    at = [int(np.argmin(np.abs(found["wavelength_m"] - w))) for w in wavelength_m]
    then, error = found["row"][at], found.uncertainty("row")[at]
    checks = [
        unchanged(f"row of {w * 1e9:.2f} nm, change", now - before, math.sqrt(2) * float(e), allowed_px, "px")
        for w, now, before, e in zip(wavelength_m, row, then, error, strict=True)
    ]
    # Power as a whole is the source's affair; here it is how the spectrum is shared out.
    ratio = found["power"][at] / power
    relative = ratio.mean() / ratio - 1
    worst = int(np.argmax(np.abs(relative)))
    own = math.sqrt(2) * float((found.uncertainty("power")[at] / found["power"][at]).mean())
    name = f"power of {wavelength_m[worst] * 1e9:.2f} nm among all, relative change"
    checks.append(unchanged(name, float(relative[worst]), own, allowed_power))
    return tuple(checks)
