"""Integrated intensities of dyads: formulas against sums over all binomials, and against draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.physics.condensates.integrated_intensity import (
    drawn_events,
    exact_moments,
    formula_moments,
    integrated_intensity,
)

SHEET = (1.6476107873, 1.3533555875, 0.6815359049)


def test_moments_are_the_published_ones() -> None:
    for found in (formula_moments(1000, *SHEET), exact_moments(1000, *SHEET)):
        assert found.mean == pytest.approx(2.002658, abs=5e-7)
        assert found.std == pytest.approx(0.0139675, abs=5e-8)
        assert found.skewness == pytest.approx(0.116, abs=5e-4)


@pytest.mark.parametrize("n", [1, 2, 7, 1000, 20_000])
@pytest.mark.parametrize("state", [SHEET, (1.0, 0.2, 2.4), (0.7, 1.9, -1.0)])
def test_formulas_of_mean_and_deviation_are_exact(n: int, state: tuple[float, float, float]) -> None:
    formula, exact = formula_moments(n, *state), exact_moments(n, *state)
    assert formula.mean == pytest.approx(exact.mean, rel=1e-10)
    assert formula.std == pytest.approx(exact.std, rel=1e-8)


def test_formula_of_skewness_is_right_for_many_events() -> None:
    ratio = [formula_moments(n, *SHEET).skewness / exact_moments(n, *SHEET).skewness for n in (1000, 100_000)]
    assert abs(ratio[1] - 1) < abs(ratio[0] - 1) / 50
    assert ratio[0] == pytest.approx(1, abs=2e-3)


def test_intensity_is_the_square_of_the_sum_of_fields() -> None:
    a, b, theta = SHEET
    field = 3 * a * np.exp(0.5j * theta) + 4 * b * np.exp(-0.5j * theta)
    assert integrated_intensity(3, 7, a, b, theta) == pytest.approx(abs(field) ** 2 / 49)
    assert integrated_intensity(3, 7, a, b, theta, coherent=False) == pytest.approx((3 * a**2 + 4 * b**2) / 7)


def test_incoherent_light_has_the_mean_of_intensities_and_the_same_leading_deviation() -> None:
    a, b, theta = SHEET
    found = exact_moments(1000, a, b, theta, coherent=False)
    assert found.mean == pytest.approx((a**2 + b**2) / 2)
    assert found.std == pytest.approx(abs(a**2 - b**2) / math.sqrt(4000))
    assert found.skewness == pytest.approx(0, abs=1e-9)


def test_draws_have_the_moments_of_their_distribution() -> None:
    # Mean and deviation within 5 standard errors each, false alarm 1e-6.
    samples = 200_000
    for p in (0.5, 0.3):
        exact = exact_moments(400, *SHEET, p=p)
        count = drawn_events(samples, 400, np.random.default_rng(5), p=p)
        found = np.repeat(integrated_intensity(np.arange(401), 400, *SHEET), count)
        assert len(found) == samples
        assert abs(found.mean() - exact.mean) < 5 * exact.std / math.sqrt(samples)
        assert abs(found.std() / exact.std - 1) < 5 * math.sqrt(0.5 / samples)


def test_a_dyad_that_always_decides_alike_has_no_noise() -> None:
    a, b, theta = SHEET
    assert exact_moments(50, a, b, theta, p=1.0).std == 0
    assert exact_moments(50, a, b, theta, p=1.0).mean == pytest.approx(a**2)
    assert exact_moments(50, a, b, theta, p=0.0).mean == pytest.approx(b**2)


def test_equal_condensates_have_no_skewness_formula() -> None:
    assert math.isnan(formula_moments(10, 1.0, 1.0, 0.3).skewness)
