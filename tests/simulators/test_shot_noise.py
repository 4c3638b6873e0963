"""Poisson numbers of many pixels at once are those that each pixel has by itself."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.physics import counter_random as cr
from simulators.physics import shot_noise as sn

KEY = cr.noise_key(7, "camera", "shot")
NUMBER = 3


@numba.njit
def one_by_one(mean: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    out = np.empty(len(mean))
    for k in range(len(mean)):
        out[k] = cr.poisson(mean[k], KEY, k // columns, k % columns, NUMBER)
    return out


@numba.njit
def at_once(mean: NDArray[np.float64], columns: int, batch: int) -> NDArray[np.float64]:
    out = mean.copy()
    one, other = np.zeros(sn.BATCH), np.zeros(sn.BATCH)
    work, places = np.zeros((5, sn.BATCH)), np.zeros((3, sn.BATCH), np.int64)
    for first in range(0, len(mean), batch):
        count = min(batch, len(mean) - first)
        here = np.arange(first, first + count)
        a, b = here // columns, here % columns
        cr.fill_uniforms(KEY, a, b, NUMBER, 0, count, one, other)
        sn.fill_poisson(KEY, a, b, NUMBER, count, out[first:], one, other, work, places)
    return out


@pytest.mark.parametrize("batch", [sn.BATCH, 37])
@pytest.mark.parametrize(
    ("least", "most"), [(-5.0, 30.0), (10.0, 12.0), (20.0, 200.0), (50.0, 15_000.0), (2e4, 4e4), (1e6, 1e8)]
)
def test_numbers_are_those_of_each_pixel_by_itself(least: float, most: float, batch: int) -> None:
    mean = np.random.default_rng(1).uniform(least, most, 100_000)
    np.testing.assert_array_equal(at_once(mean, 640, batch), one_by_one(mean, 640))


def test_no_light_gives_no_electrons_among_pixels_that_have_some() -> None:
    mean = np.array([0.0, 50.0, -1.0, 2_000.0, np.nan, 3.0])
    found = at_once(mean, 6, sn.BATCH)
    np.testing.assert_array_equal(found, one_by_one(mean, 6))
    assert (found[[0, 2, 4]] == 0).all()


@pytest.mark.parametrize("spread", [0.3, 300.0])
def test_logarithms_are_exact_to_a_rounding(spread: float) -> None:
    x = np.exp(np.random.default_rng(2).uniform(-spread, spread, 10_000))
    out = np.empty_like(x)
    sn.fill_logarithms(len(x), x.copy(), np.empty_like(x), out)
    np.testing.assert_allclose(out, np.log(x), rtol=1e-15, atol=1e-16)
