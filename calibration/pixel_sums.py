"""Statistics of every pixel over a series of frames, kept as sums, and which pixels are hot or blink."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]

BIMODAL = 0.65
"""(skewness^2 + 1) / kurtosis is 1 for a pixel that jumps between two values and 1/3 for one with Gaussian noise."""

JUMPS = 2.5
"""Median noises above which a pixel that is bimodal is called blinking: less hides in the noise of others."""


@dataclass
class PixelSums:
    """Sums of the first four powers of counts about the first frame, each (rows, columns)."""

    first: Map = field(default_factory=lambda: np.empty((0, 0)))
    powers: Map = field(default_factory=lambda: np.empty((0, 0, 0)))
    frames: int = 0

    def add(self, counts: Map) -> None:
        """One frame more, (rows, columns)."""
        if self.frames == 0:
            self.first = counts.copy()
            self.powers = np.zeros((4, *counts.shape))
        off = counts - self.first
        power = off.copy()
        for k in range(4):
            self.powers[k] += power
            power *= off
        self.frames += 1

    @property
    def mean(self) -> Map:
        """(rows, columns), counts."""
        found: Map = self.first + self.powers[0] / self.frames
        return found

    @property
    def variance(self) -> Map:
        """Unbiased, (rows, columns), counts^2."""
        n = self.frames
        found: Map = np.maximum(self.powers[1] - self.powers[0] ** 2 / n, 0.0) / (n - 1)
        return found

    @property
    def central(self) -> tuple[Map, Map, Map]:
        """Central moments 2, 3 and 4, (rows, columns)."""
        m, s2, s3, s4 = self.powers / self.frames
        second = np.maximum(s2 - m**2, 0.0)
        third = s3 - 3 * m * s2 + 2 * m**3
        fourth = np.maximum(s4 - 4 * m * s3 + 6 * m**2 * s2 - 3 * m**4, 0.0)
        return second, third, fourth


def hot(short: PixelSums, long: PixelSums, least_counts: float) -> NDArray[np.bool_]:
    """Pixels whose dark signal, from the short to the long exposure, exceeds ``least_counts`` (rows, columns).

    Five standard errors of the pixel's own are allowed for, so that none above is missed, as long as those are a
    tenth of the threshold: a pixel that is merely noisy is not hot.
    """
    signal = long.mean - short.mean
    error = np.sqrt(long.variance / long.frames + short.variance / short.frames)
    return np.asarray(signal > least_counts - np.minimum(5 * error, 0.5 * least_counts))


def blinking(series: list[PixelSums], noise_counts: float) -> NDArray[np.bool_]:
    """Pixels that jump between two values (rows, columns); noise_counts: the median noise."""
    second, third, fourth = (np.mean(moments, axis=0) for moments in zip(*(s.central for s in series), strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        bimodality = (third**2 / second**3 + 1) / (fourth / second**2)
    return np.asarray((second > (JUMPS * noise_counts) ** 2) & (bimodality > BIMODAL))
