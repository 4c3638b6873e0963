"""Digits as what cells of a sheet are fed: shrunk to the cell's size and encoded as amplitudes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.images.idx import SOURCE_SIDE
from protocols.images.sets import DATA_VARIABLE, LabelledImages, load_digits

Encoding = Literal["max", "std"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

DIGITS = 10

_MEAN, _DEVIATION = 0.1307, 0.3081
"""Of the pixels of MNIST, as fractions of full ink: what images are usually standardised with."""


@dataclass(frozen=True)
class Encoded:
    """x: (n, side²) inputs, row by row. labels: (n,) digits 0 to 9."""

    x: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Digits:
    """What is trained on, what is judged by, and where both are from."""

    train: Encoded
    test: Encoded
    origin: str


def load(source: str | None, samples: int, side: int, encoding: Encoding) -> Digits:
    """``samples`` training images in total over the ten digits, the first of each, and all test images.

    source: a folder of IDX files, or None for LABCTL_DATA (see `protocols.images.sets.load_images`). Raises
    `ConfigurationError` if samples are no multiple of ten, if there are too few, or for files that cannot be used.
    """
    if samples < DIGITS or samples % DIGITS:
        raise ConfigurationError(f"samples={samples}: allowed: a multiple of 10, as many of each of the ten digits")
    found = load_digits(source)
    fewest = int(np.bincount(found.train.labels, minlength=DIGITS)[:DIGITS].min())
    if samples > fewest * DIGITS:
        raise ConfigurationError(
            f"samples={samples}: {found.origin} has {fewest} images of some digit; choose samples={fewest * DIGITS} or "
            f"less, or a folder of more images (data=FOLDER, or the variable {DATA_VARIABLE})"
        )
    train = found.train.select(range(DIGITS), samples // DIGITS)
    return Digits(_encoded(train, side, encoding), _encoded(found.test, side, encoding), found.origin)


def encode(images: NDArray[np.uint8], side: int, encoding: Encoding) -> NDArray[np.float32]:
    """Images (n, 28, 28), 0 to 255 of ink, as inputs (n, side²).

    "max" is ink as a fraction of full ink, in [0, 1]; "std" is (ink - 0.1307) / 0.3081, which is negative on paper.
    Raises `ConfigurationError` for another shape, type or encoding.
    """
    if images.ndim != 3 or images.shape[1:] != (SOURCE_SIDE, SOURCE_SIDE) or images.dtype != np.uint8:
        raise ConfigurationError(
            f"images: {images.dtype} of shape {images.shape}; allowed: uint8 of shape (n, {SOURCE_SIDE}, {SOURCE_SIDE})"
        )
    if encoding not in ENCODINGS:
        raise ConfigurationError(f"encoding={encoding}: allowed: {', '.join(ENCODINGS)}")
    shrink = antialiased(side)
    ink = (shrink @ images.astype(np.float32) @ shrink.T).reshape(len(images), side * side) / np.float32(255)
    return np.asarray(ink if encoding == "max" else (ink - _MEAN) / _DEVIATION, np.float32)


def antialiased(side: int) -> NDArray[np.float32]:
    """Matrix (side, 28) of bilinear shrinking with a triangle as wide as the scale, as image libraries have it.

    Raises `ConfigurationError` for a side outside 1 to 28.
    """
    if not 1 <= side <= SOURCE_SIDE:
        raise ConfigurationError(f"cells={side}: allowed: 1 to {SOURCE_SIDE} nodes a side")
    scale = SOURCE_SIDE / side
    centre = (np.arange(side) + 0.5) * scale - 0.5
    weight = np.clip(1 - np.abs(np.arange(SOURCE_SIDE) - centre[:, None]) / scale, 0, None)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


def _encoded(found: LabelledImages, side: int, encoding: Encoding) -> Encoded:
    labels: NDArray[Any] = found.labels
    return Encoded(encode(found.images, side, encoding), labels)
