"""Damage and the simplest ways to mend it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from labctl.client import ConfigurationError
from protocols.prbm.images.damage import Damage, flipped, majority_image, masked, nearest_image


def spins(n: int, pixels: int = 196, seed: int = 0) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random((n, pixels)) < 0.5, 1, -1).astype(np.int8)


@pytest.mark.parametrize("fill", [-1, 1])
def test_a_square_mask_covers_a_quarter_of_each_image_at_a_place_of_its_own(fill):
    images = spins(50)
    damage = masked(images, "square", 0.25, fill, np.random.default_rng(1))
    covered = damage.damaged.reshape(50, 14, 14)
    corners = set()
    for image in covered:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert len(rows) == len(columns) == 7
        assert image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert image.sum() == 49
        corners.add((rows[0], columns[0]))
    assert len(corners) > 25
    assert (damage.shown[damage.damaged] == fill).all()
    np.testing.assert_array_equal(damage.shown[~damage.damaged], images[~damage.damaged])


@pytest.mark.parametrize(
    ("region", "where"),
    [
        ("top", np.s_[:4, :]),
        ("bottom", np.s_[10:, :]),
        ("left", np.s_[:, :4]),
        ("right", np.s_[:, 10:]),
    ],
)
def test_a_strip_covers_one_side(region, where):
    expected = np.zeros((14, 14), bool)
    expected[where] = True
    damage = masked(spins(2), region, 0.3, -1, np.random.default_rng(0))
    np.testing.assert_array_equal(damage.damaged.reshape(2, 14, 14), [expected, expected])


def test_a_mask_needs_square_images():
    with pytest.raises(ConfigurationError, match="195 pixels: a square number"):
        masked(spins(1, 195), "top", 0.5, 1, np.random.default_rng(0))


def test_noise_flips_the_share_it_is_told_to():
    """39,200 pixels at 20 %; the binomial bounds fail a true share once in 1e6."""
    images = spins(200)
    damage = flipped(images, 0.2, np.random.default_rng(2))
    low, high = stats.binom.ppf([5e-7, 1 - 5e-7], images.size, 0.2)
    assert low <= damage.damaged.sum() <= high
    np.testing.assert_array_equal(damage.shown != images, damage.damaged)


def test_every_noisy_image_has_a_flipped_pixel():
    assert flipped(spins(300), 1e-6, np.random.default_rng(3)).damaged.any(axis=1).all()


def test_accuracy_counts_damaged_pixels_only():
    truth = np.ones((2, 4), np.int8)
    damage = Damage(truth, np.array([[True, True, False, False], [False] * 4]))
    restored = np.array([[1, -1, -1, -1], [1, 1, 1, 1]], np.int8)
    np.testing.assert_array_equal(damage.accuracy(restored, truth), [0.5, np.nan])


def test_the_nearest_image_differs_least_in_the_pixels_that_are_trusted():
    training, images = spins(60, 30, 4), spins(20, 30, 5)
    trusted = np.random.default_rng(6).random((20, 30)) < 0.5
    found = nearest_image(training, images, trusted)
    for image, use, nearest in zip(images, trusted, found, strict=True):
        differing = ((training != image) & use).sum(axis=1)
        np.testing.assert_array_equal(nearest, training[np.argmin(differing)])


def test_the_majority_image_is_what_most_show():
    training = np.array([[1, 1, -1], [1, -1, -1], [-1, -1, 1]], np.int8)
    np.testing.assert_array_equal(majority_image(training, 2), [[1, -1, -1]] * 2)
