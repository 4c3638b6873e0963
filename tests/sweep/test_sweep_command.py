"""`labctl sweep`: what it prints, and what it ends with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, command_line

from labctl.sweep import open_sweep


@pytest.fixture
def labctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Command]:
    """The command line, called in this process."""
    with command_line(monkeypatch, capsys, tmp_path) as command:
        yield command


def test_a_sweep_is_measured_into_a_file_of_its_own(labctl: Command) -> None:
    done = labctl("sweep", "t.wave", "g=1:4:4", "J=1,2", "--set", "word=b", "--workers", 1, "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert told["sweep"] == "t.wave"
    assert told["axes"] == {"g": 4, "J": 2}
    assert (told["points"], told["measured"], told["failed"]) == (8, 8, 0)
    assert Path(told["file"]).parent == Path("sweeps")
    assert open_sweep(told["file"])["product"].tolist() == [[1, 2], [2, 4], [3, 6], [4, 8]]
    again = labctl("sweep", "t.wave", "g=1:4:4", "J=1,2", "--set", "word=b", "--workers", 1, "--json")
    assert json.loads(again.out)["file"] == told["file"]
    assert json.loads(again.out)["measured"] == 0


def test_points_that_fail_are_told_with_what_to_do_and_end_in_status_1(labctl: Command) -> None:
    done = labctl("sweep", "t.wave", "g=1,2,3", "--set", "bad_above=1.5", "--workers", 1, "--out", "a.h5")
    assert done.status == 1
    assert json.loads(done.out)["failed"] == 2
    assert "g=2: CalibrationError: g = 2.0 is above 1.5" in done.err
    assert "labctl sweep --resume a.h5 --retry-failed" in done.err
    assert "labctl figure t.wave --set bad_above=1.5 --set g=2 --seed" in done.err
    again = labctl("sweep", "--resume", "a.h5", "--retry-failed", "--workers", 1, "--json")
    assert again.status == 1
    assert json.loads(again.out)["measured"] == 2


def test_a_zip_and_repeats_are_asked_for(labctl: Command) -> None:
    done = labctl("sweep", "t.wave", "g=1,2", "J=3,4", "--zip", "--repeat", 3, "--workers", 1, "--json")
    assert json.loads(done.out)["axes"] == {"point": 2, "repeat": 3}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sweep"], "give a NAME"),
        (["sweep", "t.wave", "g=1,2", "--resume", "a.h5"], "give a NAME"),
        (["sweep", "--resume", "a.h5", "--seed", "3"], "--resume FILE goes with"),
        (["sweep", "--resume", "nowhere.h5"], "nowhere.h5"),
        (["sweep", "t.wave"], "FROM:TO:COUNT"),
        (["sweep", "t.wave", "g=1,2", "--workers", "0"], "workers"),
        (["sweep", "t.wave", "g=1,2", "--out", "a.txt"], ".h5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_told_and_ends_in_status_2(labctl: Command, arguments: list[str], told: str) -> None:
    done = labctl(*arguments)
    assert done.status == 2
    assert told in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
