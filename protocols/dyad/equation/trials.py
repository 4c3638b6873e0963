"""Many dyads that condense from noise, and which of their condensates becomes the denser one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

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

    LONGEST: ClassVar[float] = 0.1
    USUAL: ClassVar[float] = 0.65
    LARGEST: ClassVar[float] = 1.0
    """Phase by which the state may turn in a time step: where the step is not given, and where it is. Of 2,000 dyads at
    16 random settings at most 0.1 % ended otherwise at 1 than at 0.08; at 2 it was 0.7 %, at 3 5 %, and none diverged
    yet."""

    def step(self, r_g: float = 1.0, r_gamma: float = 1.0) -> float:
        """Time step for dyads whose site 2 has detuning r_g g and pumping r_gamma gamma.

        Raises ConfigurationError if the one that was chosen is so long that states are other ones.
        """
        faster = self.gamma * max(1.0, r_gamma), abs(self.g) * max(1.0, r_g), self.xi, self.J
        usual = time_step(*faster, self.LONGEST, self.USUAL)
        largest = time_step(*faster, math.inf, self.LARGEST)
        if self.dt is not None and self.dt > largest:
            raise ConfigurationError(
                f"dt = {self.dt:g}: in steps beyond {largest:.2g} Eq. (1) with these parameters has other states than "
                f"in short ones; choose dt <= {usual:.2g}, or leave it out"
            )
        return self.dt or usual


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
    step = p.step(r_g, r_gamma)
    return evolve_dyads(psi, (p.gamma, r_gamma * p.gamma), (p.g, r_g * p.g), p.xi, p.J, p.duration, step)


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
