"""Eq. (1) of a network of condensates as it is written, and its plain integrator: what every fast road is held to.

    dpsi_i/dt = -i |psi_i|^2 psi_i - psi_i + (1 - i g_i) [ gamma_i / (1 + xi_i |psi_i|^2) psi_i + sum_j J_ij psi_j ]

(Johnston and Berloff, PRL 132, 096901, 2024.) All quantities are dimensionless: gamma pumping, g detuning (blueshift),
xi relative nonlinearity, J coupling, real or complex, without a diagonal.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Complex = NDArray[np.complex128]


def coupling_matrix(J: ArrayLike, sites: int) -> Complex:
    """J as a matrix (sites, sites) without a diagonal; a number couples all pairs alike, as in a dyad."""
    given = np.asarray(J, np.complex128)
    matrix = np.full((sites, sites), given) if given.ndim == 0 else given.copy()
    np.fill_diagonal(matrix, 0.0)
    return matrix


def derivative(psi: Complex, gamma: ArrayLike, g: ArrayLike, xi: ArrayLike, J: Complex) -> Complex:
    """d psi / dt (..., n) of amplitudes psi (..., n).

    gamma, g, xi: of every site, or for all, broadcast against psi. J: (n, n), zero on its diagonal.
    """
    density = psi.real**2 + psi.imag**2
    gain = np.asarray(gamma) / (1 + np.asarray(xi) * density) * psi + psi @ J.T
    return np.asarray(-1j * density * psi - psi + (1 - 1j * np.asarray(g)) * gain)


def evolve(
    psi: Complex,
    gamma: ArrayLike,
    g: ArrayLike,
    xi: ArrayLike,
    J: ArrayLike,
    duration: float,
    dt: float = 0.1,
) -> Complex:
    """Amplitudes (..., n) after ``duration``, by the classical Runge-Kutta method of fourth order.

    Steps are at most dt. dt = 0.1 decides which condensate of a dyad is denser; amplitudes need 0.02 (or a rotating
    frame), since the phase turns by mu dt in a step. J: number or (n, n).
    """
    psi = np.array(psi, np.complex128)
    couplings = coupling_matrix(J, psi.shape[-1])
    steps = step_count(duration, dt)
    h = duration / max(steps, 1)
    for _ in range(steps):
        k1 = derivative(psi, gamma, g, xi, couplings)
        k2 = derivative(psi + h / 2 * k1, gamma, g, xi, couplings)
        k3 = derivative(psi + h / 2 * k2, gamma, g, xi, couplings)
        k4 = derivative(psi + h * k3, gamma, g, xi, couplings)
        psi += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return psi


def step_count(duration: float, dt: float) -> int:
    """How many steps of at most dt make up a duration; rounding errors do not add one."""
    return math.ceil(duration / dt * (1 - 1e-12))


def seeds(trials: int, sites: int, amp: float, rng: np.random.Generator) -> Complex:
    """Initial noise (trials, sites): |psi| even in [0, amp], phases even; the figures' free parameter."""
    size = amp * rng.random((trials, sites))
    return np.asarray(size * np.exp(2j * np.pi * rng.random((trials, sites))))
