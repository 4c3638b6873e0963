"""Light of a panel that no gray level reaches, and the sub-pixels that its pixels are counted in.

What lies between pixels, the glass before them and light of the wrong polarisation add a field of their own.
"""

from __future__ import annotations

import cmath
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fringing import SUB_PIXELS
from simulators.worlds.parts.parameters import SlmParameters
from simulators.worlds.parts.truth import PanelTruth


class Unmodulated(NamedTuple):
    """Amplitudes relative to a pixel's: of gaps and wrong polarisation together, of the glass; the glass's tilt
    (rows, columns), rad per m."""

    still: complex
    glass: complex
    tilt: tuple[float, float]


def unmodulated(slm: SlmParameters, truth: PanelTruth, kappa: float) -> Unmodulated:
    """What a panel sends back besides its pixels' light."""
    dead, axis, front = (
        cmath.rect(math.sqrt(share), phase)
        for share, phase in (
            (truth.dead_reflectance, truth.dead_phase),
            (truth.axis_reflectance, truth.axis_phase),
            (truth.front_reflectance, truth.front_phase),
        )
    )
    down, across = truth.front_tilt_m
    return Unmodulated((1 - slm.fill_factor) * dead + slm.fill_factor * axis, front, (kappa * down, kappa * across))


def sub_pixels(pixels: int, pitch: float) -> NDArray[np.float64]:
    """Centres (pixels x M,) of a panel's sub-pixels along one axis, from its middle, m."""
    return np.asarray(
        (np.arange(pixels * SUB_PIXELS) - (pixels * SUB_PIXELS - 1) / 2) * (pitch / SUB_PIXELS), np.float64
    )
