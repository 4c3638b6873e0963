"""Many trajectories of one computer side by side: Eq. (1), compiled, in single precision.

What couplings do is a product of matrices for all trajectories of a batch at once: of two narrow ones where couplings
are few patterns, else without a leading block of units that are not coupled among each other, such as the visible ones.
Held to `reference.evolve_plainly` within 1e-6 a step. One core for each worker, without the interpreter lock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

from simulators.physics.compiled import kernel
from simulators.physics.langevin.noise import GROUP, fill_normals
from simulators.physics.langevin.patterns import patterns
from simulators.physics.langevin.potential import LangevinError, Units
from simulators.physics.langevin.reference import Scheme

Single = NDArray[np.float32]

LANES = 128
"""Trajectories of a batch: enough for products of matrices at full speed, few enough for the cache. Half as many where
couplings are few patterns: what counts there is that states stay in the cache between steps."""


@dataclass(frozen=True, eq=False)
class Couplings:
    """J (N, N) as the kernel takes it: by its patterns, or by the rows of units that are coupled to earlier ones.

    left: (N, rank), right: (rank, N), own: (N,) of `patterns`, rank 0 where there are not few of them. upper:
    (free, N - free), lower: (N - free, N), empty where there are or nothing is coupled; units up to ``free`` are not
    coupled to each other.
    """

    free: int
    upper: Single
    lower: Single
    left: Single
    right: Single
    own: NDArray[np.float64]

    @classmethod
    def of(cls, J: ArrayLike) -> Couplings:
        """From a symmetric matrix, zero on its diagonal. Looking for patterns takes the time of 10 to 60 full steps."""
        full = np.asarray(J, np.float64)
        n = len(full)
        # Row k is coupled to an earlier one from column ``first`` on: the leading block ends where one is.
        coupled = np.flatnonzero(np.tril(full != 0).any(axis=1))
        free = int(coupled[0]) if len(coupled) else n
        products = free * (n - free) + (n - free) * n
        # Narrow products are slower, so that they pay where they are half as many numbers: 2 N rank.
        with _blas().limit(limits=1, user_api="blas"):
            few = patterns(full, products // (4 * n)) if n else None
        if few is not None:
            none = np.empty((0, 0), np.float32)
            return cls(free, none, none, few.left.astype(np.float32), few.right.astype(np.float32), few.own)
        return cls(
            free,
            np.ascontiguousarray(full[:free, free:], np.float32),
            np.ascontiguousarray(full[free:], np.float32),
            np.empty((n, 0), np.float32),
            np.empty((0, n), np.float32),
            np.zeros(n),
        )


def evolve(
    x: ArrayLike,
    units: Units,
    couplings: Couplings,
    biases: tuple[ArrayLike, ArrayLike],
    steps: int,
    dt: float,
    key: np.uint64,
    read: Sequence[int] | None = None,
    scheme: Scheme = "euler",
    first_trajectory: int = 0,
    workers: int = 1,
) -> Single:
    """States (readings, trajectories, N) of trajectories from states x (trajectories, N).

    biases: (N,) at the first step and after the last, between which they change in proportion to time. read: after how
    many steps states are wanted, ascending, 0 to ``steps``; None: after the last. key, first_trajectory: of the noise;
    a trajectory's numbers depend on these and its own place only. Raises `LangevinError` where dt is so long that
    states grow beyond all bounds.
    """
    states = np.asarray(x, np.float32)
    if states.ndim != 2 or states.shape[1] != len(units):
        raise LangevinError(f"states: shape {states.shape}; allowed: (trajectories, {len(units)})")
    if not (math.isfinite(dt) and dt > 0 and steps >= 0):
        raise LangevinError(f"dt={dt}, steps={steps}: allowed: a positive dt, and 0 steps or more")
    wanted = np.asarray([steps] if read is None else read, np.int64)
    if wanted.size == 0 or wanted[0] < 0 or wanted[-1] > steps or (np.diff(wanted) < 0).any():
        raise LangevinError(f"readings after {wanted.tolist()[:5]}… steps; allowed: ascending, 0 to {steps}")
    out = np.empty((len(wanted), *states.shape), np.float32)
    rows = np.array([
        2 * units.J2 + couplings.own, 4 * units.J4, units.mobility * dt,
        np.sqrt(2 * units.mobility * units.temperature * dt),
        np.asarray(biases[0]), (np.asarray(biases[1]) - np.asarray(biases[0])) / max(steps, 1),
    ])  # fmt: skip

    lanes = LANES // 2 if couplings.left.size else LANES

    def batch(first: int) -> None:
        here = slice(first, first + lanes)
        _march(
            np.array(states[here].T, order="C"), rows.astype(np.float32), couplings, wanted, steps,
            scheme == "averaged", key, first_trajectory + first, out[:, here],
        )  # fmt: skip

    with _blas().limit(limits=1, user_api="blas"):
        starts = range(0, len(states), lanes)
        if workers > 1 and len(starts) > 1:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(batch, starts))
        else:
            for first in starts:
                batch(first)
    if not np.isfinite(out).all():
        raise LangevinError(f"dt={dt:g}: states grew beyond all bounds; choose a shorter step (1e-3 is usual)")
    return out


@cache
def _blas() -> ThreadpoolController:
    """Found once: looking for libraries takes as long as a hundred steps of a small computer."""
    import scipy.linalg.cython_blas  # noqa: F401 - what the kernel's products are made by

    return ThreadpoolController()


def _march(
    x: Single, rows: Single, couplings: Couplings, wanted: NDArray[np.int64], steps: int, averaged: bool,
    key: np.uint64, first: int, out: Single,
) -> None:  # fmt: skip
    """One batch x (N, trajectories), in place; out: (readings, trajectories, N)."""
    n, count = x.shape
    free = couplings.free
    field, inner = np.zeros_like(x), np.empty((len(couplings.right), count), np.float32)
    groups = -(-n // GROUP) * GROUP
    noise = np.empty((2, groups if averaged else GROUP, count), np.float32)
    if averaged:
        for row in range(0, groups, GROUP):
            fill_normals(key, row // GROUP, 0, first, noise[0, row : row + GROUP])
    done = 0
    for reading, until in enumerate(wanted):
        _steps(
            x, x[free:], field, field[:free], field[free:], couplings.upper, couplings.lower, couplings.left,
            couplings.right, inner, rows, noise, averaged, key, first, done, int(until),
        )  # fmt: skip
        done = int(until)
        out[reading] = x.T


@kernel
def _steps(
    x: Single, x_lower: Single, field: Single, field_upper: Single, field_lower: Single, upper: Single, lower: Single,
    left: Single, right: Single, inner: Single, rows: Single, noise: Single, averaged: bool, key: np.uint64, first: int,
    begin: int, end: int,
) -> None:  # fmt: skip
    """Steps ``begin`` to ``end`` - 1.

    rows: 2 J2, less what patterns have on the diagonal; 4 J4, mu dt, √(2 mu k_BT dt), bias, its change a step; (6, N).
    """
    n, count = x.shape
    half = np.float32(0.5)
    for k in range(begin, end):
        if right.shape[0] > 0:
            np.dot(right, x, inner)
            np.dot(left, inner, field)
        elif lower.shape[0] > 0:
            if upper.shape[0] > 0:
                np.dot(upper, x_lower, field_upper)
            np.dot(lower, x, field_lower)
        for row in range(0, n, GROUP):
            here = noise[0, row : row + GROUP] if averaged else noise[0]
            if averaged:
                fill_normals(key, row // GROUP, k + 1, first, noise[1, :GROUP])
            else:
                fill_normals(key, row // GROUP, k, first, here)
            for j in range(min(GROUP, n - row)):
                i = row + j
                linear, cubic, drift, kick = rows[0, i], rows[1, i], rows[2, i], rows[3, i]
                bias = rows[4, i] + np.float32(k) * rows[5, i]
                if averaged:
                    for t in range(count):
                        v = x[i, t]
                        push = (linear + cubic * v * v) * v + (bias + field[i, t])
                        x[i, t] = v - drift * push + kick * half * (here[j, t] + noise[1, j, t])
                        here[j, t] = noise[1, j, t]
                else:
                    for t in range(count):
                        v = x[i, t]
                        push = (linear + cubic * v * v) * v + (bias + field[i, t])
                        x[i, t] = v - drift * push + kick * here[j, t]
