"""Images that a computer is to make: read, checked, and made into biases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.images.sets import CLASSES, label_of, load_images, to_ink

Array = NDArray[np.float64]
Hidden = Literal["code", "part"]

_FLATTEST = 1e-9


@dataclass(frozen=True, eq=False)
class Images:
    """pixels: (n, side²), each image of mean 0 and variance 1. labels: (n,) of `CLASSES`, or -1. names: for people."""

    pixels: Array
    labels: NDArray[np.int64]
    names: list[str]
    side: int
    origin: str

    def __len__(self) -> int:
        return len(self.pixels)


def images_of(data: str | None, classes: tuple[int | str, ...], per_class: int, size: int) -> Images:
    """The first ``per_class`` images of each class, or those of a file.

    data: a folder of images or None (see `protocols.images.sets.load_images`), shrunk to ``size`` pixels a side; or
    a .npy file of images (n, side, side) of any numbers. Raises `ConfigurationError` that says what is wrong.
    """
    if data is not None and Path(data).suffix == ".npy":
        return _from_file(Path(data))
    found = load_images(classes, data)
    chosen = found.train.select(classes, per_class)
    order = np.argsort([[label_of(c) for c in classes].index(label) for label in chosen.labels], kind="stable")
    names = [CLASSES[label] for label in chosen.labels[order]]
    return Images(
        standardised(to_ink(chosen.images[order], size), "images"), chosen.labels[order], names, size, found.origin
    )


def standardised(images: NDArray[np.generic], what: str) -> Array:
    """Images (n, side, side) as (n, side²) of mean 0 and variance 1 each; `ConfigurationError` for what is none."""
    found = np.asarray(images)
    if found.ndim != 3 or found.shape[1] != found.shape[2] or 0 in found.shape:
        raise ConfigurationError(f"{what}: shape {found.shape}; allowed: (n, side, side), square images")
    if found.dtype.kind not in "iufb":
        raise ConfigurationError(f"{what}: type {found.dtype}; allowed: numbers")
    pixels = found.reshape(len(found), -1).astype(np.float64)
    if not np.isfinite(pixels).all():
        bad = int(np.flatnonzero(~np.isfinite(pixels).all(axis=1))[0])
        raise ConfigurationError(f"{what}: image {bad} has pixels that are not finite numbers")
    spread = pixels.std(axis=1)
    if (spread < _FLATTEST * np.maximum(np.abs(pixels).max(axis=1), 1e-300)).any():
        raise ConfigurationError(
            f"{what}: image {int(spread.argmin())} is of one shade; allowed: images that show something"
        )
    return np.asarray((pixels - pixels.mean(axis=1, keepdims=True)) / spread[:, None])


def hidden_images(pixels: Array, hidden: int, how: Hidden, seed: int) -> Array:
    """What hidden units are driven by while an image is noised, (n, hidden), in the units of pixels.

    "part": pixels of the same image, evenly spaced, as in the paper. "code": ±1 by lot, another for each image, so that
    hidden units tell images apart that share most of their pixels.
    """
    if how == "code":
        return np.random.default_rng([seed, 0xC0DE]).choice(np.array([-1.0, 1.0]), (len(pixels), hidden))
    return pixels[:, np.linspace(0, pixels.shape[1] - 1, hidden).round().astype(int)]


def _from_file(path: Path) -> Images:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigurationError(f"data={path}: cannot be read as an array ({error})") from None
    found = found[None] if found.ndim == 2 else found
    pixels = standardised(found, f"data={path}")
    names = [str(k) for k in range(len(pixels))]
    return Images(pixels, np.full(len(pixels), -1, np.int64), names, found.shape[1], str(path))
