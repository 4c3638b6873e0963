"""Do gray levels still give the phases of the table?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibration.checks import unchanged
from calibration.phase_fit import FACTORS, light_of_phases
from labctl.client import Calibration, Check

Array = NDArray[np.float64]


def stretch(
    high: NDArray[np.integer], low: NDArray[np.integer], intensity: Array, phase_rad: Array
) -> tuple[float, float]:
    """By how much all phases (levels,) have grown, relative, and its standard uncertainty.

    From intensities (patterns,), in the order in which they were taken, of gratings of levels ``high`` and ``low``.
    """
    measured = (intensity - intensity.min()) / max(float(np.ptp(intensity)), 1e-300)
    time = np.linspace(-1, 1, len(measured))

    def residuals(p: Array) -> Array:
        phase = (1 + p[0]) * phase_rad
        return np.asarray(light_of_phases(phase[high], phase[low], 1 + p[1] * time, p[2], measured)[0] - measured)

    found = least_squares(residuals, np.zeros(3), x_scale=[0.01, 0.01, 0.01])
    freedom = max(len(measured) - 3 - FACTORS, 1)
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * 2 * found.cost / freedom
    return float(found.x[0]), math.sqrt(float(covariance[0, 0]))


def compare(
    table: Calibration, cells: NDArray[np.integer], pairs: NDArray[np.integer], light: Array, allowed_rad: float
) -> tuple[Check, ...]:
    """cells: (n, 2) that were looked at. pairs: (n, patterns, 2) levels, light: (n, patterns)."""
    checks, changes, errors = [], [], []
    for cell, levels, seen in zip(cells, pairs, light, strict=True):
        k = int(np.flatnonzero((table["cells"] == cell).all(axis=1))[0])
        phase = table["cell_phase_rad"][k]
        last, error = float(phase[-1]), float(table.uncertainty("cell_phase_rad")[k][-1])
        grown, grown_error = stretch(levels[:, 0], levels[:, 1], seen, phase)
        changes.append(grown * last)
        errors.append(math.hypot(grown_error * last, error))
        name = f"phase of the last level in cell {cell[0]},{cell[1]}, change"
        checks.append(unchanged(name, changes[-1], errors[-1], allowed_rad, "rad"))
    if len(cells) > 1:
        # Temperature changes all cells alike, and together they tell it better.
        weights = np.array(errors) ** -2.0
        mean, error = float(weights @ changes / weights.sum()), float(weights.sum() ** -0.5)
        checks.append(unchanged("phase of the last level in all cells, change", mean, error, allowed_rad, "rad"))
    return tuple(checks)
