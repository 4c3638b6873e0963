"""Workers of this machine: results do not depend on them, and whatever dies, nothing measured is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from processes import finish, labctl_process, wait_until
from sweepable import wave

from labctl.sweep import open_sweep, plan_of, resume, sweep
from labctl.sweep.tables import FAILED

WAVES = ("t.wave", "g=1:4:4", "J=1:5:5")


def points_of(tally: Path) -> Counter[str]:
    return Counter(tally.read_text().splitlines()) if tally.exists() else Counter()


def children_of(pid: int) -> list[int]:
    done = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split() if _is_alive(int(word))]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_do_not_depend_on_the_number_of_workers(out: Path, noisy_bench: Path) -> None:
    plan = plan_of("t.table", ["devices.camera.exposure=2:4 ms:4"], bench=noisy_bench, repeats=2)
    sweep(plan, out, workers=1)
    sweep(plan, out.with_name("two.h5"), workers=2)
    one, two = open_sweep(out), open_sweep(out.with_name("two.h5"))
    assert one.values.keys() == two.values.keys()
    for name in one.values:
        np.testing.assert_array_equal(one[name], two[name])


def test_a_point_that_ends_its_worker_is_tried_once_more_and_then_told(tmp_path: Path, out: Path) -> None:
    tally = tmp_path / "tally"
    outcome = sweep(wave("g=1,2,3,4,5", tally=str(tally), deadly_g=2), out, workers=2)
    assert list(outcome.failures) == [1]
    assert "killed" in str(outcome.failures[1])
    assert points_of(tally)["2.0 0.5"] == 2
    found = open_sweep(out)
    assert found.tables.status[1] == FAILED
    np.testing.assert_array_equal(found["product"], [0.5, np.nan, 1.5, 2, 2.5])


def test_a_sweep_that_was_killed_goes_on_and_measures_nothing_again(tmp_path: Path, out: Path) -> None:
    """By the points on record when it was killed; its workers end with it."""
    tally = tmp_path / "tally"
    given = ["--set", f"tally={tally}", "--set", "wait_s=0.1", "--out", out]
    with labctl_process("sweep", *WAVES, *given, "--workers", 2) as child:
        wait_until(lambda: out.exists() and (open_sweep(out).tables.status == 1).sum() >= 5)
        workers = children_of(child.pid)
        child.kill()
        child.wait()
    assert len(workers) >= 2
    wait_until(lambda: not any(_is_alive(pid) for pid in workers))
    killed, before = open_sweep(out), points_of(tally)
    assert killed.status == "running"
    kept = {f"{g} {J}" for g in (1.0, 2.0, 3.0, 4.0) for J in np.arange(1.0, 6.0) if np.isfinite(_at(killed, g, J))}
    resume(out, workers=2)
    after = points_of(tally)
    assert len(after) == 20
    assert all(after[point] == before[point] == 1 for point in kept)
    sweep(wave(*WAVES[1:], tally=str(tally), wait_s=0.1), out.with_name("whole.h5"), workers=1)
    np.testing.assert_array_equal(open_sweep(out)["height"], open_sweep(out.with_name("whole.h5"))["height"])


def _at(found: object, g: float, J: float) -> float:
    return float(found["height"][int(g) - 1, int(J) - 1])  # type: ignore[index]


def test_an_interrupted_sweep_ends_its_workers_and_says_how_to_go_on(out: Path) -> None:
    with labctl_process("sweep", *WAVES, "--set", "wait_s=0.2", "--out", out, "--workers", 2) as child:
        wait_until(lambda: out.exists() and bool((open_sweep(out).tables.status == 1).any()))
        workers = children_of(child.pid)
        child.send_signal(signal.SIGINT)
        status, told, error = finish(child)
    assert status == 130
    assert told == ""
    assert f"labctl sweep --resume {out}" in error
    assert "Traceback" not in error
    wait_until(lambda: not any(_is_alive(pid) for pid in workers))
    assert open_sweep(out).status == "interrupted"


def test_a_worker_that_is_killed_costs_no_point(tmp_path: Path, out: Path) -> None:
    """The process of one is killed from outside while it measures."""
    given = ["--set", "wait_s=0.1", "--out", out, "--json", "--workers", 2]
    with labctl_process("sweep", *WAVES, *given) as child:
        wait_until(lambda: out.exists() and bool((open_sweep(out).tables.status == 1).any()))
        victim = max(children_of(child.pid))
        os.kill(victim, signal.SIGKILL)
        status, told, error = finish(child)
    assert status == 0, error
    assert json.loads(told)["failed"] == 0
    assert open_sweep(out).status == "complete"


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_killed_again_and_again_a_sweep_ends_as_one_that_was_not(tmp_path: Path, out: Path) -> None:
    """Moments of 25 kills are drawn with a fixed seed; each leaves a file that is read and has all it had before."""
    dice, tally, kept, kills = random.Random(5), tmp_path / "tally", 0, 0
    axes, given = ("g=0.1:4:40", "J=1:5:5"), ["--set", f"tally={tally}", "--set", "wait_s=0.05"]
    while kills < 25 and kept < 200:
        with labctl_process("sweep", "t.wave", *axes, *given, "--out", out, "--workers", 2) as child:
            if kills % 2:
                wait_until(lambda: child.poll() is not None or measured_points(out) > kept)  # noqa: B023 - at once
            time.sleep(dice.uniform(0.0, 2.0))
            child.kill()
            child.wait()
        kills += 1
        assert measured_points(out) >= kept
        kept = measured_points(out)
    resume(out, workers=2) if out.exists() else sweep(wave(*axes, tally=str(tally), wait_s=0.05), out, workers=2)
    sweep(wave(*axes, tally=str(tally), wait_s=0.05), out.with_name("whole.h5"), workers=1)
    np.testing.assert_array_equal(open_sweep(out)["height"], open_sweep(out.with_name("whole.h5"))["height"])
    twice = sum(count - 2 for count in points_of(tally).values())
    assert len(points_of(tally)) == 200
    assert twice <= 20 * kills  # no more than what two workers had under way
    print(f"{kills} kills, {twice} points measured again")  # noqa: T201


def measured_points(out: Path) -> int:
    return int((open_sweep(out).tables.status == 1).sum()) if out.exists() else 0
