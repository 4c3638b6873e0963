"""`labctl ledger`: which rows, what is told, what is refused; every row is tried by some test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from ledger_rows import SHARED, rows_on

from labctl.bus.segments import process_alive
from labctl.cli import ledger as command
from labctl.client import ConfigurationError
from labctl.ledger.page import page
from labctl.ledger.plan import Part, Plan, parts
from labctl.ledger.rail import until
from labctl.ledger.row import Bench, Outcome, Result, Row, Stage, Trial, Tried
from labctl.ledger.run import chosen, rows, run
from labctl.ledger.theatre import Theatre


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

    return Row(fault, "nobody", "nothing", (Bench("simulated", nowhere, bound_s),), trial, "there is nothing")


MADE_UP = [made_up("good", 0.01, 0.1), made_up("untimed", None), made_up("late", 0.2, 0.1), made_up("bad", -1.0, 0.1)]


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(some: list[Row], trials: int, seed: int, workers: int, told: Callable[..., object]) -> list[Result]:
        return run(some, trials, seed, told)

    monkeypatch.setattr(command, "rows", lambda: MADE_UP)
    monkeypatch.setattr(command, "run_side_by_side", here)


def test_results_are_told_as_json(four: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run_ledger([], None, 0, 2, 1, None, True) == 1
    told = json.loads(capsys.readouterr().out)["rows"]
    assert [list(row) for row in told] == [["fault", "detected_by", "outcome", "worst_s", "bound_s", "ok"]] * 4
    assert [row["ok"] for row in told] == [True, True, False, False]
    assert [row["worst_s"] for row in told] == [0.01, None, 0.2, None]
    assert [row["bound_s"] for row in told] == [0.1, None, 0.1, 0.1]
    assert told[0]["outcome"] == "nothing [simulated 0.010 s of 0.1 s]"
    assert told[1]["outcome"] == "nothing [simulated]"
    assert told[2]["outcome"] == "simulated: took 0.200 s, allowed are 0.1"
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


def test_what_was_found_until_ctrl_c_is_told_and_no_page_is_written(
    four: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken_off(some: list[Row], trials: int, seed: int, workers: int, told: Callable[..., object]) -> list[Result]:
        run(some[:2], trials, seed, told)
        told(some[2], Tried(some[2].benches[0], planned=trials).after(Outcome(0.05, "", 1.0)))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_side_by_side", broken_off)
    report = tmp_path / "page.md"
    with pytest.raises(KeyboardInterrupt):
        command.run_ledger([], None, 0, 2, 1, report, True)
    told = json.loads(capsys.readouterr().out)
    assert [row["fault"] for row in told["rows"]] == ["good", "untimed"]
    assert told["interrupted"] is True
    with pytest.raises(KeyboardInterrupt):
        command.run_ledger([], None, 0, 2, 1, report, False)
    said = capsys.readouterr()
    assert "✓ good (simulated)" in said.out
    assert "… late (simulated)   1 of 2 trials   0.050 s of 0.1 s" in said.out
    assert "interrupted: 2 of 4 rows were over; " in said.err
    assert not report.exists()


def test_a_page_that_cannot_be_written_is_refused_before_any_trial(four: None, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "page.md"):
        with pytest.raises(ConfigurationError, match="no file can be written there"):
            command.run_ledger([], None, 0, 1, 1, place, True)


def test_the_page_has_every_row(tmp_path: Path) -> None:
    text = page(run(MADE_UP, 3))
    assert "| good | nobody | nothing | simulated | 3 | 10 ms | 100 ms | yes |" in text
    assert "| late | nobody | simulated: took 0.200 s, allowed are 0.1 (should be: nothing) | simulated | 3 |" in text
    assert "| 200 ms | 100 ms | **no** |" in text
    assert "- Only simulated: there is nothing. This holds for: good; untimed; late; bad." in text
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
    assert len(faults) == len(set(faults)) >= 54
    parameters = [parameter for stage in (*SHARED, "others") for parameter in rows_on(stage)]
    assert sorted(parameter.values[0].fault for parameter in parameters) == sorted(faults)  # type: ignore[attr-defined]


def both_of(trial: Callable[[Nothing, Trial], float | None], limit_s: float = 60.0) -> Row:
    benches = (Bench("simulated", nowhere, 0.1), Bench("emulated", lambda folder: nowhere(folder), 2.0))
    return Row("both", "somebody", "something", benches, trial, limit_s=limit_s)


def test_a_row_is_as_good_as_on_the_bench_where_it_is_worst() -> None:
    took = iter([0.09, 0.01, 0.02, 1.0, 1.5])
    (result,) = run([both_of(lambda stage, trial: next(took))], trials=5)
    assert [tried.trials for tried in result.tried] == [3, 2]
    assert result.told()["worst_s"] == 0.09
    assert result.told()["bound_s"] == 0.1
    assert result.outcome == "something [simulated 0.090 s of 0.1 s, emulated 1.500 s of 2 s]"
    took = iter([0.09, 2.5])
    (result,) = run([both_of(lambda stage, trial: next(took))])
    assert not result.ok
    assert (result.told()["worst_s"], result.told()["bound_s"]) == (2.5, 2.0)
    assert result.told()["outcome"] == "emulated: took 2.500 s, allowed are 2"


def test_every_trial_is_dealt_once_and_has_dice_of_its_own() -> None:
    thrown: list[float] = []

    def throws(stage: Nothing, trial: Trial) -> float:
        thrown.append(trial.dice.random())
        return 0.0

    run([both_of(throws)], trials=5)
    run([both_of(throws)], trials=5)
    assert len(set(thrown)) == 5
    assert thrown[:5] == thrown[5:]


def test_rows_of_a_stage_take_turns() -> None:
    some = parts(MADE_UP[:2], 3)
    plan = Plan(some)
    dealt = [plan.next(nowhere) for _ in range(7)]
    assert [(todo[0].row.fault, todo[1]) for todo in dealt if todo is not None] == [
        (fault, number) for number in range(3) for fault in ("good", "untimed")
    ]


def test_processes_stay_on_their_stage_and_then_help_where_most_is_left() -> None:
    (one, other) = parts([both_of(lambda stage, trial: 0.0)], 40)
    plan = Plan([one, other])

    def taken(standing: Stage | None) -> Part:
        todo = plan.next(standing)
        assert todo is not None
        return todo[0]

    first, second = taken(None), taken(None)
    assert {first.bench.kind, second.bench.kind} == {"simulated", "emulated"}
    while first.waiting:
        assert taken(first.bench.stage) is first
    assert taken(first.bench.stage) is second, "19 trials are left to the other one: it is helped"
    plan.heard(second, Outcome(None, "it went wrong", 1.0))
    assert second.waiting == 0, "what has failed is not tried again"
    assert plan.next(second.bench.stage) is None


def test_a_row_says_why_it_is_tried_on_one_kind_of_bench() -> None:
    with pytest.raises(ConfigurationError, match="say why"):
        Row("one", "nobody", "nothing", (Bench("simulated", nowhere),), lambda stage, trial: None)


def test_a_trial_that_does_not_end_is_broken_off_and_the_next_row_is_tried() -> None:
    def hangs(stage: Nothing, trial: Trial) -> None:
        threading.Event().wait()

    results = run([both_of(hangs, limit_s=0.2), MADE_UP[0]])
    assert [result.ok for result in results] == [False, True]
    assert results[0].wrong.count("OutOfTime: not over after 0.2 s: broken off") == 2


def our_rows(folder: Path) -> Path:
    """Where rows of a package of its own are, as third parties have them."""
    (folder / "our_rows.py").write_text(_OUR_ROWS, encoding="utf-8")
    info = folder / "our_rows-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our_rows\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[labctl.ledger]\nours = our_rows:ROWS\n", encoding="utf-8")
    return folder


def test_what_a_process_was_at_when_it_died_has_failed_and_another_goes_on(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "labctl", "ledger", "fine", "dies", "fine, too", "--json"]
    ran = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(our_rows(tmp_path))}
    )
    told = json.loads(ran.stdout)["rows"]
    assert [row["ok"] for row in told] == [True, False, True], ran.stderr
    assert "its process ended with 7" in told[1]["outcome"]
    assert ran.returncode == 1


def test_what_was_late_beside_others_is_tried_again_alone_and_both_times_are_told(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "labctl", "ledger", "late at first", "always late", "--trials", "3"]
    environment = {**os.environ, "PYTHONPATH": str(our_rows(tmp_path)), "OURS": str(tmp_path)}
    ran = subprocess.run(
        [*words, "--workers", "2", "--json"], capture_output=True, text=True, check=False, env=environment
    )
    first, always = json.loads(ran.stdout)["rows"]
    assert (first["ok"], first["worst_s"], first["bound_s"]) == (True, 0.01, 0.1), ran.stderr
    assert "0.010 s of 0.1 s (with others at once 1.000 s)" in first["outcome"]
    assert (always["ok"], always["worst_s"]) == (False, 2.0)
    assert ran.returncode == 1


def test_ctrl_c_ends_every_process(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "labctl", "ledger", "fine", "waits", "--json", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(our_rows(tmp_path)), "OURS": str(tmp_path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as ran:
        until(lambda: (tmp_path / "waits").exists())
        ran.send_signal(signal.SIGTERM)  # as Ctrl-C, which is ignored where tests run in the background
        said, _ = ran.communicate()
    assert ran.returncode == 130
    assert [row["fault"] for row in json.loads(said)["rows"]] == ["fine"]
    assert not process_alive(int((tmp_path / "waits").read_text()))


_OUR_ROWS = """
import contextlib, os, pathlib, time
from labctl.ledger.row import Bench, Row

class Nothing:
    def set_up(self):
        pass

def stage(folder):
    return contextlib.nullcontext(Nothing())

def dies(stage, trial):
    os._exit(7)

def waits(stage, trial):
    file = pathlib.Path(os.environ["OURS"], "waits")
    file.with_suffix(".new").write_text(str(os.getpid()))
    file.with_suffix(".new").replace(file)
    time.sleep(1000)

def late_at_first(stage, trial):
    file = pathlib.Path(os.environ["OURS"], "tried")
    file.open("a").write("x")
    return 1.0 if len(file.read_text()) <= 3 else 0.01

bench = (Bench("simulated", stage),)
timed = (Bench("simulated", stage, 0.1),)
trials = {"fine": lambda *_: None, "dies": dies, "fine, too": lambda *_: None, "waits": waits}
ROWS = [Row(fault, "nobody", "nothing", bench, trial, "ours") for fault, trial in trials.items()] + [
    Row("late at first", "nobody", "nothing", timed, late_at_first, "ours"),
    Row("always late", "nobody", "nothing", timed, lambda *_: 2.0, "ours"),
]
"""
