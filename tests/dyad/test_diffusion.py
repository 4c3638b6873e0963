"""The schedule of diffusion, how its steps are measured and planned by light, and score models."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.dyad.diffusion.model import ScoreModel, Training
from protocols.dyad.diffusion.optical import OpticalNoise, needed_power, plan_step, reach_of
from protocols.dyad.diffusion.projector import Blocks
from protocols.dyad.diffusion.schedule import Schedule, cosine_schedule, forward, measure_steps, noise_in

PIXELS = 16


def stripes(n: int, seed: int) -> np.ndarray:
    """Images of 4×4 pixels: a bright row or column, of some gray."""
    rng = np.random.default_rng(seed)
    images = np.full((n, 4, 4), -1.0)
    for image, place, down in zip(images, rng.integers(0, 4, n), rng.random(n) < 0.5, strict=True):
        image[(slice(None), place) if down else place] = 1.0
    return (images + rng.normal(0, 0.05, images.shape)).reshape(n, PIXELS)


def test_the_cosine_schedule_leaves_what_it_says():
    """Nichol and Dhariwal, Eq. 17, but for the last step, whose β is limited to 0.9."""
    schedule = cosine_schedule(10)
    f = np.cos((np.arange(11) / 10 + 0.008) / 1.008 * math.pi / 2) ** 2
    assert schedule.alpha_bars[:-1] == pytest.approx(f[1:-1] / f[0])
    assert schedule.betas[-1] == pytest.approx(0.9)


def test_a_variance_beyond_one_is_refused():
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        Schedule(np.array([0.1, 1.2]))


def test_steps_are_measured_as_they_were_made():
    """40 processes of 8 steps: deviations have a standard deviation of 1 ± 0.04; four times that allowed."""
    schedule = cosine_schedule(8)
    found = []
    for seed in range(40):
        chain = forward(stripes(200, seed), schedule, np.random.default_rng([9, seed]).standard_normal)
        measured = measure_steps(chain)
        found.append(measured.deviations(schedule))
        assert np.abs((measured.signal - np.sqrt(1 - schedule.betas)) / measured.signal_err).max() < 4.5
    assert np.std(found) == pytest.approx(1.0, abs=0.16)
    assert np.mean(found) == pytest.approx(0.0, abs=0.25)


def test_noise_that_is_a_tenth_too_large_is_found():
    """Its variance is 21 % too large, fifteen standard errors."""
    rng = np.random.default_rng(4)
    chain = forward(stripes(1000, 1), cosine_schedule(6), lambda shape: 1.1 * rng.standard_normal(shape))
    assert measure_steps(chain).deviations(cosine_schedule(6)).min() > 8


@pytest.fixture
def noise() -> OpticalNoise:
    rng = np.random.default_rng(2)
    return OpticalNoise(rng.uniform(0.5e6, 2e6, 9), rng.uniform(2e6, 3e6, 9), 1.3, 0.01)


@pytest.mark.parametrize("beta", [0.02, 0.3, 0.9])
def test_lamp_and_projector_set_the_ratio_of_image_and_noise(noise, beta):
    for lamp_w in (0.01, 0.02):
        step = plan_step(noise, beta, lamp_w, np.full(9, -0.5))
        assert lamp_w * noise.gain * step.swing / step.sigma == pytest.approx(math.sqrt((1 - beta) / beta))


def test_the_lamp_is_bright_enough_and_no_brighter(noise):
    reach = reach_of(0.9)
    step = plan_step(noise, 0.02, needed_power(noise, 0.02, reach), np.zeros(9))
    assert step.swing.max() * reach == pytest.approx(0.5, rel=1e-6)


def test_the_noise_of_the_lamp_is_part_of_the_noise(noise):
    step = plan_step(noise, 0.02, 0.005, np.zeros(9))
    assert step.sigma**2 == pytest.approx(noise.variance + 1.3 * 0.005 * noise.gain * 0.5, rel=1e-6)


@pytest.fixture(scope="module")
def trained() -> tuple[ScoreModel, list[float]]:
    schedule = cosine_schedule(10)
    model = ScoreModel(PIXELS, schedule, seed=0)
    chain = forward(stripes(300, 5), schedule, np.random.default_rng(6).standard_normal)
    return model, model.train(stripes(300, 5), noise_in(chain, schedule), Training(epochs=20, seed=0))


def test_a_model_learns_what_is_noise(trained):
    """Who knows nothing errs by the noise's variance, 1."""
    _, losses = trained
    assert losses[-1] < 0.35 * losses[0]


def test_most_generated_images_are_stripes(trained):
    """By the nearest of the eight: noise is at 1.4 rms from all of them."""
    model, _ = trained
    made = model.generate(200, np.random.default_rng(8).standard_normal)
    across = np.where(np.arange(4)[:, None, None] == np.arange(4)[None, :, None], 1.0, -1.0) * np.ones((4, 4, 4))
    kinds = np.concatenate([across, across.swapaxes(1, 2)]).reshape(8, PIXELS)
    away = np.sqrt(((made[:, None] - kinds) ** 2).mean(axis=2)).min(axis=1)
    assert (away < 0.5).mean() > 0.5


def test_the_same_seed_gives_the_same_model_and_images():
    schedule = cosine_schedule(4)
    chain = forward(stripes(50, 5), schedule, np.random.default_rng(6).standard_normal)
    made = []
    for _ in range(2):
        model = ScoreModel(PIXELS, schedule, seed=3)
        model.train(chain[0], noise_in(chain, schedule), Training(epochs=2, seed=3))
        made.append(model.generate(5, np.random.default_rng(1).standard_normal))
    assert np.array_equal(*made)


def test_blocks_have_the_light_that_is_wanted_in_whole_gray_levels() -> None:
    """To half a pixel of 100: a level alone is up to 0.6 % of the lamp's light off."""
    blocks = Blocks(np.array([[2, 12, 3, 13], [2, 12, 20, 30]]), (20, 40), 0.0, 256)
    for share in (0.0, 0.1, 0.25, 0.5, 0.617, 0.75, 0.999, 1.0):
        phase = blocks.pattern(np.array([share, 1 - share]))
        np.testing.assert_allclose(phase * 256 / (2 * np.pi), np.rint(phase * 256 / (2 * np.pi)), atol=1e-9)
        light = np.sin(phase / 2) ** 2
        for block, wanted in ((light[2:12, 3:13], share), (light[2:12, 20:30], 1 - share)):
            assert abs(block.mean() - wanted) <= 0.0124 * 0.5 / 100 + 1e-12
        assert light.sum() == pytest.approx(100, abs=0.02)
