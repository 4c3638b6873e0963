"""A camera drops frames, gives one twice, or gives one too late: none of it gets into a run, and the run goes on."""

from __future__ import annotations

import hashlib
import json
import time
from functools import partial

import numpy as np

from labctl.ledger.command import command, run_file, started, values
from labctl.ledger.rail import Rail, emulated, until
from labctl.ledger.row import Bench, Row, Trial
from labctl.ledger.rows.files import Desk, desk
from labctl.ledger.runs import must_be_sound, series
from labctl.runfile.file import open_run

_COUNT = 20
_FAULT_S = 0.3
_PATIENCE_S = 120.0


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


def _struck(rail: Rail, trial: Trial, fault: str) -> None:
    """An emulated camera is broken for a moment, in the middle of a run, which asks it again and goes on."""
    out = trial.folder / "runs"
    with started(command(*series(rail, out), "--json")) as child:
        until(lambda: bool(rail.witness.lit()), otherwise="the run makes no light")
        time.sleep(trial.dice.uniform(0.2, 0.5))
        rail.strike("camera", fault)
        time.sleep(_FAULT_S)
        rail.strike("camera")
        said, _ = child.communicate(timeout=_PATIENCE_S)
    assert child.returncode == 0, f"the run ended with {child.returncode}: {said}"
    with open_run(run_file(out)) as file:
        assert sum(json.loads(file.attrs["recoveries"]).values()) > 0, "nothing was asked for again"
        assert len(file["steps/frame"]) == rail.frames
        must_be_sound(file)


def _tried(stage: Desk | Rail, trial: Trial, fault: str, struck: str) -> None:
    if isinstance(stage, Rail):
        _struck(stage, trial, struck)
    else:
        _faulty(stage, trial, fault)


_OUTCOME = "measured again, and counted in the run; every frame of the run is one of its own"
_BENCHES = (Bench("simulated", desk), Bench("emulated", emulated))
ROWS = [
    Row("camera drops frames", "driver: time-out", _OUTCOME, _BENCHES, partial(_tried, fault="lost", struck="mute")),
    Row("camera repeats frames", "driver: number and time of the frame", "dropped, and the next one taken; every frame "
        "of the run is one of its own", _BENCHES[:1], partial(_faulty, fault="repeated", counted=False),
        "the emulated camera's library numbers its frames itself; pixels that come again are `camera frozen`"),
    Row("camera's frames come late", "driver: time-out; the late one is dropped", _OUTCOME, _BENCHES,
        partial(_tried, fault="late", struck="late")),
]  # fmt: skip
