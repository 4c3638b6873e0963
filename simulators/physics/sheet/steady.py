"""Steady states of a driven sheet, kappa = 0 of Eq. (13), with or without a nudge, batched.

Newton's method on the amplitudes; what it finds from the dark is what evolution in time ends in, as long as the pump
is below the first turning point of the S-curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.physics.sheet.blocks import solve_linearised
from simulators.physics.sheet.equation import Array, Complex, Sheet, SheetError, blueshift, checked, rate

Indices = NDArray[np.int64]

TOLERANCE = 1e-12
_STEPS = 60
_HALVINGS = 8


@dataclass(frozen=True, eq=False)
class Nudge:
    """-i beta dC/dpsi* at output nodes, which follows psi while it settles: Eqs. (5), (7).

    outputs: (n,) flat indices of nodes. targets: (..., n). beta: a number of either sign, or one of each sample (...).
    cost: "mse", C = sum (T - |psi|^2)^2 / 2, or "cce", C = -sum T log softmax(gain |psi|^2).
    """

    outputs: NDArray[np.int64]
    targets: Array
    beta: float | Array
    cost: Literal["mse", "cce"] = "mse"
    gain: float = 1.0


@dataclass(frozen=True, eq=False)
class SteadyStates:
    """psi (..., *shape); of every sample (...) the largest |kappa|, Newton steps, and whether it converged."""

    psi: Complex
    residual: Array
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]


def outputs_of(psi: Complex, outputs: ArrayLike, sheet: Sheet) -> Array:
    """|psi|^2 (..., n) at flat indices of nodes of amplitudes (..., *shape)."""
    flat = psi.reshape(*psi.shape[: psi.ndim - len(sheet.shape)], -1)
    return np.asarray(np.abs(flat[..., np.asarray(outputs)]) ** 2)


def output_error(density: Array, targets: ArrayLike, cost: str = "mse", gain: float = 1.0) -> Array:
    """e = -dC/d|psi|^2 (..., n): T - |psi|^2, or gain (T - softmax(gain |psi|^2))."""
    targets = np.asarray(targets, np.float64)
    if cost == "mse":
        return np.asarray(targets - density)
    weights = np.exp(gain * (density - density.max(axis=-1, keepdims=True)))
    return np.asarray(gain * (targets - weights / weights.sum(axis=-1, keepdims=True)))


def steady_state(
    V: ArrayLike,
    P: ArrayLike,
    sheet: Sheet,
    start: Complex | None = None,
    nudge: Nudge | None = None,
    tolerance: float = TOLERANCE,
) -> SteadyStates:
    """Steady states (..., *shape) of potentials V and pumps P, which broadcast, from the dark or from ``start``.

    A sample has converged when max |kappa| <= tolerance max(1, |psi|). Raises SheetError at numbers that are none.
    """
    checked(sheet)
    potential, pump = np.asarray(V, np.complex128), np.asarray(P, np.complex128)
    for name, given in (("V", potential), ("P", pump)):
        if not np.isfinite(given).all():
            raise SheetError(f"{name} holds {int((~np.isfinite(given)).sum())} numbers that are none or infinite")
    shape = np.broadcast_shapes(potential.shape, pump.shape, sheet.shape, () if start is None else start.shape)
    batch = shape[: len(shape) - len(sheet.shape)]

    def flat(x: Complex) -> Complex:
        return np.array(np.broadcast_to(x, shape), np.complex128).reshape(-1, *sheet.shape)

    potential, pump = flat(potential), flat(pump)
    psi = flat(np.zeros((), np.complex128) if start is None else start)
    nudges = None if nudge is None else _spread(nudge, batch)
    steps = np.zeros(len(psi), np.int64)
    off = np.abs(_kappa(psi, potential, pump, sheet, nudges, np.arange(len(psi)))).reshape(len(psi), -1).max(axis=1)
    active = np.flatnonzero(off > _bound(psi, tolerance))
    for _ in range(_STEPS):
        if not len(active):
            break
        now = psi[active]
        kappa = _kappa(now, potential[active], pump[active], sheet, nudges, active)
        diagonal, conjugate = linearised(now, potential[active], sheet)
        if nudges is not None:
            _add_nudge(diagonal, conjugate, now, nudges, active)
        step = -solve_linearised(diagonal, conjugate, kappa, sheet)
        size, best, reached = np.ones(len(active)), now.copy(), off[active].copy()
        waiting = np.ones(len(active), np.bool_)
        for _ in range(_HALVINGS):
            k = np.flatnonzero(waiting)
            tried = now[k] + size[k].reshape(-1, *(1,) * len(sheet.shape)) * step[k]
            rest = _kappa(tried, potential[active[k]], pump[active[k]], sheet, nudges, active[k])
            largest = np.abs(rest).reshape(len(k), -1).max(axis=1)
            better = (largest < reached[k]) | (largest <= _bound(tried, tolerance))
            best[k[better]], reached[k[better]] = tried[better], largest[better]
            waiting[k[better]] = False
            size[k] /= 2
            if not waiting.any():
                break
        psi[active], off[active] = best, reached
        steps[active] += 1
        active = active[(reached > _bound(best, tolerance)) & ~waiting]
    return SteadyStates(
        psi.reshape(shape), off.reshape(batch), steps.reshape(batch), (off <= _bound(psi, tolerance)).reshape(batch)
    )


def linearised(psi: Complex, V: Complex, sheet: Sheet) -> tuple[Complex, Complex]:
    """Factors (..., *shape) of dpsi at its node and of its conjugate in the change of kappa."""
    density = psi.real**2 + psi.imag**2
    f, slope = blueshift(density, sheet)
    diagonal = -1j * (len(sheet.shape) + V + f + slope * density - 1j * np.asarray(sheet.gamma))
    return np.asarray(diagonal), np.asarray(-1j * slope * psi**2)


def _bound(psi: Complex, tolerance: float) -> Array:
    return np.asarray(tolerance * np.maximum(1, np.abs(psi).reshape(len(psi), -1).max(axis=1)))


def _spread(nudge: Nudge, batch: tuple[int, ...]) -> Nudge:
    n = len(nudge.outputs)
    targets = np.broadcast_to(nudge.targets, (*batch, n)).reshape(-1, n)
    beta = np.broadcast_to(np.asarray(nudge.beta, np.float64), batch).reshape(-1)
    return Nudge(np.asarray(nudge.outputs), targets, beta, nudge.cost, nudge.gain)


def _kappa(psi: Complex, V: Complex, P: Complex, sheet: Sheet, nudge: Nudge | None, which: Indices) -> Complex:
    kappa = rate(psi, V, P, sheet)
    if nudge is not None:
        at = psi.reshape(len(psi), -1)[:, nudge.outputs]
        e = output_error(np.abs(at) ** 2, nudge.targets[which], nudge.cost, nudge.gain)
        beta = np.asarray(nudge.beta)[which][:, None]
        kappa.reshape(len(psi), -1)[:, nudge.outputs] += 1j * beta * e * at
    return kappa


def _add_nudge(diagonal: Complex, conjugate: Complex, psi: Complex, nudge: Nudge, which: Indices) -> None:
    """What the nudge adds at its own node; a softmax's other nodes enter to order beta, and are left out."""
    at = psi.reshape(len(psi), -1)[:, nudge.outputs]
    density = np.abs(at) ** 2
    e = output_error(density, nudge.targets[which], nudge.cost, nudge.gain)
    if nudge.cost == "mse":
        slope = np.full_like(density, -1.0)
    else:
        share = nudge.targets[which] - e / nudge.gain
        slope = -(nudge.gain**2) * share * (1 - share)
    beta = np.asarray(nudge.beta)[which][:, None]
    diagonal.reshape(len(psi), -1)[:, nudge.outputs] += 1j * beta * (e + slope * density)
    conjugate.reshape(len(psi), -1)[:, nudge.outputs] += 1j * beta * slope * at**2
