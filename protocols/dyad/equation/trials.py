"""Many dyads that condense from noise, and which of their condensates becomes the denser one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from labctl.client import ConfigurationError, Recorder
from protocols.dyad.equation.figure import DyadParameters, Positive, share_error, time_step
from simulators.physics.condensates.dyad_kernel import denser_second, evolve_dyads
from simulators.physics.condensates.equation import Complex, seeds

_AT_ONCE = 20_000
_MOST_UNDECIDED = 0.05
UNDECIDED = 0.02
"""Smallest difference of amplitudes, relative to their mean, of a dyad that has decided."""


class TrialParameters(DyadParameters):
    """How dyads begin and how long they take."""

    amp: Positive = Field(0.01, description="initial noise: |psi| even in [0, amp], any phase; sets the width of p1")
    trials: int = Field(4000, ge=1, le=10**8, description="dyads that condense at each setting")
    duration: Positive = Field(30.0, le=10**5, description="time they have: at 10 those near balance still decide")
    dt: Positive | None = Field(None, description="time step; null: 0.1, or less where phases turn faster")

    @property
    def step(self) -> float:
        """Time step."""
        return self.dt or time_step(self.gamma, self.g, self.xi, self.J)


@dataclass(frozen=True)
class Orientations:
    """Of trials: how many in state "1" (condensate 2 denser), how many nearly equal still, and the standard error of
    p1."""

    trials: int
    ones: int
    undecided: int
    error: float

    @property
    def p1(self) -> float:
        """Share of state "1"."""
        return self.ones / self.trials


def condensed(p: TrialParameters, psi: Complex, r_g: float, r_gamma: float) -> Complex:
    """What dyads (n, 2) become; site 2 has detuning r_g g and pumping r_gamma gamma."""
    return settled(p, evolve_dyads(psi, (p.gamma, r_gamma * p.gamma), (p.g, r_g * p.g), p.xi, p.J, p.duration, p.step))


def settled(p: TrialParameters, psi: Complex) -> Complex:
    """The same, if integration went well; ConfigurationError where too long a step made it diverge."""
    if not np.isfinite(psi).all():
        raise ConfigurationError(
            f"dt = {p.step:g}: Eq. (1) diverges in such steps; choose dt <= {time_step(p.gamma, p.g, p.xi, p.J):.3g}, "
            "or leave it out"
        )
    return psi


def orientations(p: TrialParameters, trials: int, r_g: float, r_gamma: float, rng: np.random.Generator) -> Orientations:
    """Of so many independent dyads."""
    ones = undecided = 0
    for first in range(0, trials, _AT_ONCE):
        psi = condensed(p, seeds(min(_AT_ONCE, trials - first), 2, p.amp, rng), r_g, r_gamma)
        ones += int(denser_second(psi).sum())
        undecided += _undecided(psi)
    return Orientations(trials, ones, undecided, share_error(ones, trials))


def exchanged_orientations(
    p: TrialParameters, trials: int, r_g: float, r_gamma: float, rng: np.random.Generator
) -> Orientations:
    """Of half as many initial noises (at least two), each also with its sites exchanged; the error is that of pairs."""
    pairs, ones, split, undecided = max(2, trials // 2), 0, 0, 0
    for first in range(0, pairs, _AT_ONCE):
        noise = seeds(min(_AT_ONCE, pairs - first), 2, p.amp, rng)
        one, other = (condensed(p, psi, r_g, r_gamma) for psi in (noise, noise[:, ::-1]))
        decided = denser_second(one).astype(np.int64) + denser_second(other)
        ones += int(decided.sum())
        split += int((decided == 1).sum())
        undecided += _undecided(one) + _undecided(other)
    # Of pairs, which count 0, 1/2 or 1; at least as if one of them had been another.
    variance = (ones - split / 2) / (2 * pairs) - (ones / (2 * pairs)) ** 2
    return Orientations(2 * pairs, ones, undecided, math.sqrt(max(variance, 0.25 / pairs) / pairs))


def tell_undecided(record: Recorder, share: float, p: TrialParameters) -> None:
    """That dyads need more time, where they do."""
    if share > _MOST_UNDECIDED:
        record.console.say(
            f"{share:.0%} of the dyads at a setting have hardly decided after duration = {p.duration:g}; near xi_c "
            "they are slow: choose a longer duration"
        )


def _undecided(psi: Complex) -> int:
    size = np.abs(psi)
    return int((np.abs(size[:, 1] - size[:, 0]) < UNDECIDED * size.mean(axis=1)).sum())
