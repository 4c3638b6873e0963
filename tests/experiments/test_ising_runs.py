"""prbm.ising and prbm.anneal go on where they were stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumable import contents, only_run

from labctl.experiments import recorder
from labctl.experiments.execute import Outcome, execute, resume
from protocols.prbm.ising.anneal import Anneal
from protocols.prbm.ising.ising import Ising
from protocols.prbm.ising.spin_machine import SpinMachine

ISING = "prbm.ising", {"L": (2, 3), "T": (2.0, 3.0), "samples": 4, "chains": 2}
ANNEAL = "prbm.anneal", {"L": 4, "iterations": 6, "chains": 3}


@pytest.fixture(autouse=True)
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_CHECKPOINT_DUE_AFTER_S", 0.0)


def run(out: Path, what: tuple[str, dict[str, Any]], **given: object) -> Outcome:
    name, usual = what
    return execute("labctl.figures", name, None, {**usual, **given}, seed=5, out=out)


@pytest.mark.parametrize(("what", "sweeps"), [(ISING, 6), (ANNEAL, 3)])
def test_a_machine_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: tuple[str, dict[str, Any]], sweeps: int
) -> None:
    whole = run(tmp_path / "whole", what, sampler="exact")
    sweep, done = SpinMachine.sweep, 0

    def stop(self: SpinMachine, *arguments: Any) -> None:
        nonlocal done
        if done == sweeps:
            raise KeyboardInterrupt
        done += 1
        sweep(self, *arguments)

    with monkeypatch.context() as here:
        here.setattr(SpinMachine, "sweep", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", what, sampler="exact")
    again = resume(only_run(tmp_path / "out"))
    one, other = contents(whole.run_file), contents(again.run_file)
    steps = [name for name in one if name.startswith("steps/")]
    assert len(steps) >= 2
    for name in steps:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize(("what", "figure"), [(ISING, Ising), (ANNEAL, Anneal)])
def test_how_fields_agreed_before_a_run_was_stopped_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: tuple[str, dict[str, Any]], figure: type
) -> None:
    """Stopped when all is measured: what is told of the fields can only be what the checkpoint knows."""
    told: dict[str, Any] = {}

    def stop(self: object, results: dict[str, Any], *_: object) -> None:
        told.update(results)
        raise KeyboardInterrupt

    with monkeypatch.context() as here:
        here.setattr(figure, "conclude", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, what)
    again = resume(only_run(tmp_path)).values
    assert told["r"] > 0.9
    assert {name: again[name] for name in ("r", "slope", "rms")} == told
