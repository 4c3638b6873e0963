"""What is known of every dyad's balance after some orientations were counted: a posterior on a grid, dyad by dyad.

A dyad's state is "1" with probability

    p_1(x) = Phi(sqrt(2 pi) s (x - c)),     x = ln r_gamma,

c its balance and s the slope of p_1 there. Real curves are no probits: far from c they are believed to `MISFIT` only.
And a hologram sets every ratio a little wrong, otherwise whenever it changes (`wandered`). So counts weigh as if they
were fewer, the more so the further they are from one half, and the more the hologram has changed since. What counts in
the end is counted close to c, where every curve is straight, with holograms that are nearly the last one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from simulators.physics.compiled import kernel

Array = NDArray[np.float64]

MISFIT = 0.04
"""Standard deviation of p_1 from a probit where it is saturated; it falls as (2 p_1 - 1)^2 towards the middle."""

WRITTEN = 5e-5
"""Standard deviation of ln r_gamma between a hologram and nearly the same one."""
WANDERS = 1e-4
"""Variance of ln r_gamma's error between two holograms, per rms change of ln r_gamma over the lattice: 0.0003 for
changes of 0.1 %. Pixels change one by one, as a random walk."""

LAPSE = 2e-3
"""Share of states that follow no curve."""

SLOPES = np.geomspace(2.0, 50.0, 15)
"""dp_1/dx at c, from a dyad that hardly feels its pump to one with next to no noise."""

_CENTRES = 41
_WIDE = 5.0
"""How far a grid reaches, in standard deviations either way."""
_EDGE = 1e-4
"""Share at either end of a grid that says that it was laid in the wrong place."""
_MOST_PASSES = 8


@dataclass(frozen=True)
class Prior:
    """Of c: a normal distribution about ``mean`` with standard deviation ``sd``, and a tenth of it four times as wide;
    nothing beyond ``reach`` either way."""

    mean: float = 0.0
    sd: float = 0.06
    reach: float = 0.35

    def log(self, centre: Array) -> Array:
        """Its logarithm, without a constant."""
        away = (centre - self.mean) / self.sd
        return np.asarray(np.log(np.exp(-0.5 * away**2) + 0.1 / 4 * np.exp(-0.5 * (away / 4) ** 2) + 1e-12))


@dataclass(frozen=True, eq=False)
class Counts:
    """Of n dyads in some batches: x (n, batches) ln r_gamma as set, ones and trials (n, batches), misread (n,)."""

    x: Array
    ones: Array
    trials: Array
    misread: Array

    @classmethod
    def none(cls, n: int) -> Counts:
        """Before the first batch."""
        empty = np.zeros((n, 0))
        return cls(empty, empty, empty, np.zeros(n))

    def with_batch(self, x: Array, ones: Array, trials: Array, misread: Array) -> Counts:
        """With one more batch, all (n,). misread: the newest, which replaces what was believed."""
        return Counts(
            np.column_stack([self.x, x]),
            np.column_stack([self.ones, ones]),
            np.column_stack([self.trials, trials]),
            np.asarray(misread, np.float64),
        )

    def first(self, batches: int) -> Counts:
        """The first so many batches."""
        return Counts(self.x[:, :batches], self.ones[:, :batches], self.trials[:, :batches], self.misread)

    def where(self, chosen: NDArray[np.bool_]) -> Counts:
        """Only what is chosen (n, batches); of the rest nothing is known."""
        return Counts(self.x, self.ones * chosen, self.trials * chosen, self.misread)

    def of(self, dyads: NDArray[np.int64]) -> Counts:
        """Those of some dyads."""
        return Counts(self.x[dyads], self.ones[dyads], self.trials[dyads], self.misread[dyads])

    @property
    def spent(self) -> Array:
        """Trials (n,) so far."""
        return np.asarray(self.trials.sum(axis=1))


@dataclass(frozen=True, eq=False)
class Posterior:
    """centres (n, C) and weight (n, C, S) on them and on `SLOPES`; every dyad's weights add up to 1."""

    centres: Array
    weight: Array

    @property
    def of_centre(self) -> Array:
        """(n, C)."""
        return np.asarray(self.weight.sum(axis=2))

    @property
    def mean(self) -> Array:
        """Of c (n,)."""
        return np.asarray((self.of_centre * self.centres).sum(axis=1))

    @property
    def sd(self) -> Array:
        """Of c (n,); no less than what the grid resolves."""
        away = self.centres - self.mean[:, None]
        step = self.centres[:, 1] - self.centres[:, 0]
        return np.asarray(np.sqrt((self.of_centre * away**2).sum(axis=1) + step**2 / 12))

    @property
    def slope(self) -> Array:
        """Mean of dp_1/dx at c (n,)."""
        return np.asarray(self.weight.sum(axis=1) @ SLOPES)

    def p1_at(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (n,) of p_1 at x (n,), of the ratio as it was set."""
        p = ndtr(math.sqrt(2 * math.pi) * SLOPES * (x[:, None, None] - self.centres[:, :, None]))
        mean = (self.weight * p).sum(axis=(1, 2))
        return mean, np.sqrt((self.weight * (p - mean[:, None, None]) ** 2).sum(axis=(1, 2)))

    def interval(self, share: float = 0.95) -> tuple[Array, Array]:
        """Ends (n,) of the interval of c that leaves out equal shares on both sides."""
        reached = np.cumsum(self.of_centre, axis=1)
        step = self.centres[:, 1] - self.centres[:, 0]
        ends = []
        for level in ((1 - share) / 2, (1 + share) / 2):
            at = np.minimum((reached < level).sum(axis=1), self.centres.shape[1] - 1)
            here = np.take_along_axis(reached, at[:, None], 1)[:, 0]
            mass = np.take_along_axis(self.of_centre, at[:, None], 1)[:, 0]
            part = 0.5 - np.clip((here - level) / np.maximum(mass, 1e-300), 0, 1)
            ends.append(np.take_along_axis(self.centres, at[:, None], 1)[:, 0] + part * step)
        return ends[0], ends[1]

    def draw(self, rng: np.random.Generator) -> Array:
        """One c (n,) for every dyad, as probable as it is."""
        reached = np.cumsum(self.of_centre, axis=1)
        at = (reached < rng.random((len(reached), 1)) * reached[:, -1:]).sum(axis=1)
        step = self.centres[:, 1] - self.centres[:, 0]
        return np.take_along_axis(self.centres, at[:, None], 1)[:, 0] + step * (rng.random(len(at)) - 0.5)


def wandered(x: Array, now: Array, restless: float = 1.0) -> Array:
    """Standard deviation (batches,) of the error of ln r_gamma in past holograms x (n, batches) relative to now's (n,).

    restless: how many times the usual variance.
    """
    change = np.sqrt(((x - now[:, None]) ** 2).mean(axis=0))
    return np.asarray(np.sqrt(restless * (WRITTEN**2 + WANDERS * change)))


def restlessness(counts: Counts, found: Posterior, now: Array) -> float:
    """How many times more than usual holograms wander, by how batches near one half differ from what is believed.

    1 where little is known yet; never less, nor more than 25.
    """
    z = math.sqrt(2 * math.pi) * found.slope[:, None] * (counts.x - found.mean[:, None])
    p, steep = ndtr(z), found.slope[:, None] * np.exp(-0.5 * z**2)
    near = (np.abs(p - 0.5) < 0.2) & (counts.trials > 0)
    chance = p * (1 - p) / np.maximum(counts.trials, 1)
    usual = (steep * wandered(counts.x, now)) ** 2
    # Batches that the wandering would move by less than chance tell nothing of it.
    weight = near / (chance + usual + 1e-12) ** 2
    seen = (counts.ones / np.maximum(counts.trials, 1) - p) ** 2 - chance
    told = float((weight * usual**2).sum())
    if told < 4:
        return 1.0
    freedom = counts.x.shape[1] / max(counts.x.shape[1] - 1, 1)
    return float(np.clip(freedom * (weight * usual * seen).sum() / told, 1.0, 25.0))


def posterior(
    counts: Counts,
    prior: Prior,
    slopes: Array | None = None,
    before: Posterior | None = None,
    now: Array | None = None,
    restless: float = 1.0,
) -> Posterior:
    """What the counts say of every dyad, in terms of the ratios that a hologram really sets that is asked for ``now``
    (n,); else of one that is like all of the past. restless: see `restlessness`.

    slopes: (S,) how probable each of `SLOPES` is beforehand; even if not told. before: what was known a batch ago, near
    which grids of c are laid first; they are drawn together, or laid anew, until they hold what is probable.
    """
    n = len(counts.x)
    log_slopes = np.log(np.full(len(SLOPES), 1 / len(SLOPES)) if slopes is None else np.maximum(slopes, 1e-12))
    least, most = prior.mean - prior.reach, prior.mean + prior.reach
    if before is None:
        centre, sd, slope = np.full(n, prior.mean), np.full(n, 2 * prior.reach), np.full(n, 10.0)
    else:
        centre, sd, slope = before.mean, before.sd, before.slope
    half = _WIDE * sd
    setting = np.full(counts.x.shape[1], WRITTEN) if now is None else wandered(counts.x, now, restless)
    out = Posterior(np.empty((n, _CENTRES)), np.empty((n, _CENTRES, len(SLOPES))))
    todo = np.arange(n)
    for _ in range(_MOST_PASSES):
        low, high = np.clip(centre - half, least, most), np.clip(centre + half, least, most)
        some = counts.of(todo)
        found = _on_grid(some, believed(some, centre, sd, slope, setting), prior, log_slopes, low, high)
        out.centres[todo], out.weight[todo] = found.centres, found.weight
        ends = found.of_centre[:, [0, -1]] > _EDGE
        missed = (ends[:, 0] & (low > least)) | (ends[:, 1] & (high < most))
        rest = missed | (high - low > 3.5 * _WIDE * found.sd)
        centre, sd, slope = found.mean[rest], found.sd[rest], found.slope[rest]
        half = np.where(missed, 4 * half, _WIDE * found.sd)[rest]
        todo = todo[rest]
        if not len(todo):
            break
    return out


def shared_slopes(found: Posterior, before: Array | None = None) -> Array:
    """How probable each of `SLOPES` is on this lattice (S,): the mean of what its dyads say, a little smoothed."""
    mean = found.weight.sum(axis=1).mean(axis=0)
    smooth = np.convolve(np.pad(mean, 1, mode="edge"), [0.25, 0.5, 0.25], "valid") + 0.01 / len(SLOPES)
    if before is not None:
        smooth = 0.5 * (smooth + before)
    return np.asarray(smooth / smooth.sum())


def believed(counts: Counts, centre: Array, sd: Array, slope: Array, setting: Array) -> Array:
    """What a count weighs (n, batches), 1 where only chance moves it: with n trials of variance p (1 - p), and p itself
    uncertain by e, 1 / (1 + (n - 1) e^2 / p (1 - p)). setting: (batches,) error of ln r_gamma."""
    away = counts.x - centre[:, None]
    # Where c is not known well, neither is how far a count is from it.
    distance = np.sqrt(2 * math.pi) * slope[:, None] * away / np.sqrt(1 + 2 * math.pi * (slope * sd)[:, None] ** 2)
    p = np.clip(ndtr(distance), 0.02, 0.98)
    steep = slope[:, None] * np.exp(-0.5 * distance**2)
    error = (MISFIT * (2 * p - 1) ** 2) ** 2 + (setting * steep) ** 2
    return np.asarray(1 / (1 + np.maximum(counts.trials - 1, 0) * error / (p * (1 - p))))


def _on_grid(counts: Counts, weights: Array, prior: Prior, log_slopes: Array, low: Array, high: Array) -> Posterior:
    centres = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, _CENTRES)
    out = np.empty((*centres.shape, len(SLOPES)))
    ones = np.ascontiguousarray(weights * counts.ones)
    zeros = np.ascontiguousarray(weights * (counts.trials - counts.ones))
    floor = np.clip(counts.misread, 0, 0.45) + LAPSE
    _log_likelihood(np.ascontiguousarray(counts.x), ones, zeros, floor, centres, SLOPES, out)
    out += prior.log(centres)[:, :, None] + log_slopes
    out -= out.max(axis=(1, 2), keepdims=True)
    np.exp(out, out=out)
    return Posterior(centres, out / out.sum(axis=(1, 2), keepdims=True))


@kernel
def _log_likelihood(
    x: Array, ones: Array, zeros: Array, floor: Array, centres: Array, slopes: Array, out: Array
) -> None:
    """out (n, C, S): sum over batches of ones ln p + zeros ln(1 - p), p between floor and 1 - floor."""
    for d in range(len(x)):
        for i in range(centres.shape[1]):
            for j in range(len(slopes)):
                total = 0.0
                for b in range(x.shape[1]):
                    z = math.sqrt(math.pi) * slopes[j] * (x[d, b] - centres[d, i])
                    p = floor[d] + (1 - 2 * floor[d]) * 0.5 * math.erfc(-z)
                    total += ones[d, b] * math.log(p) + zeros[d, b] * math.log(1 - p)
                out[d, i, j] = total
