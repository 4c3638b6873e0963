"""The distance between generated and real images: its formula, its bias and its error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from labctl.client import ConfigurationError
from protocols.images.frechet import PixelFrechet

PIXELS, COMPONENTS = 30, 6


def images(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Spins that follow three hidden numbers, and a little noise."""
    rng = np.random.default_rng(seed)
    strokes = np.random.default_rng(0).normal(0, 1, (3, PIXELS))
    fields = rng.normal(shift, 1, (n, 3)) @ strokes + rng.normal(0, 0.5, (n, PIXELS))
    return np.where(fields > 0, 1, -1).astype(np.int8)


@pytest.fixture(scope="module")
def judge() -> PixelFrechet:
    return PixelFrechet(images(3000, 1), COMPONENTS)


def test_real_images_are_at_no_distance_from_themselves(judge):
    assert judge.distance(judge.features(images(3000, 1))) == pytest.approx(0.0, abs=1e-9)


def test_the_distance_is_that_of_two_gaussians(judge):
    """Dowson and Landau, 1982: |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^(1/2)), with the general matrix root."""
    real, others = (judge.features(images(3000, seed, shift)) for seed, shift in ((1, 0.0), (2, 0.4)))
    c1, c2 = np.cov(real.T), np.cov(others.T)
    gap = real.mean(axis=0) - others.mean(axis=0)
    expected = gap @ gap + np.trace(c1 + c2 - 2 * linalg.sqrtm(c1 @ c2).real)
    assert judge.distance(others) == pytest.approx(expected, rel=1e-9)


def test_what_few_images_add_to_the_distance_is_taken_away(judge):
    """200 sets of 100 images from the real ones' source: a mean of zero, five standard errors allowed."""
    sets = [images(100, 1000 + k) for k in range(200)]
    biased = np.mean([judge.distance(judge.features(each)) for each in sets])
    found = np.array([judge.estimate(each).value for each in sets])
    assert biased > 0.1
    assert abs(found.mean()) < 0.01 + 5 * found.std() / np.sqrt(200)


def test_errors_are_as_large_as_the_scatter(judge):
    """100 sets: the scatter is known to 7 %, the jackknife's error is too large rather than too small."""
    found = [judge.estimate(images(300, 2000 + k, 0.4)) for k in range(100)]
    scatter = np.std([each.value for each in found])
    assert 0.75 * scatter < np.mean([each.error for each in found]) < 1.4 * scatter


def test_a_set_is_as_far_as_itself(judge):
    ratio = judge.ratio(images(200, 3, 0.4), images(200, 3, 0.4))
    assert (ratio.value, ratio.error) == (1.0, 0.0)


def test_images_that_differ_little_pair_by_pair_are_compared_the_more_exactly(judge):
    one = images(400, 4, 0.4)
    flips = np.random.default_rng(5).random(one.shape) < 0.01
    alike = np.where(flips, -one, one).astype(np.int8)
    paired, unpaired = judge.ratio(alike, one), judge.ratio(images(400, 6, 0.4), one)
    assert paired.error < 0.5 * unpaired.error
    assert abs(unpaired.value - 1) < 5 * unpaired.error


def test_too_few_images_are_refused(judge):
    with pytest.raises(ConfigurationError, match="6 images: more than 6"):
        judge.distance(judge.features(images(6, 7)))
    with pytest.raises(ConfigurationError, match=r"shape \(12, 30\); allowed: \(n, pixels\), n above 12"):
        PixelFrechet(images(12, 8), COMPONENTS)
    with pytest.raises(ConfigurationError, match="20 images and 30 others"):
        judge.ratio(images(20, 9), images(30, 9))
