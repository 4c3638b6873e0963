"""What a check finds is kept: what no longer holds is refused and measured anew by --all, and the rest stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from table import CAMERA, calibration, phase_table, store_of

from labctl import open_bench
from labctl.bench.load import load_bench
from labctl.client import CalibrationError, Check, Condition, ConfigurationError, Measured, open_run
from labctl.experiments.calibrate import calibrate, calibrate_all
from labctl.experiments.check_up import Checked, check_bench
from labctl.experiments.execute import execute
from labctl.store.verdict import settings_needed

pytestmark = pytest.mark.usefixtures("only_made_up")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def measured(bench_file: Path, out: Path) -> Path:
    """A bench on which everything is calibrated."""
    assert [r.state for r in calibrate_all(bench_file, out=out)] == ["made"] * 3
    return bench_file


def checked(bench: Path, out: Path, **given: object) -> dict[str, Checked]:
    return {r.name: r for r in check_bench(bench, assignments=given, out=out)}


def in_force(bench: Path) -> dict[str, str]:
    """Ids by kind."""
    return {f.use.kind: f.use.id for f in store_of(bench).all_in_force("small")}


def test_without_calibrations_there_is_nothing_to_check(bench_file: Path, out: Path) -> None:
    assert {r.state for r in checked(bench_file, out).values()} == {"missing"}
    assert not store_of(bench_file).path.exists()


def test_what_holds_is_said_to_hold_and_used(measured: Path, out: Path) -> None:
    found = checked(measured, out)
    assert {name: r.state for name, r in found.items()} == {
        "t.gain": "holds",
        "t.line": "unchecked",
        "t.map": "unchecked",
    }
    (verdict,) = found["t.gain"].verdicts
    assert (verdict.holds, verdict.id) == (True, in_force(measured)["gain"])
    with open_run(verdict.run) as run:
        assert run.attrs["protocol"] == "check.t.gain"
        assert run.attrs["status"] == "complete"
    execute("labctl.protocols", "t.needs", measured, out=out)


def test_what_drifted_is_refused_and_measured_anew_with_what_stands_on_it(measured: Path, out: Path) -> None:
    before = in_force(measured)
    found = checked(measured, out, **{"t.gain.now": 0.5})
    assert found["t.gain"].state == "drifted"
    assert "gain now, less then: 0.05 e" in found["t.gain"].why
    assert in_force(measured) == before  # nothing is withdrawn, or overwritten
    with pytest.raises(CalibrationError, match=r"is drifted: it failed its check of .*gain now.*calibrate t\.gain"):
        execute("labctl.protocols", "t.needs", measured, out=out)
    assert execute("labctl.protocols", "t.needs", measured, {"calibrations.accept": ["drifted"]}, out=out).values
    # What stands on the old gain is measured anew, too.
    assert [r.state for r in calibrate_all(measured, out=out)] == ["made"] * 3
    execute("labctl.protocols", "t.needs", measured, out=out)


def test_a_later_check_or_decision_counts(measured: Path, out: Path) -> None:
    checked(measured, out, **{"t.gain.now": 0.5})
    checked(measured, out)
    assert [v.holds for v in store_of(measured).verdicts("small")] == [False, True]
    execute("labctl.protocols", "t.needs", measured, out=out)
    checked(measured, out, **{"t.gain.now": 0.5})
    store_of(measured).use(in_force(measured)["gain"], note="the lid was open when it was checked")
    execute("labctl.protocols", "t.needs", measured, out=out)


def test_a_check_that_cannot_be_made_says_nothing_of_the_calibration(measured: Path, out: Path) -> None:
    found = checked(measured, out, **{"t.gain.wrong": "dark"})["t.gain"]
    assert (found.state, found.verdicts) == ("failed", ())
    assert "is the beam blocked?" in found.why
    assert store_of(measured).verdicts() == ()


def test_a_check_of_something_else_is_the_routine_s_mistake(measured: Path, out: Path) -> None:
    found = checked(measured, out, **{"t.gain.wrong": "kinds"})["t.gain"]
    assert isinstance(found.error, ConfigurationError)
    assert store_of(measured).verdicts() == ()


def test_a_check_looks_as_the_measurement_did(bench_file: Path, out: Path) -> None:
    made = calibrate("t.gain", bench_file, {"gain": 0.6}, out=out)
    assert checked(bench_file, out)["t.gain"].state == "holds"  # parameters of the run, not the routine's own
    assert made.outcome is not None
    made.outcome.run_file.unlink()
    assert checked(bench_file, out)["t.gain"].state == "drifted"


def test_calibrations_of_other_devices_are_not_judged(measured: Path, out: Path) -> None:
    found = {r.name: r.state for r in check_bench(measured, ["t.gain"], {"world.seed": 8}, out=out)}
    assert found == {"t.gain": "missing"}


def test_a_device_s_own_calibration_is_refused_after_a_failed_check(bench_file: Path) -> None:
    store = store_of(bench_file)
    store.use(store.add(phase_table()))
    store.judge("small", "slm", "phase_table", [Check(name="phase of a turn", value=0.2, unit="rad", high=0.1)])
    with open_bench(bench_file) as bench, pytest.raises(CalibrationError, match="is drifted"), bench.control():
        pass
    with open_bench(bench_file) as bench, bench.control(calibrating=True):
        assert bench.slm.calibration_ids == {}


def test_what_is_not_in_force_is_not_judged(bench_file: Path) -> None:
    passed = [Check(name="x", value=0.0, high=1.0)]
    store = store_of(bench_file)
    with pytest.raises(CalibrationError, match="none is in force"):
        store.judge("small", "slm", "phase_table", passed)
    store.use(store.add(phase_table()))
    with pytest.raises(CalibrationError, match="no check was made"):
        store.judge("small", "slm", "phase_table", [])


def test_an_edited_verdict_is_found(bench_file: Path) -> None:
    store = store_of(bench_file)
    store.use(store.add(phase_table()))
    store.judge("small", "slm", "phase_table", [Check(name="x", value=2.0, high=1.0)])
    (path,) = (store.path / "verdicts").iterdir()
    os.chmod(path, 0o600)
    path.write_bytes(path.read_bytes().replace(b'"holds": false', b'"holds": true'))
    with pytest.raises(CalibrationError, match="not known whether a calibration holds"):
        store.all_in_force("small")


# --- settings -----------------------------------------------------------------------------------------------------


def test_a_calibration_does_not_hold_for_another_setting(bench_file: Path) -> None:
    store = store_of(bench_file)
    narrow = (Condition(setting="camera.binning", low=1, high=1), Condition(setting="camera.exposure_s", high=1.0))
    store.use(store.add(calibration("gain", "camera", CAMERA, {"gain": Measured(0.45)}, holds_while=narrow)))
    config = load_bench(bench_file)
    with open_bench(config) as bench, bench.control():
        assert bench.calibration("gain").holds_while == narrow
        bench.camera.binning = 2
        with pytest.raises(CalibrationError, match=r"is unsuited: it holds while camera\.binning = 1, and it is 2"):
            bench.calibration("gain")
        bench.camera.binning = 1
        assert bench.calibration("gain").number("gain") == 0.45


def test_a_device_refuses_what_was_made_with_other_settings(bench_file: Path) -> None:
    store = store_of(bench_file)
    table = phase_table(holds_while=(Condition(setting="slm.settle_s", low=0.5, high=1.0, unit="s"),))
    store.use(store.add(table))
    told = pytest.raises(CalibrationError, match=r"slm\.settle_s = 0\.5 to 1 s, and it")
    with open_bench(bench_file) as bench, told, bench.control():
        pass
    with open_bench(bench_file, {"devices.slm.settle": "600 ms"}) as bench, bench.control():
        assert set(bench.slm.calibration_ids) == {"phase_table"}


def test_conditions_follow_a_device_that_has_another_name() -> None:
    c = calibration("gain", "camera", CAMERA, {"g": Measured(1.0)}, holds_while=(Condition(setting="camera.binning"),))
    assert settings_needed(c, "camera2") == ("camera2.binning",)
    assert settings_needed(c) == ("camera.binning",)
