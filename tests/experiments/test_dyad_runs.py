"""Figures of dyads' equation go on where they were stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumable import contents, only_run

from labctl.experiments import recorder
from labctl.experiments.execute import Outcome, execute, resume
from labctl.experiments.recorder import Step


@pytest.fixture(autouse=True)
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_CHECKPOINT_DUE_AFTER_S", 0.0)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dyad.orientation", {"r_g": (0.98, 1.0, 1.02), "r_gamma": (0.99, 1.0), "trials": 40, "duration": 4}),
        ("dyad.phase-diagram", {"g": (0.3, 0.6), "J": (0.2, 0.4, 0.6), "gamma": (1.8, 2.8)}),
        ("dyad.integrated-intensity", {"method": "equation", "n": 5000, "trials": 20, "duration": 2, "dt": 0.04}),
        ("dyad.chain", {"n": 2, "trials": 20, "coupling": (0.0, 0.02, 0.05, 0.1, 0.2), "duration": 4}),
    ],
)
def test_a_figure_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: dict[str, Any]
) -> None:
    def run(out: str) -> Outcome:
        return execute("labctl.figures", name, None, given, seed=5, out=tmp_path / out)

    whole = run("whole")
    save, done = Step.save, 0

    def stop(self: Step, **values: Any) -> None:
        nonlocal done
        if done == 3:
            raise KeyboardInterrupt
        done += 1
        save(self, **values)

    with monkeypatch.context() as here:
        here.setattr(Step, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            run("out")
    again = resume(only_run(tmp_path / "out"))
    one, other = contents(whole.run_file), contents(again.run_file)
    steps = [name for name in one if name.startswith("steps/")]
    assert steps
    for name_of_series in steps:
        np.testing.assert_array_equal(one[name_of_series], other[name_of_series], err_msg=name_of_series)
    assert again.values == whole.values
