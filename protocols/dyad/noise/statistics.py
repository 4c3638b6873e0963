"""Is it Gaussian noise, and white? Statistics of noise images beside those of digital noise that is treated alike.

Images are standardised pixel by pixel, with means and deviations that come from themselves, and noise of N dyads has
steps; tables of critical values know nothing of either. So p-values are by simulation (Besag, Clifford, Biometrika 78,
301, 1991): digital noise of the same means and deviations is rounded to the same steps, standardised alike, and its
statistics are counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import ndtr

from labctl.client import ConfigurationError

FloatArray = npt.NDArray[np.float64]

SETS = 399
"""Sets of digital noise: the least p-value is 1/400."""

FEWEST = 20
"""Images, of which means and deviations of a pixel are taken."""

TESTS = ("anderson_darling", "dagostino", "kolmogorov_smirnov", "neighbours", "spectrum", "pairs", "frames")
"""Names of the tests, see `noise_statistics`."""


@dataclass(frozen=True)
class NoiseStatistics:
    """What was found.

    skewness, kurtosis: of all standardised values (excess kurtosis, 0 for Gaussian noise), with standard errors.
    neighbour_correlation: mean over pixels side by side and below one another, with its standard error.
    frame_correlation: of an image with the next one. spectrum (rows, columns): power of each spatial frequency over
    the mean of all, zero frequency first. p_values: by test.
    """

    skewness: float
    skewness_err: float
    kurtosis: float
    kurtosis_err: float
    neighbour_correlation: float
    neighbour_correlation_err: float
    frame_correlation: float
    spectrum: FloatArray
    p_values: dict[str, float]


def standardise(images: FloatArray) -> FloatArray:
    """Images (frames, rows, columns), each pixel with mean 0 and variance 1 over the frames.

    Raises ConfigurationError for fewer than 20, or where a pixel never changes.
    """
    if images.ndim != 3 or len(images) < FEWEST:
        raise ConfigurationError(f"images: shape {images.shape}; allowed: (frames, rows, columns), {FEWEST} or more")
    deviation = images.std(axis=0, ddof=1)
    if not deviation.all():
        stuck = np.argwhere(deviation == 0)
        raise ConfigurationError(
            f"{len(stuck)} pixels never change, the first at row {stuck[0, 0]}, column {stuck[0, 1]}: calibrate the "
            "dyads (labctl run dyad.calibrate), one that is always in one state makes no noise"
        )
    return np.asarray((images - images.mean(axis=0)) / deviation)


def noise_statistics(
    images: FloatArray, rng: np.random.Generator, steps: tuple[float, float] | None = None, sets: int = SETS
) -> NoiseStatistics:
    """Statistics and p-values of noise images (frames, rows, columns), of any mean and scale of each pixel.

    steps: where values have some, how far they are apart, and one of them. Tests: Anderson and Darling, D'Agostino and
    Pearson (skewness and kurtosis), Kolmogorov and Smirnov, all for values of any mean and variance; the correlation of
    neighbours; the most uneven spatial frequency; the most correlated pair of pixels; the correlation of an image with
    the next. Raises ConfigurationError as `standardise` does.
    """
    found = _statistics(standardise(images))
    mean, deviation = images.mean(axis=0), images.std(axis=0, ddof=1)
    beyond = np.ones(len(TESTS))
    for _ in range(sets):
        digital = mean + deviation * rng.standard_normal(images.shape)
        if steps is not None:
            apart, one = steps
            digital = one + apart * np.rint((digital - one) / apart)
        beyond += _statistics(standardise(digital)) >= found
    z = standardise(images)
    count = z.size
    sides = 2 * z.shape[1] * z.shape[2] - z.shape[1] - z.shape[2]
    return NoiseStatistics(
        skewness=float(stats.skew(z.ravel())),
        skewness_err=math.sqrt(6 / count),
        kurtosis=float(stats.kurtosis(z.ravel())),
        kurtosis_err=math.sqrt(24 / count),
        neighbour_correlation=_neighbours(z),
        neighbour_correlation_err=1 / math.sqrt(len(z) * sides) if sides else 0.0,
        frame_correlation=_frames(z),
        spectrum=_spectrum(z),
        p_values=dict(zip(TESTS, (beyond / (sets + 1)).tolist(), strict=True)),
    )


def _statistics(z: FloatArray) -> FloatArray:
    """In the order of the p-values, the larger the more unlike white Gaussian noise."""
    values = np.sort(z.ravel())
    n = len(values)
    below = np.clip(ndtr(values), 1e-16, 1 - 1e-16)
    k = np.arange(1, n + 1)
    anderson = -n - float(((2 * k - 1) * (np.log(below) + np.log1p(-below[::-1]))).sum()) / n
    smirnov = max(float((k / n - below).max()), float((below - (k - 1) / n).max()))
    spectrum = _spectrum(z)
    flat = z.reshape(len(z), -1)
    correlation = flat.T @ flat / (len(z) - 1)
    np.fill_diagonal(correlation, 0.0)
    pairs = float(np.abs(correlation).max())
    return np.array(
        [
            anderson,
            float(stats.normaltest(values).statistic),
            smirnov,
            abs(_neighbours(z)),
            float(np.abs(spectrum - 1).max()),
            pairs,
            abs(_frames(z)),
        ]
    )


def _neighbours(z: FloatArray) -> float:
    products = [z[:, 1:] * z[:, :-1], z[:, :, 1:] * z[:, :, :-1]]
    together = np.concatenate([p.ravel() for p in products])
    return float(together.mean()) if len(together) else 0.0


def _spectrum(z: FloatArray) -> FloatArray:
    power = (np.abs(np.fft.fft2(z, norm="ortho")) ** 2).mean(axis=0)
    return np.asarray(power / power.mean())


def _frames(z: FloatArray) -> float:
    return float((z[1:] * z[:-1]).mean())
