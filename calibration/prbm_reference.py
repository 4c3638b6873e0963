"""The intensity that one macro-pixel stands for, measured with patterns of known intensity (Eq. 2's constant)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError


@dataclass(frozen=True)
class Reference:
    """Scale and zero of intensity measurements.

    unit: signal per second (camera) or per reading (photodetector) of one band whose field is one macro-pixel;
    unit_error its standard error. dark: signal without light on axis; dark_noise its standard deviation.
    """

    unit: float
    unit_error: float
    dark: float
    dark_noise: float


def measure_reference(
    bright: NDArray[np.float64],
    flipped: NDArray[np.float64],
    dark: NDArray[np.float64],
    bands: int,
    lit: int,
    exposure_s: float,
) -> Reference:
    """Reference from repeated signals of three patterns, with ``lit`` macro-pixels in phase in each of ``bands`` bands.

    bright: output spins at +1, (lit + 1)^2 per band. flipped: at -1, (lit - 1)^2. dark: nothing on axis. The unit is
    (bright - flipped) / (4 lit bands exposure_s): a difference, so stray light and offset drop out.

    Raises CalibrationError that names the likely cause when there is no light, or when the three signals do not
    follow the pattern: bright - dark must be ((lit+1)/(lit-1))^2 times flipped - dark.
    """
    difference = bright - flipped
    mean = float(difference.mean())
    error = float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else 0.0
    noise = float(dark.std(ddof=1)) if len(dark) > 1 else 0.0
    light = float(bright.mean() - dark.mean())
    if light <= max(5 * noise, 1e-9 * abs(float(dark.mean()))):
        raise CalibrationError(
            f"no light at the zeroth order: {light:.4g} above dark with every reference macro-pixel on (noise "
            f"{noise:.3g}). Check emission, shutters and beam blocks, [alignment.prbm] zeroth_order, and whether the "
            "SLM shows what it is sent"
        )
    expected = ((lit + 1.0) ** 2 - (lit - 1.0) ** 2) / (lit + 1.0) ** 2
    if not 0.5 * expected < mean / light < 1.5 * expected:
        raise CalibrationError(
            f"flipping every output spin changed the light by {mean / light:.3f} of it, {expected:.3f} was expected: "
            "the SLM does not show what it is sent (stuck, wrong display, wrong look-up table), or [alignment.prbm] is "
            "wrong"
        )
    return Reference(
        unit=mean / (4.0 * lit * bands * exposure_s),
        unit_error=error / (4.0 * lit * bands * exposure_s),
        dark=float(dark.mean()),
        dark_noise=noise,
    )
