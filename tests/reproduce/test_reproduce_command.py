"""`labctl reproduce`: the report, what fails in it, kills in the middle, and what it ends with."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from commands import Command
from processes import finish, labctl_process, wait_until

from labctl.sweep import open_sweep


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where coins tell that they were tossed."""
    monkeypatch.setenv("REPRODUCIBLE_TALLY", str(tmp_path / "tally"))
    return tmp_path / "tally"


def lines_of(tally: Path) -> Counter[str]:
    return Counter(tally.read_text().splitlines()) if tally.exists() else Counter()


def test_a_report_has_every_figure_beside_what_was_published(labctl: Command) -> None:
    done = labctl("reproduce", "--quick", "--only", "t", "--workers", 1, "--out", "report", "--json")
    assert done.status == 1, done.err
    told = json.loads(done.out)
    assert (told["figures"], told["ok"], told["missed"], told["failed"]) == (5, 2, ["t.wrong"], ["t.broken"])
    entries = {entry["name"]: entry for entry in json.loads(Path("report/reproduction.json").read_text())}
    assert list(entries) == ["t.coin", "t.wrong", "t.repeated", "t.broken", "t.after"]
    coin = entries["t.coin"]
    assert coin["settings"] == {"tosses": 500}
    assert coin["paper"]["title"] == "On coins"
    first = coin["values"][0]
    assert (first["published"], first["published_uncertainty"], first["published_by"]) == (0.5, 0.001, "paper")
    assert first["uncertainty"] == pytest.approx(0.5 / 500**0.5)
    assert coin["targets"] == [
        {"value": "ones", "ours": [first["ours"]], "min": 0.3, "max": 0.7, "ok": True, "met": 1, "of": 1}
    ]
    assert coin["seconds"] > 0
    assert Path("report/runs", coin["run_file"]).is_file()
    assert coin["versions"]["numpy"]
    repeated = entries["t.repeated"]["values"][0]
    assert repeated["uncertainty_from"] == "scatter of 3 measurements"
    assert [m["seed"] for m in entries["t.repeated"]["measurements"]] == [0, 1, 2]
    assert entries["t.broken"]["error"] == {"type": "CalibrationError", "message": "nothing <b>to see</b>"}
    assert "t.broken: CalibrationError" in done.err
    assert "--retry-failed" in done.err
    assert " && labctl figure t.after" in entries["t.after"]["command"]
    html = Path("report/reproduction.html").read_text()
    assert "nothing &lt;b&gt;to see" in html
    assert "data:image/png;base64," in html  # drawn of what the run file has
    assert html.count("<h3") == 5
    # The command that is told makes the same value again.
    again = labctl(*shlex.split(coin["command"])[1:], "--json")
    assert json.loads(again.out)["values"]["ones"] == first["ours"]


def test_what_is_measured_is_not_measured_again_also_for_another_choice(labctl: Command, tally: Path) -> None:
    given = ("reproduce", "--workers", 1, "--out", "report")
    assert labctl(*given, "--quick", "--only", "t.coin").status == 1
    assert lines_of(tally) == {"500 0": 1, "1000 0": 2, "1000 1": 1, "1000 2": 1}
    assert labctl(*given, "--quick", "--only", "t.coin").status == 1
    assert labctl(*given, "--quick", "--only", "t.coin,t.after").status == 1
    assert lines_of(tally) == {"500 0": 1, "1000 0": 2, "1000 1": 1, "1000 2": 1, "10 0": 1}
    assert labctl(*given, "--only", "t.coin").status == 1  # the full settings: another coin, and a repeat more
    assert lines_of(tally) == {"500 0": 1, "1000 0": 2, "1000 1": 1, "1000 2": 1, "10 0": 1, "4000 0": 1, "1000 3": 1}
    assert labctl("reproduce", "--only", "coins").status == 2


def test_a_report_that_was_killed_goes_on_and_measures_nothing_again(
    tmp_path: Path, tally: Path, labctl: Command
) -> None:
    """By what is on record when it was killed; run files of what was half done stay as those of killed runs."""
    given = ("reproduce", "--quick", "--only", "t.coin,t.after", "--out", tmp_path / "report", "--workers", 2)
    out = tmp_path / "report"
    with labctl_process(*given) as child:
        wait_until(lambda: any(_measured(path) for path in out.glob("reproduction-*.h5")), timeout_s=200)
        child.kill()
        child.wait()
    (kept,) = out.glob("reproduction-*.h5")
    before = open_sweep(kept)
    measured = [str(text) for text in before["told"].ravel() if text]
    done = labctl(*given)
    assert done.status == 1, done.err  # a coin of 0.9 is missed
    after = [str(text) for text in open_sweep(kept)["told"].ravel()]
    assert len(after) == 6
    assert set(measured) <= set(after)


def test_ctrl_c_writes_the_report_of_what_there_is_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Path
) -> None:
    out = tmp_path / "report"
    with labctl_process("reproduce", "--only", "t.coin", "--out", out, "--workers", 2) as child:
        wait_until(lambda: any(out.glob("reproduction-*.h5")), timeout_s=200)
        workers = _children_of(child.pid)
        child.send_signal(signal.SIGINT)
        status, _, err = finish(child)
    assert status == 130, err
    assert "to go on, the same again" in err
    wait_until(lambda: not any(_is_alive(pid) for pid in workers))
    states = {entry["state"] for entry in json.loads((out / "reproduction.json").read_text())}
    assert states <= {"measured", "not measured"}


def _measured(kept: Path) -> int:
    return int((open_sweep(kept).tables.status == 1).sum())


def _children_of(pid: int) -> list[int]:
    done = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split()]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_figures_of_our_papers_are_as_published(labctl: Command) -> None:
    """Three that are cheap, by their own settings."""
    names = "langevin.step-action,langevin.unit,nep.response"
    done = labctl("reproduce", "--quick", "--only", names, "--workers", 1, "--out", "report", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["ok"] == 3
