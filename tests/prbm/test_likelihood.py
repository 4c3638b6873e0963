"""The partition function: enumerated against every state, and estimated by annealing against the enumerated one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.physics import rbm_likelihood as likelihood
from simulators.physics.rbm import FloatArray, SpinArray, visible_distribution


def machine(seed: int, n_visible: int, n_hidden: int, sd: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, sd, (n_visible, n_hidden)), rng.normal(0, 0.5, n_visible), rng.normal(0, 0.5, n_hidden)


@pytest.mark.parametrize(("n_visible", "n_hidden"), [(9, 5), (5, 9), (14, 13), (13, 14), (1, 1)])
@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_enumeration_sums_over_every_state(n_visible, n_hidden, temperature):
    W, a, b = machine(1, n_visible, n_hidden, 0.5)
    exact = likelihood.log_partition(W, a, b, temperature)
    assert exact.exact
    assert exact.value == pytest.approx(likelihood.log_partition_reference(W, a, b, temperature), rel=1e-12)


def test_likelihoods_are_the_logarithms_of_the_distribution():
    W, a, b = machine(2, 8, 5, 0.6)
    states, probabilities = visible_distribution(W, a, b, 1.3)
    log_z = likelihood.log_partition(W, a, b, 1.3).value
    np.testing.assert_allclose(likelihood.log_likelihoods(W, a, b, states, 1.3, log_z), np.log(probabilities))


def test_layers_wider_than_one_product_of_factors_do_not_overflow():
    """1,100 units without couplings: Z factorises, and the product of 1 + e^(-2|x|) would exceed every float."""
    W, a, b = np.zeros((1100, 3)), np.full(1100, 1e-3), np.full(3, 0.7)
    expected = 1100 * math.log(2 * math.cosh(1e-3)) + 3 * math.log(2 * math.cosh(0.7))
    assert likelihood.log_partition(W, a, b, 1.0).value == pytest.approx(expected, rel=1e-12)
    annealed = likelihood.annealed_log_partition(W, a, b, 1.0, a, np.random.default_rng(0), 20, 50)
    # Annealing from its own fields only draws hidden spins, whose weights do not depend on what was drawn before.
    assert annealed.value == pytest.approx(expected, rel=1e-6)


def test_two_large_layers_are_not_enumerated():
    with pytest.raises(ValueError, match="layers of 40 and 23 units: 2\\^23 states are too many; at most 22"):
        likelihood.log_partition(*machine(0, 40, 23, 0.1), 1.0)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize(
    ("seed", "n_visible", "n_hidden", "sd"), [(3, 30, 12, 0.3), (4, 60, 14, 0.2), (5, 12, 40, 0.3)]
)
def test_annealing_finds_the_exact_value_within_its_error_bars(seed, n_visible, n_hidden, sd, temperature):
    """False alarm below 1e-3: 4.5 standard errors of a mean over 200 runs, whose tails are longer than normal."""
    W, a, b = machine(seed, n_visible, n_hidden, sd)
    exact = likelihood.log_partition(W, a, b, temperature).value
    rng = np.random.default_rng(seed)
    found = likelihood.annealed_log_partition(W, a, b, temperature, np.zeros(n_visible), rng, 400, 200)
    assert not found.exact
    assert 0 < found.error < 0.15
    assert abs(found.value - exact) < 4.5 * found.error


def test_error_bars_are_as_large_as_the_scatter():
    """Of 60 repetitions: a sample standard deviation within a factor 1.5 of the mean error, false alarm 1e-4."""
    W, a, b = machine(6, 20, 10, 0.3)
    rng = np.random.default_rng(1)
    found = [likelihood.annealed_log_partition(W, a, b, 1.0, np.zeros(20), rng, 50, 100) for _ in range(60)]
    scatter = np.std([f.value for f in found], ddof=1)
    assert 1 / 1.5 < scatter / np.mean([f.error for f in found]) < 1.5


def test_annealing_succeeds_where_importance_sampling_and_plain_exponentials_fail():
    """A machine like one trained on images: the weights' plain mean is infinite, and one step from the base rates
    misses ln Z by far more than the error bar that it reports; false alarm 1e-3 as above."""
    rng = np.random.default_rng(7)
    W, a, b = rng.normal(0, 0.25, (784, 10)), rng.normal(0, 2.0, 784), rng.normal(0, 0.5, 10)
    exact = likelihood.log_partition(W, a, b, 1.0).value
    naive = likelihood.annealed_log_partition(W, a, b, 1.0, np.zeros(784), rng, 1, 200)
    assert abs(naive.value - exact) > 20 * naive.error
    found = likelihood.annealed_log_partition(W, a, b, 1.0, a, rng, 1000, 200)
    with np.errstate(over="ignore"):
        assert np.isinf(np.exp(found.log_weights).mean())
    assert abs(found.value - exact) < 4.5 * found.error
    assert found.error < 0.2


def test_base_rates_have_the_means_of_the_data():
    v = np.ones((40, 3), np.int8)
    v[:30, 0] = -1
    fields = likelihood.base_rates(v, 2.0)
    np.testing.assert_allclose(np.tanh(fields / 2.0), [-0.5, 0.95, 0.95])


@pytest.mark.parametrize("n", [7, 1100])
def test_compiled_weights_and_draws_are_those_of_numpy(n):
    rng = np.random.default_rng(8)
    fields = rng.normal(0, 3, (5, n)).astype(np.float32)
    fields[0, :3] = 0.0, 80.0, -80.0
    uniform = rng.random((5, n), np.float32)
    spins, plain = np.zeros((2, 5, n), np.float32)
    log_w, plain_log_w = np.zeros(5), np.zeros(5)
    likelihood.weigh_and_draw(fields, 0.3, 0.8, uniform, log_w, spins)
    likelihood.weigh_and_draw_reference(fields, 0.3, 0.8, uniform, plain_log_w, plain)
    np.testing.assert_array_equal(spins, plain)
    np.testing.assert_allclose(log_w, plain_log_w, rtol=1e-12)
    likelihood.draw_spins(fields, uniform, spins)
    likelihood.draw_spins_reference(fields, uniform, plain)
    np.testing.assert_array_equal(spins, plain)


def test_drawn_spins_have_the_mean_of_their_field():
    """100,000 draws each: 5 standard errors, false alarm 1e-6 for each of the four."""
    fields = np.repeat(np.array([[-1.5, -0.2, 0.4, 2.0]], np.float32), 100_000, axis=0)
    spins: SpinArray | np.ndarray = np.empty_like(fields)
    likelihood.draw_spins(fields, np.random.default_rng(9).random(fields.shape, np.float32), spins)
    expected = np.tanh(fields[0].astype(float))
    assert (np.abs(spins.mean(axis=0) - expected) < 5 * np.sqrt((1 - expected**2) / 100_000)).all()
