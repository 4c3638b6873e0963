"""Made-up digits as IDX files: ten blurred patterns with noise, so that a small network learns them at once."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np


def write_digits(folder: Path, train: int = 200, test: int = 100) -> Path:
    """A folder of so many training and test images, as many of each digit."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    coarse = rng.random((10, 4, 4)) < 0.5
    patterns = np.kron(coarse, np.ones((7, 7)))
    for prefix, count in (("train", train), ("t10k", test)):
        labels = np.arange(count) % 10
        ink = 200 * patterns[labels] * rng.uniform(0.5, 1.0, (count, 28, 28)) + 30 * rng.random((count, 28, 28))
        images = ink.astype(np.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels.astype(np.uint8))
    return folder


def write_idx(path: Path, array: np.ndarray) -> None:
    """One array of bytes."""
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes(), 1))
