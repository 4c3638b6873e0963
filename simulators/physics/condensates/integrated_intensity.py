"""Integrated intensity of one condensate of a dyad: many condensation events, added as fields or as intensities.

In each of n events the condensate is in state q_1 = a e^(i theta/2) or q_2 = b e^(-i theta/2), k times in q_1, with
k ~ Binomial(n, p); a fair dyad has p = 1/2. With a phase common to all events, a detector slower than them sees

    I(n, k) = |k q_1 + (n - k) q_2|^2 / n^2        (Johnston and Berloff, PRL 132, 096901, 2024).

Without one it sees the mean of intensities, (k a^2 + (n - k) b^2)/n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Moments:
    """Mean, standard deviation and skewness of a distribution."""

    mean: float
    std: float
    skewness: float


def integrated_intensity(k: ArrayLike, n: int, a: float, b: float, theta: float, coherent: bool = True) -> Array:
    """I of k events of n in state q_1 (...). a, b amplitudes, theta their phase difference in rad."""
    share = np.asarray(k, np.float64) / n
    if not coherent:
        return np.asarray(share * a**2 + (1 - share) * b**2)
    # Real and imaginary part of the mean field; phases of +-theta/2.
    real = (share * a + (1 - share) * b) * math.cos(theta / 2)
    imaginary = (share * a - (1 - share) * b) * math.sin(theta / 2)
    return np.asarray(real**2 + imaginary**2)


def drawn_events(samples: int, n: int, rng: np.random.Generator, p: float = 0.5) -> NDArray[np.int64]:
    """How many of ``samples`` integrated intensities have k = 0, 1, … n events in state q_1, k ~ Binomial(n, p)."""
    count = np.zeros(n + 1, np.int64)
    for first in range(0, samples, _AT_ONCE):
        count += np.bincount(rng.binomial(n, p, min(_AT_ONCE, samples - first)), minlength=n + 1)
    return count


def exact_moments(n: int, a: float, b: float, theta: float, p: float = 0.5, coherent: bool = True) -> Moments:
    """Moments of I by the sum over all k with their binomial weights."""
    k = np.arange(n + 1)
    weights = _binomial(k, n, p)
    intensity = integrated_intensity(k, n, a, b, theta, coherent)
    mean = float(weights @ intensity)
    off = intensity - mean
    variance, third = float(weights @ off**2), float(weights @ off**3)
    return Moments(mean, math.sqrt(variance), third / variance**1.5 if variance > 0 else 0.0)


def _binomial(k: NDArray[np.int64], n: int, p: float) -> Array:
    from scipy.special import gammaln  # a seventh of a second, which every process of a bench would pay

    if p in (0.0, 1.0):
        return np.asarray(k == n * p, np.float64)
    log = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    weights = np.exp(log)
    return np.asarray(weights / weights.sum())


def formula_moments(n: int, a: float, b: float, theta: float) -> Moments:
    """Moments of a fair dyad's coherent I, with D = a^2 + b^2 - 2 a b cos(theta):

        mean = (a^2 + b^2 + 2 a b cos(theta))/4 + D/4n,
        sigma^2 = (a^2 - b^2)^2/4n + D^2 (1 - 1/n)/8n^2,
        skewness ~ 3 D/(|a^2 - b^2| sqrt(n)) for large n.

    Mean and sigma are exact. (The variance printed in the paper's text is not this one.) For a = b, whose intensity is
    no longer normal for any n, skewness is not a number.
    """
    product = 2 * a * b * math.cos(theta)
    D = a**2 + b**2 - product
    mean = (a**2 + b**2 + product) / 4 + D / (4 * n)
    variance = (a**2 - b**2) ** 2 / (4 * n) + D**2 * (1 - 1 / n) / (8 * n**2)
    skewness = 3 * D / (abs(a**2 - b**2) * math.sqrt(n)) if a != b else math.nan
    return Moments(mean, math.sqrt(variance), skewness)
