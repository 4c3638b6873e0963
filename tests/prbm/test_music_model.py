"""The RNN-RBM: its equations, the gradient through time, the likelihood of a step, and training that raises it."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.prbm.music.likelihood import (
    HeldOutSteps,
    StepLikelihood,
    annealed_log_partitions,
    gain,
    step_likelihood,
)
from protocols.prbm.music.model import RnnRbm, shapes_of
from protocols.prbm.music.training import (
    NAMES,
    MusicTraining,
    chains,
    forward,
    gradient_given,
    misheard,
    padded,
    train,
)
from simulators.physics.rbm import log_unnormalised_visible, visible_distribution


def random_model(seed: int, n_visible: int = 6, n_hidden: int = 4, units: int = 3, size: float = 0.5) -> RnnRbm:
    rng = np.random.default_rng(seed)
    return RnnRbm(*(rng.normal(0, size, shape) for shape in shapes_of(n_visible, n_hidden, units)))


def random_rolls(seed: int, lengths: tuple[int, ...], n_visible: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.choice(np.array([-1, 1], np.int8), (length, n_visible)) for length in lengths]


def test_fields_follow_from_the_past_by_the_papers_equations() -> None:
    m, (roll,) = random_model(0), random_rolls(1, (4,))
    u = np.zeros(3)
    for t, v in enumerate(roll):
        a, b = m.fields(m.listen(roll)[t])
        assert a == pytest.approx(m.visible_bias + m.to_visible.T @ u)
        assert b == pytest.approx(m.hidden_bias + m.to_hidden.T @ u)
        u = np.tanh(m.unit_bias + m.from_visible.T @ v + m.recurrent.T @ u)


def test_the_gradient_is_that_of_the_free_energies() -> None:
    """Central differences of the mean of F(v) - F(v*) over the steps of tunes of unequal length, v* held fixed."""
    p = {name: np.array(getattr(random_model(2), name)) for name in NAMES}
    v, heard = padded(random_rolls(3, (5, 2, 4)))
    listened = padded(random_rolls(15, (5, 2, 4)))[0].astype(np.float64)
    v = v.astype(np.float64)
    negative = np.concatenate(random_rolls(4, (11,))).astype(np.float64)

    def objective() -> float:
        u = forward(p, listened)
        a, b = u[heard] @ p["to_visible"] + p["visible_bias"], u[heard] @ p["to_hidden"] + p["hidden_bias"]
        by_row = zip(a, b, v[heard], negative, strict=True)
        energies = [
            [-float(log_unnormalised_visible(p["weights"], ai, bi, x, 1.0)) for x in (vi, ni)]
            for ai, bi, vi, ni in by_row
        ]
        return float(np.mean([positive - other for positive, other in energies]))

    gradient = gradient_given(p, v[heard], negative, heard, listened, forward(p, listened))
    for name, array in p.items():
        for at in list(np.ndindex(array.shape))[:: max(1, array.size // 5)]:
            kept, ends = array[at], []
            for step in (1e-5, -1e-5):
                array[at] = kept + step
                ends.append(objective())
            array[at] = kept
            assert gradient[name][at] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-8), name


def test_chains_end_in_the_distribution_of_each_rows_fields() -> None:
    m = random_model(5)
    rng = np.random.default_rng(6)
    a, b = rng.normal(0, 0.5, (2, 6)), rng.normal(0, 0.5, (2, 4))
    n = 20000
    rows = [np.repeat(x.astype(np.float32), n, axis=0) for x in (a, b)]
    start = np.full((2 * n, 6), -1, np.float32)
    ends = chains(m.weights.astype(np.float32), *rows, start, 60, rng).reshape(2, n, 6)
    for k in range(2):
        states, probability = visible_distribution(m.weights, a[k], b[k], 1.0)
        exact = probability @ states
        # 12 means of independent chains: 5 standard errors, false alarm 7e-6.
        assert ends[k].mean(axis=0) == pytest.approx(exact, abs=5 / np.sqrt(n))


def test_annealing_finds_each_steps_partition_function() -> None:
    m = random_model(7)
    rng = np.random.default_rng(8)
    a, b = rng.normal(0, 1, (5, 6)), rng.normal(0, 1, (5, 4))
    log_z, error = annealed_log_partitions(m.weights, a, b, rng, annealing=300, runs=200)
    for k in range(5):
        states, _ = visible_distribution(m.weights, a[k], b[k], 1.0)
        exact = np.logaddexp.reduce(log_unnormalised_visible(m.weights, a[k], b[k], states, 1.0))
        # Five comparisons at 5 standard errors: false alarm 3e-6.
        assert log_z[k] == pytest.approx(exact, abs=5 * error[k])
    assert error.max() < 0.03


def test_the_likelihood_of_a_step_is_its_probability_given_the_past() -> None:
    m, rolls = random_model(9), random_rolls(10, (6, 9))
    found = step_likelihood(m, HeldOutSteps.of(rolls, 4), np.random.default_rng(11), annealing=300, runs=200)
    exact = []
    for roll in rolls:
        for t in np.linspace(0, len(roll) - 1, 4).round().astype(int):
            a, b = m.fields(m.listen(roll)[t])
            states, probability = visible_distribution(m.weights, a, b, 1.0)
            exact.append(np.log(probability[(states == roll[t]).all(axis=1)][0]))
    # Eight comparisons at 5 standard errors: false alarm 5e-6.
    assert np.all(np.abs(found.steps - exact) < 5 * found.annealing_error)
    assert found.tunes.tolist() == [0] * 4 + [1] * 4


def test_errors_count_tunes_and_a_gain_compares_the_same_steps() -> None:
    rng = np.random.default_rng(12)
    tunes = np.repeat(np.arange(50), 8)
    of_tune = rng.normal(0, 1.0, 50)[tunes]
    before = StepLikelihood(of_tune, np.zeros(400), tunes)
    after = StepLikelihood(of_tune + 0.5 + rng.normal(0, 0.1, 400), np.zeros(400), tunes)
    # The steps of a tune are one number: 50 of them, not 400.
    assert before.error == pytest.approx(of_tune.std() / np.sqrt(50), rel=0.05)
    rise, error = gain(before, after)
    assert rise == pytest.approx(0.5, abs=5 * error)
    assert error == pytest.approx(0.1 / np.sqrt(400), rel=0.4)
    assert StepLikelihood(of_tune, np.full(400, 30.0), tunes).error == pytest.approx(30 / np.sqrt(400), rel=0.05)


def patterned(seed: int, tunes: int) -> list[np.ndarray]:
    """Scales up or down on 12 keys, each from its own key: what comes next follows from what was."""
    rng = np.random.default_rng(seed)
    rolls = []
    for first, way in zip(rng.integers(0, 12, tunes), itertools.cycle((1, -1)), strict=False):
        roll = np.full((16, 12), -1, np.int8)
        roll[np.arange(16), (first + way * np.arange(16)) % 12] = 1
        rolls.append(roll)
    return rolls


SMALL = MusicTraining(epochs=60, batches=8, n_hidden=12, units=16, gibbs_steps=5, learning_rate=0.01)


def test_training_makes_what_follows_likely() -> None:
    held_out = HeldOutSteps.of(patterned(1, 12), 16)
    models = list(train(patterned(0, 64), SMALL))
    assert len(models) == SMALL.epochs + 1
    before, after = (step_likelihood(models[k], held_out, np.random.default_rng(2)) for k in (0, -1))
    # Independent keys, one of twelve on: 12 binary entropies of 1/12. To know direction and place is to lose most.
    assert before.value == pytest.approx(-12 * (np.log(12) - 11 / 12 * np.log(11)), abs=0.3)
    rise, error = gain(before, after)
    assert rise - 5 * error > 2.0


def test_misheard_spins_are_drawn_by_the_keys_frequencies() -> None:
    v = np.ones((400, 50, 3), np.float32)
    listened = misheard(v, np.array([-1.0, 0.0, 0.8]), 0.3, np.random.default_rng(16))
    # A spin is turned where it is drawn anew as -1. 20,000 of each key, at 5 standard errors: false alarm 1e-6.
    for turned, expected in zip((listened < 0).mean(axis=(0, 1)), (0.3, 0.15, 0.03), strict=True):
        assert turned == pytest.approx(expected, abs=5 * np.sqrt(expected / 20000))
    assert np.array_equal(misheard(v, np.zeros(3), 0.0, np.random.default_rng(17)), v)
    assert np.all(v == 1)


def test_the_same_seed_trains_the_same_model() -> None:
    once, again, other = (list(train(patterned(0, 16), replace(SMALL, epochs=1, seed=seed)))[-1] for seed in (1, 1, 2))
    for f in fields(RnnRbm):
        assert np.array_equal(getattr(once, f.name), getattr(again, f.name))
    assert not np.array_equal(once.weights, other.weights)


def test_impossible_trainings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="4 tunes in 8 batches"):
        next(train(patterned(0, 4), SMALL))
    for name in ("epochs", "units", "gibbs_steps", "learning_rate"):
        with pytest.raises(ConfigurationError, match=f"training {name}: 0"):
            MusicTraining(**{name: 0})


def test_a_model_is_read_as_it_was_saved(tmp_path: Path) -> None:
    m = random_model(13)
    m.save(tmp_path / "m.npz")
    read = RnnRbm.load(tmp_path / "m.npz")
    assert all(np.array_equal(getattr(m, f.name), getattr(read, f.name)) for f in fields(RnnRbm))


def test_models_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    m = random_model(14)
    with pytest.raises(ConfigurationError, match=r"to_hidden has shape \(3, 5\).*\(3, 4\)"):
        replace(m, to_hidden=np.zeros((3, 5)))
    with pytest.raises(ConfigurationError, match="recurrent contains"):
        replace(m, recurrent=np.full((3, 3), np.nan))
    (tmp_path / "m.npz").write_bytes(b"no model")
    np.savez(tmp_path / "half.npz", weights=m.weights)
    for name in ("m.npz", "half.npz", "none.npz"):
        with pytest.raises(ConfigurationError, match=name):
            RnnRbm.load(tmp_path / name)
