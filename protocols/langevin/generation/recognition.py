"""Whether what a computer shows is a digit: by a classifier of real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.images.scoring import ImageClassifier
from protocols.images.sets import load_images
from protocols.langevin.model import Trained

_SIDE = 14


class Recognition:
    """The classifier of `prbm.digits`, on 14x14 spins: quadratic discriminant analysis of all real digits, and what is
    unlike every real one is rejected. Negatives are turned first: their border is inked."""

    def __init__(self, data: str | None, side: int) -> None:
        if side % _SIDE:
            raise ConfigurationError(
                f"images of {side} pixels a side: digits are recognised at 14 or 28; choose size=28"
            )
        self._side = side
        self._classifier = ImageClassifier(load_images(range(10), data), _SIDE)

    def labels(self, shown: NDArray[Any]) -> NDArray[np.int64]:
        """Digit (n,) that each of (n, side²) is, -1 where it is none."""
        x = upright(np.asarray(shown, np.float64), self._side)
        block = self._side // _SIDE
        small = x.reshape(len(x), _SIDE, block, _SIDE, block).mean(axis=(2, 4)).reshape(len(x), -1)
        # Paper lies well below zero, ink above it: half-way between both is where strokes end.
        return self._classifier.predict(np.where(small > 0, 1, -1).astype(np.int8))


def upright(shown: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Images (n, side²) with the negatives among them turned, so that their border is below zero."""
    images = shown.reshape(len(shown), side, side)
    edge = np.ones((side, side), np.bool_)
    edge[2:-2, 2:-2] = False
    sign = np.where(images[:, edge].mean(axis=1) > 0, -1.0, 1.0)
    return np.asarray(shown * sign[:, None])


def recognised(trained: Trained, shown: NDArray[Any], data: str | None) -> dict[str, Any]:
    """Values: `recognised`, the share that is a digit the computer was trained on; `recognised_shares` by digit 0 to 9;
    `training_recognised`, whether the classifier knows the training images themselves, as a share."""
    judge = Recognition(data, trained.side)
    wanted = np.unique(trained.labels)
    found = judge.labels(shown)
    good = np.isin(found, wanted)
    counts = np.bincount(found[found >= 0], minlength=10)
    return {
        "recognised": float(good.mean()),
        "recognised_err": float(np.sqrt((good.mean() * (1 - good.mean()) + 0.25 / len(good)) / len(good))),
        "recognised_shares": (counts / max(int(counts.sum()), 1)).tolist(),
        "training_recognised": float((judge.labels(trained.images) == trained.labels).mean()),
    }
