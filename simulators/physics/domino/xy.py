"""Condensates whose pumping is adjusted until all are equally dense: they minimise the XY energy (arXiv 2405.17296).

    d psi_i / dt = (gamma_i - |psi_i|^2) psi_i + sum_j J_ij psi_j                                     (2)
    d gamma_i / dt = epsilon (rho_th - |psi_i|^2)                                                     (3)

With all densities rho_th, phases are at rest where E = -1/2 sum_ij J_ij cos(theta_i - theta_j) is, and
sum gamma_i = N rho_th + 2 E. gamma begins below threshold, -lambda_max(J) - 0.1, and rises.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

MOST_STATES = 2**19
"""Of an exhaustive search over two-valued phases."""


@dataclass(frozen=True, eq=False)
class Rest:
    """Where runs came to rest. psi: (runs, N). gamma: (runs, N). time: (runs,). settled: (runs,) false where densities
    still differed from rho_th, or fields moved, when time was up. left: (runs,) |rho - rho_th| + |d psi / dt|, largest
    of the nodes."""

    psi: Complex
    gamma: Array
    time: Array
    settled: NDArray[np.bool_]
    left: Array

    @property
    def phases(self) -> Array:
        """(runs, N), relative to the first node, in (-pi, pi]."""
        return np.asarray(np.angle(self.psi * self.psi[:, :1].conj()))


def to_rest(
    J: Array, psi: Complex, epsilon: float = 2.0, rho_th: float = 1.0, dt: float = 0.02, longest: float = 5000.0,
    tolerance: float = 1e-7,
) -> Rest:  # fmt: skip
    """Runs from psi (runs, N), J (N, N) symmetric; Euler steps of dt, shorter where J is strong (dt lambda <= 0.2).

    It ends when |rho - rho_th| + |d psi / dt| is below the tolerance at every node: |d psi / dt| alone is small below
    threshold, too.
    """
    J = np.ascontiguousarray(J, np.float64)
    eigenvalues = np.linalg.eigvalsh(J)
    h = min(dt, 0.2 / max(float(np.abs(eigenvalues).max()), rho_th))
    psi = np.array(psi, np.complex128)
    gamma = np.full(psi.shape, -float(eigenvalues[-1]) - 0.1)
    time, left = np.zeros(len(psi)), np.zeros(len(psi))
    _run(J, psi.real.copy(), psi.imag.copy(), gamma, epsilon, rho_th, h, round(longest / h), tolerance, time, left, psi)
    return Rest(psi, gamma, time, left < tolerance, left)


def energy(J: Array, phases: Array) -> Array:
    """E (...) of phases (..., N)."""
    z = np.exp(1j * phases)
    return np.asarray(-0.5 * np.einsum("...i,ij,...j->...", z.conj(), J, z).real)


def lowest(J: Array, starts: int, rng: np.random.Generator, sweeps: int = 4000) -> tuple[float, Array]:
    """Lowest energy and its phases (N,), by descent (each phase along its field in turn) from every two-valued state
    where there are few enough, else from random two-valued ones, and from ``starts`` random phases."""
    n = len(J)
    if 2 ** (n - 1) <= MOST_STATES:
        best_first = _best_two_valued(np.ascontiguousarray(J), min(64, 2 ** (n - 1)))
        first = np.where(best_first, np.pi, 0.0)
    else:
        first = np.pi * rng.integers(0, 2, (64, n))
    # A two-valued state is a saddle where phases want to turn: a little noise lets them.
    first = first + 0.05 * rng.standard_normal(first.shape)
    angles = np.concatenate([first, rng.uniform(0, 2 * np.pi, (starts, n))])
    _descend(np.ascontiguousarray(J, np.float64), angles, sweeps)
    found = energy(J, angles)
    k = int(found.argmin())
    return float(found[k]), np.asarray(np.angle(np.exp(1j * (angles[k] - angles[k, 0]))))


def _best_two_valued(J: Array, count: int) -> NDArray[np.bool_]:
    """The states (count, N) of lowest energy with phases 0 and pi, the first of them 0."""
    n = len(J)
    energies, states = [], []
    block = min(n - 1, 14)
    low = ((np.arange(2**block)[:, None] >> np.arange(block)) & 1).astype(np.int8)
    for high in itertools.product((0, 1), repeat=n - 1 - block):
        bits = np.zeros((len(low), n), np.int8)
        bits[:, 1 : 1 + block] = low
        bits[:, 1 + block :] = high
        spins = 1.0 - 2.0 * bits
        e = -0.5 * np.einsum("si,si->s", spins @ J, spins)
        keep = np.argsort(e, kind="stable")[:count]
        energies.append(e[keep])
        states.append(bits[keep])
    order = np.argsort(np.concatenate(energies), kind="stable")[:count]
    return np.concatenate(states)[order].astype(np.bool_)


@kernel
def _descend(J: Array, angles: Array, sweeps: int) -> None:
    runs, n = angles.shape
    for r in range(runs):
        c, s = np.cos(angles[r]), np.sin(angles[r])
        for _ in range(sweeps):
            moved = 0.0
            for i in range(n):
                a, b = 0.0, 0.0
                for j in range(n):
                    a += J[i, j] * c[j]
                    b += J[i, j] * s[j]
                size = np.sqrt(a * a + b * b)
                if size > 1e-14:
                    moved = max(moved, abs(a / size - c[i]) + abs(b / size - s[i]))
                    c[i], s[i] = a / size, b / size
            if moved < 1e-11:
                break
        angles[r] = np.arctan2(s, c)


@kernel
def _run(
    J: Array, re: Array, im: Array, gamma: Array, epsilon: float, rho_th: float, h: float, steps: int,
    tolerance: float, time: Array, left: Array, psi: Complex,
) -> None:  # fmt: skip
    runs, n = re.shape
    a, b = np.empty(n), np.empty(n)
    for r in range(runs):
        worst = 0.0
        for k in range(steps):
            for i in range(n):
                x, y = 0.0, 0.0
                for j in range(n):
                    x += J[i, j] * re[r, j]
                    y += J[i, j] * im[r, j]
                gain = gamma[r, i] - re[r, i] ** 2 - im[r, i] ** 2
                a[i], b[i] = gain * re[r, i] + x, gain * im[r, i] + y
            worst = 0.0
            for i in range(n):
                off = rho_th - re[r, i] ** 2 - im[r, i] ** 2
                worst = max(worst, abs(off) + np.sqrt(a[i] ** 2 + b[i] ** 2))
                gamma[r, i] += h * epsilon * off
                re[r, i] += h * a[i]
                im[r, i] += h * b[i]
            time[r] = (k + 1) * h
            if worst < tolerance:
                break
        left[r] = worst
        for i in range(n):
            psi[r, i] = complex(re[r, i], im[r, i])
