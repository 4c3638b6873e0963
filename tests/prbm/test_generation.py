"""Generated images: several in the same patterns, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError, open_run
from labctl.experiments.execute import execute
from protocols.images.scoring import ImageClassifier
from protocols.images.sets import ImageSet, LabelledImages, load_digits
from protocols.prbm.images.chains import ImageChains
from protocols.prbm.images.generation import Generation, GenerationParameters
from protocols.prbm.images.machine import ImageParameters, sampler_for
from protocols.prbm.model import RBM


def small_rbm(n_visible: int, n_hidden: int) -> RBM:
    rng = np.random.default_rng(4)
    return RBM(rng.normal(0, 0.3, (n_visible, n_hidden)), rng.normal(0, 0.2, n_visible), rng.normal(0, 0.2, n_hidden))


def test_chains_side_by_side_are_independent_and_each_is_the_machines():
    """Four chains at once against one at a time: mean spins of 4,000 draws agree within 5 standard errors."""
    rbm = small_rbm(6, 5)
    means = []
    for chains in (1, 4):
        p = ImageParameters(images=400, iterations=20, chains=chains, sampler="exact")
        history = ImageChains(sampler_for(None, rbm, p), 6, p, np.random.default_rng(chains)).run_through()
        late = history[:, 11:]
        means.append((late.mean(axis=(0, 1)), late.mean(axis=1).std(axis=0) / np.sqrt(400)))
        between = np.corrcoef(late.mean(axis=2).reshape(100, 4, 10).mean(axis=2).T)
        assert np.abs(between[np.triu_indices(4, 1)]).max() < 0.5  # of 100 pairs: false alarm 1e-6
    gap = means[0][0] - means[1][0]
    assert (np.abs(gap) < 5 * np.hypot(means[0][1], means[1][1])).all()


def test_generated_zeros_are_recognised_and_as_near_to_real_ones_as_exact_ones(tmp_path: Path) -> None:
    """By arithmetic: its comparison draws the same random numbers, so the ratio is exactly one."""
    given = {"sampler": "exact", "images": 100, "recipe": "cd-1"}
    outcome = execute("labctl.figures", "prbm.generate", None, given, seed=1, out=tmp_path)
    values = outcome.values
    assert values["recognised"] > 0.75
    assert values["recognised_random"] < 0.01
    assert values["frechet"] == values["frechet_exact"]
    assert values["frechet_err"] > 0
    assert (values["frechet_ratio"], values["frechet_ratio_err"]) == (1.0, 0.0)
    assert outcome.targets is None
    assert "visible" not in values
    assert Path(values["picture"]).is_file()


def test_without_noise_light_is_arithmetic(tmp_path: Path) -> None:
    small_rbm(196, 8).save(tmp_path / "small.npz")
    given = {"model": tmp_path / "small.npz", "images": 1, "iterations": 1, "noise": "off", "world.slm.levels": None}
    light = execute("labctl.protocols", "prbm.generate", None, given, seed=2, out=tmp_path)
    exact = execute("labctl.protocols", "prbm.generate", None, {**given, "sampler": "exact"}, seed=2, out=tmp_path)
    np.testing.assert_array_equal(light.values["visible"], exact.values["visible"])
    assert light.values["rms"] < 1e-6


def test_images_of_784_pixels_take_several_passes(tmp_path: Path) -> None:
    small_rbm(784, 8).save(tmp_path / "large.npz")
    given = {"model": tmp_path / "large.npz", "size": 28, "images": 1, "iterations": 1}
    outcome = execute("labctl.protocols", "prbm.generate", None, given, out=tmp_path)
    assert outcome.values["visible"].shape == (1, 784)
    assert outcome.values["r"] > 0.98
    with open_run(outcome.run_file) as run:
        assert run["data/history"].shape == (1, 2, 784)


def test_a_promise_is_made_for_enough_images() -> None:
    promised = Generation().targets(GenerationParameters(images=1000, recipe="cd-1"))
    assert promised is not None
    assert promised["recognised"] == {"min": 0.9}
    assert promised["frechet_excess"] == {"max": 3.0}
    several = Generation().targets(GenerationParameters(classes=(4, 7, 9)))
    assert several is not None
    assert "recognised" not in several
    for other in ({"images": 50}, {"temperature": 2.0}, {"epochs": 3}, {"recipe": "paper"}):
        assert Generation().targets(GenerationParameters(**other)) is None


def test_garments_are_counted_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_DATA", raising=False)
    digits = load_digits()

    def dressed(part: LabelledImages) -> LabelledImages:
        chosen = part.select([0, 1])
        return LabelledImages(chosen.images, np.where(chosen.labels == 0, 11, 19))

    garments = ImageSet(dressed(digits.train), dressed(digits.test), "digits in disguise")
    judge = ImageClassifier(garments)
    counts = judge.counts(garments.test.spins(), ["boot", "pants", "t-shirt"])
    assert counts[2] == 0
    assert (counts[:2] >= 45).all()


def test_more_training_images_than_there_are_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="99999 images asked for; available"):
        execute("labctl.protocols", "prbm.generate", None, {"per_class": 99999}, out=tmp_path)
