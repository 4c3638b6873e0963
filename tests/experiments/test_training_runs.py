"""prbm.train from data to a judged machine: by arithmetic, by light, and going on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from resumable import contents, only_run

from labctl.client import open_bench
from labctl.experiments import recorder
from labctl.experiments.execute import Outcome, execute, resume
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.model import RBM
from protocols.prbm.training.data import bars_and_stripes
from protocols.prbm.training.insitu import Light
from protocols.prbm.training.trainer import Arithmetic, Trainer
from simulators.physics.rbm import log_unnormalised_visible, visible_distribution

SMALL = {"data": "bars-and-stripes", "size": 3, "hidden": 4, "batch": 14, "epochs": 6, "learning_rate": 0.05}
BY_LIGHT = {"sampler": "photonic", "chains": 3, "epochs": 4, "comparisons": 2}


@pytest.fixture(autouse=True)
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_CHECKPOINT_DUE_AFTER_S", 0.0)


def trained(out: Path, group: str = "labctl.protocols", **given: object) -> Outcome:
    return execute(group, "prbm.train", None, {**SMALL, **given}, seed=5, out=out)  # type: ignore[arg-type]


def test_values_are_those_of_the_machine_that_is_kept(tmp_path: Path) -> None:
    values = trained(tmp_path, persistent="on", fields="on").values
    rbm = RBM.load(values["model"])
    machine = rbm.weights, rbm.visible_bias, rbm.hidden_bias
    states, p = visible_distribution(*machine, 1.0)
    log_z = log_unnormalised_visible(*machine, states[0], 1.0) - np.log(p[0])
    expected = (log_unnormalised_visible(*machine, bars_and_stripes(3), 1.0) - log_z).mean()
    assert values["log_likelihood"] == pytest.approx(expected)
    assert (values["likelihood"], values["log_likelihood_err"], values["epochs"]) == ("exact", 0.0, 6)
    assert Path(values["picture"]).stat().st_size > 10_000


@pytest.mark.parametrize("way", [{}, {"persistent": "on", "chains": 5, "k": 2}])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: dict[str, object]
) -> None:
    whole = trained(tmp_path / "whole", **way)
    run_epoch = Trainer.run_epoch

    def stop(self: Trainer) -> object:
        if self.epoch == 3:
            raise KeyboardInterrupt
        return run_epoch(self)

    with monkeypatch.context() as here:
        here.setattr(Trainer, "run_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "out", **way)
    again = resume(only_run(tmp_path / "out"))
    assert again.values["model_id"] == whole.values["model_id"]
    one, other = contents(whole.run_file), contents(again.run_file)
    for name in ("steps/epoch", "steps/log_likelihood", "steps/reconstruction_error", "data/W"):
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_half_steps_by_light_give_the_means_of_arithmetic() -> None:
    """On the table without noise: 8-bit levels of macro-pixels leave a few percent of the largest coupling."""
    rng = np.random.default_rng(1)
    rbm = RBM(rng.normal(0, 0.4, (9, 4)), rng.normal(0, 0.3, 9), rng.normal(0, 0.3, 4))
    other = RBM(-rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    v, h = rng.choice((-1.0, 1.0), (6, 9)), rng.choice((-1.0, 1.0), (6, 4))
    exact = Arithmetic(1.3)
    with open_bench("prbm-sim", {"world.noise": False}) as bench, bench.control("test"):
        light = Light(bench, rbm, ReadoutParameters(), 1.3, together=3)
        for machine in (rbm, other):
            exact.program(machine)
            light.program(machine)
            np.testing.assert_allclose(light.hidden(v), exact.hidden(v), atol=0.1)
            np.testing.assert_allclose(light.visible(h), exact.visible(h), atol=0.1)
    assert light.agreement.r > 0.998


def test_training_by_light_is_compared_with_training_by_arithmetic_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_epoch = Trainer.run_epoch

    def stop(self: Trainer) -> object:
        if self.epoch == 2 and self.data.dtype == np.float64:  # of the chains by light
            raise KeyboardInterrupt
        return run_epoch(self)

    with monkeypatch.context() as here:
        here.setattr(Trainer, "run_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, "labctl.figures", positive="photonic", together=1, **BY_LIGHT)
    outcome = resume(only_run(tmp_path))
    values, steps = outcome.values, contents(outcome.run_file)
    assert steps["steps/epoch"].tolist() == [1, 2, 3, 4]
    assert steps["data/exact_training"].shape == (2, 4)
    assert values["log_likelihood_exact_training"] == pytest.approx(steps["data/exact_training"][:, -1].mean())
    assert values["relative_difference"] < 0.1
    assert values["r"] > 0.99
    assert values["table_time_s"] > 0
    assert outcome.ok is None  # promised for the figure as it is by default only
