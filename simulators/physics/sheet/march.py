"""Eq. (13) in time, compiled: what the roads to steady states are measured against, and what shows a sheet settle."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.sheet.equation import Array, Complex, Sheet

Bools = NDArray[np.bool_]


def march(psi: ArrayLike, V: ArrayLike, P: ArrayLike, sheet: Sheet, duration: float, dt: float = 0.1) -> Complex:
    """As `equation.evolve`, one thread, sample after sample; equal to it but for the order of sums."""
    shape = np.broadcast_shapes(np.shape(psi), np.shape(V), np.shape(P), sheet.shape)
    rows, columns = (1, *sheet.shape) if len(sheet.shape) == 1 else sheet.shape

    def flat(x: ArrayLike) -> Complex:
        return np.array(np.broadcast_to(np.asarray(x, np.complex128), shape)).reshape(-1, rows, columns)

    gamma = np.array(np.broadcast_to(np.asarray(sheet.gamma, np.float64), sheet.shape))
    is_open = np.ones(sheet.shape, np.bool_) if sheet.blocked is None else ~sheet.blocked
    out = flat(psi)
    steps = math.ceil(duration / dt * (1 - 1e-12))
    on_chain, density_kind = len(sheet.shape) == 1, sheet.nonlinearity == "density"
    _march(
        out,
        flat(V),
        flat(P),
        sheet.g,
        gamma.reshape(rows, columns),
        is_open.reshape(rows, columns),
        density_kind,
        1.0 if on_chain else 2.0,
        steps,
        duration / max(steps, 1),
    )
    return out.reshape(shape)


@reordering_kernel
def _march(
    psi: Complex,
    V: Complex,
    P: Complex,
    g: float,
    gamma: Array,
    is_open: Bools,
    density_kind: bool,
    dimensions: float,
    steps: int,
    h: float,
) -> None:
    count, rows, columns = psi.shape
    # A frame of zeros around: walls, without a question at each node.
    at = np.zeros((rows + 2, columns + 2), np.complex128)
    x, k = np.empty((rows, columns), np.complex128), np.empty((rows, columns), np.complex128)
    total = np.empty((rows, columns), np.complex128)
    for b in range(count):
        for i in range(rows):
            for j in range(columns):
                x[i, j] = psi[b, i, j] if is_open[i, j] else 0.0
        for _ in range(steps):
            for i in range(rows):
                for j in range(columns):
                    at[i + 1, j + 1], total[i, j] = x[i, j], 0.0
            for stage in range(4):
                weight = 1.0 if stage == 0 or stage == 3 else 2.0
                ahead = h if stage == 2 else 0.5 * h
                for i in range(rows):
                    for j in range(columns):
                        p = at[i + 1, j + 1]
                        rho = p.real * p.real + p.imag * p.imag
                        f = g * rho if density_kind else g / (1.0 + rho)
                        around = at[i, j + 1] + at[i + 2, j + 1] + at[i + 1, j] + at[i + 1, j + 2]
                        shift = complex(V[b, i, j].real + f + dimensions, V[b, i, j].imag - gamma[i, j])
                        slope = P[b, i, j] + complex(0.0, 1.0) * (0.5 * around - shift * p)
                        k[i, j] = slope if is_open[i, j] else 0.0
                for i in range(rows):
                    for j in range(columns):
                        total[i, j] += weight * k[i, j]
                        at[i + 1, j + 1] = x[i, j] + ahead * k[i, j]
            for i in range(rows):
                for j in range(columns):
                    x[i, j] += h / 6.0 * total[i, j]
        for i in range(rows):
            for j in range(columns):
                psi[b, i, j] = x[i, j]
