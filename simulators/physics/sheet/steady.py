"""Steady states of a driven sheet, kappa = 0 of Eq. (13), with or without a nudge, batched.

They are those in which evolution from the dark ends when the pump is raised: where Newton's method might have found
another one, the state is followed along the S-curve, and a pump above its turning point is told as such.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.physics.sheet.branch import follow_pump, growth_rates, only_one
from simulators.physics.sheet.equation import Array, Complex, Sheet, SheetError, checked
from simulators.physics.sheet.factorised import picard
from simulators.physics.sheet.march import march
from simulators.physics.sheet.newton import bound, largest, newton
from simulators.physics.sheet.nudge import Cost, Indices, Nudge, output_cost, output_error, outputs_of, softmax

__all__ = [
    "TOLERANCE", "Cost", "NoSteadyState", "Nudge", "Outcome", "SteadyStates", "output_cost", "output_error",
    "outputs_of", "softmax", "steady_state",
]  # fmt: skip

TOLERANCE = 1e-12
_BRIGHTER = 30.0
"""Densities beyond a turning point, of those at it."""
_EIGENVALUES = 400
"""Nodes up to which stability is checked by eigenvalues."""
_LIFETIMES, _MOST_STEPS = 30.0, 50_000
"""Evolution in time beyond a turning point, in units of 1/gamma; it is left out where it takes more steps than that."""


class Outcome(IntEnum):
    """What became of a sample. Anything but CONVERGED is no result of a network."""

    CONVERGED = 0
    BISTABLE = 1
    """The pump is above the first turning point of the S-curve: the state depends on how the pump was raised. psi is
    the one that evolution in time from the turning point ended in, or was passing."""
    UNSTABLE = 2
    """psi is steady, and disturbances of it grow."""
    UNCONVERGED = 3
    DIVERGED = 4
    """psi is no number."""


class NoSteadyState(SheetError):
    """Samples without a steady state to rely on; ``outcomes`` has what became of each."""

    def __init__(self, text: str, outcomes: NDArray[np.int8]) -> None:
        super().__init__(text)
        self.outcomes = outcomes


@dataclass(frozen=True, eq=False)
class SteadyStates:
    """psi (..., *shape); of every sample (...): the largest |kappa|, iterations, whether it converged, the `Outcome`,
    and the part of the pump at the S-curve's first turning point (nan where none was met)."""

    psi: Complex
    residual: Array
    iterations: Indices
    converged: NDArray[np.bool_]
    outcome: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    turning: Array = field(default_factory=lambda: np.zeros(0))

    def require(self) -> SteadyStates:
        """Itself. Raises NoSteadyState unless every sample converged, with what to do."""
        bad = self.outcome != Outcome.CONVERGED
        if not bad.any():
            return self
        counts = {o: int((self.outcome == o).sum()) for o in Outcome if o and (self.outcome == o).any()}
        told = ", ".join(f"{count} {outcome.name.lower()}" for outcome, count in counts.items())
        cure = "choose a weaker pump, a smaller g or more loss gamma"
        if Outcome.BISTABLE in counts:
            part = float(np.nanmin(self.turning))
            cure = f"the S-curve turns at {part:.3g} of the pump: choose less than that, a smaller g or more loss gamma"
        raise NoSteadyState(
            f"{int(bad.sum())} of {bad.size} samples have no steady state to rely on ({told}); {cure}", self.outcome
        )


def steady_state(
    V: ArrayLike,
    P: ArrayLike,
    sheet: Sheet,
    start: Complex | None = None,
    nudge: Nudge | None = None,
    tolerance: float = TOLERANCE,
    follow: bool = True,
) -> SteadyStates:
    """Steady states (..., *shape) of potentials V and pumps P, which broadcast, from the dark or next to ``start``.

    A sample has converged when max |kappa| <= tolerance max(1, |psi|). follow: whether states from the dark that may
    not be the only one are followed as the pump rises, and their stability checked. Many pumps on one V of a sheet
    with two dimensions share a factorisation. Raises SheetError at numbers that are none, and for a sheet, outputs or
    targets that make no sense.
    """
    checked(sheet)
    for name, given in (("V", V), ("P", P)):
        if not np.isfinite(given).all():
            raise SheetError(f"{name} holds {int((~np.isfinite(given)).sum())} numbers that are none or infinite")
    one, many = np.asarray(V, np.complex128), np.asarray(P, np.complex128)
    try:
        shape = np.broadcast_shapes(one.shape, many.shape, sheet.shape, () if start is None else start.shape)
        if shape[len(shape) - len(sheet.shape) :] != sheet.shape:
            raise ValueError
    except ValueError:
        raise SheetError(f"V {one.shape} and P {many.shape} do not fit a sheet {sheet.shape}") from None
    batch = shape[: len(shape) - len(sheet.shape)]
    potential, pump = (np.broadcast_to(x, shape).reshape(-1, *sheet.shape) for x in (one, many))
    pump = np.ascontiguousarray(pump)
    if sheet.blocked is not None:
        pump = np.where(sheet.blocked, 0, pump)
    potential = np.ascontiguousarray(potential)
    pull = None if nudge is None else nudge.spread(batch, int(np.prod(sheet.shape)))
    psi = np.zeros(pump.shape, np.complex128)
    if start is not None:
        psi[:] = np.broadcast_to(start, shape).reshape(-1, *sheet.shape)
        if sheet.blocked is not None:
            psi[:, sheet.blocked] = 0
    residual, steps = _solve(psi, potential, pump, sheet, pull, tolerance, shared=one.ndim <= len(sheet.shape))
    outcome = _outcomes(psi, residual, tolerance)
    turning = np.full(len(psi), np.nan)
    if start is None and follow:
        unsure = np.flatnonzero((outcome != Outcome.CONVERGED) | ~only_one(psi, potential, sheet))
        if len(unsure):
            kept = psi[unsure], residual[unsure], outcome[unsure], turning[unsure]
            _followed(*kept, potential[unsure], pump[unsure], sheet, pull and pull.of(unsure), tolerance)
            psi[unsure], residual[unsure], outcome[unsure], turning[unsure] = kept
    return SteadyStates(
        psi.reshape(shape),
        residual.reshape(batch),
        steps.reshape(batch),
        (outcome == Outcome.CONVERGED).reshape(batch),
        outcome.reshape(batch),
        turning.reshape(batch),
    )


def _solve(
    psi: Complex, V: Complex, P: Complex, sheet: Sheet, pull: Nudge | None, tolerance: float, shared: bool
) -> tuple[Array, Indices]:
    """The fastest road that gets there; psi is improved in place."""
    if len(sheet.shape) == 1 or not shared or len(psi) < 4:
        return newton(psi, V, P, sheet, pull, tolerance)
    residual, steps = picard(psi, V[0], P, sheet, pull, tolerance)
    left = np.flatnonzero(residual > bound(psi, tolerance))
    if len(left):
        rest = psi[left]
        residual[left], more = newton(rest, V[left], P[left], sheet, pull and pull.of(left), tolerance)
        psi[left] = rest
        steps[left] += more
    return residual, steps


def _outcomes(psi: Complex, residual: Array, tolerance: float) -> NDArray[np.int8]:
    outcome = np.full(len(psi), Outcome.UNCONVERGED, np.int8)
    outcome[residual <= bound(psi, tolerance)] = Outcome.CONVERGED
    outcome[~np.isfinite(residual) | ~np.isfinite(largest(psi))] = Outcome.DIVERGED
    return outcome


def _followed(
    psi: Complex, residual: Array, outcome: NDArray[np.int8], turning: Array, V: Complex, P: Complex, sheet: Sheet,
    pull: Nudge | None, tolerance: float,
) -> None:  # fmt: skip
    """Settle samples again from the dark, along the S-curve; all but V, P are changed in place."""
    psi[:], reached = follow_pump(V, P, sheet, tolerance)
    beyond = np.flatnonzero(reached < 1)
    turning[beyond] = reached[beyond]
    if len(beyond):
        _evolved(psi, beyond, V, P, sheet)
    finite = np.isfinite(largest(psi))
    rest = np.flatnonzero(finite)
    ends = psi[rest]
    residual[~finite] = np.inf
    residual[rest], _ = newton(ends, V[rest], P[rest], sheet, pull and pull.of(rest), tolerance)
    psi[rest] = ends
    outcome[:] = _outcomes(psi, residual, tolerance)
    steady = np.flatnonzero((outcome == Outcome.CONVERGED) & (reached == 1) & ~only_one(psi, V, sheet))
    if psi[0].size <= _EIGENVALUES and len(steady):
        rates = growth_rates(psi[steady], V[steady], sheet)
        outcome[steady[rates > 0]] = Outcome.UNSTABLE
    outcome[beyond[np.isfinite(residual[beyond])]] = Outcome.BISTABLE


def _evolved(psi: Complex, which: Indices, V: Complex, P: Complex, sheet: Sheet) -> None:
    """Let some samples go on in time, in place, if their fastest phase allows steps that are long enough."""
    duration = _LIFETIMES / float(np.min(sheet.gamma))
    density = np.maximum(1.0, largest(psi[which])) ** 2
    bright = density * _BRIGHTER if sheet.nonlinearity == "density" else 1.0
    fastest = 2 * len(sheet.shape) + largest(V[which]) + abs(sheet.g) * bright
    fit = which[duration * fastest < _MOST_STEPS]
    if len(fit):
        step = min(0.1, 1 / float(fastest[np.isin(which, fit)].max()))
        psi[fit] = march(psi[fit], V[fit], P[fit], sheet, duration, step)
