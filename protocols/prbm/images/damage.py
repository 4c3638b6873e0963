"""Damaged images and the simplest ways to mend them: masks and flipped pixels, nearest image and majority.

Images are spins, (n, pixels) int8 of ±1, squares row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError

Spins = npt.NDArray[np.int8]
Pixels = npt.NDArray[np.bool_]

Region = Literal["square", "top", "bottom", "left", "right"]


@dataclass(frozen=True)
class Damage:
    """Images as they are ``shown``, (n, pixels), and which pixels are ``damaged``, (n, pixels) bool.

    Under a mask a pixel shows the mask's value whatever it was; damage by noise turned each of its pixels over.
    """

    shown: Spins
    damaged: Pixels

    def accuracy(self, restored: npt.NDArray[np.int8], truth: Spins) -> npt.NDArray[np.float64]:
        """Fraction of each image's damaged pixels that are right, (n,); nan for an image without damage."""
        right = ((restored == truth) & self.damaged).sum(axis=1)
        count = self.damaged.sum(axis=1)
        return np.where(count > 0, right / np.maximum(count, 1), np.nan)


def masked(images: Spins, region: Region, share: float, fill: int, rng: np.random.Generator) -> Damage:
    """A part of every image covered with the value ``fill``, ±1.

    region: a "square" anywhere inside the image, drawn for each, or a strip along one edge. share: of the image's
    area that is covered, 0 to 1, rounded to whole rows and columns.
    """
    n, side = len(images), _side(images)
    covered = np.zeros((n, side, side), bool)
    if region == "square":
        width = _at_least_one(side * np.sqrt(share))
        corners = rng.integers(0, side - width + 1, (n, 2))
        for image, (row, column) in zip(covered, corners, strict=True):
            image[row : row + width, column : column + width] = True
    else:
        width = _at_least_one(side * share)
        first = 0 if region in ("top", "left") else side - width
        where = (slice(None), slice(first, first + width))
        covered[where if region in ("top", "bottom") else (where[0], slice(None), where[1])] = True
    damaged = covered.reshape(n, side * side)
    return Damage(np.where(damaged, np.int8(fill), images).astype(np.int8), damaged)


def flipped(images: Spins, share: float, rng: np.random.Generator) -> Damage:
    """Every pixel turned over with probability ``share``, independently; at least one in every image."""
    damaged = rng.random(images.shape) < share
    untouched = np.flatnonzero(~damaged.any(axis=1))
    damaged[untouched, rng.integers(0, images.shape[1], len(untouched))] = True
    return Damage(np.where(damaged, -images, images).astype(np.int8), damaged)


def nearest_image(training: Spins, shown: Spins, trusted: Pixels) -> Spins:
    """For each of the images ``shown`` the training image that differs from it in the fewest ``trusted`` pixels."""
    # Over the trusted pixels the overlap s·t is their number less twice the differing ones.
    overlap = (shown * trusted).astype(np.float32) @ training.T.astype(np.float32)
    return np.asarray(training[np.argmax(overlap, axis=1)])


def majority_image(training: Spins, n: int) -> Spins:
    """What most training images show in each pixel, ``n`` times: (n, pixels)."""
    most = np.where(training.sum(axis=0, dtype=np.int64) >= 0, 1, -1).astype(np.int8)
    return np.broadcast_to(most, (n, len(most)))


def _side(images: Spins) -> int:
    side = round(float(np.sqrt(images.shape[1])))
    if side * side != images.shape[1]:
        raise ConfigurationError(f"images of {images.shape[1]} pixels: a square number is needed to mask a part")
    return side


def _at_least_one(width: float) -> int:
    return max(1, round(width))
