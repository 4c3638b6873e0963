"""`labctl runs list` and `show`, and the command that makes a run again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import folders
import h5py
import pytest
from commands import Command
from hypothesis import given
from hypothesis import strategies as st
from resumable import assert_same, installed, only_run
from table import write_bench

from labctl.bench.overrides import parse_assignments, spelt
from labctl.runfile.summary import STATUSES


@pytest.fixture
def walks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path / "site", monkeypatch):
        yield


def test_runs_are_chosen_by_protocol_status_bench_and_date(labctl: Command, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    folders.run(out, "prbm.generate", 1)
    folders.run(out, "prbm.train", 2)
    folders.run(out, "nep.xor", 3)
    (out / "cut.h5").write_bytes(b"\x89HDF")

    def seeds(*options: str) -> list[int]:
        return [run["seed"] for run in json.loads(labctl("runs", "list", "--json", *options).out)["runs"]]

    assert seeds() == [1, 2, 3, 0]
    assert seeds("--protocol", "prbm.*") == [1, 2]
    assert seeds("--status", "complete", "--last", "2") == [2, 3]
    assert seeds("--status", "unreadable") == [0]
    assert seeds("--bench", "small", "--since", "2020-01-01", "--until", "2099-12-31T12:00") == [1, 2, 3]
    assert seeds("--since", "2099-01-01") == []
    listed = labctl("runs", "list").out.splitlines()
    assert [line.split()[3] for line in listed[1:-1]] == ["prbm.generate", "prbm.train", "nep.xor"]
    assert "cannot be read" in listed[-1]


def test_what_cannot_be_chosen_by_is_told_with_what_can(labctl: Command, tmp_path: Path) -> None:
    folders.run(tmp_path / "runs")
    for options, cure in (
        (("--status", "compleet"), "complete"), (("--since", "yesterday"), "2026-11-27"), (("--out", "none"), "--out"),
    ):  # fmt: skip
        done = labctl("runs", "list", *options)
        assert (done.status, cure in done.err) == (2, True)
    assert set(STATUSES) >= {"complete", "killed", "foreign"}


@pytest.mark.usefixtures("walks")
def test_the_command_that_is_shown_makes_the_run_again(labctl: Command, tmp_path: Path) -> None:
    bench = write_bench(tmp_path)
    labctl("run", "t.walk", "--bench", bench, "--seed", "5", "--set", "there=4", "devices.camera.exposure=7 ms")
    run = only_run(tmp_path / "runs")
    told = json.loads(labctl("runs", "show", "latest", "--json").out)
    assert told["parameters"]["there"] == 4
    assert told["devices"]["slm"]["serial"] == "sim-slm-7"
    assert (told["bench"], told["status"], told["series"]["number"]) == ("small", "complete", "int64 (10,)")
    assert told["results"]["end"] == "float64 (500,)"
    assert labctl(*shlex.split(told["repeat"]["text"])[1:], "--out", "again").status == 0
    assert_same(run, only_run(tmp_path / "again"))
    shown = labctl("runs", "show", run.stem).out
    assert told["repeat"]["text"] in shown
    for word in ("fingerprint", "sim-camera-7", "numpy", "git", "length"):
        assert word in shown


def test_what_was_mended_and_what_interlocks_did_is_shown(labctl: Command, tmp_path: Path) -> None:
    path = folders.run(tmp_path / "runs")
    with h5py.File(path, "a", locking=False) as file:
        file.attrs["recoveries"] = json.dumps({"lost frame": 3, "re-armed": 1})
        file.attrs["interlocks"] = json.dumps({"tap": 2})
        file["interlocks"] = json.dumps([{"what": "tripped", "interlock": "tap"}])
    (listed,) = json.loads(labctl("runs", "list", "--json").out)["runs"]
    assert (listed["recoveries"], listed["interlocks"]) == (4, 2)
    told = json.loads(labctl("runs", "show", "latest", "--json").out)
    assert told["recoveries"] == {"lost frame": 3, "re-armed": 1}
    assert told["interlock_events"] == [{"what": "tripped", "interlock": "tap"}]
    assert "lost frame" in labctl("runs", "show", "latest").out


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=8)


@given(_SCALARS | st.lists(_SCALARS, max_size=4))
def test_what_was_set_is_spelt_so_that_it_is_read_again(value: object) -> None:
    assignment = spelt("key", value)
    if assignment is not None:
        assert repr(parse_assignments([assignment])) == repr({"key": value})
    elif not isinstance(value, list):
        assert '"' in str(value) or "," in str(value)
