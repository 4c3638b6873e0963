"""The pump ratio at which a dyad is fair, found by few condensations: every dyad is asked where it is thought to be so.

As long as a dyad's balance is known poorly, the next ratio is drawn from its posterior (Thompson, Biometrika 25, 285,
1933), which spreads the batches over its curve; from then on it is the posterior's mean, where every state counts most.
All dyads are counted in the same frames, each at a ratio of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.dyad.calibrate.balance import REPEATED, Balance, Search
from protocols.dyad.calibrate.posterior import (
    WRITTEN,
    Counts,
    Posterior,
    Prior,
    posterior,
    restlessness,
    shared_slopes,
    wandered,
)

Array = NDArray[np.float64]

LOCALISED = 0.06
"""Standard deviation of p_1 below which a dyad is asked at its mean."""
DOUBTED = 2.0
"""How many times more uncertain than it says the posterior is taken to be, beside counts at the ratios themselves."""
_ENOUGH = 200
"""Trials at one hologram from which a share is as good as normally distributed."""


@dataclass(frozen=True)
class BayesOptions:
    """precision: standard deviation of p_1 that is wanted. near: how far from 1/2 p_1 may be expected. most:
    condensations of each dyad. first, largest: of a batch. patience: share of dyads that need not hold up the rest."""

    precision: float = 0.006
    near: float = 0.02
    most: int = 40_000
    first: int = 30
    largest: int = 4000
    patience: float = 0.0


class BayesSearch(Search):
    """Of n dyads, whose balances are beforehand as probable as ``prior`` says.

    Every change of the hologram sets all ratios a little otherwise. So once all dyads are near 1/2 the ratios are held,
    and what is counted there counts whatever curve is believed in; the search ends with the ratios counted last.
    """

    def __init__(self, n: int, options: BayesOptions, prior: Prior, rng: np.random.Generator) -> None:
        self.options, self.prior = options, prior
        self._rng = rng
        self._slopes: Array | None
        self.restless: float
        """How many times more than usual the variance of ratios' errors is that changes of the hologram make."""
        self.restore(Counts.none(n))

    @property
    def done(self) -> bool:
        """Whether as many dyads as must be are certain and fair, or the trials are spent."""
        spent = float(self.counts.spent.max(initial=0.0))
        waiting = self._waiting(self.options.precision)
        return spent >= self.options.most or (spent > 0 and float(waiting.mean()) <= self.options.patience)

    def ask(self) -> tuple[Array, int]:
        """Ratios by the posterior; batches grow as it narrows."""
        o = self.options
        if float(self._waiting(2 * o.precision).mean()) <= o.patience:
            x = self._x
        else:
            x = np.where(np.abs(self._p1 - 0.5) < np.maximum(self._p1_sd, o.near), self._x, self._best)
            x = np.where(self._p1_sd > LOCALISED, self.found.draw(self._rng), x)
        # What the dyads that still wait would need, were they fair there: few batches, since each sets ratios anew.
        sd = float(np.quantile(self._p1_sd, 1 - o.patience))
        lacking = 0.25 / o.precision**2 - 0.25 / sd**2
        spent = int(self.counts.spent.max(initial=0.0))
        frames = min(max(o.first, math.ceil(lacking), spent // 10), max(o.first, spent // 2), o.largest)
        return x, max(min(frames, o.most - spent), 1)

    def balance(self) -> Balance:
        """At the ratios that were counted last."""
        low, high = self.found.interval()
        slope = self.found.slope
        return Balance(
            x=self._x,
            low=low,
            high=high,
            p1=self._p1,
            p1_sd=np.sqrt(self._p1_sd**2 + self.restless * (slope * WRITTEN) ** 2 + REPEATED**2),
            slope=slope,
            trials=self.counts.spent,
            late=self._waiting(self.options.precision),
        )

    @property
    def uncertainty(self) -> Array:
        """Standard deviation of p_1 (n,) at the ratios counted last, by counts."""
        return self._p1_sd

    @property
    def best(self) -> Array:
        """Where every dyad is thought to be fair, ln r_gamma (n,)."""
        return self._best

    def restore(self, counts: Counts) -> None:
        """See `Search.restore`: batch by batch, since what is known of slopes and errors grows with them."""
        n = len(counts.x)
        self.restless, self._slopes = 1.0, None
        self.counts = Counts.none(n)
        self._x = np.full(n, self.prior.mean)
        self._held = np.zeros(counts.x.shape, bool)
        self.found = self._earlier = posterior(self.counts, self.prior)
        self._p1, self._p1_sd = self.found.p1_at(self._x)
        self._best = self.found.mean
        for k in range(counts.x.shape[1]):
            self.tell(counts.x[:, k], counts.ones[:, k], counts.trials[:, k], counts.misread)

    def _waiting(self, precision: float) -> NDArray[np.bool_]:
        return np.asarray((self._p1_sd > precision) | (np.abs(self._p1 - 0.5) > self.options.near))

    def _told(self) -> None:
        counts = self.counts
        self._x = counts.x[:, -1]
        # Of each dyad, the last batches at the ratio that it has now; and what is known of it by all others.
        same = counts.x == self._x[:, None]
        self._held = np.cumprod(same[:, ::-1], axis=1)[:, ::-1].astype(bool)
        self._earlier = self._known(counts.where(~self._held))
        self.found = self._known(counts)
        self._slopes = shared_slopes(self.found, self._slopes)
        self.restless = restlessness(counts, self.found, self._x)
        self._judge()

    def _known(self, counts: Counts) -> Posterior:
        return posterior(counts, self.prior, self._slopes, self.found, self._x, self.restless)

    def _judge(self) -> None:
        """p_1 at the ratios on the SLM: by what was counted there, and by what was known before."""
        self._p1, sd = self.found.p1_at(self._x)
        self._best = self.found.mean
        # Far from 1/2 a curve is flat, and p_1 seems certain; what counts is how well the way back is known.
        self._p1_sd = np.maximum(sd, self.found.p1_at(self.found.mean)[1])
        held = self.counts.where(self._held)
        ones, trials = held.ones.sum(axis=1), held.trials.sum(axis=1)
        misread = np.clip(self.counts.misread, 0, 0.4)
        seen = (ones / trials - misread) / (1 - 2 * misread)
        # Whatever is believed of a dyad: one that hardly ever flips is not fair.
        far = np.abs(seen - 0.5) > 0.2 + 3 * np.sqrt(0.25 / trials)
        self._p1 = np.where(far, seen, self._p1)
        known, known_sd = self._earlier.p1_at(self._x)
        share = np.clip(ones / trials, 0.02, 0.98)
        # Meanwhile other dyads' ratios may have changed, and with them the hologram.
        set_sd = wandered(self.counts.x, self._x, self.restless) * (self.counts.x != self._x[:, None]).any(axis=0)
        moved = self.found.slope * np.sqrt((held.trials * set_sd**2).sum(axis=1) / trials)
        seen_var = share * (1 - share) / trials / (1 - 2 * misread) ** 2 + moved**2
        weight, known_weight = 1 / seen_var, (DOUBTED * known_sd) ** -2
        enough = ~far & (trials >= _ENOUGH)
        self._p1 = np.where(enough, (weight * seen + known_weight * known) / (weight + known_weight), self._p1)
        self._p1_sd = np.where(enough, (weight + known_weight) ** -0.5, self._p1_sd)
        self._best = np.where(enough, self._x - (self._p1 - 0.5) / self.found.slope, self.found.mean)
