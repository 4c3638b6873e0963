"""Pumps switched on in time, compiled: for samples whose steady states `cells` does not find otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.physics.compiled import reordering_kernel
from simulators.physics.sheet.cells_kernel import Index, Real, less_neighbours


@reordering_kernel
def _slope(
    psi: Real, pump: Real, level: Real, gamma: Real, link: Real, cols: int, strength: Any, work: Real, out: Real
) -> None:
    """dpsi/dt of Eq. (13), (2, nodes); ``work`` (2, nodes) is overwritten."""
    re, im, h_re, h_im = psi[0], psi[1], work[0], work[1]
    for i in range(re.shape[0]):
        energy = level[i] + strength * (re[i] * re[i] + im[i] * im[i])
        h_re[i] = energy * re[i] + gamma[i] * im[i]
        h_im[i] = energy * im[i] - gamma[i] * re[i]
    less_neighbours(re, im, link, cols, h_re, h_im)
    for i in range(re.shape[0]):
        out[0, i] = h_im[i] + pump[0, i]
        out[1, i] = pump[1, i] - h_re[i]


@reordering_kernel
def switch_on(
    chosen: Index,
    psi: Real,
    pump: Real,
    level: Real,
    gamma: Real,
    link: Real,
    cols: int,
    g: float,
    step: float,
    steps: int,
) -> None:
    """Chosen samples by the classical Runge-Kutta method from the dark on, in place."""
    n = psi.shape[2]
    strength, h = level.dtype.type(g), level.dtype.type(step)
    half, third, sixth = level.dtype.type(step / 2), level.dtype.type(step / 3), level.dtype.type(step / 6)
    slope, work = np.empty((2, n), psi.dtype), np.empty((2, n), psi.dtype)
    at, gained = np.empty((2, n), psi.dtype), np.empty((2, n), psi.dtype)
    for s in chosen:
        here, drive = psi[s], pump[s]
        here[:] = 0
        for _ in range(steps):
            _slope(here, drive, level, gamma, link, cols, strength, work, slope)
            for p in range(2):
                for i in range(n):
                    gained[p, i] = sixth * slope[p, i]
                    at[p, i] = here[p, i] + half * slope[p, i]
            _slope(at, drive, level, gamma, link, cols, strength, work, slope)
            for p in range(2):
                for i in range(n):
                    gained[p, i] += third * slope[p, i]
                    at[p, i] = here[p, i] + half * slope[p, i]
            _slope(at, drive, level, gamma, link, cols, strength, work, slope)
            for p in range(2):
                for i in range(n):
                    gained[p, i] += third * slope[p, i]
                    at[p, i] = here[p, i] + h * slope[p, i]
            _slope(at, drive, level, gamma, link, cols, strength, work, slope)
            for p in range(2):
                for i in range(n):
                    here[p, i] += gained[p, i] + sixth * slope[p, i]
