"""Frames that are lost, late, repeated or frozen cost a second try, are counted, and are never taken for others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumable import assert_same, only_run

from labctl.bench.load import load_bench
from labctl.client import ROI, DeviceTimeout, Parameters, Protocol, Recorder, Sequence, open_bench, open_run
from labctl.experiments import recorder
from labctl.experiments.execute import Job, Outcome, perform, perform_into
from labctl.runfile.lock import RunLock

STEPS = 8


class Looks(Protocol):
    """A frame by software and a sequence of three in each step. stops_at: a step before which it is interrupted."""

    keeps_table = True

    class Parameters(Parameters):
        stops_at: int = -1

    def run(self, bench: Any, parameters: Any, record: Recorder) -> dict[str, Any]:
        rng = record.rng
        bench.camera.roi = ROI(row=2, column=3, rows=12, columns=16)
        bench.source.emission = True
        for step in record.steps(STEPS, "looking"):
            if step.index == parameters.stops_at:
                raise KeyboardInterrupt
            pattern = bench.slm.write(rng.uniform(0, 6, (20, 30)))
            bench.slm.settle()
            frame = bench.camera.trigger(pattern)
            played = bench.sequencer.play(shown(rng), [], frames=True)
            step.save(
                frame=frame.data,
                frames=played.frames,
                numbers=np.array([frame.frame_id, *played.frame_ids]),
                starts=np.array([frame.start_ns, *played.start_ns]),
                patterns=np.array([frame.pattern_id, *played.pattern_ids]),
            )
            record.checkpoint()
        return {"steps": STEPS}


def shown(rng: np.random.Generator) -> Sequence:
    return Sequence(
        base=rng.uniform(0, 6, (20, 30)),
        base_origin=(0, 0),
        patches=rng.uniform(0, 6, (2, 5, 5)),
        patch_origins=np.array([[1, 2], [9, 20]], np.int32),
        offsets=np.array([0, 0, 1, 2], np.int32),
        indices=np.array([0, 1], np.int32),
    )


def job(bench: Path, stops_at: int = -1, **changes: object) -> Job:
    overrides = {"world.noise": True, "world.optics.camera_attenuation": 1e-3, "bench.lease": "60 s", **changes}
    return Job("looks", Looks(), Looks.Parameters(stops_at=stops_at), load_bench(bench, overrides), {})


def looked(bench: Path, out: Path, stops_at: int = -1, **changes: object) -> Outcome:
    wanted = job(bench, stops_at, **changes)
    return perform(wanted, open_bench(wanted.config), 3, out)


def recoveries(path: Path) -> dict[str, int]:
    with open_run(path) as run:
        found: dict[str, int] = json.loads(run.attrs["recoveries"])
    return found


@pytest.mark.parametrize(
    ("faults", "counted"),
    [
        (["lost camera 4"], {"camera.trigger again": 1}),
        (["late camera 4"], {"camera.trigger again": 1}),
        (["repeated camera 4"], {}),  # which the camera itself finds out
        (["lost camera 6"], {"sequencer.play again": 1}),
        (["late camera 6", "repeated camera 10", "lost camera 17 + 2"], {"sequencer.play again": 4}),
        (["frozen camera 7"], {"sequencer.play again": 1}),
    ],
)
def test_a_frame_that_is_not_the_one_is_asked_for_again(
    small_bench: Path, tmp_path: Path, faults: list[str], counted: dict[str, int]
) -> None:
    changes: dict[str, object] = {"world.faults": faults, "devices.sequencer.identical": "refuse"}
    found = looked(small_bench, tmp_path / "out", **changes)
    assert recoveries(found.run_file) == counted
    assert found.values.get("recoveries", {}) == counted
    with open_run(found.run_file) as run:
        numbers, starts, patterns = (run[f"steps/{n}"][()].ravel() for n in ("numbers", "starts", "patterns"))
        frames = run["steps/frames"][()].reshape(3 * STEPS, -1)
    assert len(numbers) == 4 * STEPS
    assert np.all(np.diff(numbers) > 0)
    assert np.all(np.diff(starts) > 0)
    assert np.all(np.diff(patterns) > 0)
    assert len({frame.tobytes() for frame in frames}) == len(frames)


def test_what_is_lost_time_and_again_ends_the_run(small_bench: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceTimeout, match="frame 6 did not come") as told:
        looked(small_bench, tmp_path, **{"world.faults": ["lost camera 4 + 3"]})
    assert any("asked for 3 times" in note for note in told.value.__notes__)
    assert recoveries(only_run(tmp_path)) == {"camera.trigger again": 2}
    looked(small_bench, tmp_path / "more", **{"world.faults": ["lost camera 4 + 3"], "recovery.tries": 4})


def test_scripts_are_told_at_once(small_bench: Path) -> None:
    with open_bench(small_bench, {"world.faults": ["lost camera 0"]}) as bench, bench.control("test"):
        with pytest.raises(DeviceTimeout):
            bench.camera.trigger()
        bench.camera.trigger()


def test_a_resumed_run_counts_and_measures_what_one_does_that_was_not_stopped(
    small_bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_TABLE_CREDIT_S", 1e9)
    faults = {"world.faults": ["lost camera 5", "late camera 14", "stuck slm 9", "lost camera 30"]}
    whole = looked(small_bench, tmp_path / "whole", **faults).run_file
    with pytest.raises(KeyboardInterrupt):
        looked(small_bench, tmp_path / "out", stops_at=5, **faults)
    path, wanted = only_run(tmp_path / "out"), job(small_bench, **faults)
    again = Recorder.resume(path, RunLock.take(path))
    perform_into(again, wanted, open_bench(wanted.config))
    assert_same(path, whole)
    assert recoveries(path) == recoveries(whole) != {}
