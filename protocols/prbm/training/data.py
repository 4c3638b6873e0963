"""What a machine is trained on: images by class, a file of spins, or bars and stripes; and what is held out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.images.sets import load_images

BARS_AND_STRIPES = "bars-and-stripes"
TRAINING_IMAGES = 1000
"""Images in all, unless so many of each class are asked for (supplement IV)."""

_LARGEST_SIDE = 8
_KEYS = ("spins", "held_out")


@dataclass(frozen=True)
class TrainingData:
    """spins: (n, N_v) int8 of ±1. held_out: the same of images that training does not see, or None. shape: (rows,
    columns) of one image. origin: where they are from, for people."""

    spins: NDArray[np.int8]
    held_out: NDArray[np.int8] | None
    shape: tuple[int, int]
    origin: str


def training_data(data: str | None, classes: Sequence[int | str], per_class: int | None, size: int) -> TrainingData:
    """The images that parameters name.

    data: "bars-and-stripes" of ``size`` pixels a side; a file of spins (.npy, or .npz with ``spins`` and, if there are
    any, ``held_out``), each (n, N_v) of ±1; a folder of images, see `load_images`; None for its default. Raises
    `ConfigurationError` that names what is missing or wrong.
    """
    if data == BARS_AND_STRIPES:
        return TrainingData(bars_and_stripes(size), None, (size, size), f"bars and stripes, {size}x{size}")
    if data is not None and Path(data).suffix in (".npy", ".npz"):
        return _from_file(Path(data))
    found = load_images(classes, data)
    each = per_class or max(1, math.ceil(TRAINING_IMAGES / len(classes)))
    chosen = found.train.select(classes, each).spins(size)
    if per_class is None:
        chosen = chosen[:TRAINING_IMAGES]
    return TrainingData(chosen, found.test.select(classes).spins(size), (size, size), found.origin)


def bars_and_stripes(side: int) -> NDArray[np.int8]:
    """Every image, (2·2^side - 2, side²), whose rows, or whose columns, are each of one colour (MacKay 2003, ch. 43).

    Raises `ConfigurationError` above 8 pixels a side.
    """
    if not 2 <= side <= _LARGEST_SIDE:
        raise ConfigurationError(f"size={side}: bars and stripes; allowed: 2 to {_LARGEST_SIDE} pixels a side")
    bits = np.array(list(itertools.product((-1, 1), repeat=side)), np.int8)
    stripes = np.repeat(bits, side, axis=1)
    bars = stripes.reshape(-1, side, side).transpose(0, 2, 1).reshape(-1, side * side)
    return np.unique(np.concatenate([stripes, bars]), axis=0)


def _from_file(path: Path) -> TrainingData:
    try:
        with np.load(path, allow_pickle=False) if path.suffix == ".npz" else _Single(path) as archive:
            unknown = sorted(set(archive.keys()) - set(_KEYS))
            found = {key: archive[key] for key in archive.keys() if key in _KEYS}  # noqa: SIM118 - not a dict
    except (OSError, EOFError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read as spins ({error})") from error
    if unknown or "spins" not in found:
        raise ConfigurationError(
            f"{path}: holds {', '.join(sorted([*unknown, *found])) or 'nothing'}; allowed: spins, and held_out if "
            "there are any"
        )
    for name, spins in found.items():
        if spins.ndim != 2 or 0 in spins.shape or spins.dtype.kind not in "iuf" or not np.isin(spins, (-1, 1)).all():
            raise ConfigurationError(
                f"{path}: {name} of shape {spins.shape}, type {spins.dtype}; allowed: (n, N_v) of -1 and +1"
            )
    spins, held_out = found["spins"].astype(np.int8), found.get("held_out")
    if held_out is not None and held_out.shape[1] != spins.shape[1]:
        raise ConfigurationError(
            f"{path}: held_out has {held_out.shape[1]} spins an image, spins has {spins.shape[1]}; allowed: as many"
        )
    side = math.isqrt(spins.shape[1])
    shape = (side, side) if side * side == spins.shape[1] else (1, spins.shape[1])
    return TrainingData(spins, None if held_out is None else held_out.astype(np.int8), shape, str(path))


class _Single(dict[str, NDArray[np.int8]]):
    """A file of one array, as an archive that holds it under ``spins``."""

    def __init__(self, path: Path) -> None:
        super().__init__(spins=np.load(path, allow_pickle=False))

    def __enter__(self) -> _Single:
        return self

    def __exit__(self, *_: object) -> None:
        pass
