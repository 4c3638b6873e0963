"""A run that is under way while a fault is brought about: what is in its file afterwards, and how it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.ledger.command import command, run_file, started, values
from labctl.ledger.rail import Rail, until
from labctl.ledger.row import Trial
from labctl.runfile.file import open_run

_PATIENCE_S = 120.0
_TRIES = 3


def series(rail: Rail, out: Path, count: int | None = None) -> list[str]:
    """Words of a run that keeps so many frames of the camera, by default the rail's, in the light of the pump."""
    given = ["camera=camera", "laser=pump", "frames=true", f"count={count or rail.frames}"]
    return ["run", "bench.series", "--bench", str(rail.bench_file), "--out", str(out), *given]


def broken_off(rail: Rail, trial: Trial, break_it: Callable[[], object], *words: str) -> tuple[Path, int]:
    """Such a run, broken in the middle: its file, and when that was (monotonic ns).

    AssertionError unless it ends with an error that has these words (or others, after a ``|``) and says how to go on,
    and what it measured is sound.
    """
    out = trial.folder / "runs"
    with started(command(*series(rail, out))) as child:
        until(lambda: bool(rail.witness.lit()), otherwise="the run makes no light")
        until(lambda: any(out.glob("*.checkpoint")), otherwise="the run makes no checkpoint")
        time.sleep(trial.dice.uniform(0, 0.3))
        begun_ns = time.monotonic_ns()
        break_it()
        said, _ = child.communicate(timeout=_PATIENCE_S)
    assert child.returncode == 1, f"the run ended with {child.returncode}: {said}"
    assert "Traceback" not in said, said
    for word in (*words, "labctl resume"):
        assert any(one in said for one in word.split("|")), f"the run does not say {word!r}: {said}"
    run = run_file(out)
    with open_run(run) as file:
        assert str(file.attrs["status"]).startswith("failed"), f"its status is {file.attrs['status']!r}"
        must_be_sound(file)
    return run, begun_ns


def must_be_sound(file: h5py.File) -> None:
    """AssertionError where a frame stands twice in a run, or one of a part is older than the one before it."""
    frames = file["steps/frame"][()]
    assert len(frames) > 0, "no step was kept"
    assert len(_different(frames)) == len(frames), "a frame stands twice in the run"
    parts = [int(part.attrs["first_step"]) for part in file["parts"].values()]
    times = np.split(np.asarray(file["steps/time_s"]), [first for first in parts if first])
    assert all((np.diff(some) > 0).all() for some in times), "a frame is older than the one before"


def goes_on(rail: Rail, run: Path, count: int | None = None) -> None:
    """Resume a run to its end: AssertionError unless it then has every step, by default the rail's, and those before
    its checkpoint are as they were."""
    count = count or rail.frames
    with open_run(run) as file:
        before, parts_before = file["steps/frame"][()], len(file["parts"])
    found, resumed = _resumed(run)
    assert "mean_counts" in found, found
    with open_run(run) as file:
        assert file.attrs["status"] == "complete", f"its status is {file.attrs['status']!r}"
        after, kept = file["steps/frame"][()], int(file["parts/1"].attrs["first_step"])
        must_be_sound(file)
        parts = len(file["parts"]) - parts_before
        assert parts == resumed, f"resumed {resumed} times, its file tells of {parts} parts more"
    assert len(after) == count, f"{len(after)} steps of {count}"
    assert 0 < kept <= len(before), f"{kept} of {len(before)} steps were kept"
    assert (after[:kept] == before[:kept]).all(), "what was measured before is not what it was"


def _resumed(run: Path) -> tuple[dict[str, object], int]:
    """Results, and how often it was resumed: where others take the processors from a run for longer than its lease, it
    ends in the dark as any other, and its file tells of that in a part of its own."""
    for number in range(1, _TRIES):
        try:
            return values("resume", str(run)), number
        except AssertionError as error:
            if "the lease is lost" not in str(error):
                raise
    return values("resume", str(run)), _TRIES


def _different(frames: NDArray[np.generic]) -> set[bytes]:
    return {frame.tobytes() for frame in frames}
