"""Where the share of orientations crosses one half: simulated around the crossing, and a cubic fitted through it.

Every initial noise is used a second time with its sites exchanged. That leaves p1 as it is, and its error is smaller,
the more so the more alike the sites are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.dyad.equation.trials import (
    Orientations,
    TrialParameters,
    condensed,
    exchanged_orientations,
    orientations,
)
from simulators.physics.condensates.dyad_kernel import denser_second
from simulators.physics.condensates.dyads import equal_occupation_slope
from simulators.physics.condensates.equation import seeds

Array = NDArray[np.float64]

POINTS = 9
_PILOT = 400
_BETWEEN = (0.2, 0.8)
"""Shares between which the first fit lies."""
_HALF = 0.16
"""How far from one half the last fit goes: beyond, the curve bends more than a cubic does."""
_FARTHEST = 0.9
_WATCHED, _MOST_TURNED = 1000, 0.05
"""Dyads that are watched at the crossing for as long again, and the largest share of them that may turn: up to 2 % do
next to xi_c, 48 % where they oscillate for a while."""


@dataclass(frozen=True)
class Crossing:
    """r_g at which p1 = 1/2 with its standard error, the slope dp1/dr_g there, and what it was fitted to: r_g (points,)
    and p1 (points,); the share of dyads that had hardly decided, and of those that take the other orientation later."""

    r_g: float
    error: float
    slope: float
    at: Array
    p1: Array
    undecided: float
    turned: float = 0.0


def crossing(p: TrialParameters, r_gamma: float, rng: np.random.Generator) -> Crossing:
    """The critical r_g of a pumping ratio, from 9 settings of p.trials dyads each.

    Raises ConfigurationError where p1 does not cross one half, or jumps there, and where orientations do not last.
    """
    low, high = _bracketed(p, r_gamma, rng)
    few = min(p.trials, max(1000, p.trials // 8))  # while it is not known where
    trials = few
    for _ in range(8):
        at = np.linspace(low, high, POINTS)
        found = fitted(at, [exchanged_orientations(p, trials, float(x), r_gamma, rng) for x in at])
        if not (found.slope > 0 and 2 * low - high < found.r_g < 2 * high - low):
            raise ConfigurationError(
                f"r_gamma = {r_gamma:g}: p1 does not grow through one half between r_g = {low:.4g} and {high:.4g}, as "
                "it does where dyads come to rest; choose xi between its bounds, which dyad.steady-state tells"
            )
        centred = abs(found.r_g - (low + high) / 2) < 0.2 * (high - low) and np.ptp(found.p1) < 2.5 * _HALF
        if centred and trials == p.trials:
            return replace(found, turned=_turned(p, found.r_g, r_gamma, rng))
        trials = p.trials if centred else few
        half = _HALF / max(found.slope, 1e-12)
        low, high = found.r_g - half, found.r_g + half
    raise ConfigurationError(
        f"r_gamma = {r_gamma:g}: {p.trials} dyads at each setting do not show where p1 = 1/2; its slope at r_g = "
        f"{found.r_g:.4g} is {found.slope:.3g}; choose more trials, or a larger amp if the curve is a step"
    )


def _turned(p: TrialParameters, r_g: float, r_gamma: float, rng: np.random.Generator) -> float:
    """Share of dyads that have another orientation after twice the time; ConfigurationError if they are many."""
    once = condensed(p, seeds(_WATCHED, 2, p.amp, rng), r_g, r_gamma)
    twice = condensed(p, once, r_g, r_gamma)
    share = float((denser_second(once) != denser_second(twice)).mean())
    if share > _MOST_TURNED:
        raise ConfigurationError(
            f"r_gamma = {r_gamma:g}: p1 is one half at r_g = {r_g:.4g}, but {share:.0%} of the dyads there turn "
            f"between duration = {p.duration:g} and twice that: they oscillate, and have no orientation yet; choose "
            "r_gamma nearer to 1, or a longer duration"
        )
    return share


def fitted(at: Array, drawn: list[Orientations]) -> Crossing:
    """A cubic through the shares at r_g = at (points,), weighted by their errors, where it is one half."""
    p1, error = np.array([d.p1 for d in drawn]), np.array([d.error for d in drawn])
    centre, scale = float(at.mean()), float(np.ptp(at)) / 2
    x = (at - centre) / scale
    coefficients, covariance = np.polyfit(x, p1 - 0.5, 3, w=1 / error, cov="unscaled")
    roots = np.roots(coefficients)
    real = roots[np.abs(roots.imag) < 1e-9].real
    root = float(real[np.abs(real).argmin()])
    slope = float(np.polyval(np.polyder(coefficients), root))
    undecided = sum(d.undecided for d in drawn) / sum(d.trials for d in drawn)
    powers = root ** np.arange(3, -1, -1)
    spread = math.sqrt(float(powers @ covariance @ powers))
    return Crossing(centre + scale * root, scale * spread / abs(slope), slope / scale, at, p1, undecided)


def _bracketed(p: TrialParameters, r_gamma: float, rng: np.random.Generator) -> tuple[float, float]:
    """r_g on both sides of the crossing, with shares between which a cubic fits, by few dyads."""

    def share(r_g: float) -> float:
        return orientations(p, min(p.trials, _PILOT), r_g, r_gamma, rng).p1

    guess = 1 + (r_gamma - 1) / equal_occupation_slope(p.g, p.J)
    guess = min(max(guess, 1 - _FARTHEST), 1 + 3 * _FARTHEST)
    reach = 0.02
    while not share(max(guess - reach, 0.01)) < 0.35 or not share(guess + reach) > 0.65:
        reach *= 2
        if reach > 1:
            raise ConfigurationError(
                f"r_gamma = {r_gamma:g}: p1 does not cross one half between r_g = {max(guess - reach, 0.01):.3g} and "
                f"{guess + reach:.3g}; choose r_gamma nearer to 1"
            )
    low, high = max(guess - reach, 0.01), guess + reach
    outer = [low, high]
    for _ in range(12):
        middle = (low + high) / 2
        found = share(middle)
        if found < 0.35:
            low = outer[0] = middle
        elif found > 0.65:
            high = outer[1] = middle
        else:
            break
    # Where p1 is near one half, the width is that of the curve: narrow down from either side.
    middle = (low + high) / 2
    ends = []
    for end, limit in ((outer[0], _BETWEEN[0]), (outer[1], _BETWEEN[1])):
        far = end
        for _ in range(12):
            found = share(far)
            if _BETWEEN[0] <= found <= _BETWEEN[1] or abs(found - limit) < 0.05:
                break
            far = middle + (far - middle) / 1.6
        ends.append(far)
    half = max(middle - ends[0], ends[1] - middle, 1e-6)
    return middle - half, middle + half
