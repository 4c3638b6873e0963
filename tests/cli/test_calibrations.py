"""`labctl calibrate` and `labctl calibrations`: what they print, how they end, and that bad input has its cure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command
from made_up_routines import installed
from processes import up
from table import YESTERDAY, dark, phase_table, store_of, write_bench

from drivers.contract import Identity
from labctl.client import CalibrationError, Measured, open_bench
from labctl.store import Store


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with installed(tmp_path / "site", monkeypatch):
        from labctl import registry

        names = registry.names
        monkeypatch.setattr(
            registry,
            "names",
            lambda group: tuple(n for n in names(group) if group != "labctl.calibrations" or n.startswith("t.")),
        )
        yield write_bench(tmp_path)


@pytest.fixture
def store(bench: Path) -> Store:
    return store_of(bench)


def told(labctl: Command, *arguments: object) -> Any:
    """What a command says with --json, which is one line and the truth."""
    done = labctl(*arguments, "--json")
    assert done.status == 0, done.err
    assert done.out.count("\n") == 1
    assert done.err == ""
    return json.loads(done.out)


# --- calibrate ----------------------------------------------------------------------------------------------------


def test_a_routine_is_run_kept_and_put_in_force(labctl: Command, bench: Path, store: Store) -> None:
    said = told(labctl, "calibrate", "t.gain", "--bench", bench, "--set", "gain=0.5", "--seed", "3", "--out", "r")
    (c,) = said["calibrations"]
    assert (said["routine"], said["state"], c["role"], c["kind"]) == ("t.gain", "made", "camera", "gain")
    assert c["values"]["gain"] == {"value": 0.5, "uncertainty": 0.002, "unit": "e"}
    assert c["values"]["curve"]["shape"] == [3, 4]
    assert c["checks"] == [{"name": "residual", "value": 0.3, "unit": "%", "passed": True}]
    assert Path(said["run_file"]).parent == Path("r")
    in_force = store.in_force("small", "camera", "gain")
    assert in_force is not None
    assert in_force.id == c["id"]


def test_a_person_sees_numbers_with_units_and_uncertainties(labctl: Command, bench: Path) -> None:
    done = labctl("calibrate", "t.gain", "--bench", bench)
    assert done.status == 0
    assert "t.gain: in force" in done.out
    assert "gain: 0.45 ± 0.002 e" in done.out
    assert "residual: 0.3 % (at most 1): passed" in done.out


def test_a_dry_run_keeps_nothing(labctl: Command, bench: Path, store: Store) -> None:
    said = told(labctl, "calibrate", "t.gain", "--bench", bench, "--dry-run")
    assert (said["state"], said["calibrations"][0]["id"]) == ("measured", None)
    assert not store.path.exists()


@pytest.mark.parametrize(
    ("wrong", "status", "said"), [("dark", 1, "is the beam blocked"), ("check", 1, "residual: 9 %")]
)
def test_a_failed_measurement_is_exit_status_1_and_keeps_nothing(
    labctl: Command, bench: Path, store: Store, wrong: str, status: int, said: str
) -> None:
    done = labctl("calibrate", "t.gain", "--bench", bench, "--set", f"wrong={wrong}", "--json")
    assert (done.status, done.out) == (status, "")
    assert said in done.err
    assert "Traceback" not in done.err
    assert not store.path.exists()


def test_all_of_a_bench_with_a_report(labctl: Command, bench: Path, store: Store, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    said = told(labctl, "calibrate", "--all", "--bench", bench, "--report", report)
    assert {r["routine"]: r["state"] for r in said["routines"]} == {"t.gain": "made", "t.line": "made", "t.map": "made"}
    assert said["report"] == str(report)
    assert "t.map" in report.read_text()
    done = labctl("calibrate", "--all", "--bench", bench)
    assert done.status == 0
    assert "= t.gain: still valid" in done.out
    assert "report: runs/" in done.out
    done = labctl("calibrate", "--all", "--bench", bench, "--report", report)
    assert (done.status, "exists and is kept" in done.err) == (2, True)


def test_a_plan_is_printed_and_nothing_run(labctl: Command, bench: Path, store: Store) -> None:
    said = told(labctl, "calibrate", "--all", "--bench", bench, "--dry-run")
    assert [r["why"] for r in said["routines"]] == ["would be measured"] * 3
    assert said["report"] is None
    assert not store.path.exists()


def test_one_failure_of_all_is_exit_status_1_and_a_report(labctl: Command, bench: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = labctl("calibrate", "--all", "--bench", bench, "--set", "t.line.wrong=true", "--report", report, "--json")
    assert done.status == 1
    said = {r["routine"]: (r["state"], r["why"]) for r in json.loads(done.out)["routines"]}
    assert said["t.line"] == ("failed", "CalibrationError: the line is bent")
    assert said["t.map"] == ("waiting", "it stands on t.line")
    assert "the line is bent" in report.read_text()


def test_what_drifted_is_told_and_flagged(labctl: Command, bench: Path, store: Store) -> None:
    assert [r["state"] for r in told(labctl, "calibrate", "--check", "--bench", bench)["routines"]] == ["missing"] * 3
    told(labctl, "calibrate", "--all", "--bench", bench)
    done = labctl("calibrate", "--check", "--bench", bench)
    assert done.status == 0
    assert "✓ t.gain: holds" in done.out
    assert "… t.line: it has no check" in done.out
    assert "* " in labctl("calibrations", "list", "--bench", bench).out
    done = labctl("calibrate", "--check", "t.gain", "--bench", bench, "--set", "t.gain.now=0.5", "--json")
    assert done.status == 1
    (said,) = json.loads(done.out)["routines"]
    (verdict,) = said["verdicts"]
    assert (said["state"], verdict["holds"], verdict["kind"]) == ("drifted", False, "gain")
    assert verdict["checks"][0]["value"] == pytest.approx(0.05)
    listed = labctl("calibrations", "list", "--bench", bench).out.splitlines()
    (flagged,) = [line for line in listed if line.startswith("! ")]
    assert "camera.gain" in flagged
    assert "NO LONGER HOLDS" in flagged
    entry = next(
        c for c in told(labctl, "calibrations", "list", "--bench", bench)["calibrations"] if c["kind"] == "gain"
    )
    assert [v["holds"] for v in entry["verdicts"]] == [False]
    logged = told(labctl, "calibrations", "log", "--bench", bench)
    assert [entry["holds"] for entry in logged if "holds" in entry] == [True, False]
    assert "no longer holds (gain now, less then: 0.05 e" in labctl("calibrations", "log", "--bench", bench).out
    assert "holds while  camera.bit_depth = 16" in labctl("calibrations", "show", entry["id"], "--bench", bench).out


def test_routines_are_listed(labctl: Command, bench: Path) -> None:
    listed = told(labctl, "calibrate", "--list")
    assert listed["t.map"] == {
        "finds": ["slm.slm-camera", "camera.dark"],
        "requires": ["t.line"],
        "checkable": False,
        "doc": "Where the SLM is seen by the camera, and a dark: two devices, two kinds; stands on linearity.",
    }
    assert "t.line  Linearity, which stands on the gain. Finds camera.linearity (after t.gain). No check." in labctl(
        "calibrate", "--list"
    ).out.replace("t.line       ", "t.line  ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["calibrate"], "give the NAME of a routine, or --all"),
        (["calibrate", "t.gain", "--all"], "--all goes without a NAME"),
        (["calibrate", "t.gain", "--again"], "go with --all"),
        (["calibrate", "t.gain", "t.line"], "one routine at a time; --check takes several"),
        (["calibrate", "--check", "--all", "--bench", "BENCH"], "--check goes without --all"),
        (["calibrate", "--check", "--report", "x.html", "--bench", "BENCH"], "go with --all"),
        (["calibrate", "--check"], "give --bench FILE"),
        (["calibrate", "--check", "t.gian", "--bench", "BENCH"], 'did you mean "t.gain"?'),
        (["calibrate", "--check", "--bench", "BENCH", "--set", "now=1"], "write ROUTINE.KEY"),
        (["calibrate", "--all"], "give --bench FILE"),
        (["calibrate", "t.gian", "--bench", "BENCH"], 'did you mean "t.gain"?'),
        (["calibrate", "t.gain", "--bench", "nowhere.toml"], "no such file"),
        (["calibrate", "t.gain", "--bench", "BENCH", "--set", "wrong=false", "gain=-1"], "greater than 0"),
        (["calibrate", "t.gain", "--bench", "BENCH", "--set", "gian=1"], "did you mean gain?"),
        (["calibrate", "--all", "--bench", "BENCH", "--set", "gain=1"], "write ROUTINE.KEY"),
        (["calibrate", "t.gain", "--bench", "BENCH", "--set", "calibrations.accept=old"], '"stale", "foreign"'),
        (["calibrate", "t.gain", "--bench", "BENCH", "--set", "calibrations.accept=3"], '["stale", "foreign"]'),
        (["calibrate", "t.gain", "--bench", "BENCH", "--set", "calibrations.fodler=x"], "folder"),
        (["calibrations", "show", "12345"], "write 6 to 64 hexadecimal digits"),
        (["calibrations", "show", "123456789abc", "--bench", "BENCH"], "no calibration '123456789abc'"),
        (["calibrations", "diff", "123456789abc"], "no calibration '123456789abc'"),
        (["calibrations", "use"], "give the ID of a calibration, or --none"),
        (["calibrations", "use", "--none"], "give --bench, --device and --kind"),
        (["calibrations", "use", "--none", "--bench", "BENCH", "--device", "slm2", "--kind", "x"], 'mean "slm"?'),
        (["calibrations", "list", "--store", "nowhere"], "no such folder"),
        (["calibrations", "list", "--bench", "nowhere"], "no such bench"),
        (["calibrations", "export", "x.zip"], "give the IDs of calibrations, or --all"),
        (["calibrations", "import", "x.zip"], "cannot be read as an archive"),
    ],
)
def test_bad_input_is_exit_status_2_with_its_cure(
    labctl: Command, bench: Path, store: Store, arguments: list[str], said: str
) -> None:
    done = labctl(*[str(bench) if a == "BENCH" else a for a in arguments])
    assert done.status == 2, done.out
    assert said in done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert not store.path.exists()


# --- calibrations -------------------------------------------------------------------------------------------------


def test_lists_show_what_there_is_and_what_is_in_force(labctl: Command, bench: Path, store: Store) -> None:
    first, second = store.add(dark(100.0, valid_until=YESTERDAY)), store.add(dark(101.0))
    other = store.add(phase_table())
    store.use(first)
    store.use(second)
    listed = told(labctl, "calibrations", "list", "--bench", bench)
    assert [c["id"] for c in listed["calibrations"]] == [first, second, other]
    assert [c["in_force"] for c in listed["calibrations"]] == [[], ["small: camera"], []]
    assert listed["damaged"] == {}
    assert listed["store"] == str(store.path)
    lines = labctl("calibrations", "list", "--bench", bench).out.splitlines()
    assert [line[0] for line in lines] == [" ", "*", " "]
    assert "EXPIRED" in lines[0]
    assert "camera.dark" in lines[1]
    in_force = told(labctl, "calibrations", "list", "--store", store.path, "--in-force")
    assert [c["id"] for c in in_force["calibrations"]] == [second]
    by_kind = told(labctl, "calibrations", "list", "--store", store.path, "--kind", "phase_table")
    assert [c["id"] for c in by_kind["calibrations"]] == [other]
    done = labctl("calibrations", "list", "--store", store.path, "--kind", "drak")
    assert (done.status, 'did you mean "dark"?' in done.err) == (2, True)


def test_a_damaged_file_is_named_in_the_list_and_refused(labctl: Command, bench: Path, store: Store) -> None:
    good, bad = store.add(dark(100.0)), store.add(dark(101.0))
    path = store.path / "files" / f"{bad}.h5"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    done = labctl("calibrations", "list", "--bench", bench, "--json")
    assert done.status == 1
    assert [c["id"] for c in json.loads(done.out)["calibrations"]] == [good]
    assert list(json.loads(done.out)["damaged"]) == [f"files/{bad}.h5"]
    for command in ("show", "use", "diff"):
        done = labctl("calibrations", command, bad[:12], "--bench", bench)
        assert done.status == 1
        assert str(path) in done.err
        assert "restore it from a backup" in done.err


def test_everything_about_one_is_shown(labctl: Command, bench: Path, store: Store) -> None:
    made = store.add(dark(conditions={"temperature": Measured(294.15, "K", 0.1)}, parents=("a" * 64,)))
    said = told(labctl, "calibrations", "show", made[:8], "--bench", bench)
    assert said["id"] == made
    assert said["devices"]["camera"]["serial"] == "sim-camera-7"
    assert said["conditions"]["temperature"] == {"value": 294.15, "unit": "K", "uncertainty": 0.1}
    assert said["values"]["offset_counts"]["shape"] == [30, 50]
    text = labctl("calibrations", "show", made, "--bench", bench).out
    for part in ("camera.dark", made, "serial sim-camera-7", "temperature = 294.15 K", "30 x 50 numbers", "a" * 12):
        assert part in text or part == "camera.dark"


def test_a_difference_is_told_in_uncertainties(labctl: Command, bench: Path, store: Store) -> None:
    before, after = store.add(dark(100.0)), store.add(dark(100.5, devices={"camera": Identity(
        model="simulated Zyla 5.5", serial="sim-camera-8", firmware="labctl")}))  # fmt: skip
    said = told(labctl, "calibrations", "diff", before[:10], after[:10], "--bench", bench)
    offset = next(d for d in said["differences"] if d["name"] == "offset_counts")
    assert offset["sigmas"] == pytest.approx(0.5 / np.hypot(0.1, 0.1))
    assert said["noteworthy"] == ["offset_counts"]
    text = labctl("calibrations", "diff", before[:10], after[:10], "--bench", bench).out
    assert "! offset_counts: mean 100 -> 100.5 counts; largest 0.5 counts, 3.5 uncertainties" in text
    assert "  row: 0 -> 0 px" in text
    assert "! device camera: was simulated Zyla 5.5 (serial sim-camera-7" in text
    store.use(after)
    assert told(labctl, "calibrations", "diff", before, "--bench", bench)["after"] == after
    done = labctl("calibrations", "diff", after, "--bench", bench)
    assert (done.status, "is itself in force; give a second id" in done.err) == (2, True)
    done = labctl("calibrations", "diff", before, store.add(phase_table()), "--bench", bench)
    assert (done.status, "of different kinds" in done.err) == (2, True)


def test_a_calibration_is_put_in_force_and_withdrawn(labctl: Command, bench: Path, store: Store) -> None:
    made = store.add(dark())
    said = told(labctl, "calibrations", "use", made[:9], "--bench", bench, "--note", "after the move")
    assert (said["bench"], said["role"], said["kind"], said["id"]) == ("small", "camera", "dark", made)
    done = labctl("calibrations", "use", "--none", "--bench", bench, "--device", "camera", "--kind", "dark")
    assert done.status == 0
    assert "camera.dark: none from now on" in done.out
    assert store.in_force("small", "camera", "dark") is None
    log = told(labctl, "calibrations", "log", "--bench", bench)
    assert [(u["id"], u["note"]) for u in log] == [(made, "after the move"), (None, "")]
    assert "says" in labctl("calibrations", "log", "--store", store.path).out
    again = labctl("calibrations", "use", "--none", "--bench", bench, "--device", "camera", "--kind", "dark")
    assert (again.status, "nothing to withdraw" in again.err) == (1, True)
    done = labctl("calibrations", "use", made, "--bench", bench, "--device", "slm2")
    assert (done.status, "no device 'slm2'" in done.err) == (2, True)
    done = labctl("calibrations", "use", made, "--bench", bench, "--kind", "dark")
    assert (done.status, "leave --kind out" in done.err) == (2, True)


def test_calibrations_travel_in_one_file(labctl: Command, bench: Path, store: Store, tmp_path: Path) -> None:
    ids = sorted(store.add(dark(float(k))) for k in range(2))
    said = told(labctl, "calibrations", "export", tmp_path / "both.zip", *ids, "--bench", bench)
    assert said["ids"] == ids
    (tmp_path / "away").mkdir()
    came = told(labctl, "calibrations", "import", tmp_path / "both.zip", "--store", tmp_path / "away")
    assert came["ids"] == ids
    assert told(labctl, "calibrations", "list", "--store", tmp_path / "away", "--in-force")["calibrations"] == []
    done = labctl("calibrations", "export", tmp_path / "both.zip", "--all", "--bench", bench)
    assert (done.status, "exists and is kept" in done.err) == (2, True)
    data = bytearray((tmp_path / "both.zip").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "both.zip").write_bytes(data)
    (tmp_path / "third").mkdir()
    done = labctl("calibrations", "import", tmp_path / "both.zip", "--store", tmp_path / "third")
    assert done.status == 1
    assert Store(tmp_path / "third").list() == ()


# --- where the store is -------------------------------------------------------------------------------------------


def test_the_store_is_where_bench_file_environment_or_folder_say(
    labctl: Command, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labctl.bench.load import load_bench

    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "environment"))
    assert load_bench(bench).calibrations_folder == tmp_path / "kept"
    assert load_bench(bench, {"calibrations.folder": "set"}).calibrations_folder == Path.cwd() / "set"
    plain = tmp_path / "plain.toml"
    plain.write_text(bench.read_text().replace('folder = "kept"', ""))
    assert load_bench(plain).calibrations_folder == tmp_path / "environment"
    monkeypatch.delenv("LABCTL_CALIBRATIONS")
    assert load_bench(plain).calibrations_folder == Path.cwd() / "calibrations"
    assert labctl("calibrations", "list").out == f"no calibrations in {Path.cwd() / 'calibrations'}\n"


# --- a bench that is up, in several processes ---------------------------------------------------------------------

SERVERS = '[servers.panels]\ndevices = ["slm", "source"]\n[servers.cameras]\ndevices = ["camera", "sequencer"]\n'


def test_a_bench_that_is_up_is_calibrated_where_it_keeps_its_calibrations(
    labctl: Command, tmp_path: Path, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bench(tmp_path, more=SERVERS)
    with up(path), open_bench(path) as looking:
        with looking.control():
            assert looking.camera.calibration_ids == looking.slm.calibration_ids == {}
        table = store_of(path).add(phase_table())
        store_of(path).use(table)
        # From another folder and with another store in the environment: what counts is the bench's own.
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        monkeypatch.setenv("LABCTL_CALIBRATIONS", str(elsewhere / "calibrations"))
        for name in ("t.gain", "t.line", "t.map"):
            said = told(labctl, "calibrate", name, "--bench", path)
        ids = {c["kind"]: c["id"] for c in said["calibrations"]}
        with looking.control():
            assert looking.camera.calibration_ids == {"dark": ids["dark"]}
            assert looking.slm.calibration_ids == {"phase_table": table}  # another process of the bench
            looking.slm.write(np.full((40, 60), np.pi))
            assert (looking.slm.read_back() == 64).all()
            assert looking.camera.correction().dark_counts.shape == (30, 50)
        assert looking.calibration("slm-camera")["matrix"].shape == (3, 3)
        assert looking.calibration("slm-camera").id == ids["slm-camera"]
        assert not (elsewhere / "calibrations").exists()
        stale = store_of(path).add(phase_table(valid_until=YESTERDAY))
        store_of(path).use(stale)
        with pytest.raises(CalibrationError, match="is stale"), looking.control():
            pass
        status = looking.status()
        assert [server["leases"] for server in status.values()] == [[], []]
