"""scipy's BFGS on DOMINO's own objective, Eq. (4) at zero phases: what a processor does with the same landscape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]

HELD = 1e-3
"""Share of the largest from which a node belongs to the support of a solver that ends at small but positive shares."""


def minima(W: Array, gamma: float, starts: Array) -> Array:
    """Where L(x), x = y^2, ends from each of ``starts`` (N, runs): shares (N, runs), with its gradient."""

    def objective(y: Array) -> tuple[float, Array]:
        x = y * y
        S, v = x.sum(), W @ x
        rest = gamma - S * S
        return 0.5 * rest * rest - x @ v, 2 * y * (-2 * rest * S - 2 * v)

    ends = [minimize(objective, np.sqrt(x), jac=True, method="BFGS", options={"gtol": 1e-6}).x ** 2 for x in starts.T]
    x = np.array(ends).T
    return np.asarray(x / x.sum(axis=0))


def support(shares: Array) -> NDArray[np.bool_]:
    """Nodes (N, runs) that belong to it."""
    return np.asarray(shares > HELD * shares.max(axis=0))
