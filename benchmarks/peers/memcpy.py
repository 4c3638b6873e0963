"""The baseline for arrays: one copy in memory with neither side in the cache, as for a frame that was just read out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

CAMERA_BYTES = 2160 * 2560 * 2  # a full camera frame of 16 bits, 11 MB
CAMERA_AND_PATTERN_BYTES = CAMERA_BYTES + 1080 * 1920  # and an SLM pattern of 8 bits, 13 MB

_TIMES_CACHE = 12  # with more, a copy takes hardly longer (measured up to 48)
_FALLBACK_CACHE_BYTES = 64 << 20


def cold_copy(size_bytes: int) -> Callable[[], None]:
    """A function that copies `size_bytes` from the next of several sources to the next of several destinations.

    All buffers together are `_TIMES_CACHE` times the last-level cache, so that a pair has left it before its next turn.
    """
    pairs = max(2, -(-_TIMES_CACHE * _last_level_cache_bytes() // (2 * size_bytes)))
    # Both are written to: pages never written are all one page of zeros when read, and are made when first written.
    buffers = [
        (np.full(size_bytes, k % 256, np.uint8), np.full(size_bytes, 255 - k % 256, np.uint8)) for k in range(pairs)
    ]
    turns = itertools.cycle(buffers)

    def copy() -> None:
        source, destination = next(turns)
        np.copyto(destination, source)

    return copy


def _last_level_cache_bytes() -> int:
    """Size of the largest cache that Linux reports for the first processor."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(size[:-1]) * units[size[-1]] for size in sizes if size), default=_FALLBACK_CACHE_BYTES)
