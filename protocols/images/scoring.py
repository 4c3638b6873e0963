"""How good are generated images: are they recognised, are they diverse, do two sources agree in their shares?

The judge is trained on real images of all classes there are, such as the ten digits, and also rejects what resembles
none of them, since a bare classifier calls noise a digit too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError
from protocols.images.sets import ImageSet, label_of

Spins = npt.NDArray[np.int8]

REJECTED = -1
"""Label of an image that resembles no real one."""

ACCEPTED_PERCENTILE = 99.0
"""Share of held-out real images, in percent, that the rejection rule lets through."""

INK_PERCENTILES = (0.1, 99.9)
"""Percentiles of the training images' ink, in percent, between which an image must lie."""

_COMPONENTS = 50
_REGULARISATION = 0.1
_SMALLEST_EXPECTED_COUNT = 5.0
_TABLES_PER_FALSE_ALARM = 20
_SMALLEST_FALSE_ALARM = 1e-5


class ImageClassifier:
    """Recognises spin images of the classes of a set, or rejects them.

    The class comes from quadratic discriminant analysis on 50 principal components. An image is rejected if
    it differs from its nearest real training image in more spins than the 99th percentile of held-out real
    images do (`max_distance`), or has less or more ink than all but 0.2 % of the training images
    (`ink_range`; a blank image is near to a thin 1). So about 1 % of real images are rejected, and
    practically all noise.
    """

    def __init__(self, images: ImageSet, size: int = 14) -> None:
        """Train on ``images.train``, ``size`` pixels a side; ``images.test`` only sets `max_distance`."""
        from sklearn.decomposition import PCA  # seconds to import: only when there is something to judge
        from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
        from sklearn.neighbors import NearestNeighbors
        from sklearn.pipeline import make_pipeline

        real = images.train.spins(size).astype(np.float32)
        self.n_spins = size * size
        components = min(_COMPONENTS, self.n_spins)
        self._classifier = make_pipeline(
            PCA(components, random_state=0), QuadraticDiscriminantAnalysis(reg_param=_REGULARISATION)
        )
        self._classifier.fit(real, images.train.labels)
        self._neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(real)
        ink = np.count_nonzero(real > 0, axis=1)
        low, high = np.percentile(ink, INK_PERCENTILES)
        self.ink_range = (float(low), float(high))
        """Fewest and most spins +1 of an accepted image."""
        held_out = self.distance(images.test.spins(size))
        self.max_distance = float(np.percentile(held_out, ACCEPTED_PERCENTILE))
        """Largest accepted Hamming distance to a real image, in spins."""

    def distance(self, images: Spins) -> npt.NDArray[np.float64]:
        """Hamming distance (n,) in spins of each image, (n, size²) of ±1, to the nearest training image."""
        distance, _ = self._neighbours.kneighbors(self._checked(images))
        # Spins differ by 2, so the squared Euclidean distance is four times the Hamming distance.
        return np.rint(np.asarray(distance[:, 0], np.float64) ** 2 / 4.0)

    def predict(self, images: Spins) -> npt.NDArray[np.int64]:
        """Label (n,) of each image, (n, size²) of ±1; `REJECTED` where it resembles none."""
        label = np.asarray(self._classifier.predict(self._checked(images)), np.int64)
        ink = np.count_nonzero(images > 0, axis=1)
        inked = (ink >= self.ink_range[0]) & (ink <= self.ink_range[1])
        return np.where(inked & (self.distance(images) <= self.max_distance), label, REJECTED)

    def counts(self, images: Spins, classes: Sequence[int | str]) -> npt.NDArray[np.int64]:
        """Images recognised as each of ``classes``, in their order: (len(classes),)."""
        label = self.predict(images)
        return np.array([np.count_nonzero(label == label_of(name)) for name in classes], np.int64)

    def recognised(self, images: Spins, classes: Sequence[int | str]) -> float:
        """Fraction of the images that are accepted and recognised as one of ``classes``."""
        return float(self.counts(images, classes).sum()) / len(images)

    def shares(self, images: Spins, classes: Sequence[int | str]) -> npt.NDArray[np.float64]:
        """Share of each class among the recognised images, (len(classes),): sum one, or zeros if none is."""
        counts = self.counts(images, classes)
        return counts / max(int(counts.sum()), 1)

    def _checked(self, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if images.ndim != 2 or images.shape[1] != self.n_spins or len(images) == 0:
            raise ConfigurationError(f"images: shape {images.shape}; allowed: (n, {self.n_spins}), n at least 1")
        return images.astype(np.float32)


def mean_pairwise_distance(images: Spins) -> float:
    """Mean Hamming distance over all pairs of the n at least 2 images (n, N), in spins.

    A spin that is +1 in k of n images differs in k(n - k) of the n(n - 1)/2 pairs, so the mean is exact in
    O(nN).
    """
    n = len(images)
    if images.ndim != 2 or n < 2:
        raise ConfigurationError(f"images: shape {images.shape}; allowed: (n, N), n at least 2")
    up = np.count_nonzero(images > 0, axis=0).astype(np.int64)
    return float((up * (n - up)).sum()) / (n * (n - 1) / 2)


def diversity(images: Spins, training: Spins) -> float:
    """Mean pairwise Hamming distance of ``images`` over that of ``training``: 0 means collapsed."""
    reference = mean_pairwise_distance(training)
    if reference == 0.0:
        raise ConfigurationError("training images: all equal; diversity needs different ones")
    return mean_pairwise_distance(images) / reference


@dataclass(frozen=True)
class Agreement:
    """Verdict of a two-sample test: ``agree`` unless ``p_value`` lies below the false-alarm rate."""

    agree: bool
    p_value: float
    test: str


def shares_agree(counts_a: Sequence[int], counts_b: Sequence[int], false_alarm: float) -> Agreement:
    """Do two sets of class counts come from the same shares?

    Pearson's chi-square test of homogeneity; where an expected count is below 5, its exact conditional form,
    by random tables with the same margins (fixed seed). Two equal sources are called different with
    probability ``false_alarm`` (at most, for the exact form). Raises `ConfigurationError` for counts that are
    no counts or a rate outside 1e-5 to 0.5.
    """
    if not _SMALLEST_FALSE_ALARM <= false_alarm <= 0.5:
        raise ConfigurationError(f"false_alarm: {false_alarm}; allowed: {_SMALLEST_FALSE_ALARM} to 0.5")
    table = np.array([counts_a, counts_b] if len(counts_a) == len(counts_b) else [])
    if (
        table.ndim != 2
        or table.size == 0
        or table.dtype.kind not in "iu"
        or table.min() < 0
        or (table.sum(axis=1) == 0).any()
    ):
        raise ConfigurationError(
            f"class counts: {list(counts_a)} and {list(counts_b)}; allowed: equally many whole numbers, not all zero"
        )
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] == 1:
        return Agreement(True, 1.0, "one class only")
    from scipy import stats

    if stats.contingency.expected_freq(table).min() >= _SMALLEST_EXPECTED_COUNT:
        p_value = float(stats.chi2_contingency(table, correction=False).pvalue)
        return Agreement(p_value >= false_alarm, p_value, "chi-square")
    p_value = _exact_p_value(table, math.ceil(_TABLES_PER_FALSE_ALARM / false_alarm))
    return Agreement(p_value >= false_alarm, p_value, "exact by random tables")


def _exact_p_value(table: npt.NDArray[np.int64], n_tables: int) -> float:
    from scipy import stats

    margins = stats.random_table(table.sum(axis=1), table.sum(axis=0))
    drawn = np.asarray(margins.rvs(size=n_tables, random_state=np.random.default_rng(0)), np.float64)
    expected = stats.contingency.expected_freq(table)
    chi2 = ((drawn - expected) ** 2 / expected).sum(axis=(1, 2))
    observed = ((table - expected) ** 2 / expected).sum()
    # Counting the observed table itself keeps the false-alarm rate at or below the nominal one.
    return float(1 + np.count_nonzero(chi2 >= observed * (1.0 - 1e-12))) / (1 + n_tables)
