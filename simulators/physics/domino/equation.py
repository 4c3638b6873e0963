"""Eqs (4) to (6) as they are written, and their plain integrator: what every fast road is held to.

    L = (gamma - |Psi|^2)^2 / 2 - sum_ij W_ij psi_i* psi_j,   Psi = sum_k psi_k                        (4)
    d psi_i / dt = (gamma - |Psi|^2) Psi + sum_j W_ij psi_j                                            (5)
    after every tau:  psi_i <- |psi_i|                                                                 (6)

(Kamaletdinov and Berloff, arXiv 2405.17296; reconstructed.) The same coherent field goes to every site: a gain of each
site's own would follow the leading eigenvector. With phases locked, x_i = |psi_i| and S = sum x_i, the minimum of L is
the maximum of q(x / S) for every gamma > -q (`quadratic`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]
Array = NDArray[np.float64]


def loss(psi: Complex, W: Array, gamma: float) -> Array:
    """L (...) of fields psi (..., N); Eq. (4)."""
    total = psi.sum(axis=-1)
    linked = np.einsum("...i,ij,...j->...", psi.conj(), W, psi).real
    return np.asarray(0.5 * (gamma - np.abs(total) ** 2) ** 2 - linked)


def derivative(psi: Complex, W: Array, gamma: float) -> Complex:
    """d psi / dt (..., N); Eq. (5)."""
    total = psi.sum(axis=-1, keepdims=True)
    return np.asarray((gamma - np.abs(total) ** 2) * total + psi @ W.T)


def evolve(psi: Complex, W: Array, gamma: float, duration: float, tau: float, dt: float) -> Complex:
    """Fields (..., N) after ``duration``, locked after every tau and at the end; Runge-Kutta steps of at most dt."""
    psi = np.array(psi, np.complex128)
    windows = max(1, round(duration / tau))
    steps = max(1, int(np.ceil(tau / dt * (1 - 1e-12))))
    h = tau / steps
    for _ in range(windows):
        for _ in range(steps):
            k1 = derivative(psi, W, gamma)
            k2 = derivative(psi + h / 2 * k1, W, gamma)
            k3 = derivative(psi + h / 2 * k2, W, gamma)
            k4 = derivative(psi + h * k3, W, gamma)
            psi += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        psi = np.abs(psi).astype(np.complex128)
    return psi
