"""Runs that are killed: small ones of the protocols that a table goes on with, in processes that are forked ready.

As a program (``python kill_runs.py CASE FOLDER``) it measures a run from beginning to end, whole, so that everything is
imported and compiled, and then forks a process for each order on its standard input: ``run FOLDER`` or ``resume
FILE``. A process tells of every step that it saved by a byte in a pipe; the answer to ``end`` is its exit status and
how many bytes came.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

PATIENT = {"bench.lease": "60 s"}
"""On a machine that is busy."""
DYADS: dict[str, Any] = {"precision": 0.06, "settle": 1000, "verify": 1000, "before": 60, "most": 1000}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "prbm.generate": (
        "labctl.protocols",
        "prbm.generate",
        {"epochs": 1, "per_class": 20, "images": 2, "iterations": 4, "reference_repeats": 4},
    ),
    "dyad.calibrate": ("labctl.calibrations", "dyad.calibrate", DYADS),
    "nep.train": ("labctl.protocols", "nep.train", {"epochs": 30}),
    "nep.train by light": ("labctl.protocols", "nep.train", {"loop": "table", "epochs": 4, "averages": 1}),
}
"""Group, name and parameters."""
TIMES_AND_PLACES = {"results/picture", "results/model", "results/pictures", "seconds"}
"""Of results: what differs from run to run."""


def begin(case: str, out: Path) -> Path:
    """A run from its beginning; its file."""
    from labctl.experiments.calibrate import calibrate
    from labctl.experiments.execute import execute

    group, name, given = CASES[case]
    given = given | PATIENT
    if group == "labctl.calibrations":
        kept = calibrate(name, small_lattice(out), given, seed=3, out=out)
        assert kept.outcome is not None
        return kept.outcome.run_file
    return execute("labctl.protocols", name, None, given, seed=3, out=out).run_file


def go_on(path: Path) -> None:
    """The rest of a run."""
    from labctl.experiments.execute import resume

    resume(path)


def small_lattice(out: Path) -> Path:
    """The bench of one pair of dyads, beside the folder of the runs."""
    sys.path.append(str(Path(__file__).parent.parent / "dyad"))
    from sensing_small import write_small

    folder = out.parent / "bench"
    if not (folder / "dyad-small.toml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_small(folder, rows=1, columns=2)
    return folder / "dyad-small.toml"


def same(one: Path, other: Path) -> None:
    """Assert that two complete runs have the same arrays and results, bit for bit, but for times and places."""
    from labctl.client import open_run

    def contents(path: Path) -> dict[str, Any]:
        with open_run(path) as run:
            assert run.attrs["status"] == "complete"
            arrays = {f"{g}/{n}": d[()] for g in ("steps", "data", "results") for n, d in run[g].items()}
            return arrays | dict(run["results"].attrs)

    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    for name in a.keys() - TIMES_AND_PLACES:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def wait_for_cpu(pid: int, cpu_s: float) -> None:
    """Until a process has computed for so long, or has ended. It computes as long on a busy machine as on another."""
    while True:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[0] == "Z" or (int(fields[11]) + int(fields[12])) / _TICKS_PER_S >= cpu_s:
            return
        time.sleep(0.003)


class Killed:
    """Runs of one case, whose processes are killed. whole: file of one that was not. usual_s: of CPU time that took."""

    def __init__(self, case: str, folder: Path) -> None:
        self.case, self._folder, self._count = case, folder, 0
        self._dice = random.Random(case)
        command = [sys.executable, __file__, case, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = self._answer().split()
        self.whole, self.usual_s = Path(told[0]), float(told[1])

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process that measures {self.case} ended with {self.process.wait()}"
        return line.strip()

    def _order(self, line: str) -> str:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)
        return self._answer()

    def step(self, what: str, place: Path, after_s: float | None) -> tuple[int, int]:
        """Do ``run`` or ``resume`` and kill it after so much CPU time, if it still lives; exit status, and steps it
        told of."""
        pid = int(self._order(f"{what} {place}"))
        if after_s is not None:
            wait_for_cpu(pid, after_s)
            time.sleep(self._dice.uniform(0.0, 1 / _TICKS_PER_S))  # CPU time is counted in ticks
            os.kill(pid, signal.SIGKILL)
        status, steps = self._order("end").split()
        return int(status), int(steps)

    def run(self, kills: int, dice: random.Random) -> int:
        """One run, killed at random moments up to so many times and then left alone; how often it was killed.

        After every kill its file must open and have all steps that were saved; in the end it must be as the whole one.
        """
        self._count += 1
        out = self._folder / f"{self._count}"
        done = killed = 0
        what, place = "run", out
        for _ in range(kills):
            status, steps = self.step(what, place, dice.uniform(0.0, self.usual_s))
            assert status in (0, -signal.SIGKILL), f"ended with {status}"
            killed += status != 0
            if status == 0 or self._complete(out):
                break
            found = self._saved(out, done if what == "resume" else 0, steps)
            if found is not None:
                what, (place, done) = "resume", found
        else:
            status, _ = self.step(what, place, None)
            assert status == 0
        (path,) = out.glob("*.h5")
        same(path, self.whole)
        return killed

    def _complete(self, out: Path) -> bool:
        """Whether a run was killed after it had ended."""
        from labctl.client import open_run

        for path in out.glob("*.h5"):
            with open_run(path) as run:
                return bool(run.attrs["status"] == "complete")
        return False

    def _saved(self, out: Path, least: int, steps: int) -> tuple[Path, int] | None:
        """The run's file, and how many steps its checkpoint has; None, and all of it gone, if it had not begun."""
        from labctl.client import open_run
        from labctl.experiments.checkpoint import read

        files = list(out.glob("*.h5"))
        kept = read(files[0].with_suffix(".checkpoint")) if files else None
        if files:
            with open_run(files[0]) as run:
                series = list(run["steps"].values())
                assert not series or min(len(s) for s in series) >= least + steps
                begun = "group" in run["setup"]
            if begun:
                return files[0], 0 if kept is None else kept.steps
        assert steps == 0
        for path in out.glob("*"):
            path.unlink()
        return None

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


@contextmanager
def killed_runs(case: str, folder: Path) -> Iterator[Killed]:
    """See `Killed`."""
    made = Killed(case, folder)
    try:
        yield made
    finally:
        made.close()


def main() -> None:
    case, folder = sys.argv[1], Path(sys.argv[2])
    from labctl.client import Recorder

    Recorder.wants_pictures = False
    begin(case, folder / "first")
    began = time.process_time()
    whole = begin(case, folder / "whole")
    _tell(whole, time.process_time() - began)
    for line in sys.stdin:
        what, place = line.split()
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            _child(what, Path(place), tell)
        os.close(tell)
        _tell(pid)
        sys.stdin.readline()  # until then its number is not given to anybody else
        _, status = os.waitpid(pid, 0)
        steps = 0
        while some := os.read(told, 1 << 16):
            steps += len(some)
        os.close(told)
        _tell(os.waitstatus_to_exitcode(status), steps)


def _tell(*what: object) -> None:
    sys.stdout.write(" ".join(map(str, what)) + "\n")
    sys.stdout.flush()


def _child(what: str, place: Path, tell: int) -> None:
    """Never returns."""
    from labctl.client import Recorder

    append = Recorder._append

    def append_and_tell(self: Any, values: Any) -> None:
        append(self, values)
        os.write(tell, b".")

    setattr(Recorder, "_append", append_and_tell)  # noqa: B010 - of this process only
    try:
        if what == "run":
            begin(CASE_OF_THIS_PROCESS, place)
        else:
            go_on(place)
    except BaseException as error:  # noqa: BLE001 - told, and the process ends
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(3)
    os._exit(0)


if __name__ == "__main__":
    CASE_OF_THIS_PROCESS = sys.argv[1]
    main()
