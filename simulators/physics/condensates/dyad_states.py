"""Eq. (1) of a dyad without the phase that both condensates share: rates, Jacobian, and stationary states followed.

In the frame that rotates at mu a dyad's state is (a, b, theta): |psi_1|, |psi_2| and arg(psi_2/psi_1). The phase that
both share has gone from Eq. (1) of Johnston and Berloff, PRL 132, 096901 (2024), and with it the eigenvalue 0 of its
Jacobian. Arrays of states are (..., 3); parameters broadcast to (...), gamma and g also differ between the sites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_FIRST_STEP, _LARGEST_STEP = 1e-3, 1 / 32
_LARGEST_MOVE, _LARGEST_MISS = 0.1, 0.25
"""By which a followed state may move in a step, in units of its size and in rad, and miss, in units of the move, where
the tangent points: what is further away could be another state."""


@dataclass(frozen=True)
class Dyad:
    """Parameters of Eq. (1) for two sites. gamma_1, gamma_2, g_1, g_2, xi, J: real numbers, or arrays of one shape."""

    gamma_1: ArrayLike
    gamma_2: ArrayLike
    g_1: ArrayLike
    g_2: ArrayLike
    xi: ArrayLike
    J: ArrayLike

    @classmethod
    def alike(cls, gamma: ArrayLike, g: ArrayLike, xi: ArrayLike, J: ArrayLike) -> Dyad:
        """Two equal sites."""
        return cls(gamma, gamma, g, g, xi, J)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """In the order in which they are declared."""
        values = (self.gamma_1, self.gamma_2, self.g_1, self.g_2, self.xi, self.J)
        return tuple(np.asarray(value, np.float64) for value in values)


def rates(state: Array, dyad: Dyad) -> tuple[Array, Array]:
    """d(a, b, theta)/dt (..., 3) by Eq. (1), and mu = -d(arg psi_1)/dt (...)."""
    a, b, theta = np.moveaxis(state, -1, 0)
    gamma_1, gamma_2, g_1, g_2, xi, J = dyad.arrays
    x, y = J * np.cos(theta), J * np.sin(theta)
    C_1, S_1 = gamma_1 / (1 + xi * a**2) + x * b / a, y * b / a
    C_2, S_2 = gamma_2 / (1 + xi * b**2) + x * a / b, -y * a / b
    turn_1, turn_2 = S_1 - g_1 * C_1 - a**2, S_2 - g_2 * C_2 - b**2
    change = np.stack((a * (C_1 + g_1 * S_1 - 1), b * (C_2 + g_2 * S_2 - 1), turn_2 - turn_1), axis=-1)
    return change, -turn_1


def jacobian(state: Array, dyad: Dyad) -> Array:
    """Derivatives of `rates` by (a, b, theta), (..., 3, 3)."""
    a, b, theta = np.moveaxis(state, -1, 0)
    gamma_1, gamma_2, g_1, g_2, xi, J = dyad.arrays
    x, y = J * np.cos(theta), J * np.sin(theta)
    gain_1, gain_2 = gamma_1 / (1 + xi * a**2), gamma_2 / (1 + xi * b**2)
    C_1, S_1, C_2, S_2 = gain_1 + x * b / a, y * b / a, gain_2 + x * a / b, -y * a / b
    slope_1, slope_2 = -2 * gain_1 * xi * a / (1 + xi * a**2), -2 * gain_2 * xi * b / (1 + xi * b**2)
    # Rows: C_1, S_1, C_2, S_2 by a, b, theta.
    by = (
        (slope_1 - x * b / a**2, x / a, -y * b / a),
        (-y * b / a**2, y / a, x * b / a),
        (x / b, slope_2 - x * a / b**2, -y * a / b),
        (-y / b, y * a / b**2, -x * a / b),
    )
    out = np.empty((*np.broadcast(a, x, gain_1, g_1).shape, 3, 3))
    for k in range(3):
        dC_1, dS_1, dC_2, dS_2 = by[0][k], by[1][k], by[2][k], by[3][k]
        out[..., 0, k] = a * (dC_1 + g_1 * dS_1) + (C_1 + g_1 * S_1 - 1) * (k == 0)
        out[..., 1, k] = b * (dC_2 + g_2 * dS_2) + (C_2 + g_2 * S_2 - 1) * (k == 1)
        out[..., 2, k] = dS_2 - g_2 * dC_2 - dS_1 + g_1 * dC_1 + 2 * a * (k == 0) - 2 * b * (k == 1)
    return out


def growth_rate(state: Array, dyad: Dyad) -> Array:
    """Largest real part of the eigenvalues of the Jacobian (...), the shared phase left out: negative where stable."""
    return np.asarray(np.linalg.eigvals(jacobian(state, dyad)).real.max(axis=-1))


def newton(state: Array, dyad: Dyad, iterations: int = 25) -> Array | None:
    """The stationary state (3,) of one dyad near a guess; None where none is found."""
    state = np.array(state, np.float64)
    for _ in range(iterations):
        change, _ = rates(state, dyad)
        try:
            step = np.linalg.solve(jacobian(state, dyad), change)
        except np.linalg.LinAlgError:
            return None
        state -= step
        if not (np.isfinite(state).all() and (state[:2] > 0).all()):
            return None
        if np.abs(step).max() <= 1e-12 * max(1.0, float(np.abs(state).max())):
            return state
    return None


def follow(state: Array, along: Callable[[float], Dyad]) -> Iterator[tuple[float, Array]]:
    """Follow a stationary state (3,) of along(0) towards along(1): yields how far, and the state there.

    Steps are as long as Newton's method finds the state near where the tangent points. The last is 1, or, where the
    state ends before, within 1e-6 of its end.
    """
    at, step = 0.0, _FIRST_STEP
    while at < 1:
        to = min(1.0, at + step)
        guess = state + (to - at) * _tangent(state, along, at)
        found = newton(guess, along(to)) if np.isfinite(guess).all() and (guess[:2] > 0).all() else None
        moved = _distance(guess, state)
        if found is None or moved > _LARGEST_MOVE or _distance(found, guess) > _LARGEST_MISS * moved + 1e-9:
            step /= 2
            if step < 1e-6:
                return
            continue
        state, at = found, to
        step = min(1.5 * step, _LARGEST_STEP)
        yield at, state


def _tangent(state: Array, along: Callable[[float], Dyad], at: float) -> Array:
    """Change of the stationary state by `at`."""
    h = 1e-7
    change, _ = rates(state, along(at + h))
    back, _ = rates(state, along(at - h))
    try:
        return np.asarray(-np.linalg.solve(jacobian(state, along(at)), (change - back) / (2 * h)))
    except np.linalg.LinAlgError:
        return np.full(3, np.nan)


def _distance(one: Array, other: Array) -> float:
    sizes = np.abs(one[:2] - other[:2]) / np.maximum(np.abs(one[:2]), np.abs(other[:2]))
    return float(max(sizes.max(), abs(one[2] - other[2])))
