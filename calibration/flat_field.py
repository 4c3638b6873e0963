"""Fixed patterns of a sensor: each pixel's response under even light, and the spread of offsets in the dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]

DEGREE = 3
"""Of the polynomial in row and column that light may have over the region."""

BLOCK_ROWS = 16
"""Of the camera, in which light is alike: it may be turned by a degree against the panel."""

FAR = 6.0
"""Robust standard deviations from which a pixel's response is not part of the spread: dust, a bright order."""


@dataclass(frozen=True)
class Response:
    """response, error: (rows, columns), relative to the mean; 1 where light was not even. spread: rms of the pixels'
    response (PRNU) without dust. left_out: share of pixels without a response."""

    response: Map
    error: Map
    spread: float
    spread_error: float
    left_out: float


def response(halves: list[Map], good: NDArray[np.bool_]) -> Response:
    """From mean counts above dark (rows, columns) of two halves of the patterns.

    Light is smooth along rows and columns but for what is left of diffraction, which lies along columns, though the
    camera may be turned a little: it is taken out as a polynomial and a factor for each column of some rows. What both
    halves have in common is the sensor's.
    """
    a, b = (_even(half, good) for half in halves)
    both = (a + b) / 2
    deviation = 1.4826 * float(np.median(np.abs(both[good] - np.median(both[good]))))
    part = good & (np.abs(both - 1) < FAR * max(deviation, 1e-6))
    # A pixel that is darker than its neighbours may have dust on it; one much brighter sees light that is not even.
    believed = good & (both < 1 + 2 * FAR * max(deviation, 1e-6)) & (both > 0.05)
    noise = float(np.std((a - b)[part])) / 2
    together = halves[0].shape[0] / len(blocks(halves[0].shape[0]))
    common = float(((a - 1) * (b - 1))[part].mean()) * together / (together - 1)
    spread = float(np.sqrt(max(common, 0.0)))
    half_variance = float(a[part].var() + b[part].var()) / 2
    common_error = np.sqrt((common**2 + half_variance**2) / part.sum())
    spread_error = common_error / (2 * spread) if spread**2 > common_error else np.sqrt(common_error)
    return Response(
        response=np.where(believed, both, 1.0),
        error=np.where(believed, noise, max(spread, noise)),
        spread=spread,
        spread_error=float(spread_error),
        left_out=float((good & ~believed).mean()),
    )


def _even(counts: Map, good: NDArray[np.bool_]) -> Map:
    """Counts relative to smooth light (rows, columns)."""
    rows, columns = counts.shape
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    terms = np.stack([x**i * y**j for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)], axis=-1)
    use = good.copy()
    for _ in range(3):
        fit, *_ = np.linalg.lstsq(terms[use], counts[use], rcond=None)
        smooth = np.maximum(terms @ fit, 1e-6 * float(counts.max()))
        ratio = counts / smooth
        spread = 1.4826 * float(np.median(np.abs(ratio[use] - np.median(ratio[use]))))
        use = good & (np.abs(ratio - 1) < FAR * max(spread, 1e-6))
    starts = blocks(rows)
    sums, taken = (np.add.reduceat(x, starts, axis=0) for x in (ratio * use, use.astype(np.float64)))
    height = np.diff([*starts, rows])
    factor = np.where(taken > height[:, None] / 4, sums / np.maximum(taken, 1.0), 1.0)
    found: Map = ratio / np.repeat(factor, height, axis=0)
    return found


def blocks(rows: int) -> NDArray[np.int64]:
    """First rows of blocks in which light is alike."""
    return np.arange(0, max(rows - BLOCK_ROWS // 2, 1), BLOCK_ROWS)


@dataclass(frozen=True)
class Pattern:
    """Spread of offsets, counts: of all pixels within their columns, and of whole columns. mean: of the sensor."""

    mean: float
    mean_error: float
    pixels: float
    pixels_error: float
    columns: float
    columns_error: float


def pattern(offset: Map, error: Map, good: NDArray[np.bool_]) -> Pattern:
    """From offsets (rows, columns), the standard errors of each and the pixels to use; counts."""
    weight = good.astype(np.float64)
    in_column = weight.sum(axis=0)
    used = in_column > 1
    means = (offset * weight).sum(axis=0)[used] / in_column[used]
    within = np.where(good, offset, 0.0)[:, used] - means * weight[:, used]
    freedom = in_column[used].sum() - used.sum()
    noise = float((error[good] ** 2).mean())
    total = float((within**2).sum()) / freedom
    pixels2 = max(total - noise, 0.0)
    of_mean = float((total / in_column[used]).mean())
    between = float(means.var(ddof=1)) if used.sum() > 1 else 0.0
    columns2 = max(between - of_mean, 0.0)
    pixels, columns = np.sqrt(pixels2), np.sqrt(columns2)
    between_error = between * np.sqrt(2 / max(used.sum() - 1, 1))
    return Pattern(
        mean=float(means.mean()),
        mean_error=float(np.sqrt(between / used.sum())),
        pixels=float(pixels),
        pixels_error=float(_of_root(total * np.sqrt(2 / freedom), pixels)),
        columns=float(columns),
        columns_error=float(_of_root(between_error, columns)),
    )


def _of_root(error_of_square: float, root: Any) -> float:
    return float(error_of_square / (2 * root)) if root**2 > error_of_square else float(np.sqrt(error_of_square))
