"""scipy's BFGS on DOMINO's own objective, Eq. (4) at zero phases: what a processor does with the same landscape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]

HELD = 1e-3
"""Share of the largest from which a node belongs to the support of a solver that ends at small but positive shares."""


def minima(W: Array, gamma: float, starts: Array) -> Array:
    """Where L(x), x = y^2, ends from each of ``starts`` (N, runs): x (N, runs), with its gradient."""

    def objective(y: Array) -> tuple[float, Array]:
        x = y * y
        S, v = x.sum(), W @ x
        rest = gamma - S * S
        return 0.5 * rest * rest - x @ v, 2 * y * (-2 * rest * S - 2 * v)

    ends = [minimize(objective, np.sqrt(x), jac=True, method="BFGS", options={"gtol": 1e-6}).x ** 2 for x in starts.T]
    return np.array(ends).T


def support(x: Array) -> NDArray[np.bool_]:
    """Nodes (N, runs) that belong to it."""
    return np.asarray(x > HELD * x.max(axis=0))


def living(W: Array, gamma: float, x: Array) -> NDArray[np.bool_]:
    """Runs (runs,) whose field has not died.

    At a minimum the total field is S^2 = gamma + q. With gamma = 0 the first step may lead to almost nothing, where the
    gradient vanishes, too; what is left of shares then says nothing, though nearly all nodes have one.
    """
    total = x.sum(axis=0)
    q = np.einsum("is,ij,js->s", x, W, x) / np.maximum(total, 1e-300) ** 2
    return np.asarray(total**2 > 0.5 * (gamma + q))
