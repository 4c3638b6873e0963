"""Aberrations taken out by what makes a lattice's spots sharpest: no other sensor is needed than the camera.

The Strehl ratio of a weak aberration is exp(-sigma^2), sigma its rms phase (Mahajan, JOSA 73, 860, 1983). So the
logarithm of how sharp spots are is a parabola in the amplitude of each Zernike mode, and three looks tell its top.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from calibration.wavefront_fit import zernike_terms

Array = NDArray[np.float64]

MODES = (4, 5, 6, 7, 8, 11)
"""Noll's indices: defocus, astigmatism, coma, spherical aberration."""

_PROBE_RAD = (0.6, 0.3)
"""Rms phase that is added and taken away, in each round."""
_FARTHEST = 3.0
"""How far a parabola is believed, in probes."""


def shapes(panel: tuple[int, int]) -> Array:
    """Modes (modes, rows, columns) on a panel, each of rms 1."""
    rows, columns = (np.arange(n, dtype=np.float64) for n in panel)
    terms = zernike_terms(MODES, rows, columns, panel)
    terms -= terms.mean(axis=(1, 2), keepdims=True)
    return np.asarray(terms / np.sqrt((terms**2).mean(axis=(1, 2), keepdims=True)))


def flattened(sharpness: Callable[[Array], float]) -> Array:
    """Amplitudes (modes,), rad rms, that make spots sharpest. sharpness: of the spots with such amplitudes added."""

    def seen(at: Array) -> float:
        return math.log(max(sharpness(at), 1e-9))

    found = np.zeros(len(MODES))
    for probe in _PROBE_RAD:
        for k in range(len(MODES)):
            added = probe * np.eye(len(MODES))[k]
            below, here, above = (seen(found + s * added) for s in (-1, 0, 1))
            bend = below - 2 * here + above
            if bend < 0:
                way = float(np.clip((below - above) / (2 * bend), -_FARTHEST, _FARTHEST))
            else:  # beyond the parabola: uphill
                way = float(np.argmax((below, here, above)) - 1)
            found = found + way * added
    return found
