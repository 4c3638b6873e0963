"""Noise of trajectories: the same wherever it is drawn, Box and Muller's of its bits, normal to far out."""

from __future__ import annotations

import numpy as np
from scipy import stats

from simulators.physics.counter_random import noise_key, philox
from simulators.physics.langevin.kernel import Couplings, evolve
from simulators.physics.langevin.noise import GROUP, fill_normals, normals
from simulators.physics.langevin.potential import Units

KEY = noise_key(4, "test")


def test_compiled_noise_is_the_interpreters_bit_for_bit_also_within_a_kernel() -> None:
    n, count, dt = 8, 40, 0.5
    plain = np.empty((n, count), np.float32)
    with np.errstate(over="ignore"):  # angles are reckoned modulo 2^32
        for group in range(n // GROUP):
            rows = plain[group * GROUP : (group + 1) * GROUP]
            fill_normals.py_func(KEY, group, 0, 7, rows)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(normals(KEY, 0, 7, count, n), plain.T)
    # Units that begin at 0 without biases and couplings are moved by noise alone, √(2 dt) = 1.
    zero = np.zeros(n)
    moved = evolve(np.zeros((count, n)), Units.of(n), Couplings.of(np.zeros((n, n))), (zero, zero), 1, dt, KEY,
                   first_trajectory=7)[0]  # fmt: skip
    np.testing.assert_array_equal(moved, plain.T)


def test_numbers_are_box_and_mullers_of_the_bits() -> None:
    count, step, group, first = 3000, 5, 2, 11
    found = np.empty((GROUP, count), np.float32)
    fill_normals(KEY, group, step, first, found)
    words = np.array([philox(KEY, group, step, first + i, 0) for i in range(count)], np.uint64)
    for pair in range(2):
        u = ((words[:, pair] & np.uint64(0xFFFFFFFF)).astype(np.float64) + 0.5) / 2**32
        angle = 2 * np.pi * (words[:, pair] >> np.uint64(32)).astype(np.float64) / 2**32
        radius = np.sqrt(-2 * np.log(u))
        off = np.abs(found[2 * pair : 2 * pair + 2] - radius * [np.cos(angle), np.sin(angle)])
        # u has 24 bits: 6e-8 of it are 6e-8/radius of the radius; the rest is rounding.
        assert (off < 2e-7 * (1 / radius + radius)).all()


def test_numbers_are_normal_to_four_standard_deviations() -> None:
    z = np.concatenate([normals(KEY, step, 0, 1000, 100).ravel() for step in range(20)]).astype(np.float64)
    # Kolmogorov and Smirnov; shares beyond a bound, by the binomial distribution. False alarm 1e-6 for each.
    assert stats.kstest(z, "norm").pvalue > 1e-6
    for bound in (1, 2, 3, 4):
        for beyond in (z > bound, z < -bound):
            share = stats.norm.sf(bound)
            assert stats.binomtest(int(beyond.sum()), z.size, share).pvalue > 1e-6
