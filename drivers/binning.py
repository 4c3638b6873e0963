"""Binning: counts summed over blocks of pixels, on the host and for every camera alike.

Why not in the camera: docs/decisions/0013-binning-on-the-host.md. A binned frame is exactly the block sums of the frame
that was read, in an integer that no sum overflows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from drivers.errors import LimitError

if TYPE_CHECKING:
    from drivers.contract import ROI

_BLOCK_ROWS = 64
"""Rows of blocks that are summed at a time: what lies between the two sums then stays in the processor's cache."""


def check_fits(what: str, roi: ROI, binning: int) -> None:
    """LimitError unless a region is made of whole blocks. what: the setting that is changed, "camera.roi = ..."."""
    if roi.rows % binning or roi.columns % binning:
        rows, columns = (max(n // binning, 1) * binning for n in (roi.rows, roi.columns))
        raise LimitError(
            f"{what}: a region of {roi.rows}x{roi.columns} pixels is not made of whole blocks of {binning}x{binning}; "
            f"nothing was changed. Choose multiples of {binning}, such as {rows}x{columns}, or another binning; to "
            "change both, set binning = 1 first"
        )


def binned_shape(region: ROI, binning: int) -> tuple[int, int]:
    """Rows and columns of the binned frames of a region."""
    return region.rows // binning, region.columns // binning


def sum_dtype(pixel: DTypeLike, binning: int) -> np.dtype[Any]:
    """Of the sums of blocks of such pixels: the pixel's own without binning, else one that holds every sum."""
    dtype = np.dtype(pixel)
    if binning == 1:
        return dtype
    if dtype.kind == "u":
        return np.min_scalar_type((256**dtype.itemsize - 1) * binning**2)
    return np.dtype(np.int64 if dtype.kind == "i" else np.float64)


def sum_blocks(pixels: NDArray[Any], binning: int, out: NDArray[Any]) -> None:
    """Sums over blocks of binning x binning ``pixels`` (rows, columns) into ``out``, of `binned_shape` and `sum_dtype`.

    The pixels may lie in a camera's buffer; none is copied. A Zyla's whole frame takes 2 to 4 ms.
    """
    n = binning
    if n == 1:
        np.copyto(out, pixels)
        return
    for first in range(0, len(out), _BLOCK_ROWS):
        sums = out[first : first + _BLOCK_ROWS]
        lines = pixels[first * n : (first + len(sums)) * n]
        tall = np.add(lines[0::n], lines[1::n], dtype=out.dtype)  # along rows first: these are long and contiguous
        for k in range(2, n):
            tall += lines[k::n]
        np.add(tall[:, 0::n], tall[:, 1::n], out=sums)
        for k in range(2, n):
            sums += tall[:, k::n]


def saturated_blocks(pixels: NDArray[Any], full_scale_counts: float, binning: int) -> int:
    """How many blocks of ``pixels`` (rows, columns) hold one whose counts came to the full scale of a pixel."""
    full = pixels >= math.floor(full_scale_counts) if math.isfinite(full_scale_counts) else np.zeros((0, 0), np.bool_)
    return touched_blocks(full, binning)


def touched_blocks(marked: NDArray[np.bool_], binning: int) -> int:
    """How many blocks of (rows, columns) hold a marked pixel."""
    if binning == 1 or not marked.any():
        return int(np.count_nonzero(marked))
    rows, columns = marked.shape
    blocks = marked.reshape(rows // binning, binning, columns // binning, binning)
    return int(np.count_nonzero(blocks.any(axis=(1, 3))))
