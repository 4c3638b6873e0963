"""Folders of labelled images in the IDX format of MNIST and Fashion-MNIST."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError

SOURCE_SIDE = 28
"""Pixels along one side of an image."""

Labelled = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]

_TRAIN_PREFIX = "train"
_TEST_PREFIX = "t10k"
_IDX_UNSIGNED_BYTE = 0x08


def read_pair(folder: Path) -> tuple[Labelled, Labelled]:
    """Images (n, 28, 28) and labels (n,), 0 to 9, of the training and of the held-out set in ``folder``.

    Raises `ConfigurationError` naming the file and what is wrong with it.
    """
    return _read(folder, _TRAIN_PREFIX), _read(folder, _TEST_PREFIX)


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


def _read(folder: Path, prefix: str) -> Labelled:
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
    return images, labels.astype(np.int64)


def _find(folder: Path, prefix: str, suffix: str) -> Path:
    pattern = re.compile(rf"{prefix}[^/]*-{suffix}(\.gz)?")
    names = sorted(path.name for path in folder.iterdir() if pattern.fullmatch(path.name))
    # A file and its own gzip are the same data; the plain one is quicker to read and sorts first.
    if len({name.removesuffix(".gz") for name in names}) != 1:
        found = ", ".join(names) if names else "none"
        raise ConfigurationError(f"{folder}: needs exactly one {prefix}*-{suffix}[.gz]; found: {found}")
    return folder / names[0]
