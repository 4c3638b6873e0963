"""Condensates that are seeded, evolve under their couplings for a gate's time, and decay: one shot.

    0 < t < tau:  dpsi/dt = J psi,    then  dpsi/dt = -kappa psi    for as long as the camera's reference lasts,

in units of t0 = 2 lifetimes (kappa = 1), psi in units of which |psi| = 1 holds N0 polaritons. During the gate a common
gain makes up for the loss. What a camera that integrates over time sees are S = int psi dt, by its fringes, and
G_ij = int psi_i psi_j* dt, by its intensity: mostly of the decay, since a gate is short.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.counter_random import standard_normal

Complex = NDArray[np.complex128]

_NODES = 6
"""Of a gate's integrals; an error of (|J| tau)^12."""


class Shot(NamedTuple):
    """Gate and what of the decay is seen, in t0; loss kappa of amplitudes, per t0."""

    gate: float
    loss: float
    tail: float


class Seen(NamedTuple):
    """What a camera gets of condensates: amplitude (n,), the time-integral S, and density (n, n), G."""

    amplitude: Complex
    density: Complex


def vacuum(key: np.uint64, exposure: int, shots: int, sites: int, polaritons: float) -> Complex:
    """Noise (shots, sites) of empty condensates, of which <|psi|^2> is half a quantum: 1 / (2 N0)."""
    return _normals(key, exposure, shots, sites) / math.sqrt(4 * polaritons)


@kernel
def _normals(key: np.uint64, exposure: int, shots: int, sites: int) -> Complex:
    out = np.empty((shots, sites), np.complex128)
    for s in range(shots):
        for i in range(sites):
            out[s, i] = complex(
                standard_normal(key, exposure, s, 2 * i, 0), standard_normal(key, exposure, s, 2 * i + 1, 0)
            )
    return out


class Propagators(NamedTuple):
    """What a gate does to fields: at (nodes, n, n), to their states at the nodes of an integral over it, with weights
    (nodes,); last (n, n), to what they are when it closes; integral (n, n), to their integral over it."""

    at: Complex
    weights: NDArray[np.float64]
    last: Complex
    integral: Complex


def propagators(J: Complex, gate: float) -> Propagators:
    """By matrix exponentials. J: (n, n)."""
    from scipy.linalg import expm  # a fifth of a second, which every process of a bench would pay

    n = len(J)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    at = expm(J * (0.5 * gate * (nodes + 1))[:, None, None])
    # exp of [[J, 1], [0, 0]] tau holds exp(J tau) and the integral of exp(J t).
    both = np.zeros((2 * n, 2 * n), np.complex128)
    both[:n, :n], both[:n, n:] = J, np.eye(n)
    both = expm(both * gate)
    return Propagators(at, 0.5 * gate * weights, both[:n, :n], both[:n, n:])


def seen_of_shots(flow: Propagators, starts: Complex, shot: Shot) -> Seen:
    """Sums over shots. starts: (shots, n) fields when the gate opens."""
    summed = starts.T @ starts.conj()
    fall, fall_squared = (-math.expm1(-k * shot.loss * shot.tail) / (k * shot.loss) for k in (1, 2))
    density = fall_squared * (flow.last @ summed @ flow.last.conj().T)
    for weight, matrix in zip(flow.weights, flow.at, strict=True):
        density += weight * (matrix @ summed @ matrix.conj().T)
    return Seen((flow.integral + fall * flow.last) @ starts.sum(axis=0), density)


def seen_by_steps(J: Complex, starts: Complex, shot: Shot, steps: int) -> Seen:
    """The same the plain way: the equation in small steps (Runge and Kutta's), integrals by Simpson's rule."""
    amplitude = np.zeros(len(J), np.complex128)
    density = np.zeros((len(J), len(J)), np.complex128)
    for start in starts:
        psi = start
        decay = -shot.loss * np.eye(len(J), dtype=np.complex128)
        for matrix, duration in ((J, shot.gate), (decay, shot.tail)):
            h = duration / steps
            for _ in range(steps):
                middle, end = _step(matrix, psi, h / 2), _step(matrix, psi, h)
                for weight, at in ((1, psi), (4, middle), (1, end)):
                    amplitude += h / 6 * weight * at
                    density += h / 6 * weight * np.outer(at, at.conj())
                psi = end
    return Seen(amplitude, density)


def _step(matrix: Complex, psi: Complex, h: float) -> Complex:
    a = matrix @ psi
    b = matrix @ (psi + h / 2 * a)
    c = matrix @ (psi + h / 2 * b)
    d = matrix @ (psi + h * c)
    return np.asarray(psi + h / 6 * (a + 2 * b + 2 * c + d))
