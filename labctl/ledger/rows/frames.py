"""A camera drops frames, gives one twice, or gives one too late: none of it gets into a run, and the run goes on."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np

from labctl.experiments.runfile import open_run
from labctl.ledger.command import run_file, values
from labctl.ledger.row import Row, Trial
from labctl.ledger.rows.files import Desk, desk

_COUNT = 20


def _faulty(stage: Desk, trial: Trial, fault: str, counted: bool = True) -> None:
    """Every frame of the run is one of its own, younger than the one before. counted: the run asked again, and tells
    how often; else the driver did so by itself."""
    first, how_many = trial.dice.randrange(1, _COUNT - 4), trial.dice.randint(1, 2)
    found = values(
        "run", "bench.series", "--bench", str(stage.bench_file), "--out", str(trial.folder), "camera=camera",
        "laser=pump", "frames=true", f"count={_COUNT}", f"world.faults=[{fault} camera {first} + {how_many}]",
    )  # fmt: skip
    assert not counted or sum(found.get("recoveries", {}).values()) > 0, f"nothing was asked for again: {found}"
    with open_run(run_file(trial.folder)) as file:
        frames = [hashlib.sha256(frame.tobytes()).digest() for frame in file["steps/frame"]]
        times = np.asarray(file["steps/time_s"])
        assert file.attrs["status"] == "complete"
        assert "recoveries" in file.attrs
    assert len(frames) == len(set(frames)) == _COUNT, "a frame stands twice in the run"
    assert (np.diff(times) > 0).all(), "a frame is older than the one before"


_OUTCOME = "measured again, and counted in the run; every frame of the run is one of its own"
ROWS = [
    Row("camera drops frames", "driver: time-out", _OUTCOME, None, desk, partial(_faulty, fault="lost")),
    Row("camera repeats frames", "driver: number and time of the frame", "dropped, and the next one taken; every frame "
        "of the run is one of its own", None, desk, partial(_faulty, fault="repeated", counted=False)),
    Row("camera's frames come late", "driver: time-out; the late one is dropped", _OUTCOME, None, desk,
        partial(_faulty, fault="late")),
]  # fmt: skip
