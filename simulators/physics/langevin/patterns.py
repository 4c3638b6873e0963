"""Couplings that are few patterns: J = left · right off its diagonal, of far lower rank than it has units.

Couplings trained on all noising trajectories of a few images are such: units are coupled by the images and the code of
hidden units alone. J's diagonal is zero and no part of the patterns, so it says nothing of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE = 3e-5
"""Of what a row of J may be off, relative to the norm of one (root mean square over rows). In a step it is times dt."""

_SPARE = 8
_ITERATIONS = 60
_SPAN = 0.03
"""Part of the tolerance that what the sought span leaves out may be, over all rows; single ones are off by more."""


@dataclass(frozen=True, eq=False)
class Patterns:
    """J = left @ right + diag(own) within `TOLERANCE`. left: (N, rank), right: (rank, N), own: (N,)."""

    left: Array
    right: Array
    own: Array


def patterns(J: Array, most: int) -> Patterns | None:
    """Patterns of symmetric couplings J (N, N), zero on the diagonal; None where more than ``most`` are needed.

    Units are split into two halves at random. Couplings between halves have no diagonal: their singular vectors, found
    from products with random numbers (Halko, Martinsson, Tropp, SIAM Rev. 53, 217, 2011), span the patterns. What J is
    inside each half follows by going on from the diagonal that the last guess has. The outcome is checked row by row.
    """
    n, size = len(J), float(np.linalg.norm(J))
    if most < 1 or not 0 < size < np.inf:
        return None
    rng = np.random.default_rng(0)
    order = rng.permutation(n)
    halves = np.sort(order[: n // 2]), np.sort(order[n // 2 :])
    between = J[np.ix_(*halves)]
    span = np.linalg.qr(between @ rng.normal(size=(between.shape[1], most + _SPARE)))[0]
    U, s, Vt = np.linalg.svd(span.T @ between, full_matrices=False)
    allowed = TOLERANCE * size / np.sqrt(n)
    rank = _needed(s[None], _SPAN * TOLERANCE * size / np.sqrt(2))
    if rank > most:
        return None
    basis, small = np.zeros((n, 2 * rank)), np.zeros((2 * rank, 2 * rank))
    small[:rank, rank:] = small[rank:, :rank] = np.diag(s[:rank])
    for half, B, first in ((halves[0], span @ U[:, :rank], 0), (halves[1], Vt[:rank].T, rank)):
        here = slice(first, first + rank)
        basis[half, here] = B
        small[here, here] = _completed(B, B.T @ J[np.ix_(half, half)] @ B, 1e-3 * allowed)
    weight, turn = np.linalg.eigh(small)
    largest = np.argsort(-np.abs(weight))
    vectors = basis @ turn[:, largest]
    left = vectors * weight[largest]
    rank = _needed(left, 0.5 * allowed)
    left, vectors = left[:, :rank], vectors[:, :rank]
    own = -(left * vectors).sum(axis=1)
    off = left @ vectors.T - J
    np.fill_diagonal(off, 0.0)
    if rank > most or np.linalg.norm(off, axis=1).max() > allowed:
        return None
    return Patterns(left, np.ascontiguousarray(vectors.T), own)


def _needed(parts: Array, allowed: float) -> int:
    """How many of the columns of parts (rows, columns), of falling weight, are needed for what is allowed in a row."""
    left_out = np.sqrt(np.cumsum(parts[:, ::-1] ** 2, axis=1))[:, ::-1].max(axis=0)
    return int((left_out > allowed).sum())


def _completed(B: Array, without: Array, enough: float) -> Array:
    """C of B C Bᵀ, B (n, rank) orthonormal, of which ``without`` = Bᵀ (B C Bᵀ less its diagonal) B is known."""
    C = without
    for _ in range(_ITERATIONS):
        before, C = C, without + B.T @ (B * ((B @ C) * B).sum(axis=1, keepdims=True))
        if np.abs(C - before).max() <= enough:
            break
    return C
