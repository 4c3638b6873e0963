"""Statistics of noise images: digital noise passes, each departure from white Gaussian noise is found by its test."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.dyad.noise.statistics import noise_statistics, standardise

SHAPE = (100, 8, 8)
SETS = 149


def p_values(images: np.ndarray, steps: tuple[float, float] | None = None) -> dict[str, float]:
    return noise_statistics(images, np.random.default_rng(99), steps, SETS).p_values


def digital(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE)


def test_digital_noise_passes_whatever_the_mean_and_scale_of_its_pixels():
    """False alarm: 7 tests, each below 0.01 with probability 0.01; the seed is fixed."""
    rng = np.random.default_rng(1)
    images = rng.uniform(100, 200, SHAPE[1:]) + rng.uniform(1, 9, SHAPE[1:]) * digital(2)
    assert min(p_values(images).values()) > 0.01


def test_p_values_of_digital_noise_are_evenly_distributed():
    """20 sets, 7 tests: the mean of their p-values is 0.5 ± 0.065 were all of a set one; four times that allowed."""
    found = [
        list(noise_statistics(digital(100 + k)[:40, :4, :4], np.random.default_rng(k), None, 29).p_values.values())
        for k in range(20)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=0.26)


@pytest.mark.parametrize(
    ("spoil", "test"),
    [
        (lambda z: z + 0.25 * z**2, "dagostino"),
        (lambda z: np.sign(z) * np.abs(z) ** 0.7, "anderson_darling"),
        (lambda z: z + 0.2 * np.roll(z, 1, axis=2), "neighbours"),
        (lambda z: z + 0.3 * np.random.default_rng(5).standard_normal((len(z), 1, 1)), "spectrum"),
        (lambda z: np.where(np.arange(64).reshape(8, 8) == 63, z[:, :1, :1], z), "pairs"),
        (lambda z: z + 0.2 * np.roll(z, 1, axis=0), "frames"),
    ],
    ids=["skewed", "short tails", "blurred", "a common pump", "one pixel twice", "an afterglow"],
)
def test_what_is_not_white_gaussian_noise_is_found(spoil, test):
    assert p_values(spoil(digital(3)))[test] == 1 / (SETS + 1)


def sums(dyads: int) -> np.ndarray:
    """Of ±1 of so many dyads: steps of 2, from -N on."""
    return 2.0 * np.random.default_rng(7).binomial(dyads, 0.5, SHAPE) - dyads


def test_steps_are_taken_for_a_fault_of_the_distribution():
    assert p_values(sums(9))["anderson_darling"] < 0.01


@pytest.mark.parametrize("dyads", [99, 100])
def test_steps_that_are_told_are_none(dyads):
    """False alarm: 3 tests, each below 0.01 with probability 0.01; the seed is fixed."""
    told = p_values(sums(dyads), (2.0, -dyads))
    assert min(told["kolmogorov_smirnov"], told["anderson_darling"], told["dagostino"]) > 0.01


def test_errors_are_those_of_gaussian_noise():
    """60 sets: the scatter of a statistic is known to 9 %; four times that allowed."""
    found = [noise_statistics(digital(300 + k), np.random.default_rng(0), None, 0) for k in range(60)]
    for name in ("skewness", "kurtosis", "neighbour_correlation"):
        scatter = np.std([getattr(each, name) for each in found])
        assert scatter == pytest.approx(getattr(found[0], f"{name}_err"), rel=0.37)


def test_a_pixel_that_never_changes_is_named():
    images = digital(4)
    images[:, 2, 5] = 7.0
    with pytest.raises(ConfigurationError, match=r"row 2, column 5.*dyad\.calibrate"):
        standardise(images)


def test_a_few_images_are_refused():
    with pytest.raises(ConfigurationError, match="20 or more"):
        standardise(digital(4)[:5])
