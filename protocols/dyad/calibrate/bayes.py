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
from protocols.dyad.calibrate.posterior import SETTING, Counts, Prior, posterior, shared_slopes

Array = NDArray[np.float64]

LOCALISED = 0.06
"""Standard deviation of p_1 below which a dyad is asked at its mean."""


@dataclass(frozen=True)
class BayesOptions:
    """precision: standard deviation of p_1 that is wanted, besides how well a ratio is set. most: condensations of each
    dyad. first, largest: of a batch. patience: share of dyads that need not hold up the others."""

    precision: float = 0.006
    most: int = 20_000
    first: int = 30
    largest: int = 2000
    patience: float = 0.0


class BayesSearch(Search):
    """Of n dyads, whose balances are beforehand as probable as ``prior`` says."""

    def __init__(self, n: int, options: BayesOptions, prior: Prior, rng: np.random.Generator) -> None:
        self.options, self.prior = options, prior
        self._rng = rng
        self._slopes: Array | None = None
        self.counts = Counts.none(n)
        self.found = posterior(self.counts, prior)
        self._judge()

    @property
    def done(self) -> bool:
        """Whether as many dyads as must be are certain, or the trials are spent."""
        spent = float(self.counts.spent.max(initial=0.0))
        waiting = float((self._p1_sd > self.options.precision).mean())
        return spent >= self.options.most or (spent > 0 and waiting <= self.options.patience)

    def ask(self) -> tuple[Array, int]:
        """Ratios by the posterior; batches grow as it narrows."""
        o = self.options
        x = np.where(self._p1_sd > LOCALISED, self.found.draw(self._rng), self.found.mean)
        # What the dyads that still wait would need, were they fair there; half of it, since they may not be.
        sd = float(np.quantile(self._p1_sd, 1 - o.patience))
        lacking = 0.25 / o.precision**2 - 0.25 / sd**2
        spent = int(self.counts.spent.max(initial=0.0))
        frames = min(max(o.first, math.ceil(lacking / 2), spent // 10), max(o.first, spent // 2), o.largest)
        return x, max(min(frames, o.most - spent), 1)

    def balance(self) -> Balance:
        """At the posterior's mean."""
        x = self.found.mean
        p1, sd = self.found.p1_at(x)
        low, high = self.found.interval()
        slope = self.found.slope
        return Balance(
            x=x,
            low=low,
            high=high,
            p1=p1,
            p1_sd=np.sqrt(sd**2 + (slope * SETTING) ** 2 + REPEATED**2),
            slope=slope,
            trials=self.counts.spent,
            late=np.asarray(self._p1_sd > self.options.precision),
        )

    def _told(self) -> None:
        self.found = posterior(self.counts, self.prior, self._slopes, self.found)
        self._slopes = shared_slopes(self.found, self._slopes)
        self._judge()

    def _judge(self) -> None:
        self._p1_sd = self.found.p1_at(self.found.mean)[1]
