"""Condensates that run by themselves and are locked by light that is injected into them.

    dpsi_i/dt = (g_i - |psi_i|^2) psi_i + i dw_i psi_i + sum_j J_ij psi_j + F_i

One alone, with F real, comes to rest where rho [(g - rho)^2 + dw^2] = F^2, rho = |psi|^2, its phase asin(dw |psi| / F)
off that of F: locked only if |dw| < F / |psi| (Adler), and |psi| is not root g but more. Unlocked, its phase runs, and
what a camera's fringes show of it averages out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.domino.shots import Seen

Complex = NDArray[np.complex128]


class Course(NamedTuple):
    """Times in t0: step, how long the state is left to itself first, and over how long it is then averaged."""

    step: float
    settle: float
    average: float


def mean_of_run(
    gain: NDArray[np.float64], detuning: NDArray[np.float64], J: Complex, F: Complex, start: Complex, course: Course
) -> Seen:
    """Means over time of psi (n,) and of psi_i psi_j* (n, n), from a start (n,)."""
    before, after = (round(t / course.step) for t in (course.settle, course.average))
    amplitude, density = _run(gain + 1j * detuning, J, F, start.astype(np.complex128), course.step, before, after)
    return Seen(amplitude, density)


@kernel
def _rate(linear: Complex, J: Complex, F: Complex, psi: Complex, out: Complex) -> None:
    n = len(psi)
    for i in range(n):
        total = F[i] + (linear[i] - (psi[i].real ** 2 + psi[i].imag ** 2)) * psi[i]
        for j in range(n):
            total += J[i, j] * psi[j]
        out[i] = total


@kernel
def _run(
    linear: Complex, J: Complex, F: Complex, psi: Complex, h: float, before: int, after: int
) -> tuple[Complex, Complex]:
    """Runge and Kutta's steps; means over the last ``after`` of them."""
    n = len(psi)
    a, b, c, d = np.empty_like(psi), np.empty_like(psi), np.empty_like(psi), np.empty_like(psi)
    amplitude, density = np.zeros(n, np.complex128), np.zeros((n, n), np.complex128)
    for k in range(before + after):
        _rate(linear, J, F, psi, a)
        _rate(linear, J, F, psi + 0.5 * h * a, b)
        _rate(linear, J, F, psi + 0.5 * h * b, c)
        _rate(linear, J, F, psi + h * c, d)
        psi = psi + (h / 6.0) * (a + 2.0 * b + 2.0 * c + d)
        if k >= before:
            for i in range(n):
                amplitude[i] += psi[i]
                for j in range(n):
                    density[i, j] += psi[i] * np.conj(psi[j])
    return amplitude / after, density / after


def locked_alone(gain: float, detuning: float, drive: float) -> complex | None:
    """Where one condensate comes to rest under a drive F > 0, or None if nothing that rests is stable.

    The densest root of rho [(g - rho)^2 + dw^2] = F^2; stable if 2 rho > g and (g - rho)(g - 3 rho) + dw^2 > 0.
    """
    roots = np.roots([1.0, -2 * gain, gain**2 + detuning**2, -(drive**2)])
    real = [float(r.real) for r in roots if abs(r.imag) < 1e-9 * max(1.0, abs(r)) and r.real > 0]
    for rho in sorted(real, reverse=True):
        if 2 * rho > gain and (gain - rho) * (gain - 3 * rho) + detuning**2 > 0:
            return complex(-drive / (gain - rho + 1j * detuning))
    return None
