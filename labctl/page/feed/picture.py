"""Camera images as a browser shows them: fewer pixels, 8 bits, and a mark where one of the sensor was saturated.

Colours are the browser's business, so that a choice of colours needs no other image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

SATURATED = 255
"""Level of a pixel in which one of the sensor was saturated; the others have 0 to 254."""
HISTOGRAM_BINS = 64
_HISTOGRAM_PIXELS = 50_000


@dataclass(frozen=True)
class Scale:
    """Counts that are shown as the darkest and the brightest level."""

    low: float
    high: float


@dataclass(frozen=True)
class Picture:
    """levels: (rows, columns) uint8, each of ``factor`` x ``factor`` pixels of the image; see `SATURATED`. brightest:
    largest count of a pixel."""

    levels: NDArray[np.uint8]
    factor: int
    scale: Scale
    saturated: int
    brightest: float

    def message(self, about: dict[str, object]) -> bytes:
        """Bytes for a browser: length of the header (4, little-endian), header (JSON), levels."""
        rows, columns = self.levels.shape
        header = msgspec.json.encode(
            {
                **about, "rows": rows, "columns": columns, "factor": self.factor, "low": self.scale.low,
                "high": self.scale.high,
            }
        )  # fmt: skip
        return len(header).to_bytes(4, "little") + header + self.levels.tobytes()


def factor_for(rows: int, columns: int, most: int) -> int:
    """How many pixels along each side become one, so that neither side has more than ``most``."""
    return max(1, math.ceil(max(rows, columns) / max(1, most)))


def reduced(image: NDArray[np.generic], factor: int) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
    """Mean and largest of each ``factor`` x ``factor`` pixels of an image (rows, columns); both (rows, columns).

    What is left over at the lower and right edges is left out, if there is more than that.
    """
    rows, columns = image.shape
    n = max(1, min(factor, rows, columns))
    if n == 1:
        return image.astype(np.float32), image
    cut = image[: rows // n * n, : columns // n * n]
    # Along the rows whole lines are added, which is what the processor is fast at; then n strided ones.
    tall = cut.reshape(rows // n, n, columns // n * n)
    wide = np.uint32 if image.dtype.kind in "bu" and image.dtype.itemsize <= 2 else np.float64
    sums = tall.sum(axis=1, dtype=wide)
    peaks = tall.max(axis=1)
    mean = sums[:, 0::n].astype(np.float32)
    peak = peaks[:, 0::n].copy()
    for k in range(1, n):
        mean += sums[:, k::n]
        np.maximum(peak, peaks[:, k::n], out=peak)
    mean /= n * n
    return mean, peak


def render(image: NDArray[np.generic], factor: int, full_scale: float, *, stretch: bool) -> Picture:
    """An image (rows, columns; counts) as levels.

    full_scale: count from which on a pixel is saturated; inf if it never is. stretch: from the darkest to the brightest
    pixel of this image, else from 0 to full scale (where it has none, to the brightest).
    """
    mean, peak = reduced(image, factor)
    brightest = float(np.max(peak))
    high = brightest if stretch or not math.isfinite(full_scale) else full_scale
    low = float(mean.min()) if stretch else 0.0
    scale = Scale(low, high if high > low else low + (abs(low) or 1.0))  # of a flat image any scale is as good
    levels = mean - np.float32(scale.low)
    levels *= np.float32((SATURATED - 1) / (scale.high - scale.low))
    pixels = np.clip(levels, 0, SATURATED - 1, out=levels).astype(np.uint8)
    marked = 0
    if brightest >= full_scale:
        saturated = np.greater_equal(peak, full_scale)
        pixels[saturated] = SATURATED
        marked = int(np.count_nonzero(saturated))
    return Picture(pixels, factor, scale, marked, brightest)


def histogram(image: NDArray[Any], full_scale: float) -> dict[str, object]:
    """How many pixels have which count: ``counts`` (`HISTOGRAM_BINS`), from ``low`` to ``high``.

    Of a large image every n-th pixel is counted.
    """
    step = max(1, math.isqrt(max(1, image.size // _HISTOGRAM_PIXELS)))
    sample = image[::step, ::step]
    high = full_scale if math.isfinite(full_scale) else max(float(sample.max()), 1e-12)
    # Faster than numpy's own, which searches for the bin of each pixel.
    bins = np.clip(sample * np.float32(HISTOGRAM_BINS / high), 0, HISTOGRAM_BINS - 1).astype(np.uint8)
    counts = np.bincount(bins.ravel(), minlength=HISTOGRAM_BINS)
    return {"counts": [int(n) for n in counts], "low": 0.0, "high": high, "step": step}


def gray(levels: NDArray[np.generic], factor: int, most: int) -> Picture:
    """A panel's gray levels (rows, columns), of which there are ``most``, every ``factor``-th: means of phases that
    wrap would be phases that nowhere are."""
    shown = levels[::factor, ::factor]
    pixels = (shown.astype(np.float32) * ((SATURATED - 1) / max(1, most - 1))).astype(np.uint8)
    return Picture(pixels, factor, Scale(0.0, float(most - 1)), 0, 0.0)
