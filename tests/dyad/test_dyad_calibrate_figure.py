"""The figure `dyad.calibrate` on a small table: its values, how it goes on after an interruption, tracking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensing_small import write_small

from labctl.client import open_run
from labctl.experiments.execute import execute, resume
from protocols.dyad.calibrate.figure import CalibrateFigure, FigureParameters
from protocols.dyad.calibrate.sweep import SweepSearch

QUICK: dict[str, Any] = {
    "precision": 0.05, "points": 6, "reach": 0.12, "before": 60, "batch": 100, "settle": 0, "verify": 300,
    "patience": 0.25, "bench.lease": "60 s",
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("small"), rows=2, columns=2)


def test_an_interrupted_figure_goes_on_in_its_sweep_with_what_was_counted_before(bench: Path, tmp_path: Path) -> None:
    def stop(self: SweepSearch) -> Any:
        raise KeyboardInterrupt

    given = {**QUICK, "sweep_precision": 0.1}
    with pytest.MonkeyPatch.context() as here:
        here.setattr(SweepSearch, "ask", stop)
        with pytest.raises(KeyboardInterrupt):
            execute("labctl.figures", "dyad.calibrate", bench, given, seed=1, out=tmp_path)
    with open_run(next(tmp_path.glob("*.h5"))) as file:
        before = np.asarray(file["steps/ones"][()])
    again = resume(next(tmp_path.glob("*.h5")))
    with open_run(again.run_file) as file:
        np.testing.assert_array_equal(file["steps/ones"][: len(before)], before)
    v = again.values
    assert v["dyads"] == 4
    assert 0 < v["trials_same"] <= v["trials"]
    assert v["ratio"] == pytest.approx(v["trials_same"] / v["sweep_trials"])
    assert 0 <= v["within"] <= 1
    assert 0 <= v["covered"] <= 4
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_targets_are_those_of_the_whole_lattice_only() -> None:
    targets = CalibrateFigure().targets(FigureParameters())
    assert targets is not None
    assert targets["ratio"] == {"max": 0.2}
    assert CalibrateFigure().targets(FigureParameters(verify=1000)) is None


def test_ratios_follow_a_sample_that_moves(bench: Path, tmp_path: Path) -> None:
    """By 80 um an hour: 1.3 micrometres in a minute, over which g changes by its whole spread."""
    given = {**QUICK, "world.hidden.sample_drift": "80 um", "track": 60.0, "every": 4.0, "window": 150, "verify": 100}
    v = execute("labctl.calibrations", "dyad.calibrate", bench, given, seed=2, out=tmp_path).values
    assert v["tracking"]["windows"] == 15
    assert v["tracking"]["ratio_moved"] > 0.01
    assert v["tracking"]["rms_off"] < 0.15
