"""prbm.generate and prbm.digits go on with the image they were at, and with the model they began with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from resumable import assert_tidy, contents, only_run

from labctl.experiments import recorder
from labctl.experiments.execute import Outcome, execute, resume
from protocols.prbm.light.sampling import ExactSampler

SMALL = {"epochs": 2, "per_class": 50, "images": 4, "iterations": 5}


def generate(out: Path, **given: object) -> Outcome:
    return execute("labctl.protocols", "prbm.generate", None, {**SMALL, **given}, seed=5, out=out)


def stop_after(patch: pytest.MonkeyPatch, half_sweeps: int) -> None:
    """As Ctrl-C during the next one; from then on nothing may be trained."""
    sample, left = ExactSampler.sample, [half_sweeps]

    def sample_or_stop(
        self: ExactSampler, layer: str, given: NDArray[np.int8], rng: np.random.Generator
    ) -> NDArray[np.int8]:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return sample(self, layer, given, rng)

    patch.setattr(ExactSampler, "sample", sample_or_stop)


def no_training(*arguments: object, **options: object) -> None:
    raise AssertionError("the model is in the run file")


@pytest.fixture(autouse=True)
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_CHECKPOINT_DUE_AFTER_S", 0.0)


def stopped_and_resumed(out: Path, patch: pytest.MonkeyPatch, half_sweeps: int, **given: object) -> Outcome:
    with patch.context() as here:
        stop_after(here, half_sweeps)
        with pytest.raises(KeyboardInterrupt):
            generate(out, **given)
    with patch.context() as here:
        here.setattr("protocols.prbm.images.machine.train", no_training)
        return resume(only_run(out))


@pytest.mark.parametrize("half_sweeps", [3, 20])
def test_images_by_arithmetic_are_those_of_a_run_that_was_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half_sweeps: int
) -> None:
    whole = generate(tmp_path / "whole", sampler="exact")
    again = stopped_and_resumed(tmp_path / "out", monkeypatch, half_sweeps, sampler="exact")
    pictures = [Path(o.values.pop("picture")).read_bytes() for o in (whole, again)]
    assert pictures[0] == pictures[1]
    np.testing.assert_array_equal(again.values.pop("visible"), whole.values.pop("visible"))
    assert again.values == whole.values
    for run in (whole.run_file, again.run_file):
        assert len(contents(run)["steps/visible"]) == 20
    one, other = contents(whole.run_file), contents(again.run_file)
    for name in one.keys() - {"results/picture"}:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert_tidy(again.run_file)


def test_a_run_stopped_while_it_trains_trains_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = generate(tmp_path / "whole", sampler="exact")
    with monkeypatch.context() as here:
        here.setattr("protocols.prbm.images.machine.keep_model", interrupt)
        with pytest.raises(KeyboardInterrupt):
            generate(tmp_path / "out", sampler="exact")
    again = resume(only_run(tmp_path / "out"))
    np.testing.assert_array_equal(again.values["visible"], whole.values["visible"])


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_images_by_light_go_on_with_the_agreement_and_the_power_of_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = stopped_and_resumed(tmp_path / "out", monkeypatch, 7, images=2)
    steps = contents(again.run_file)
    assert steps["steps/image"].tolist() == [0] * 5 + [1] * 5
    assert steps["steps/iteration"].tolist() == [*range(5), *range(5)]
    history = steps["data/history"]
    np.testing.assert_array_equal(history[:, 1:].reshape(10, 1, 196), steps["steps/visible"])
    assert set(np.unique(history)) == {-1, 1}
    assert again.values["r"] > 0.98
    assert again.values["source_power_w"] == pytest.approx(steps["steps/source_power_w"].mean())
