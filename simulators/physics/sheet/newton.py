"""Newton's method on the amplitudes of any sheet, every sample with a linear system of its own.

Steps are halved until the largest |kappa| falls. Chains go the compiled way (`chain`), which is held to this one.
"""

from __future__ import annotations

import numpy as np

from simulators.physics.sheet.blocks import solve_linearised
from simulators.physics.sheet.chain import HALVINGS, STEPS, chain_states
from simulators.physics.sheet.equation import Array, Complex, Sheet, blueshift, rate
from simulators.physics.sheet.nudge import Indices, Nudge


def newton(
    psi: Complex, V: Complex, P: Complex, sheet: Sheet, nudge: Nudge | None, tolerance: float, most: int = STEPS
) -> tuple[Array, Indices]:
    """Improve psi (samples, *shape), in place, until `off` <= tolerance, in at most so many steps.

    V, P: (samples, *shape). nudge: spread. Returns largest |kappa| and steps, (samples,).
    """
    if len(sheet.shape) == 1:
        return chain_states(psi, V, P, sheet, nudge, tolerance, most)
    return plain_newton(psi, V, P, sheet, nudge, tolerance, most)


def plain_newton(
    psi: Complex, V: Complex, P: Complex, sheet: Sheet, nudge: Nudge | None, tolerance: float, most: int = STEPS
) -> tuple[Array, Indices]:
    """As `newton`, of chains, too, by arrays alone."""
    steps = np.zeros(len(psi), np.int64)
    residual = largest(kappa(psi, V, P, sheet, nudge))
    active = np.flatnonzero(residual > bound(psi, tolerance))
    for _ in range(most):
        if not len(active):
            break
        now, potential, pump = psi[active], V[active], P[active]
        pull = None if nudge is None else nudge.of(active)
        diagonal, conjugate = linearised(now, potential, sheet)
        if pull is not None:
            pull.add_slope(diagonal, conjugate, now)
        step = -solve_linearised(diagonal, conjugate, kappa(now, potential, pump, sheet, pull), sheet)
        size, reached = 1.0, residual[active]
        waiting = np.arange(len(active))
        for _ in range(HALVINGS):
            tried = now[waiting] + size * step[waiting]
            rest = kappa(tried, potential[waiting], pump[waiting], sheet, pull and pull.of(waiting))
            left = largest(rest)
            better = (left < reached[waiting]) | (left <= bound(tried, tolerance))
            psi[active[waiting[better]]], residual[active[waiting[better]]] = tried[better], left[better]
            waiting, size = waiting[~better], size / 2
            if not len(waiting):
                break
        steps[active] += 1
        active = np.delete(active, waiting)
        active = active[residual[active] > bound(psi[active], tolerance)]
    return residual, steps


def kappa(psi: Complex, V: Complex, P: Complex, sheet: Sheet, nudge: Nudge | None) -> Complex:
    """Of Eq. (13) with its nudge, (samples, *shape)."""
    out = rate(psi, V, P, sheet)
    if nudge is not None:
        out.reshape(len(psi), -1)[:, nudge.outputs] += nudge.drive(psi)
    return out


def linearised(psi: Complex, V: Complex, sheet: Sheet) -> tuple[Complex, Complex]:
    """Factors (..., *shape) of dpsi at its node and of its conjugate in the change of kappa."""
    density = psi.real**2 + psi.imag**2
    f, slope = blueshift(density, sheet)
    diagonal = -1j * (len(sheet.shape) + V + f + slope * density - 1j * np.asarray(sheet.gamma))
    return np.asarray(diagonal), np.asarray(-1j * slope * psi**2)


def largest(x: Complex) -> Array:
    """|x| of each sample (samples,); not a number where one is in it."""
    return np.asarray(np.abs(x).reshape(len(x), int(np.prod(x.shape[1:]))).max(axis=1))


def bound(psi: Complex, tolerance: float) -> Array:
    """Of the largest |kappa| of states that have converged, (samples,)."""
    return np.asarray(tolerance * np.maximum(1, largest(psi)))
