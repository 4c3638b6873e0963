"""`dyad.calibrate` on a small table: dyads are fair afterwards, what is kept is used, bad light is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensing_small import write_small

from labctl.cli.experiments import resume_run
from labctl.client import CalibrationError, LimitError, check_on, open_bench, open_run
from labctl.experiments.calibrate import Calibrated, calibrate
from labctl.store import Store
from protocols.dyad.calibrate.bayes import BayesSearch
from protocols.dyad.table.lattice import KIND, DyadLattice, plan_of

NAME = "dyad.calibrate"
QUICK: dict[str, Any] = {
    "precision": 0.02, "settle": 1000, "verify": 1000, "before": 60, "most": 5000, "bench.lease": "60 s",
}  # fmt: skip
COARSE = {**QUICK, "precision": 0.1, "settle": 100, "verify": 100}
"""Where it matters only that the search goes on, or is not begun."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def done(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Calibrated once for all tests, with its store."""
    folder = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABCTL_CALIBRATIONS", str(folder / "calibrations"))
        yield calibrate(NAME, small, QUICK, seed=1, out=folder / "runs")


@pytest.fixture
def in_force(done: Calibrated, monkeypatch: pytest.MonkeyPatch) -> Calibrated:
    """The same, while its store is the bench's."""
    assert done.outcome is not None
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(done.outcome.calibrations_folder))
    return done


def values(done: Calibrated) -> dict[str, Any]:
    assert done.outcome is not None
    return done.outcome.values


def test_dyads_are_fair_afterwards_and_were_not_before(done: Calibrated) -> None:
    """Six dyads known to 0.02, counted 1000 times: a distance of 0.1 is 4 standard deviations."""
    v = values(done)
    assert v["late"] == 0
    assert v["p1"]["worst_off"] < 0.1
    assert v["p1"]["rms_off"] < 0.5 * v["p1_before"]["rms_off"]


def test_what_was_found_is_kept_with_its_intervals(done: Calibrated) -> None:
    (kept,) = done.calibrations
    assert kept["ratio"].shape == (6,)
    assert np.all(kept["ratio_low"] < kept["ratio_high"])
    assert np.all((kept["p1_low"] < 0.5) & (kept["p1_high"] > 0.5))
    assert kept["places_px"].shape == (6, 2, 2)
    assert np.all(kept["misread"] < 0.2)


def test_another_lattice_begins_with_what_is_in_force(in_force: Calibrated, small: Path) -> None:
    (kept,) = in_force.calibrations
    with open_bench(small, {"bench.lease": "60 s"}) as bench, bench.control():
        lattice = DyadLattice(bench, plan_of(bench), np.random.default_rng(5))
        assert lattice.balanced is not None
        np.testing.assert_array_equal(lattice.balanced, kept["ratio"])
        lattice.set_ratios(lattice.balanced)
        with lattice.light():
            shots = lattice.shots(400)
        assert np.abs(shots.states.mean(axis=0) - 0.5).max() < 0.2
        assert shots.lost == 0
        with pytest.raises(LimitError, match="beyond 2"):
            lattice.set_ratios(np.full(6, 3.0))
        with pytest.raises(LimitError, match="6 positive numbers"):
            lattice.set_ratios(np.ones(5))


def test_a_check_tells_within_seconds_of_the_table_that_it_still_holds(in_force: Calibrated, small: Path) -> None:
    with open_bench(small, {"bench.lease": "60 s"}) as bench:
        (checked,) = check_on(bench, [NAME], out=small.parent / "checks")
    assert checked.state == "holds", checked.why


def test_another_lattice_of_the_bench_file_is_not_taken_for_the_calibrated_one(
    in_force: Calibrated, small: Path
) -> None:
    with open_bench(small, {"bench.lease": "60 s", "alignment.dyad.pitch.row": 15}) as bench, bench.control():
        assert DyadLattice(bench, plan_of(bench), np.random.default_rng(5)).balanced is None


def test_a_run_that_was_stopped_is_gone_on_with_by_the_command_line_and_its_calibration_kept(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its third batch; the search goes on with the counts of before, and what it finds is in force."""
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    tell, told = BayesSearch.tell, 0

    def stop(self: BayesSearch, *counted: Any) -> None:
        nonlocal told
        told += 1
        if told == 4:
            raise KeyboardInterrupt
        tell(self, *counted)

    with monkeypatch.context() as here:
        here.setattr(BayesSearch, "tell", stop)
        with pytest.raises(KeyboardInterrupt):
            calibrate(NAME, small, COARSE, seed=1, out=tmp_path / "runs")
    assert list(Store(tmp_path / "calibrations").uses()) == []
    (run,) = (tmp_path / "runs").glob("*.h5")
    with open_run(run) as file:
        before = np.asarray(file["steps/ones"][()])
    assert resume_run(str(run), None, tmp_path / "runs", anew=False, as_json=True) == 0
    with open_run(run) as file:
        np.testing.assert_array_equal(file["steps/ones"][: len(before)], before)
        found = np.exp(file["steps/x"][-1])
    with open_bench(small, {"bench.lease": "60 s"}) as bench:
        np.testing.assert_allclose(bench.calibration(KIND)["ratio"], found)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.beam.blocked": True}, "beam blocks"),
        ({"world.pump.tripped": True}, "open interlock"),
        ({"world.hidden.camera_flip": True}, "mirrored"),
        ({"world.slm.stuck": True}, "the SLM does not show"),
    ],
    ids=["beam blocked", "laser off", "mirrored", "SLM stuck"],
)
def test_bad_light_is_named_and_nothing_is_kept(
    given: dict[str, Any], cause: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate(NAME, small, {**COARSE, **given}, out=tmp_path / "runs")
    assert list(Store(tmp_path / "calibrations").uses()) == []
