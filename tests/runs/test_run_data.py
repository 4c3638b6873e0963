"""Runs as arrays, from files that say anything: nothing is read from elsewhere, and nothing is made up."""

from __future__ import annotations

import contextlib
from pathlib import Path

import folders
import h5py
import numpy as np
import pytest

from drivers.errors import ConfigurationError
from labctl.experiments.recorder import Recorder
from labctl.runfile.lock import RunLock
from labctl.runs.data import RunData
from labctl.runs.prune import Wanted, candidates
from labctl.runs.units import unit_of


def _interrupted(folder: Path, steps: int) -> Path:
    with contextlib.suppress(KeyboardInterrupt), Recorder("t.timed", folder, 0) as record:
        for step in record.steps(9, "there"):
            step.save(position=step.index)
            if step.index == 1:
                record.checkpoint()
            if step.index == steps - 1:
                raise KeyboardInterrupt
    return record.path


@pytest.mark.parametrize("anew", [False, True])
def test_each_step_has_its_time_and_a_resumed_run_keeps_those_before_the_checkpoint(tmp_path: Path, anew: bool) -> None:
    path = _interrupted(tmp_path, 4)
    before = RunData(path).step_times()
    assert before is not None
    assert before.shape == (4,)
    with Recorder.resume(path, RunLock.take(path), anew=anew) as record:
        for step in record.steps(9, "there"):
            step.save(position=step.index)
    run = RunData(path)
    times, kept = run.step_times(), 0 if anew else 2
    assert times is not None
    assert times.shape == (9,)
    assert np.array_equal(times[:kept], before[:kept])
    assert (np.diff(times) >= 0).all()
    assert (times[kept:] > before[-1]).all()
    assert run.told["begun_s"] <= times[0]


def test_a_run_from_before_there_were_times_goes_on_without(tmp_path: Path) -> None:
    path = _interrupted(tmp_path, 4)
    with h5py.File(path, "a", locking=False) as file:
        del file["step_times"]
    with Recorder.resume(path, RunLock.take(path)) as record:
        for step in record.steps(9, "there"):
            step.save(position=step.index)
    assert RunData(path).step_times() is None
    assert len(RunData(path).series("position")) == 9


@pytest.mark.parametrize("what", ["external", "short", "text", "group"])
def test_times_of_steps_that_are_none_are_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret" * 100)
    path = folders.run(tmp_path)
    with h5py.File(path, "a", locking=False) as file:
        del file["step_times"]
        if what == "external":
            file.create_dataset("step_times", (75,), "f8", external=[(str(tmp_path / "secret"), 0, 600)])
        elif what == "short":
            file["step_times"] = np.zeros(1)
        elif what == "text":
            file["step_times"] = ["now", "later"]
        else:
            file.create_group("step_times")
    with pytest.raises(ConfigurationError, match="spoilt"):
        RunData(path).step_times()


@pytest.mark.parametrize("what", ["external", "soft", "virtual", "large", "group", "empty"])
def test_arrays_that_are_elsewhere_or_larger_than_the_file_are_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret" * 100)
    path = folders.run(tmp_path)
    with h5py.File(path, "a") as file:
        data = file["data"]
        if what == "external":
            data.create_dataset("x", (600,), "u1", external=[(str(tmp_path / "secret"), 0, 600)])
        elif what == "soft":
            data["x"] = h5py.ExternalLink("other.h5", "/x")
        elif what == "virtual":
            layout = h5py.VirtualLayout((3,), "u1")
            layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
            data.create_virtual_dataset("x", layout)
        elif what == "large":
            data.create_dataset("x", (10**9,), "f8", chunks=(1000,))
        elif what == "group":
            data.create_group("x")
        else:
            data.create_dataset("x", data=h5py.Empty("f8"))
    with pytest.raises(ConfigurationError, match="spoilt"):
        RunData(path).data("x")


def test_pictures_that_a_file_claims_are_pictures_of_its_own_for_who_removes_it(tmp_path: Path) -> None:
    with Recorder("t.greedy", tmp_path, 0) as record:
        record.picture("own").touch()
        (tmp_path / "notes.txt").touch()
        record._pictures += [f"{record.path.stem}-data.h5", "notes.txt", "../notes.txt"]
        (tmp_path / f"{record.path.stem}-data.h5").touch()
    found = {one.run.file: one for one in candidates(tmp_path, Wanted(statuses=("complete",)))}
    assert [p.name for p in found[record.path.name].files] == [record.path.name, f"{record.path.stem}-own.png"]
    assert [Path(p).name for p in RunData(record.path).told["pictures"]] == [f"{record.path.stem}-own.png"]


def test_steps_of_a_resumed_run_say_which_part_measured_them(tmp_path: Path) -> None:
    path = folders.run(tmp_path, steps=4)
    with h5py.File(path, "a") as file:
        part = file["parts"].create_group("1")
        part.attrs.update({"started_s": 2.0, "first_step": 3, "status": "complete"})
    np.testing.assert_array_equal(RunData(path).part_of_steps(4), [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("exposure_s", "s"), ("power_w", "W"), ("results/power_w_err", "W"), ("counts_per_s", "counts/s"), ("r", ""),
        ("s", ""), ("images", ""), ("read_noise_rms", ""), ("events_per_s", "1/s"), ("light_per_pixel", ""),
    ],
)  # fmt: skip
def test_units_are_read_from_the_ends_of_names(name: str, unit: str) -> None:
    assert unit_of(name) == unit
