"""Routines keep what they find, in order, and a routine that fails keeps nothing."""

from __future__ import annotations

import hashlib
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import made_up_routines
import pytest
from made_up_routines import Gain, Line, Needs
from table import CAMERA, SLM, TOMORROW, YESTERDAY, calibration, store_of

from labctl import open_bench
from labctl.bench.load import load_bench
from labctl.client import CalibrationError, ConfigurationError, LabError, Measured, open_run
from labctl.experiments.calibrate import Calibrated, calibrate, calibrate_all, in_order, needed_by
from labctl.experiments.execute import execute
from labctl.experiments.report import page
from labctl.experiments.routine import summary

pytestmark = pytest.mark.usefixtures("routines")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def contents(bench: Path) -> set[Path]:
    return {p for p in store_of(bench).path.glob("*/*") if p.is_file()}


# --- one ----------------------------------------------------------------------------------------------------------


def test_what_a_routine_finds_is_kept_and_in_force(bench_file: Path, out: Path) -> None:
    done = calibrate("t.gain", bench_file, {"gain": 0.5}, out=out)
    (c,) = done.calibrations
    assert (done.state, done.ids) == ("made", {"camera.gain": c.id})
    assert store_of(bench_file).get(c.id) == c
    (use,) = store_of(bench_file).uses()
    assert (use.bench, use.role, use.kind, use.id, use.note) == (
        "small",
        "camera",
        "gain",
        c.id,
        "labctl calibrate t.gain",
    )
    assert (c.number("gain"), c.values["gain"].unit, c.uncertainty("gain")) == (0.5, "e", 0.002)
    assert (c.routine, c.devices) == ("t.gain", {"camera": CAMERA})
    assert c.valid_until == c.made + timedelta(days=3)
    assert c.conditions["mean"].unit == "counts"
    assert c.checks[0].passed
    assert c.software["labctl"]
    assert done.outcome is not None
    run_file = done.outcome.run_file
    assert c.run is not None
    assert (Path(c.run.path), c.run.sha256) == (run_file, hashlib.sha256(run_file.read_bytes()).hexdigest())
    with open_run(run_file) as run:
        assert run.attrs["status"] == "complete"
        assert run["steps/mean"].shape == (2,)
    with open_bench(bench_file) as bench:
        assert bench.calibration("gain").id == c.id


def test_a_dry_run_measures_and_keeps_nothing(bench_file: Path, out: Path) -> None:
    done = calibrate("t.gain", bench_file, out=out, dry_run=True)
    assert (done.state, done.calibrations[0].number("gain")) == ("measured", 0.45)
    assert not store_of(bench_file).path.exists()
    assert done.outcome is not None
    assert done.outcome.run_file.exists()


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        ("dark", CalibrationError, "is the beam blocked"),
        ("device", LabError, "the cable is out"),
        ("check", CalibrationError, r"residual: 9 % \(at most 1\)"),
        ("kinds", ConfigurationError, r"found camera\.other, and declares camera\.gain"),
        ("devices", ConfigurationError, r"t\.gain found something of telescope, which the bench has not"),
    ],
)
def test_a_routine_that_fails_leaves_the_store_as_it_was(
    bench_file: Path, out: Path, wrong: str, error: type[LabError], told: str
) -> None:
    calibrate("t.gain", bench_file, out=out)
    before = contents(bench_file)
    with pytest.raises(error, match=told):
        calibrate("t.gain", bench_file, {"wrong": wrong}, out=out)
    assert contents(bench_file) == before
    newest = max(out.glob("*.h5"), key=lambda p: p.stat().st_mtime_ns)
    with open_run(newest) as run:
        assert wrong == "devices" or str(run.attrs["status"]).startswith("failed")


def test_a_routine_stands_on_what_it_requires(bench_file: Path, out: Path) -> None:
    with pytest.raises(CalibrationError, match=r"no calibration camera\.gain.*`labctl calibrate t\.gain --bench"):
        calibrate("t.line", bench_file, out=out)
    gain = calibrate("t.gain", bench_file, {"gain": 0.4}, out=out).calibrations[0]
    line = calibrate("t.line", bench_file, out=out).calibrations[0]
    assert (line.parents, line.number("slope"), line.valid_until) == ((gain.id,), 2.5, None)


def test_a_routine_finds_several_things_of_several_devices(bench_file: Path, out: Path) -> None:
    for name in ("t.gain", "t.line"):
        calibrate(name, bench_file, out=out)
    done = calibrate("t.map", bench_file, out=out)
    assert set(done.ids) == {"slm.slm-camera", "camera.dark"}
    assert [c.devices for c in done.calibrations] == [{"slm": SLM, "camera": CAMERA}, {"camera": CAMERA}]
    with open_bench(bench_file) as bench, bench.control():
        assert bench.camera.calibration_ids == {"dark": done.ids["camera.dark"]}
        assert bench.camera.correction().dark_counts[0, 0] == 90.0


def test_a_stale_calibration_does_not_keep_its_routine_from_running(bench_file: Path, out: Path) -> None:
    stale = calibration("dark", "camera", CAMERA, {"offset_counts": Measured([[1.0]])}, valid_until=YESTERDAY)
    store_of(bench_file).use(store_of(bench_file).add(stale))
    for name in ("t.gain", "t.line", "t.map"):
        calibrate(name, bench_file, out=out)
    with open_bench(bench_file) as bench, bench.control():
        assert bench.calibration("dark")["offset_counts"][0, 0] == 90.0


@pytest.mark.parametrize("name", ["t.gian", "t.needs"])
def test_an_unknown_routine_is_bad_input(bench_file: Path, out: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r'"t\.\w+" is unknown'):
        calibrate(name, bench_file, out=out)


def test_a_bench_elsewhere_is_calibrated_there(bench_file: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_AT", "cellar")
    with pytest.raises(ConfigurationError, match="on its own machine"):
        calibrate("t.gain", bench_file, out=out)


# --- protocols ----------------------------------------------------------------------------------------------------


def test_a_protocol_begins_only_with_what_it_needs(bench_file: Path, out: Path) -> None:
    before = Needs.prepared
    with pytest.raises(
        CalibrationError, match=r"no calibration linearity is in force; measure it: `labctl calibrate t\.line --bench "
    ):
        execute("labctl.protocols", "t.needs", bench_file, out=out)
    assert Needs.prepared == before  # told before anything is trained
    ids = [calibrate(name, bench_file, out=out).calibrations[0].id for name in ("t.gain", "t.line")]
    outcome = execute("labctl.protocols", "t.needs", bench_file, out=out)
    assert outcome.values["slope"] == pytest.approx(1 / 0.45)
    assert set(outcome.stands_on) == set(ids)
    import json

    with open_run(outcome.run_file) as run:
        assert json.loads(run["setup/calibrations"].asstr()[()]) == {"camera.gain": ids[0], "camera.linearity": ids[1]}


def test_a_protocol_does_not_begin_with_what_is_stale(bench_file: Path, out: Path) -> None:
    for name in ("t.gain", "t.line"):
        calibrate(name, bench_file, out=out)
    stale = calibration("gain", "camera", CAMERA, {"gain": Measured(1.0)}, valid_until=YESTERDAY)
    store_of(bench_file).use(store_of(bench_file).add(stale))
    with pytest.raises(CalibrationError, match=r"is stale.*`labctl calibrate made-up\.gain --bench"):
        execute("labctl.protocols", "t.needs", bench_file, out=out)
    accepted = {"calibrations.accept": ["stale"]}
    assert execute("labctl.protocols", "t.needs", bench_file, accepted, out=out).values


def test_an_experiment_may_calibrate_in_between(
    bench_file: Path, out: Path, only_made_up: None, tmp_path: Path
) -> None:
    given = {"calibrations.folder": str(tmp_path / "for this run")}
    outcome = execute("labctl.protocols", "t.around", bench_file, given, out=out)
    assert outcome.values["states"] == ["made"] * 3
    assert outcome.values["before"] == {}
    assert set(outcome.values["after"]) == {"dark"}
    assert math.isnan(outcome.bench_seconds)
    assert not store_of(bench_file).path.exists()


# --- all ----------------------------------------------------------------------------------------------------------


def run_all(bench: Path, out: Path, given: dict[str, Any] | None = None, **options: Any) -> dict[str, Calibrated]:
    return {r.name: r for r in calibrate_all(bench, given or {}, out=out, **options)}


def states(results: dict[str, Calibrated]) -> dict[str, str]:
    return {name: r.state for name, r in results.items()}


@pytest.fixture
def ours(bench_file: Path, only_made_up: None) -> Path:
    """A bench for which nothing but the made-up routines is registered: these tests are about their order."""
    return bench_file


def test_a_bench_needs_the_routines_it_has_devices_for_in_order(ours: Path) -> None:
    assert needed_by(load_bench(ours)) == ("t.gain", "t.line", "t.map")


def test_a_routine_comes_after_those_it_follows_if_they_are_there(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gain, "follows", ("t.elsewhere",))
    assert in_order(["t.gain", "t.line", "t.elsewhere"]) == ("t.elsewhere", "t.gain", "t.line")
    assert in_order(["t.gain", "t.line"]) == ("t.gain", "t.line")
    assert Gain().needs() == ()


def test_all_runs_what_is_needed_and_skips_what_is_valid(ours: Path, out: Path) -> None:
    first = run_all(ours, out)
    assert states(first) == {"t.gain": "made", "t.line": "made", "t.map": "made"}
    assert first["t.map"].calibrations[0].parents == (first["t.line"].calibrations[0].id,)
    second = run_all(ours, out)
    assert states(second) == {"t.gain": "valid", "t.line": "valid", "t.map": "valid"}
    assert [r.ids for r in second.values()] == [r.ids for r in first.values()]
    again = run_all(ours, out, again=True)
    assert set(states(again).values()) == {"made"}


def test_what_stands_on_something_new_is_measured_anew(ours: Path, out: Path) -> None:
    run_all(ours, out)
    calibrate("t.line", ours, out=out)
    assert states(run_all(ours, out)) == {"t.gain": "valid", "t.line": "valid", "t.map": "made"}
    calibrate("t.gain", ours, {"gain": 0.47}, out=out)
    assert states(run_all(ours, out)) == {"t.gain": "valid", "t.line": "made", "t.map": "made"}


def test_what_is_stale_or_of_another_device_is_measured_anew(ours: Path, out: Path) -> None:
    run_all(ours, out)
    store = store_of(ours)
    old = calibration("gain", "camera", CAMERA, {"gain": Measured(0.45, "e")}, valid_until=YESTERDAY)
    store.use(store.add(old))
    assert states(run_all(ours, out))["t.gain"] == "made"
    assert set(states(run_all(ours, out, {"world.seed": 8})).values()) == {"made"}


def test_a_routine_that_fails_holds_up_those_that_stand_on_it_only(ours: Path, out: Path) -> None:
    results = run_all(ours, out, {"t.line.wrong": True})
    assert states(results) == {"t.gain": "made", "t.line": "failed", "t.map": "waiting"}
    assert results["t.line"].why == "CalibrationError: the line is bent"
    assert results["t.map"].why == "it stands on t.line"
    assert [r.kind for r in store_of(ours).list()] == ["gain"]


def test_a_plan_runs_nothing(ours: Path, out: Path) -> None:
    calibrate("t.gain", ours, out=out)
    runs = set(out.iterdir())
    plan = run_all(ours, out, only_plan=True)
    assert states(plan) == {"t.gain": "valid", "t.line": "waiting", "t.map": "waiting"}
    assert set(out.iterdir()) == runs


def test_keys_of_routines_are_named_with_the_routine(ours: Path, out: Path) -> None:
    results = run_all(ours, out, {"t.gain.gain": 0.6})
    assert results["t.gain"].calibrations[0].number("gain") == 0.6
    with pytest.raises(ConfigurationError, match=r"--set gain: with --all write ROUTINE\.KEY, with one of t\.gain"):
        run_all(ours, out, {"gain": 0.6})
    with pytest.raises(ConfigurationError, match=r"t\.gain has no such parameter; did you mean gain"):
        run_all(ours, out, {"t.gain.gian": 0.6})


def test_routines_that_stand_on_themselves_or_on_nothing_are_refused(
    ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gain, "requires", ("t.line",))
    with pytest.raises(ConfigurationError, match=r"stand on one another: t\.gain > t\.line > t\.gain"):
        in_order(["t.gain", "t.line"])
    monkeypatch.setattr(Gain, "requires", ())
    monkeypatch.setattr(Line, "requires", ("t.elsewhere",))
    with pytest.raises(ConfigurationError, match=r"t\.line requires t\.elsewhere, which the bench cannot run"):
        needed_by(load_bench(ours))


# --- the report ---------------------------------------------------------------------------------------------------


def test_the_report_has_everything_in_one_file(ours: Path, out: Path) -> None:
    run_all(ours, out)
    results = list(calibrate_all(ours, {"t.line.wrong": True, "world.seed": 7}, out=out))
    html = page("small", results)
    assert html.startswith("<!DOCTYPE html>")
    assert "0.45 ± 0.002 e" in html
    assert "3 x 4 numbers, 0 to 11, mean 5.5 counts" in html
    assert "residual: 0.3 % (at most 1)" in html
    assert "data:image/png;base64," in html  # of a run that this time was not made
    assert "Gain of the camera, made up." in html
    assert results[0].calibrations[0].id in html
    assert "http" not in html.replace("https://", "http://") or 'src="http' not in html
    failed = page("small", list(calibrate_all(ours, {"t.gain.wrong": "dark"}, out=out, again=True)))
    assert "is the beam blocked?" in failed
    assert "it stands on t.gain" in failed
    wrong = page("small", list(calibrate_all(ours, {"t.gain.wrong": "check"}, out=out, again=True)))
    assert "residual: 9 % (at most 1)" in wrong
    assert "data:image/png;base64," in wrong  # what a person looks at to see why


def test_what_people_type_is_no_html(ours: Path) -> None:
    odd = Calibrated("t.gain", "failed", why="<script>alert(1)</script>")
    html = page("<b>", [odd])
    assert "<script>alert" not in html
    assert "<b>" not in html.replace("<body>", "")


def test_the_names_of_made_up_routines_are_as_registered() -> None:
    assert made_up_routines.Map.places() == (("slm", "slm-camera"), ("camera", "dark"))
    assert TOMORROW > YESTERDAY


def test_what_is_undefined_in_places_is_summed_up_without_them() -> None:
    told = summary({"phase": Measured([[0.0, 2.0, math.nan]], "rad"), "none": Measured([math.nan, math.nan])})
    assert told["phase"]["mean"] == 1.0
    assert told["none"]["mean"] is None
