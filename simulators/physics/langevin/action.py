"""How probable a step of the reversed trajectory is for a computer (Eq. 7), and its derivatives (Eqs 10, 11).

In Eq. (10) the coordinate that the residue is multiplied by is the primed one, x' = x + Δx: differentiating (7) says
so, and finite differences agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.physics.langevin.potential import LangevinError, Units, gradient

Array = NDArray[np.float64]


def residue(x: Array, x_next: Array, units: Units, J: Array, b: Array, dt: float) -> Array:
    """r_i = -Δx_i + mu ∂_iV(x') dt (..., N): what a unit lacks to make the reversed step without noise."""
    return np.asarray(x - x_next + units.mobility * dt * gradient(x_next, units, J, b))


def step_action(x: Array, x_next: Array, units: Units, J: Array, b: Array, dt: float) -> Array:
    """-ln P̃ (...) of the steps x' → x that reverse x → x' (..., N), up to a constant: Eq. (7)."""
    r = residue(x, x_next, units, J, b, _positive(dt))
    return np.asarray((r * r / (4 * units.mobility * units.temperature * dt)).sum(axis=-1))


def forward_action(x: Array, x_next: Array, units: Units, J: Array, b: Array, dt: float) -> Array:
    """-ln P (...) of the steps x → x' (..., N), up to the same constant: Eq. (6)."""
    r = x_next - x + units.mobility * _positive(dt) * gradient(x, units, J, b)
    return np.asarray((r * r / (4 * units.mobility * units.temperature * dt)).sum(axis=-1))


def action_gradient(x: Array, x_next: Array, units: Units, J: Array, b: Array, dt: float) -> tuple[Array, Array]:
    """Derivatives of `step_action`, summed over steps x, x' (steps, N) or of one (N,): dJ (N, N) and db (N,).

    J_ij and J_ji are moved together, so dJ_ij = (r_i x'_j + r_j x'_i)/(2 k_BT), Eq. (10); the diagonal is 0.
    """
    steps, steps_next = np.atleast_2d(x), np.atleast_2d(x_next)
    r = residue(steps, steps_next, units, J, b, _positive(dt)) / (2 * units.temperature)
    product = r.T @ steps_next
    dJ = product + product.T
    np.fill_diagonal(dJ, 0.0)
    return dJ, np.asarray(r.sum(axis=0))


def _positive(dt: float) -> float:
    if not (np.isfinite(dt) and dt > 0):
        raise LangevinError(f"dt={dt}: allowed: a positive number, in units of 1/mu")
    return dt
