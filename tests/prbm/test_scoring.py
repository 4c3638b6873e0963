"""The judge of generated digits: what it recognises, what it rejects, and its statistics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

from labctl.client import ConfigurationError
from protocols.images.scoring import (
    REJECTED,
    ImageClassifier,
    diversity,
    mean_pairwise_distance,
    shares_agree,
)
from protocols.images.sets import ImageSet

CLASSES = (0, 1, 2)


def random_spins(seed: int, n: int, n_visible: int = 196) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random((n, n_visible)) < 0.5, 1, -1).astype(np.int8)


@pytest.fixture(scope="module")
def classifier(digits: ImageSet) -> ImageClassifier:
    return ImageClassifier(digits)


def test_held_out_digits_of_the_classes_are_recognised(digits, classifier):
    assert classifier.recognised(digits.test.select(CLASSES).spins(), CLASSES) >= 0.95


def test_held_out_digits_of_all_ten_classes_are_told_apart(digits, classifier):
    assert np.mean(classifier.predict(digits.test.spins()) == digits.test.labels) >= 0.9


def test_other_digits_are_not_recognised_as_the_classes(digits, classifier):
    assert classifier.recognised(digits.test.select([3, 4, 5, 6, 7, 8, 9]).spins(), CLASSES) <= 0.06


def test_random_spins_are_rejected(classifier):
    assert classifier.recognised(random_spins(1, 1000), range(10)) <= 0.01


def test_negatives_of_real_digits_are_rejected(digits, classifier):
    assert classifier.recognised(-digits.test.spins()[:500], range(10)) <= 0.01


@pytest.mark.parametrize("spin", [-1, 1])
def test_a_blank_image_is_rejected(classifier, spin):
    assert classifier.predict(np.full((1, 196), spin, np.int8))[0] == REJECTED


def test_about_one_percent_of_held_out_digits_are_rejected(digits, classifier):
    rejected = np.mean(classifier.predict(digits.test.spins()) == REJECTED)
    assert 0.002 <= rejected <= 0.02


def test_distance_counts_the_spins_that_differ(digits, classifier):
    images = digits.test.spins()[:20]
    real = digits.train.spins()
    expected = [(image != real).sum(axis=1).min() for image in images]
    np.testing.assert_array_equal(classifier.distance(images), expected)


def test_shares_are_those_of_the_recognised_images(digits, classifier):
    images = np.concatenate(
        [digits.test.select([0], 30).spins(), digits.test.select([1], 10).spins(), random_spins(2, 40)]
    )
    shares = classifier.shares(images, CLASSES)
    assert shares.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(shares, [0.75, 0.25, 0.0], atol=0.08)


def test_shares_of_noise_are_zero(classifier):
    np.testing.assert_array_equal(classifier.shares(random_spins(3, 20), CLASSES), [0.0, 0.0, 0.0])


def test_images_of_another_size_are_refused(classifier):
    with pytest.raises(ConfigurationError, match=r"shape \(2, 100\); allowed: \(n, 196\)"):
        classifier.predict(np.ones((2, 100), np.int8))


def test_mean_distance_is_that_over_all_pairs():
    images = random_spins(4, 40, 30)
    assert mean_pairwise_distance(images) == pytest.approx(30 * pdist(images, "hamming").mean(), rel=1e-12)


def test_a_set_is_as_diverse_as_itself():
    images = random_spins(5, 50)
    assert diversity(images, images) == 1.0


def test_a_collapsed_set_has_no_diversity():
    assert diversity(np.ones((10, 196), np.int8), random_spins(6, 10)) == 0.0


def test_a_single_image_has_no_diversity():
    with pytest.raises(ConfigurationError, match="n at least 2"):
        diversity(np.ones((1, 196), np.int8), random_spins(6, 10))


def test_equal_sources_agree_at_the_stated_false_alarm_rate():
    """1,000 pairs at 5 %: 50 alarms expected; the binomial bounds here fail a true test once in 1e6."""
    rng = np.random.default_rng(7)
    pairs = rng.multinomial(200, [0.5, 0.3, 0.2], size=(1000, 2))
    alarms = sum(not shares_agree(a, b, 0.05).agree for a, b in pairs)
    low, high = stats.binom.ppf([5e-7, 1 - 5e-7], 1000, 0.05)
    assert low <= alarms <= high


def test_few_counts_raise_no_more_false_alarms_than_stated():
    """400 pairs of 12 images at 10 %, the exact form; the upper binomial bound fails once in 1e6."""
    rng = np.random.default_rng(8)
    pairs = rng.multinomial(12, [0.6, 0.3, 0.1], size=(400, 2))
    alarms = sum(not shares_agree(a, b, 0.1).agree for a, b in pairs)
    assert alarms <= stats.binom.ppf(1 - 1e-6, 400, 0.1)


def test_different_shares_disagree():
    assert not shares_agree([100, 100, 100], [150, 100, 50], 1e-3).agree


def test_the_chi_square_form_is_scipys():
    table = np.array([[40, 60, 20], [50, 40, 30]])
    verdict = shares_agree(table[0], table[1], 0.05)
    assert verdict.p_value == pytest.approx(stats.chi2_contingency(table).pvalue)
    assert verdict.test == "chi-square"


def test_few_counts_use_the_exact_form():
    """Two by two, where Fisher's exact p-value is known; the random tables carry 1e-4 of sampling error."""
    verdict = shares_agree([8, 1], [2, 9], 1e-3)
    assert verdict.test == "exact by random tables"
    assert verdict.p_value == pytest.approx(stats.fisher_exact([[8, 1], [2, 9]]).pvalue, rel=0.1)


def test_a_class_that_neither_source_made_does_not_count():
    assert shares_agree([40, 60, 0], [50, 50, 0], 0.05) == shares_agree([40, 60], [50, 50], 0.05)


def test_one_class_only_agrees():
    assert shares_agree([40, 0], [30, 0], 0.05).agree


@pytest.mark.parametrize(
    ("a", "b", "false_alarm", "says"),
    [
        ([1, 2], [1, 2], 0.0, "false_alarm: 0.0; allowed: 1e-05 to 0.5"),
        ([1, 2], [0, 0], 0.05, "not all zero"),
        ([1, -2], [1, 2], 0.05, "whole numbers"),
        ([0.5, 2], [1, 2], 0.05, "whole numbers"),
        ([1, 2, 3], [1, 2], 0.05, "equally many"),
        ([], [], 0.05, "equally many"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(a, b, false_alarm, says):
    with pytest.raises(ConfigurationError, match=says):
        shares_agree(a, b, false_alarm)
