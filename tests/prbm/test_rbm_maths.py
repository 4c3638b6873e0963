"""The exact machine against enumeration and the definitions of arXiv 2508.20472, supplement VI."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from simulators.physics import rbm

TEMPERATURE = 1.3


@pytest.fixture
def machine() -> tuple[rbm.FloatArray, rbm.FloatArray, rbm.FloatArray]:
    rng = np.random.default_rng(1)
    return rng.normal(0.0, 0.7, (5, 3)), rng.normal(0.0, 0.4, 5), rng.normal(0.0, 0.4, 3)


def all_states(n: int) -> rbm.SpinArray:
    return np.array(list(itertools.product((-1, 1), repeat=n)), np.int8)


def random_spins(seed: int, *shape: int) -> rbm.SpinArray:
    return np.where(np.random.default_rng(seed).random(shape) < 0.5, 1, -1).astype(np.int8)


def test_energy_is_the_sum_over_pairs_and_fields(machine):
    W, a, b = machine
    v, h = random_spins(2, 5), random_spins(3, 3)
    expected = -sum(W[i, j] * v[i] * h[j] for i in range(5) for j in range(3))
    expected -= sum(a[i] * v[i] for i in range(5)) + sum(b[j] * h[j] for j in range(3))
    assert rbm.energy(W, a, b, v, h) == pytest.approx(expected)


def test_flipping_a_hidden_spin_down_costs_twice_its_local_field(machine):
    W, a, b = machine
    v, up, down = random_spins(2, 5), np.ones(3, np.int8), np.array([1, -1, 1], np.int8)
    cost = rbm.energy(W, a, b, v, down) - rbm.energy(W, a, b, v, up)
    assert cost == pytest.approx(2.0 * rbm.local_fields(W, v, b)[1])


def test_conditional_probability_is_the_ratio_of_boltzmann_weights(machine):
    W, a, b = machine
    v, up, down = random_spins(2, 5), np.ones(3, np.int8), np.array([1, -1, 1], np.int8)
    weight_up, weight_down = (np.exp(-rbm.energy(W, a, b, v, h) / TEMPERATURE) for h in (up, down))
    probability = rbm.probability_up(rbm.local_fields(W, v, b), TEMPERATURE)[1]
    assert probability == pytest.approx(weight_up / (weight_up + weight_down))


def test_local_fields_of_a_batch_are_those_of_its_members(machine):
    W, _, b = machine
    batch = random_spins(4, 7, 5)
    np.testing.assert_allclose(rbm.local_fields(W, batch, b), [rbm.local_fields(W, v, b) for v in batch])


def test_visible_weight_sums_the_hidden_spins_out(machine):
    W, a, b = machine
    v = random_spins(2, 5)
    summed = sum(np.exp(-rbm.energy(W, a, b, v, h) / TEMPERATURE) for h in all_states(3))
    assert rbm.log_unnormalised_visible(W, a, b, v, TEMPERATURE) == pytest.approx(np.log(summed))


def test_distribution_is_that_of_the_joint_enumeration(machine):
    W, a, b = machine
    states, probabilities = rbm.visible_distribution(W, a, b, TEMPERATURE)
    hidden = all_states(3)
    weights = np.array(
        [np.exp(-rbm.energy(W, a, b, np.repeat(v[None], 8, 0), hidden) / TEMPERATURE).sum() for v in states]
    )
    np.testing.assert_allclose(probabilities, weights / weights.sum())


def test_state_k_holds_the_bits_of_k():
    states, _ = rbm.visible_distribution(np.zeros((3, 1)), np.zeros(3), np.zeros(1), 1.0)
    np.testing.assert_array_equal(states[6], [-1, 1, 1])


def test_sixteen_visible_spins_are_enumerated():
    states, probabilities = rbm.visible_distribution(np.zeros((16, 2)), np.zeros(16), np.zeros(2), 1.0)
    assert states.shape == (65536, 16)
    np.testing.assert_allclose(probabilities, 2.0**-16)


def test_seventeen_visible_spins_are_refused():
    with pytest.raises(ValueError, match=r"17 visible spins.*at most 16"):
        rbm.visible_distribution(np.zeros((17, 2)), np.zeros(17), np.zeros(2), 1.0)


def test_without_fields_an_image_and_its_negative_are_equally_likely(machine):
    W, _, _ = machine
    v = random_spins(2, 5)
    weights = [rbm.log_unnormalised_visible(W, np.zeros(5), np.zeros(3), s, TEMPERATURE) for s in (v, -v)]
    assert weights[0] == pytest.approx(weights[1])


def test_probability_of_huge_fields_saturates_without_overflow():
    np.testing.assert_array_equal(rbm.probability_up(np.array([-1e308, 0.0, 1e308]), 1e-3), [0.0, 0.5, 1.0])


def test_visible_weight_of_huge_fields_stays_finite():
    weight = rbm.log_unnormalised_visible(np.full((1, 1), 1e6), np.zeros(1), np.zeros(1), np.ones(1), 1.0)
    assert weight == pytest.approx(1e6)


def test_sampling_consumes_one_uniform_per_spin():
    drawn, counted = np.random.default_rng(5), np.random.default_rng(5)
    rbm.sample_spins(np.zeros((4, 6)), 1.0, drawn)
    counted.random(24)
    assert drawn.bit_generator.state == counted.bit_generator.state


def test_a_spin_is_up_where_its_uniform_is_below_the_probability():
    L = np.random.default_rng(6).normal(size=1000)
    uniforms = np.random.default_rng(7).random(1000)
    spins = rbm.sample_spins(L, TEMPERATURE, np.random.default_rng(7))
    np.testing.assert_array_equal(spins == 1, uniforms < rbm.probability_up(L, TEMPERATURE))


def test_spins_are_plus_or_minus_one_bytes():
    spins = rbm.sample_spins(np.zeros(100), 1.0, np.random.default_rng(8))
    assert spins.dtype == np.int8
    assert set(spins.tolist()) == {-1, 1}


def test_one_iteration_draws_the_hidden_then_the_visible_spins(machine):
    W, a, b = machine
    start = random_spins(9, 6, 5)
    chain = rbm.gibbs_chain_visible(W, a, b, start, 1, TEMPERATURE, np.random.default_rng(10))
    rng = np.random.default_rng(10)
    h = rbm.sample_spins(rbm.local_fields(W, start, b), TEMPERATURE, rng)
    v = rbm.sample_spins(rbm.local_fields(W.T, h, a), TEMPERATURE, rng)
    np.testing.assert_array_equal(chain, [start, v])


def test_gibbs_chains_reach_the_exact_distribution(machine):
    """20,000 independent chains of 40 iterations; chi-square over 32 states, false-alarm rate 1e-3."""
    W, a, b = machine
    starts = random_spins(11, 20_000, 5)
    final = rbm.gibbs_chain_visible(W, a, b, starts, 40, TEMPERATURE, np.random.default_rng(12))[-1]
    counts = np.bincount((final > 0) @ (1 << np.arange(5)), minlength=32)
    _, probabilities = rbm.visible_distribution(W, a, b, TEMPERATURE)
    assert stats.chisquare(counts, probabilities * len(starts)).pvalue > 1e-3


def test_a_single_start_gives_a_single_chain(machine):
    W, a, b = machine
    chain = rbm.gibbs_chain_visible(W, a, b, random_spins(13, 5), 4, 1.0, np.random.default_rng(14))
    assert chain.shape == (5, 5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        rbm.probability_up(np.zeros(3), temperature)


def test_spins_of_the_wrong_layer_are_refused_with_both_shapes(machine):
    W, _, b = machine
    with pytest.raises(ValueError, match=r"\(3,\).*\(5,\)"):
        rbm.local_fields(W, np.ones(3), b)


def test_spins_drawn_by_noisy_fields_are_as_cold_as_by_exact_ones():
    fields, noise = np.linspace(-4, 4, 41), 0.3
    measured = fields + noise * np.random.default_rng(3).standard_normal((400_000, 41))
    exact = rbm.probability_up(fields, TEMPERATURE)
    warm = rbm.probability_up(measured, TEMPERATURE).mean(axis=0)
    cured = rbm.unbiased_probability_up(measured, TEMPERATURE, np.full(41, noise)).mean(axis=0)
    assert np.abs(warm - exact).max() > 2.5e-3
    # s = 2 noise/T = 0.46; what is left are terms in s^4, and 2e-4 of this many draws.
    assert np.abs(cured - exact).max() < 9e-4


def test_noise_without_measure_still_gives_probabilities():
    fields = np.linspace(-50, 50, 101)
    drawn_by = rbm.unbiased_probability_up(fields, 0.1, np.full(101, 1e9))
    assert drawn_by.min() >= 0
    assert drawn_by.max() <= 1
