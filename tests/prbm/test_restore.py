"""Restoration of damaged images: what holds a chain to the image, what is judged, and the whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.client import ConfigurationError, open_run
from labctl.experiments import recorder
from labctl.experiments.execute import Outcome, execute, resume
from protocols.prbm.images.damage import Damage
from protocols.prbm.images.restoration_score import final_estimate, mean_and_error, restoration_values
from protocols.prbm.images.restore import RestorationChains, RestoreParameters
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.sampling import ExactSampler
from protocols.prbm.model import RBM
from simulators.physics.rbm import visible_distribution


def small_rbm(n_visible: int, n_hidden: int, seed: int = 0, spread: float = 0.5) -> RBM:
    rng = np.random.default_rng(seed)
    return RBM(
        rng.normal(0, spread, (n_visible, n_hidden)), rng.normal(0, 0.3, n_visible), rng.normal(0, 0.3, n_hidden)
    )


def chains(rbm: RBM, damage: Damage, p: RestoreParameters) -> RestorationChains:
    sampler = ExactSampler(rbm_layers(rbm, p.chains, 5.0), p.temperature)
    return RestorationChains(sampler, rbm, damage, p, np.random.default_rng(1))


def test_pixels_that_are_seen_stay_and_masked_ones_are_drawn():
    shown = np.where(np.random.default_rng(2).random((6, 9)) < 0.5, 1, -1).astype(np.int8)
    damaged = np.random.default_rng(3).random((6, 9)) < 0.5
    p = RestoreParameters(images=6, iterations=40, chains=2)
    history = chains(small_rbm(9, 5), Damage(shown, damaged), p).run_through()
    assert history.shape == (6, 41, 9)
    assert (history == shown[:, None])[~np.broadcast_to(damaged[:, None], history.shape)].all()
    assert np.abs(history.mean(axis=1))[damaged].mean() < 0.9


@pytest.mark.parametrize("clamp", ["known", "none", "noise"])
def test_long_chains_draw_from_the_posterior_of_what_is_known(clamp):
    """16 states; 200 chains of 60 iterations, the last 40 used. The mean total-variation distance of 8,000 independent
    draws is below 0.018, their standard deviation below 0.004; correlated ones are worth at least a quarter of that.
    Seed fixed; a wrong factor 2 in the evidence is at 0.1."""
    rbm, n = small_rbm(4, 3), 200
    shown = np.tile(np.array([1, -1, -1, 1], np.int8), (n, 1))
    damaged = np.tile(np.array([True, False, True, True]), (n, 1))
    damage = "noise" if clamp == "noise" else "mask"
    p = RestoreParameters(images=n, iterations=60, chains=10, damage=damage, damaged=0.3, clamp=clamp, temperature=1.3)
    history = chains(rbm, Damage(shown, damaged), p).run_through()[:, 21:]
    states, prior = visible_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias, 1.3)
    likelihood = {
        "known": ((states == shown[0]) | damaged[0]).all(axis=1).astype(float),
        "none": np.ones(16),
        "noise": np.prod(np.where(states == shown[0], 0.7, 0.3), axis=1),
    }[clamp]
    posterior = prior * likelihood / (prior @ likelihood)
    number = ((history + 1) // 2 * 2 ** np.arange(4)).sum(axis=-1).ravel()
    seen = np.bincount(number, minlength=16) / number.size
    assert 0.5 * np.abs(seen - posterior).sum() < 0.05


def test_each_image_is_held_by_its_own_evidence():
    shown = np.array([[1, 1, 1], [-1, -1, -1]], np.int8)
    p = RestoreParameters(images=2, iterations=3, damage="noise", clamp="noise", damaged=1e-9)
    free = RBM(np.zeros((3, 2)), np.zeros(3), np.zeros(2))
    sampler = ExactSampler(rbm_layers(free, 1, p.evidence), 1.0)
    history = RestorationChains(sampler, free, Damage(shown, shown > 0), p, np.random.default_rng(0)).run_through()
    assert (history == shown[:, None]).all()


def test_the_estimate_is_the_vote_of_the_last_iterations_and_ties_go_to_the_last():
    history = np.array([[[1, 1, -1], [1, -1, -1], [-1, 1, 1], [1, 1, 1], [-1, -1, 1]]], np.int8)
    np.testing.assert_array_equal(final_estimate(history, 3), [[-1, 1, 1]])
    np.testing.assert_array_equal(final_estimate(history, 4), [[-1, -1, 1]])
    np.testing.assert_array_equal(final_estimate(history, 1), history[:, -1])
    np.testing.assert_array_equal(final_estimate(history, 99), final_estimate(history, 4))


def test_errors_are_those_of_a_mean_over_images():
    values = np.random.default_rng(5).normal(3, 2, 400)
    mean, error = mean_and_error(values)
    assert (mean, error) == pytest.approx((values.mean(), values.std(ddof=1) / 20))


def test_differences_are_paired():
    rng = np.random.default_rng(6)
    truth = np.ones((50, 16), np.int8)
    damage = Damage(-truth, np.ones(truth.shape, bool))
    history = np.where(rng.random((50, 2, 16)) < rng.random((50, 1, 1)), 1, -1).astype(np.int8)
    exact = history.copy()
    exact[:, :, 0] *= -1  # one pixel in sixteen otherwise, whatever the image's difficulty
    values = restoration_values(truth, damage, history, exact, -truth, truth, 1)
    assert values["accuracy_err"] > 0.03
    assert values["difference_exact_err"] < 0.02
    assert values["difference_exact"] == pytest.approx(values["accuracy"] - values["accuracy_exact"])
    assert (values["accuracy_nearest"], values["accuracy_majority"], values["accuracy_damaged"]) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"damage": "noise", "clamp": "known"}, "which pixels the noise flipped is not known"),
        ({"damage": "mask", "clamp": "noise"}, "a mask flips no pixels"),
        ({"images": 10, "chains": 3}, "a multiple of it"),
        ({"classes": "hat"}, "allowed: digits 0 to 9"),
        ({"classes": "0,0"}, "different ones"),
        ({"damaged": 0.0}, "greater than 0"),
        ({"size": 20}, "14 or 28"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        execute("labctl.figures", "prbm.restore", None, given, out=tmp_path)


@pytest.mark.parametrize(
    ("given", "classes"), [("boot", ("boot",)), ("0,T-Shirt", (0, "t-shirt")), (7, (7,)), ((4, "9"), (4, 9))]
)
def test_classes_are_digits_or_names(given: object, classes: tuple[object, ...]) -> None:
    assert RestoreParameters(classes=given).classes == classes


def restore(out: Path, **given: object) -> Outcome:
    return execute("labctl.figures", "prbm.restore", None, {"classes": 0, **given}, seed=3, out=out)


def test_masked_zeros_are_restored_better_than_by_the_majority(tmp_path: Path) -> None:
    """By arithmetic, so that 50 images take a second: 84 against 79 %, with a paired error of about one point."""
    values = restore(tmp_path, sampler="exact", images=50).values
    assert values["accuracy"] > values["accuracy_majority"] + 0.01
    assert values["accuracy_all"] > 0.94
    assert values["difference_exact"] == values["difference_exact_err"] == 0.0
    assert values["r"] == 1.0
    assert Path(values["picture"]).is_file()


def test_light_restores_what_arithmetic_does(tmp_path: Path) -> None:
    outcome = restore(tmp_path, damage="noise", images=3, iterations=4, average=2)
    values = outcome.values
    assert values["r"] > 0.98
    assert values["clamp"] == "none"
    with open_run(outcome.run_file) as run:
        truth, damaged, history = (np.asarray(run[f"data/{name}"]) for name in ("truth", "damaged", "history"))
        assert np.asarray(run["steps/pattern_ids"]).min() > 0
    np.testing.assert_array_equal(history[:, 0] != truth, damaged)
    assert values["accuracy_damaged"] == 0.0
    # Two thirds of the flipped pixels turn back in four iterations; the three images have about 120 of them.
    assert values["accuracy"] > 0.5
    assert abs(values["difference_exact"]) < 0.2


def test_several_images_share_their_patterns(tmp_path: Path) -> None:
    model = tmp_path / "small.npz"
    small_rbm(196, 8, spread=0.1).save(model)
    outcome = restore(tmp_path, model=model, images=4, chains=4, iterations=2, epochs=1)
    with open_run(outcome.run_file) as run:
        assert run["steps/visible"].shape == (2, 4, 196)
    assert outcome.values["r"] > 0.98


def test_a_model_of_another_size_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "small.npz"
    small_rbm(100, 8).save(model)
    with pytest.raises(ConfigurationError, match="100 visible spins; images of 14x14 need 196"):
        restore(tmp_path, model=model, images=2)


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_CHECKPOINT_DUE_AFTER_S", 0.0)
    given = {"sampler": "exact", "images": 4, "iterations": 5, "damage": "noise", "clamp": "noise", "epochs": 2}
    whole = restore(tmp_path / "whole", **given)
    sample, left = ExactSampler.sample, [40 + 15]  # half steps of the comparison, and of the run

    def sample_or_stop(self: ExactSampler, *arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return sample(self, *arguments)

    with monkeypatch.context() as here:
        here.setattr(ExactSampler, "sample", sample_or_stop)
        with pytest.raises(KeyboardInterrupt):
            restore(tmp_path / "out", **given)
    again = resume(next((tmp_path / "out").glob("*.h5")))
    for values in (whole.values, again.values):
        values.pop("picture")
    assert again.values == whole.values
