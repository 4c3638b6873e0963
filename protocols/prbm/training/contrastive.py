"""How a restricted Boltzmann machine is trained on spin images by contrastive divergence: recipes as settings.

The recipe is that of arXiv 2508.20472, supplement IV: CD-1, whose negative phase is one Gibbs step from the
data. `PAPER_SETTINGS` is that recipe to the letter. The defaults change three things, so that fifteen
iterations from random spins end in digits:

- Fields. Without them P(v) = P(-v) exactly, and half of all images generated from random starts are
  negatives. Learning fields from zero does not cure it, since CD-1 looks at the model only next to the data,
  never near the negatives; starting them at the log-odds of the data does (Hinton, "A practical guide to
  training restricted Boltzmann machines", section 8).
- Few epochs. The longer CD-1 trains, the fewer of the images from random starts are recognised: trained on
  4, 7 and 9, 0.96 after 12 epochs and 0.89 after 100; on 0, 1 and 2, 0.87 and 0.81.
- A rate that falls to zero and a momentum that stays at 0.5, so that the outcome varies little with the seed.

`SHORT_RUN_SETTINGS` departs from CD-1: its negative chains begin at random spins and run the fifteen
iterations of generation themselves (Decelle, Furtlehner, Seoane, NeurIPS 2021; Nijkamp et al., NeurIPS 2019).
Persistent CD (Tieleman, ICML 2008) goes on with the chains of the update before: it is the one that climbs the
likelihood. `protocols.prbm.training.trainer` does the work, one epoch at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from labctl.client import ConfigurationError

MAX_STARTING_MEAN = 0.9
"""Limit on the mean spin whose log-odds a visible field starts at: probabilities 0.05 to 0.95.

A pixel without ink in any training image would otherwise start at an infinite field.
"""


def _check(name: str, value: object, good: bool, allowed: str) -> None:
    if not good:
        raise ConfigurationError(f"training {name}: {value}; allowed: {allowed}")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train, by default with CD-1. Learning rate, decay, initial couplings, batches and temperature
    are the paper's.

    The defaults suit 1,000 to 1,500 images of digits that share strokes, such as 4, 7 and 9. Among 0, 1, 2 or
    1, 3, 8 the 1 takes over in chains much longer than fifteen iterations. A value out of range raises
    `ConfigurationError`.
    """

    n_hidden: int = 196
    epochs: int = 12
    batch_size: int = 20
    """Images per update; images left over in an epoch wait for the next shuffle."""
    chains: int | None = None
    """Negative chains per update; None is one for each image of the batch, which chains from the data must be."""
    learning_rate: float = 0.003
    final_learning_rate: float = 0.0
    """The rate falls linearly to this over the epochs; a constant rate leaves the couplings noisy at the
    end.
    """
    weight_decay: float = 0.0002
    """Per unit of learning rate, on the couplings only."""
    initial_std: float = 0.1
    """Standard deviation of the initial couplings (the paper's variance 0.01)."""
    initial_momentum: float = 0.5
    momentum: float = 0.5
    momentum_switch_epoch: int = 5
    """Epoch from which ``momentum`` replaces ``initial_momentum`` (Hinton's practical guide, section 9)."""
    temperature: float = 1.0
    fields: bool = True
    """Whether visible and hidden biases are learned; without them both stay zero, and images and negatives
    are equally likely.
    """
    field_start: Literal["zero", "log-odds"] = "log-odds"
    """Where learned visible fields begin: zero, or (T/2) ln(p/(1 - p)) with p the share of training images in
    which the spin is +1, limited by `MAX_STARTING_MEAN`. Hidden fields begin at zero.
    """
    negative_start: Literal["random", "data", "persistent"] = "data"
    """Where the negative chains begin: the batch itself as in CD-k, random spins, or where the update before left
    them as in persistent CD, whose chains begin at random spins once.
    """
    gibbs_steps: int = 1
    """Full iterations v → h → v of the negative chains."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_hidden", "epochs", "batch_size", "gibbs_steps"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        for name in ("learning_rate", "temperature"):
            _check(name, getattr(self, name), 0.0 < getattr(self, name) < math.inf, "a positive number")
        for name in ("final_learning_rate", "weight_decay", "initial_std", "momentum_switch_epoch", "seed"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) < math.inf, "0 or more")
        for name in ("initial_momentum", "momentum"):
            _check(name, getattr(self, name), 0.0 <= getattr(self, name) < 1.0, "0 to below 1")
        starts = ("random", "data", "persistent")
        for name, allowed in (("field_start", ("zero", "log-odds")), ("negative_start", starts)):
            _check(name, getattr(self, name), getattr(self, name) in allowed, ", ".join(allowed))
        _check("chains", self.chains, self.chains is None or self.chains >= 1, "1 or more")
        if self.negative_start == "data":
            same = self.n_chains == self.batch_size
            _check("chains", self.chains, same, f"{self.batch_size}, one for each image of the batch that it starts at")

    @property
    def n_chains(self) -> int:
        """Negative chains per update."""
        return self.batch_size if self.chains is None else self.chains

    @property
    def method(self) -> str:
        """What this is called, for people."""
        kind = {"data": "CD", "persistent": "persistent CD", "random": "short-run CD"}[self.negative_start]
        return f"{kind}-{self.gibbs_steps}"

    def rate_at(self, epoch: int) -> float:
        """Learning rate in an epoch, counted from 0."""
        return self.learning_rate + (self.final_learning_rate - self.learning_rate) * epoch / self.epochs

    def momentum_at(self, epoch: int) -> float:
        """Momentum in an epoch, counted from 0."""
        return self.initial_momentum if epoch < self.momentum_switch_epoch else self.momentum


PAPER_SETTINGS = TrainingSettings(
    epochs=2000,
    final_learning_rate=0.003,
    momentum=0.9,
    fields=False,
    field_start="zero",
    negative_start="data",
    gibbs_steps=1,
)
"""Supplement IV to the letter: CD-1, no fields, constant learning rate, 2,000 epochs (of 1,000 images)."""

SHORT_RUN_SETTINGS = TrainingSettings(
    epochs=60,
    momentum=0.9,
    field_start="zero",
    negative_start="random",
    gibbs_steps=15,
)
"""Not CD-1 but short-run training: chains from random spins, as many iterations as generation will use. Some
twenty times slower, and better at digits as unlike each other as 0, 1 and 2.
"""


IN_SITU_SETTINGS = TrainingSettings(
    n_hidden=20,
    epochs=40,
    learning_rate=0.01,
    negative_start="persistent",
    chains=10,
)
"""Persistent CD as short as a likelihood worth having allows, for chains that go by light: 2,000 updates on 1,000
images of 7×7, each of one iteration of ten chains. Sixteen seeds by arithmetic scatter by 0.04 nats per image of 9.76,
after 30 epochs by 0.08: it takes so long for what training in situ adds to be told from that.
"""


@dataclass(frozen=True)
class EpochReport:
    """Progress after one epoch (counted from 1)."""

    epoch: int
    epochs: int
    moment_gap: float
    """rms over all couplings of ⟨v h⟩_data - ⟨v h⟩_chains, averaged over the epoch; falls as the model
    learns.
    """
