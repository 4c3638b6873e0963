"""What the cells are compared with: a linear network, and quadratic forms of rank 1 and 2 on the same images.

At g = 0 a cell's output is |z·X|² with complex z: a quadratic form of rank 2. Detuned far from its band, where all
nodes answer in phase, z is real but for a factor and the rank is 1. Forms without that physics, trained by exact
gradients, bound what such cells can learn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.nep.images.adam import Adam
from protocols.nep.images.inputs import DIGITS, Encoded, Encoding
from protocols.nep.images.network import softmax

Array = NDArray[np.float64]


class Fit(NamedTuple):
    """How a baseline is trained: by Adam with batches, a rate that falls to a hundredth, and weight decay."""

    epochs: int = 30
    rate: float = 0.01
    decay: float = 1.0
    start: float = 0.05
    batch: int = 100


_UPDATES = 20
"""At least so many updates in an epoch, of however few images."""

LINEAR: dict[Encoding, Fit] = {"max": Fit(decay=0.0), "std": Fit(decay=0.3)}
QUADRATIC: dict[Encoding, Fit] = {"max": Fit(decay=1.0), "std": Fit(decay=10.0)}
"""By encoding, what is best of decays of 0 to 10 on MNIST (10,000 images, 15x15)."""


def linear(train: Encoded, test: Encoded, seed: int, fit: Fit) -> float:
    """Accuracy on ``test`` of softmax(a·X + b), one layer without hidden neurons."""
    a = _fitted(train, 1, seed, fit, power=1)
    return _accuracy(a, test, power=1)


def quadratic(train: Encoded, test: Encoded, rank: int, seed: int, fit: Fit) -> float:
    """Accuracy on ``test`` of softmax(Σ_r (a_r·X + b_r)²), r to ``rank``."""
    a = _fitted(train, rank, seed, fit, power=2)
    return _accuracy(a, test, power=2)


def _inputs(x: NDArray[np.float32]) -> Array:
    return np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)


def _fitted(train: Encoded, rank: int, seed: int, fit: Fit, power: int) -> Array:
    """Weights (inputs + 1, ten times rank)."""
    rng = np.random.default_rng([seed, rank, power])
    x, labels = _inputs(train.x), train.labels
    a = fit.start * rng.standard_normal((x.shape[1], DIGITS * rank))
    adam = Adam((a,), (fit.rate,))
    batch = min(fit.batch, max(1, len(x) // _UPDATES))
    for epoch in range(fit.epochs):
        order = rng.permutation(len(x))
        shrink = 0.01 ** (epoch / max(1, fit.epochs - 1))
        for first in range(0, len(x) - batch + 1, batch):
            chosen = order[first : first + batch]
            z = x[chosen] @ a
            error = -softmax(_scores(z, power))
            error[np.arange(batch), labels[chosen]] += 1
            slope = np.repeat(error, rank, axis=1) * (1 if power == 1 else 2 * z)
            adam.step((x[chosen].T @ slope / batch - fit.decay * 1e-3 * a,), shrink)
    return a


def _scores(z: Array, power: int) -> Array:
    return np.asarray((z**power).reshape(len(z), DIGITS, -1).sum(axis=2))


def _accuracy(a: Array, test: Encoded, power: int) -> float:
    scores = _scores(_inputs(test.x) @ a, power)
    return float((scores.argmax(axis=1) == test.labels).mean())
