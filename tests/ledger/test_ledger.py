"""`labctl ledger`: which rows, what is told, what is refused; every row is tried by some test."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from labctl import registry
from labctl.cli import ledger as command
from labctl.client import ConfigurationError
from labctl.ledger.page import page
from labctl.ledger.row import Result, Row, Trial
from labctl.ledger.run import Theatre, chosen, rows, run


class Nothing:
    """A stage on which nothing happens."""

    def set_up(self) -> None:
        """Nothing to do."""


def nowhere(folder: Path) -> AbstractContextManager[Nothing]:
    return nullcontext(Nothing())


def made_up(fault: str, took_s: float | None, bound_s: float | None = None) -> Row:
    def trial(stage: Nothing, trial: Trial) -> float | None:
        assert took_s is None or took_s >= 0, "it went wrong"
        return took_s

    return Row(fault, "nobody", "nothing", bound_s, nowhere, trial)


MADE_UP = [made_up("good", 0.01, 0.1), made_up("untimed", None), made_up("late", 0.2, 0.1), made_up("bad", -1.0, 0.1)]


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "rows", lambda: MADE_UP)


def test_results_are_told_as_json(four: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run_ledger([], None, 0, 2, 1, None, True) == 1
    told = json.loads(capsys.readouterr().out)["rows"]
    assert [list(row) for row in told] == [["fault", "detected_by", "outcome", "worst_s", "bound_s", "ok"]] * 4
    assert [row["ok"] for row in told] == [True, True, False, False]
    assert [row["worst_s"] for row in told] == [0.01, None, 0.2, None]
    assert [row["bound_s"] for row in told] == [0.1, None, 0.1, 0.1]
    assert told[2]["outcome"] == "took 0.200 s, allowed are 0.1"
    assert "it went wrong" in told[3]["outcome"]


def test_a_sample_is_drawn_by_its_seed(four: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen(MADE_UP, 2, 5) == chosen(MADE_UP, 2, 5)
    assert {tuple(r.fault for r in chosen(MADE_UP, 2, seed)) for seed in range(40)} == {
        (a.fault, b.fault) for i, a in enumerate(MADE_UP) for b in MADE_UP[i + 1 :]
    }
    assert command.run_ledger(["good"], None, 0, 1, 1, None, True) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 1


def test_what_makes_no_sense_is_refused(four: None, tmp_path: Path) -> None:
    for sample in (0, 5):
        with pytest.raises(ConfigurationError, match="the ledger has 4 rows"):
            chosen(MADE_UP, sample)
    with pytest.raises(ConfigurationError, match=r"no row 'god' in the ledger .did you mean"):
        chosen(MADE_UP, names=["god"])
    with pytest.raises(ConfigurationError, match="leave it out where rows are named"):
        command.run_ledger(["good"], 1, 0, 1, 1, None, True)
    with pytest.raises(ConfigurationError, match="a page of all rows"):
        command.run_ledger([], 1, 0, 1, 1, tmp_path / "page.md", True)


def test_the_page_has_every_row(tmp_path: Path) -> None:
    text = page(run(MADE_UP, 3))
    assert "| good | nobody | nothing | 10 ms | 100 ms | 3 | yes |" in text
    assert "| late | nobody | took 0.200 s, allowed are 0.1 | 200 ms | 100 ms | 3 | **no** |" in text
    assert "commit" in text


def test_what_a_killed_ledger_left_is_removed_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Theatre():
        (living,) = tmp_path.iterdir()
        dead, foreign = tmp_path / "dead", tmp_path / "foreign"
        for folder in (dead, foreign):
            folder.mkdir()
            (folder / "run.h5").touch()
        (mark,) = (file.name for file in living.iterdir() if file.is_file())
        (dead / mark).touch()
        (tmp_path / "link").symlink_to(living)
        with Theatre():
            assert living.is_dir()
            assert foreign.is_dir()
            assert not dead.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "link"]


def test_without_assertions_nothing_is_run() -> None:
    ran = subprocess.run(
        [sys.executable, "-O", "-m", "labctl", "ledger", "--sample", "1"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "no row could fail" in ran.stderr


def test_rows_have_names_of_their_own_and_are_tried_here() -> None:
    faults = [row.fault for row in rows()]
    assert len(faults) == len(set(faults)) >= 55
    tested = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_rows_*.py"))
    for name in registry.names("labctl.ledger"):
        assert f'"{name}"' in tested, f"no test tries the rows of {name}"
    assert isinstance(run([MADE_UP[0]])[0], Result)
