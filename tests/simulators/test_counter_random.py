"""Counter-based random numbers: Philox against its published vectors, distributions against scipy.

Every statistical test has a fixed key and a false-alarm rate of 1e-6 unless it says otherwise.
"""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from simulators.physics import counter_random as cr

FALSE_ALARM = 1e-6
SAMPLES = 300_000
KEY = cr.noise_key(7, "camera", "shot")


@numba.njit
def poisson_numbers(mean: float, key: np.uint64, n: int) -> NDArray[np.float64]:
    out = np.empty(n)
    for k in range(n):
        out[k] = cr.poisson(mean, key, k // 512, k % 512, 3)
    return out


@numba.njit
def normal_numbers(key: np.uint64, n: int) -> NDArray[np.float64]:
    out = np.empty(n)
    for k in range(n):
        out[k] = cr.standard_normal(key, k // 512, k % 512, 3, 0)
    return out


@numba.njit
def uniform_numbers(key: np.uint64, n: int) -> NDArray[np.float64]:
    out = np.empty((n, 2))
    for k in range(n):
        out[k] = cr.uniforms(key, k // 512, k % 512, 3, 0)
    return out


# --- Philox -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_gives_the_vectors_of_its_authors(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    # Random123 1.14, kat_vectors, philox4x32-10.
    low, high = cr.philox(np.uint64(key[0] | key[1] << 32), *counter)
    words = (int(low) & 0xFFFFFFFF, int(low) >> 32, int(high) & 0xFFFFFFFF, int(high) >> 32)
    assert words == expected


def test_counters_are_taken_modulo_two_to_the_32() -> None:
    assert cr.philox(KEY, 1 << 32, 2, 3, 4) == cr.philox(KEY, 0, 2, 3, 4)


@pytest.mark.parametrize("other", [(8, "camera", "shot"), (7, "slit", "shot"), (7, "camera", "read")])
def test_keys_differ_by_seed_device_and_purpose(other: tuple[int, str, str]) -> None:
    assert cr.noise_key(*other) != KEY


# --- distributions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
def test_uniforms_are_uniform(which: int) -> None:
    assert stats.kstest(uniform_numbers(KEY, SAMPLES)[:, which], "uniform").pvalue > FALSE_ALARM


def test_uniforms_of_one_counter_are_independent() -> None:
    pair = np.floor(uniform_numbers(KEY, SAMPLES) * 16).astype(int)
    counts = np.bincount(pair[:, 0] * 16 + pair[:, 1], minlength=256)
    assert stats.chisquare(counts).pvalue > FALSE_ALARM


def test_normals_are_standard_normal() -> None:
    assert stats.kstest(normal_numbers(KEY, SAMPLES), "norm").pvalue > FALSE_ALARM


def test_normals_have_the_tails_of_a_normal() -> None:
    beyond = int((np.abs(normal_numbers(KEY, SAMPLES)) > 4.0).sum())
    expected = SAMPLES * 2 * stats.norm.sf(4.0)  # 19
    assert min(stats.poisson.cdf(beyond, expected), stats.poisson.sf(beyond - 1, expected)) > FALSE_ALARM / 2


@pytest.mark.parametrize("mean", [0.5, 5.0, 9.9, 10.1, 50.0, 24_000.0])
def test_poisson_numbers_have_the_poisson_distribution(mean: float) -> None:
    numbers = poisson_numbers(mean, KEY, SAMPLES)
    assert (numbers == np.floor(numbers)).all()
    edges = np.unique(stats.poisson.ppf(np.linspace(0.001, 0.999, 60), mean))
    counts = np.bincount(np.searchsorted(edges, numbers), minlength=len(edges) + 1)
    expected = np.diff(np.concatenate([[0.0], stats.poisson.cdf(edges, mean), [1.0]])) * SAMPLES
    assert stats.chisquare(counts, expected).pvalue > FALSE_ALARM


@pytest.mark.parametrize("mean", [0.5, 5.0, 9.9, 10.1, 50.0, 24_000.0])
def test_poisson_mean_and_variance_are_equal(mean: float) -> None:
    numbers = poisson_numbers(mean, cr.noise_key(8, "camera", "shot"), SAMPLES)
    bound = stats.norm.isf(FALSE_ALARM / 4)
    assert abs(numbers.mean() - mean) < bound * np.sqrt(mean / SAMPLES)
    assert abs(numbers.var() - mean) < bound * np.sqrt((2 * mean**2 + mean) / SAMPLES)


@pytest.mark.parametrize("mean", [0.0, -1.0, float("nan")])
def test_no_light_gives_no_electrons(mean: float) -> None:
    assert cr.poisson(mean, KEY, 1, 2, 3) == 0.0


# --- addressed by place, not by time ----------------------------------------------------------------------------------


def test_numbers_do_not_depend_on_the_order_of_calls() -> None:
    places = [(0, 0), (0, 1), (5, 3), (7, 7)]
    forwards = [cr.poisson(30.0, KEY, r, c, 2) for r, c in places]
    backwards = [cr.poisson(30.0, KEY, r, c, 2) for r, c in reversed(places)]
    assert forwards == backwards[::-1]


def test_a_smaller_region_has_the_same_pattern() -> None:
    whole = cr.normal_map(KEY, 10, 20, 12, 16)
    np.testing.assert_array_equal(cr.normal_map(KEY, 13, 24, 4, 5), whole[3:7, 4:9])


@pytest.mark.parametrize("axis", [0, 1])
def test_neighbouring_pixels_are_uncorrelated(axis: int) -> None:
    z = cr.normal_map(KEY, 0, 0, 400, 400)
    product = (np.delete(z, 0, axis) * np.delete(z, -1, axis)).ravel()
    assert abs(product.mean()) < stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(product.size)


def test_poisson_noise_of_successive_exposures_is_uncorrelated() -> None:
    first = np.array([cr.poisson(50.0, KEY, k, 0, 0) for k in range(20_000)]) - 50.0
    second = np.array([cr.poisson(50.0, KEY, k, 0, 1) for k in range(20_000)]) - 50.0
    assert abs((first * second).mean() / 50.0) < stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(20_000)


def test_shot_and_read_noise_are_uncorrelated() -> None:
    shot = np.array([cr.poisson(50.0, KEY, k, 0, 0) for k in range(20_000)]) - 50.0
    read_key = cr.noise_key(7, "camera", "read")
    read = np.array([cr.standard_normal(read_key, k, 0, 0, 0) for k in range(20_000)])
    bound = stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(20_000)
    assert abs((shot * read).mean() / np.sqrt(50.0)) < bound
