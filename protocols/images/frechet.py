"""How far generated images are from real ones: a Fréchet distance between Gaussians in the space of pixel components.

As the Fréchet inception distance (Heusel et al., NeurIPS 2017), with the principal components of the pixels, each in
units of its standard deviation over real images, in the place of a network's features. Estimated from n images it is
too large by a term in 1/n; the jackknife takes that away and gives the error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError

Images = npt.NDArray[Any]
"""Spins, or pixels of any gray."""
FloatArray = npt.NDArray[np.float64]

COMPONENTS = 40
"""Of 196 pixels: they hold 85 to 93 % of the variance of a class."""

GROUPS = 20
"""Of images, each left out once by the jackknife."""


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error."""

    value: float
    error: float


class PixelFrechet:
    """Distance to the ``real`` images (n, pixels) that it was made from."""

    def __init__(self, real: Images, components: int = COMPONENTS) -> None:
        from sklearn.decomposition import PCA  # seconds to import: only when there is something to judge

        if real.ndim != 2 or len(real) <= 2 * components:
            raise ConfigurationError(f"real images: shape {real.shape}; allowed: (n, pixels), n above {2 * components}")
        self.components = components
        self._pca = PCA(components, whiten=True, svd_solver="full").fit(real.astype(np.float64))
        # In these coordinates real images have mean zero and unit covariance.

    def features(self, images: Images) -> FloatArray:
        """Components (n, components) of images (n, pixels)."""
        return np.asarray(self._pca.transform(images.astype(np.float64)), np.float64)

    def distance(self, features: FloatArray) -> float:
        """|m|² + tr(C + 1 - 2 C^(1/2)), with m and C mean and covariance of the features: biased for few images."""
        if len(features) <= self.components:
            raise ConfigurationError(f"{len(features)} images: more than {self.components} are needed for a covariance")
        mean = features.mean(axis=0)
        spread = np.sqrt(np.clip(np.linalg.eigvalsh(np.cov(features.T)), 0.0, None))
        return float(mean @ mean + ((spread - 1.0) ** 2).sum())

    def estimate(self, images: Images) -> Estimate:
        """The distance without its bias, and its standard error."""
        parts = _pseudo_values(self.distance, self.features(images))
        return Estimate(float(parts.mean()), float(parts.std(ddof=1) / np.sqrt(len(parts))))

    def ratio(self, images: Images, others: Images) -> Estimate:
        """Distance of images over that of others, both without bias; pairs that share random numbers share errors."""
        if len(images) != len(others):
            raise ConfigurationError(f"{len(images)} images and {len(others)} others: as many of each are needed")
        above = _pseudo_values(self.distance, self.features(images))
        below = _pseudo_values(self.distance, self.features(others))
        ratio = above.mean() / below.mean()
        error = (above - ratio * below).std(ddof=1) / np.sqrt(len(above)) / abs(below.mean())
        return Estimate(float(ratio), float(error))


def _pseudo_values(statistic: Callable[[FloatArray], float], values: FloatArray) -> FloatArray:
    """Delete-a-group jackknife (Efron, 1982): the mean of these is free of the bias, their scatter gives the error."""
    groups = min(GROUPS, len(values))
    member = np.arange(len(values)) % groups
    whole = statistic(values)
    return np.array([groups * whole - (groups - 1) * statistic(values[member != k]) for k in range(groups)])
