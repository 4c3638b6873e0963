"""The S-curve: steady states followed from the dark as the pump rises, up to the first turning point.

Where linear response at a steady state is bounded by the loss, |d f/d|psi|^2| |psi|^2 < gamma - Im V everywhere, it is
stable and the only one as bright as that; nothing needs to be followed there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.sheet.blocks import solve_linearised
from simulators.physics.sheet.equation import Array, Complex, Sheet, blueshift
from simulators.physics.sheet.newton import bound, largest, linearised, newton

_FIRST, _LEAST = 0.25, 1e-4
"""Parts of the pump by which it rises; a turning point is where less than the least is too much."""
_NEAR = 0.25
"""How far a state may lie from its extrapolation: of the extrapolated change."""
_STEPS = 6


class Followed(NamedTuple):
    """psi (samples, *shape) at the part ``reached`` (samples,) of the pump: 1, or that of the first turning point."""

    psi: Complex
    reached: Array


def only_one(psi: Complex, V: Complex, sheet: Sheet) -> NDArray[np.bool_]:
    """Samples (samples,) whose steady state is stable and the only one of its brightness, by the bound above."""
    loss = np.asarray(sheet.gamma) - V.imag
    with np.errstate(over="ignore", invalid="ignore"):  # what diverged is not the only one
        density = np.abs(psi) ** 2
        _, slope = blueshift(density, sheet)
        spare = loss - np.abs(slope) * density
    if sheet.blocked is not None:
        spare = np.where(sheet.blocked, np.inf, spare)
    if sheet.nonlinearity == "saturation":  # |slope| density has its maximum, |g|/4, at density 1
        spare = np.where(density > 1, loss - abs(sheet.g) / 4, spare)
    return np.asarray(spare.reshape(len(psi), -1).min(axis=1) > 0)


def growth_rates(psi: Complex, V: Complex, sheet: Sheet) -> Array:
    """Largest growth rate (samples,) of disturbances of steady states: below 0 where they are stable.

    By eigenvalues of the linearised equation, (2 nodes)^3 operations for each sample.
    """
    nodes = psi[0].size
    diagonal, conjugate = (x.reshape(len(psi), nodes) for x in linearised(psi, V, sheet))
    couplings = _couplings(sheet)
    ok = np.ones(nodes, np.bool_) if sheet.blocked is None else ~sheet.blocked.ravel()
    out = np.empty(len(psi))
    for k in range(len(psi)):
        one = (couplings + np.diag(diagonal[k]))[np.ix_(ok, ok)]
        other = np.diag(conjugate[k])[np.ix_(ok, ok)]
        out[k] = np.linalg.eigvals(np.block([[one, other], [other.conj(), one.conj()]])).real.max()
    return out


def follow_pump(V: Complex, P: Complex, sheet: Sheet, tolerance: float, most: float = 1.0) -> Followed:
    """Raise the pumps (samples, *shape) from nothing to ``most`` times themselves, step by step.

    A step is taken back and halved where Newton's method ends far from the extrapolation.
    """
    count = len(P)
    axes = (1,) * len(sheet.shape)
    psi, at, step = np.zeros_like(P), np.zeros(count), np.full(count, _FIRST * most)
    active = np.arange(count)
    while len(active):
        diagonal, conjugate = linearised(psi[active], V[active], sheet)
        tangent = -solve_linearised(diagonal, conjugate, P[active], sheet)
        to = np.minimum(at[active] + step[active], most)
        ahead = (to - at[active]).reshape(-1, *axes) * tangent
        tried = psi[active] + ahead
        extrapolated = tried.copy()
        off, _ = newton(tried, V[active], to.reshape(-1, *axes) * P[active], sheet, None, tolerance, _STEPS)
        found = (off <= bound(tried, tolerance)) & (
            largest(tried - extrapolated) <= _NEAR * largest(ahead) + 1e-9 * largest(tried)
        )
        psi[active[found]], at[active[found]] = tried[found], to[found]
        step[active] *= np.where(found, 1.5, 0.5)
        active = active[(at[active] < most) & (step[active] >= _LEAST * most)]
    return Followed(psi, at)


def _couplings(sheet: Sheet) -> Complex:
    nodes = int(np.prod(sheet.shape))
    out = np.zeros((nodes, nodes), np.complex128)
    index = np.arange(nodes).reshape(sheet.shape)
    for axis in range(len(sheet.shape)):
        one, other = np.delete(index, -1, axis).ravel(), np.delete(index, 0, axis).ravel()
        out[one, other] = out[other, one] = 0.5j
    return out
