"""Descent directions of a cost at the outputs, by two steady states as on a table, in the limit beta -> 0, or exactly.

What is told is -dC, as fields: of V, with -dC = Re sum conj(D_V) dV, and of the pump, with -dC = Re sum conj(D_P) dP.
Real parts are the directions of real V and P. Rules "nep" (Eqs. 11 and 12 of Sajnok and Matuszewski 2026, nudge
i beta e psi), "conjugate" (nudge i beta e conj(psi), exact at g = 0) and "exact" (adjoint). e = -dC/d|psi|^2.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from simulators.physics.sheet.blocks import solve_linearised
from simulators.physics.sheet.equation import Array, Complex, Sheet
from simulators.physics.sheet.newton import linearised

Rule = Literal["nep", "conjugate", "exact"]
"""Which gradient: two of them can be measured."""


class Descent(NamedTuple):
    """-dC with respect to the potential and to the pump at every node, (..., *shape), complex."""

    V: Complex
    P: Complex

    def weights(self, X: ArrayLike, spots: ArrayLike) -> Complex:
        """Of w_k (..., K) for pumps P = sum_k w_k X_k G_k: X (..., K) inputs, spots G (K, *shape)."""
        spots = np.asarray(spots)
        flat = self.P.reshape(*self.P.shape[: self.P.ndim - spots.ndim + 1], -1)
        return np.asarray(np.conj(X) * (flat @ np.conj(spots.reshape(len(spots), -1).T)))


def injected_pump(psi: Complex, outputs: ArrayLike, error: Array, beta: ArrayLike, rule: Rule = "nep") -> Complex:
    """The pump (..., *shape) that nudges a free state psi: i beta e psi at the outputs, or its phase conjugate."""
    outputs = np.asarray(outputs)
    batch = error.shape[:-1]
    flat = psi.reshape(*batch, -1)
    at = flat[..., outputs]
    pump = np.zeros_like(flat)
    pump[..., outputs] = 1j * np.asarray(beta)[..., None] * error * (at if rule == "nep" else np.conj(at))
    return pump.reshape(psi.shape)


def contrast(
    free: Complex,
    plus: Complex,
    beta: ArrayLike,
    minus: Complex | None = None,
    rule: Rule = "nep",
    nodes: int = 1,
    densities: tuple[Array, Array] | None = None,
) -> Descent:
    """From measured steady states (..., *shape): free, nudged by beta and, for a symmetric contrast, by -beta.

    beta: a number or (...). nodes: how many axes the sheet has. densities: |psi|^2 of plus and of what it is compared
    with, where they were measured by themselves. With "nep" the potential's real part is (11) as it stands, the
    difference of densities; with "conjugate" it is -2 Re(psi dpsi/dbeta) with psi of the free phase, which needs the
    phase. (The mean of both sides for psi is no better: it doubles the error of order beta^2.)
    """
    width = np.asarray(beta, np.float64) * (1 if minus is None else 2)
    width = width.reshape(*width.shape, *(1,) * nodes)
    other = free if minus is None else minus
    change = (plus - other) / width
    if rule == "nep":
        middle = free if minus is None else (plus + minus) / 2
        seen = densities or (np.abs(plus) ** 2, np.abs(other) ** 2)
        density = (seen[0] - seen[1]) / width
        return Descent(-density - 2j * np.imag(np.conj(middle) * change), 2j * change)
    return Descent(-2 * np.conj(free * change), 2j * np.conj(change))


def linear_response(psi: Complex, V: ArrayLike, sheet: Sheet, source: Complex, adjoint: bool = False) -> Complex:
    """Change (batch, *shape) of steady states psi by small pumps; adjoint: of the system with psi^2 -> conj(psi)^2."""
    V = np.broadcast_to(np.asarray(V, np.complex128), psi.shape)
    diagonal, conjugate = linearised(psi, V, sheet)
    if adjoint:
        density = np.abs(psi) ** 2
        turn = np.divide(np.conj(psi) ** 2, psi**2, out=np.zeros_like(psi), where=density > 0)
        conjugate = conjugate * turn
    return solve_linearised(diagonal, conjugate, -source, sheet)


def descent(
    psi: Complex, V: ArrayLike, sheet: Sheet, outputs: ArrayLike, error: Array, rule: Rule = "exact"
) -> Descent:
    """In the limit beta -> 0 of free states psi (batch, *shape) with errors e (batch, n): one linear system each.

    The exact gradient is the phase-conjugate one with psi^2 replaced by its conjugate in the linearised equation.
    """
    source = injected_pump(psi, outputs, error, np.ones(len(psi)), rule)
    change = linear_response(psi, V, sheet, source, adjoint=rule == "exact")
    if rule == "nep":
        return Descent(-2 * np.conj(psi) * change, 2j * change)
    return Descent(-2 * np.conj(psi * change), 2j * np.conj(change))


def cosine(one: ArrayLike, other: ArrayLike) -> float:
    """Of the angle between two directions, as real vectors; nan where one is zero."""
    a, b = (np.asarray(x, np.complex128).ravel() for x in (one, other))
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.real(np.vdot(a, b))) / size if size > 0 else float("nan")
