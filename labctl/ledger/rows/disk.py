"""The disk under a run is full, slow or read-only: light off, the run sound, and gone on with."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import labctl.ledger
from labctl.ledger.command import command, own_disk, run_file, started
from labctl.ledger.rail import BOTH_BY_LEASE, BY_LEASE, Rail, both, until
from labctl.ledger.row import Row, Trial
from labctl.ledger.runs import goes_on, must_be_sound, series
from labctl.runfile.file import open_run

AT_ONCE_S = 0.1
_SLOW_DISK = Path(labctl.ledger.__file__).parent / "slow_disk"
_FRAME_BYTES = 40 * 64 * 2


def _full(rail: Rail, trial: Trial) -> float:
    """A small disk of its own where the system allows it, else a limit of the size of files."""
    out = trial.folder / "runs"
    out.mkdir()
    count = 2 * rail.frames
    words = shlex.join(command(*series(rail, out, count)))
    room = 16 * 2**20 + trial.dice.randrange(count // 4, count // 2) * _FRAME_BYTES + 400_000
    disk = own_disk()
    if disk:
        script = f"mount -t tmpfs -o size={room} tmpfs {out} && {words}; echo status $?; cp {out}/* {trial.folder}"
        shell = [*disk, "sh", "-c", script]
    else:
        limit = (room - 16 * 2**20) // 1024
        shell = ["sh", "-c", f"(ulimit -f {limit}; {words}); echo status $?; cp {out}/* {trial.folder}"]
    with started(shell) as child:
        said, _ = child.communicate(timeout=120)
    assert "status 1" in said, said
    assert "the run cannot be written" in said, said
    assert "labctl resume" in said, said
    run = run_file(trial.folder)
    # It is noticed when the next step is to be saved.
    dark_s = rail.dark_after_s(rail.witness.monotonic_ns(_last_step_s(run)))
    goes_on(rail, run, count)
    return dark_s


def _last_step_s(run: Path) -> float:
    """When the last step was measured (bench time)."""
    with open_run(run) as file:
        return float(file["steps/time_s"][-1])


def _read_only(rail: Rail, trial: Trial) -> None:
    out = trial.folder / "runs"
    out.mkdir()
    disk = own_disk()
    words = shlex.join(command(*series(rail, out, 10)))
    if disk:
        shell = [*disk, "sh", "-c", f"mount -t tmpfs -o ro tmpfs {out} && {words}; echo status $?"]
    else:
        out.chmod(0o500)  # root may write all the same, but can mount
        shell = ["sh", "-c", f"{words}; echo status $?"]
    begun_ns = time.monotonic_ns()
    with started(shell) as child:
        said, _ = child.communicate(timeout=120)
    assert "status 2" in said, said
    assert "choose another --out" in said, said
    since_ns = rail.witness.dark_since_ns()
    assert since_ns is not None, "light is on"
    assert since_ns < begun_ns, "light was on"


def _slow(rail: Rail, trial: Trial) -> float:
    """A disk that keeps the loop waiting for longer than its lease."""
    out, delay = trial.folder / "runs", trial.folder / "delay"
    path = os.pathsep.join([str(_SLOW_DISK), *filter(None, [os.environ.get("PYTHONPATH")])])
    count = 2 * rail.frames
    words = command(*series(rail, out, count))
    with started(words, {"PYTHONPATH": path, "LABCTL_LEDGER_DISK": str(delay)}) as child:
        until(lambda: bool(rail.witness.lit()))
        time.sleep(trial.dice.uniform(0.2, 0.7))
        delay.write_text(f"{1.5 * rail.lease_s + 1}", encoding="ascii")
        until(lambda: not rail.witness.lit())
        dark_s = rail.dark_after_s(int(Path(f"{delay}.began").read_text(encoding="ascii")))
        delay.write_text("0", encoding="ascii")
        said, _ = child.communicate(timeout=120)
    assert "lease is lost" in said, said
    run = run_file(out)
    with open_run(run) as file:
        must_be_sound(file)
    goes_on(rail, run, count)
    return dark_s


def _killed(rail: Rail, trial: Trial) -> float:
    """At any moment: the file opens, and the run goes on."""
    out = trial.folder / "runs"
    with started(command(*series(rail, out))) as child:
        until(lambda: bool(rail.witness.lit()))
        until(lambda: any(out.glob("*.checkpoint")))
        time.sleep(trial.dice.uniform(0, 0.3))
        begun_ns = time.monotonic_ns()
        child.kill()
        dark_s = rail.dark_after_s(begun_ns)
    run = run_file(out)
    with open_run(run) as file:
        steps = {name: len(series) for name, series in file["steps"].items()}
    assert max(steps.values()) - min(steps.values()) <= 1, f"half a step: {steps}"
    goes_on(rail, run)
    return dark_s


ROWS = [
    Row("disk full", "the run's own writing", "emission off; error that names the file and the cure; the run goes on "
        "when there is room", both(AT_ONCE_S), _full),
    Row("disk read-only", "before the bench is opened", "refused before there is light", both(), _read_only),
    Row("disk slow", BY_LEASE, "emission off while the loop waits for the disk; the run is told, and goes on",
        both(*BOTH_BY_LEASE), _slow),
    Row("run killed", BY_LEASE, "emission off; the file opens; at most the last step is lost; it goes on",
        both(*BOTH_BY_LEASE), _killed),
]  # fmt: skip
