"""Training: exact on a machine small enough to enumerate, good on real digits, and the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.images.scoring import ImageClassifier, diversity
from protocols.images.sets import ImageSet
from protocols.prbm.model import RBM
from protocols.prbm.training.contrastive import (
    PAPER_SETTINGS,
    SHORT_RUN_SETTINGS,
    EpochReport,
    TrainingSettings,
)
from protocols.prbm.training.trainer import train
from simulators.physics.rbm import (
    FloatArray,
    SpinArray,
    gibbs_chain_visible,
    local_fields,
    sample_spins,
    visible_distribution,
)

CLASSES = (4, 7, 9)
UNLIKE_CLASSES = (0, 1, 2)
STANDING_START = 1e-12
"""A learning rate at which nothing moves: the trained machine is the starting one."""
QUICK = TrainingSettings(n_hidden=8, epochs=3)


def random_spins(seed: int, n: int, n_visible: int) -> SpinArray:
    return np.where(np.random.default_rng(seed).random((n, n_visible)) < 0.5, 1, -1).astype(np.int8)


@pytest.fixture(scope="module")
def training_images(digits: ImageSet) -> SpinArray:
    return digits.train.select(CLASSES, 400).spins()


@pytest.fixture(scope="module")
def model(training_images: SpinArray) -> RBM:
    return train(training_images)


def generate(model: RBM, n: int, field_noise: float = 0.0) -> SpinArray:
    """Images from random starts: 15 iterations at T = 1, the visible spins themselves."""
    rng = np.random.default_rng(2)

    def half_step(W: FloatArray, spins: SpinArray, fields: FloatArray) -> SpinArray:
        L = local_fields(W, spins, fields)
        return sample_spins(L + field_noise * rng.standard_normal(L.shape), 1.0, rng)

    v = random_spins(1, n, model.n_visible)
    for _ in range(15):
        h = half_step(model.weights, v, model.hidden_bias)
        v = half_step(model.weights.T, h, model.visible_bias)
    return v


@pytest.fixture(scope="module")
def generated(model: RBM) -> SpinArray:
    starts = random_spins(1, 600, model.n_visible)
    rng = np.random.default_rng(2)
    return gibbs_chain_visible(model.weights, model.visible_bias, model.hidden_bias, starts, 15, 1.0, rng)[-1]


@pytest.fixture(scope="module")
def classifier(digits: ImageSet) -> ImageClassifier:
    return ImageClassifier(digits)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"field_start": "zero"},
        {"gibbs_steps": 5},
        {"temperature": 2.0},
        {"negative_start": "random", "gibbs_steps": 5},
    ],
)
def test_a_small_machine_learns_the_distribution_of_its_data(changes):
    """Total variation distance to the source over 16 states; an untrained machine is 0.5 away."""
    source = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [-1, -1, -1, -1]], np.int8)
    data = source[np.random.default_rng(3).choice(3, 2000, p=[0.5, 0.3, 0.2])]
    flips = np.where(np.random.default_rng(4).random(data.shape) < 0.1, -1, 1).astype(np.int8)
    data *= flips
    settings = replace(TrainingSettings(n_hidden=12, epochs=60, learning_rate=0.03), **changes)
    model = train(data, settings)
    _, learned = visible_distribution(model.weights, model.visible_bias, model.hidden_bias, settings.temperature)
    observed = np.bincount((data > 0) @ (1 << np.arange(4)), minlength=16) / len(data)
    assert 0.5 * np.abs(learned - observed).sum() < 0.08


def test_images_from_random_starts_are_recognised(generated, classifier):
    assert classifier.recognised(generated, CLASSES) >= 0.9


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_seeds_do_as_well(training_images, classifier, seed):
    images = generate(train(training_images, TrainingSettings(seed=seed)), 300)
    assert classifier.recognised(images, CLASSES) >= 0.85
    assert classifier.shares(images, CLASSES).min() >= 0.1
    assert 0.6 <= diversity(images, training_images) <= 1.3


def test_the_noise_of_the_optics_does_not_spoil_the_images(model, classifier):
    """Local fields measured by light carry an error of 0.1 to 0.2."""
    images = generate(model, 300, field_noise=0.15)
    assert classifier.recognised(images, CLASSES) >= 0.85


def test_digits_unlike_each_other_are_recognised_too(digits, classifier):
    images = generate(train(digits.train.select(UNLIKE_CLASSES, 400).spins()), 300)
    assert classifier.recognised(images, UNLIKE_CLASSES) >= 0.8
    assert classifier.shares(images, UNLIKE_CLASSES).min() >= 0.1


def test_short_run_training_generates_digits_unlike_each_other(digits, classifier):
    spins = digits.train.select(UNLIKE_CLASSES, 334).spins()
    images = generate(train(spins, replace(SHORT_RUN_SETTINGS, epochs=20)), 300)
    assert classifier.recognised(images, UNLIKE_CLASSES) >= 0.85
    assert classifier.shares(images, UNLIKE_CLASSES).min() >= 0.15
    assert 0.8 <= diversity(images, spins) <= 1.2


def test_generated_images_are_as_varied_as_the_real_ones(generated, training_images):
    assert 0.8 <= diversity(generated, training_images) <= 1.2


def test_every_class_is_generated(generated, classifier):
    assert classifier.shares(generated, CLASSES).min() >= 0.15


def test_generated_images_are_not_copies(generated, training_images):
    """Nearest training image in spins; real held-out digits are at about 8 too."""
    distance = (196 - (generated.astype(np.float32) @ training_images.T.astype(np.float32)).max(axis=1)) / 2
    assert np.median(distance) >= 3


def test_the_fields_break_the_symmetry_between_image_and_negative(generated, training_images):
    assert generated.mean() == pytest.approx(float(training_images.mean()), abs=0.05)


def test_the_couplings_stay_small_enough_to_encode(model):
    """The optics encode W/Wmax: the largest value must not dwarf the typical one of 0.1."""
    assert max(np.abs(x).max() for x in (model.weights, model.visible_bias, model.hidden_bias)) < 2.0


def test_the_same_seed_gives_the_same_machine():
    spins = random_spins(5, 100, 12)
    assert train(spins, QUICK).content_id == train(spins, QUICK).content_id


def test_another_seed_gives_another_machine():
    spins = random_spins(5, 100, 12)
    assert train(spins, QUICK).content_id != train(spins, replace(QUICK, seed=1)).content_id


def test_training_leaves_its_images_alone():
    spins = random_spins(5, 100, 12)
    before = spins.copy()
    train(spins, QUICK)
    np.testing.assert_array_equal(spins, before)


def test_without_fields_the_biases_stay_zero():
    model = train(random_spins(5, 100, 12), replace(QUICK, fields=False))
    assert not model.visible_bias.any()
    assert not model.hidden_bias.any()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_visible_fields_start_at_the_log_odds_of_the_data(temperature):
    """Alone, such fields give every spin the mean it has in the data."""
    spins = np.ones((40, 3), np.int8)
    spins[:30, 0] = -1
    spins[:20, 1] = -1
    model = train(
        spins,
        replace(QUICK, learning_rate=STANDING_START, final_learning_rate=STANDING_START, temperature=temperature),
    )
    expected = [0.5 * temperature * np.log(p / (1.0 - p)) for p in (0.25, 0.5, 0.95)]
    np.testing.assert_allclose(model.visible_bias, expected, atol=1e-6)
    np.testing.assert_allclose(model.hidden_bias, 0.0, atol=1e-6)


@pytest.mark.parametrize("changes", [{"field_start": "zero"}, {"fields": False}])
def test_fields_that_are_not_started_at_the_log_odds_start_at_zero(changes):
    settings = replace(QUICK, learning_rate=STANDING_START, **changes)
    model = train(np.ones((40, 3), np.int8), settings)
    np.testing.assert_allclose(model.visible_bias, 0.0, atol=1e-6)


def test_weight_decay_shrinks_the_couplings():
    spins = random_spins(6, 100, 12)
    free, decayed = (train(spins, replace(QUICK, epochs=20, weight_decay=d)) for d in (0.0, 5.0))
    assert np.linalg.norm(decayed.weights) < 0.5 * np.linalg.norm(free.weights)


def test_progress_comes_after_every_epoch():
    reports: list[EpochReport] = []
    train(random_spins(5, 100, 12), QUICK, progress=reports.append)
    assert [(report.epoch, report.epochs) for report in reports] == [(1, 3), (2, 3), (3, 3)]


def test_the_moment_gap_falls_as_the_model_learns(training_images):
    reports: list[EpochReport] = []
    train(training_images, TrainingSettings(epochs=5), progress=reports.append)
    assert reports[-1].moment_gap < 0.5 * reports[0].moment_gap


def test_the_paper_settings_are_those_of_the_supplement():
    """arXiv 2508.20472, supplement IV: CD-1 without fields, 50 batches of 1,000 images, 2,000 epochs."""
    s = PAPER_SETTINGS
    assert (s.negative_start, s.gibbs_steps, s.fields, s.epochs) == ("data", 1, False, 2000)
    assert (s.learning_rate, s.final_learning_rate, s.weight_decay) == (0.003, 0.003, 0.0002)
    assert (s.initial_momentum, s.momentum, s.momentum_switch_epoch) == (0.5, 0.9, 5)
    assert (s.initial_std**2, s.batch_size, s.n_hidden, s.temperature) == (pytest.approx(0.01), 20, 196, 1.0)


def test_the_default_is_contrastive_divergence_with_the_constants_of_the_paper():
    s = TrainingSettings()
    assert (s.negative_start, s.gibbs_steps) == ("data", 1)
    assert (s.learning_rate, s.weight_decay, s.initial_std**2) == (0.003, 0.0002, pytest.approx(0.01))
    assert (s.batch_size, s.n_hidden, s.temperature) == (20, 196, 1.0)


def test_short_run_chains_start_at_random_and_run_as_long_as_generation():
    s = SHORT_RUN_SETTINGS
    assert (s.negative_start, s.gibbs_steps, s.field_start, s.fields) == ("random", 15, "zero", True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epochs": 0}, "epochs: 0; allowed: 1 or more"),
        ({"gibbs_steps": 0}, "gibbs_steps: 0"),
        ({"learning_rate": 0.0}, "learning_rate: 0.0; allowed: a positive number"),
        ({"learning_rate": float("nan")}, "learning_rate: nan"),
        ({"temperature": -1.0}, "temperature: -1.0"),
        ({"weight_decay": -0.1}, "weight_decay: -0.1; allowed: 0 or more"),
        ({"momentum": 1.0}, "momentum: 1.0; allowed: 0 to below 1"),
        ({"negative_start": "ones"}, "negative_start: ones; allowed: random, data"),
        ({"field_start": "ones"}, "field_start: ones; allowed: zero, log-odds"),
    ],
)
def test_a_setting_out_of_range_is_refused(change, says):
    with pytest.raises(ConfigurationError, match=says):
        replace(QUICK, **change)


@pytest.mark.parametrize(
    ("spins", "says"),
    [
        (np.ones((19, 12), np.int8), r"shape \(19, 12\); allowed: \(n, N_v\), n at least 20"),
        (np.ones(40, np.int8), r"shape \(40,\)"),
        (np.zeros((40, 12), np.int8), "values other than ±1"),
    ],
)
def test_images_that_are_no_batch_of_spins_are_refused(spins, says):
    with pytest.raises(ConfigurationError, match=says):
        train(spins, QUICK)
