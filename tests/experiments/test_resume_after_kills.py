"""A run may be killed at any moment, and so may the run that resumes it: what is measured in the end is the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import finish, labctl_process, next_line, wait_until
from resumable import assert_same, assert_tidy, only_run

from labctl.client import ConfigurationError, open_run
from labctl.experiments.checkpoint import read
from labctl.experiments.execute import execute, resume

pytestmark = pytest.mark.usefixtures("walks")

# Imports once, and then forks a process for each order, which dies at its n-th file operation if it is told to.
NURSERY = """
import os, signal, sys
from labctl.experiments.execute import execute, resume
from labctl.experiments import recorder
import numba, h5py, labctl.server.host, protocols.prbm.light.alignment, simulators.worlds.prbm
WATCHED = {"open", "os.rename", "os.remove", "os.truncate", "shutil.copyfile"}
print("ready", flush=True)
for line in sys.stdin:
    what, last, bench, place = line.split()
    pid = os.fork()
    if pid == 0:
        left = int(last)
        def hook(event, arguments):
            global left
            if event in WATCHED and place.rpartition("/")[0] in str(arguments[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        if left:
            sys.addaudithook(hook)
        try:
            if what == "run":
                execute("labctl.protocols", "t.walk", bench, {}, seed=5, out=__import__("pathlib").Path(place))
            else:
                resume(place)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(3)
        os._exit(0)
    print(pid, flush=True)
    sys.stdin.readline()  # until then its number is not given to anybody else
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """Starts runs as processes of their own, in a tenth of a second each."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert next_line(self.process) == "ready"

    def start(self, what: str, place: Path, bench: Path, dies_at: int = 0) -> int:
        assert self.process.stdin is not None
        print(what, dies_at, bench, place, file=self.process.stdin, flush=True)
        return int(next_line(self.process))

    def end(self) -> int:
        """Its exit status, when it ends."""
        assert self.process.stdin is not None
        print("end", file=self.process.stdin, flush=True)
        return int(next_line(self.process))


@pytest.fixture
def nursery(walks: None) -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.process.communicate()


def killed_at_random(
    nursery: Nursery, what: str, place: Path, bench: Path, within_s: float, dice: random.Random
) -> int:
    pid = nursery.start(what, place, bench)
    time.sleep(dice.uniform(0.0, within_s))
    os.kill(pid, signal.SIGKILL)
    return nursery.end()


def duration_s(nursery: Nursery, out: Path, bench: Path) -> float:
    began = time.monotonic()
    nursery.start("run", out, bench)
    assert nursery.end() == 0
    return time.monotonic() - began


@pytest.mark.parametrize("trials", [3, pytest.param(150, marks=[pytest.mark.soak, pytest.mark.timeout(3000)])])
def test_killed_at_random_moments_a_run_ends_as_one_that_was_not(
    tmp_path: Path, small_bench: Path, nursery: Nursery, trials: int
) -> None:
    """Moments are drawn with a fixed seed; each run is killed up to three times, and then left alone."""
    duration_s(nursery, tmp_path / "first", small_bench)
    usual_s = duration_s(nursery, tmp_path / "whole", small_bench)
    dice, kills = random.Random(6), 0
    for trial in range(trials):
        out = tmp_path / f"{trial}"
        kills += killed_at_random(nursery, "run", out, small_bench, usual_s, dice) == -signal.SIGKILL
        for _ in range(2):
            if _resumable(out):
                ended = killed_at_random(nursery, "resume", only_run(out), small_bench, usual_s, dice)
                assert ended in (0, -signal.SIGKILL)
                kills += ended == -signal.SIGKILL
        _finish_and_compare(nursery, out, small_bench, only_run(tmp_path / "whole"))
    print(f"{kills} kills in {trials} runs")  # noqa: T201


@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(3000)])])
def test_killed_before_any_file_operation_a_run_ends_as_one_that_was_not(
    tmp_path: Path, small_bench: Path, nursery: Nursery, stride: int
) -> None:
    """Every ``stride``-th of the operations of the run, and of the run that resumes it half-way."""
    duration_s(nursery, tmp_path / "whole", small_bench)
    operation, killed = 1, True
    while killed:
        out = tmp_path / f"{operation}"
        nursery.start("run", out, small_bench, operation)
        killed = nursery.end() == -signal.SIGKILL
        if killed and _resumable(out):
            nursery.start("resume", only_run(out), small_bench, max(1, operation // 2))
            nursery.end()
        _finish_and_compare(nursery, out, small_bench, only_run(tmp_path / "whole"))
        operation += stride
    assert operation > 50


def _resumable(out: Path) -> bool:
    """Whether there is a run that is not complete; what there is must be readable."""
    if not any(out.glob("*.h5")):
        return False
    with open_run(only_run(out)) as run:
        return run.attrs["status"] != "complete" and "group" in run["setup"]


def _finish_and_compare(nursery: Nursery, out: Path, bench: Path, whole: Path) -> None:
    if _resumable(out):
        nursery.start("resume", only_run(out), bench)
        assert nursery.end() == 0
    elif not any(out.glob("*.h5")):
        return  # killed before it began
    with open_run(only_run(out)) as run:
        if run.attrs["status"] == "running":
            assert "group" not in run["setup"]  # killed before it was said what was to be done
            return
    assert_same(only_run(out), whole)


def test_a_run_goes_on_when_its_process_is_gone_and_not_before(tmp_path: Path, small_bench: Path) -> None:
    out, go = tmp_path / "out", tmp_path / "go"
    given = ["--bench", small_bench, "--set", f"wait_for={go}"]
    with labctl_process("run", "t.walk", *given, "--seed", 5, "--out", out) as child:
        _wait_for_step_3(out)
        path = only_run(out)
        with pytest.raises(ConfigurationError, match=rf"is being written by a process that lives \(pid {child.pid} on"):
            resume(path)
        child.send_signal(signal.SIGINT)
        status, _, told = finish(child)
        assert status == 130
        assert f"to go on from the last checkpoint: labctl resume {path}" in told
    with labctl_process("resume", "latest", "--out", out) as child:
        wait_until(lambda: "parts/1" in _opened(path))
        child.kill()
        child.wait()
    go.touch()
    with labctl_process("resume", path, "--json") as child:
        status, told, error = finish(child)
        assert status == 0, error
    whole = execute("labctl.protocols", "t.walk", small_bench, seed=5, out=tmp_path / "whole")
    assert json.loads(told)["values"]["length"] == whole.values["length"]
    assert_same(path, whole.run_file)
    assert_tidy(path)


def _wait_for_step_3(out: Path) -> None:
    wait_until(lambda: any(out.glob("*.checkpoint")))
    checkpoint = only_run(out).with_suffix(".checkpoint")
    wait_until(lambda: (found := read(checkpoint)) is not None and found.steps == 4)


def _opened(path: Path) -> set[str]:
    with open_run(path) as run:
        return {f"parts/{k}" for k in run["parts"]}
