"""Files that are no sound runs are listed as what they are, at once, and keep no other from being listed."""

from __future__ import annotations

import os
import random
import resource
import shutil
import time
from pathlib import Path

import folders
import h5py
import pytest

from drivers.errors import ConfigurationError
from labctl.experiments.recorder import Recorder
from labctl.runfile.catalogue import Catalogue
from labctl.runfile.lock import RunLock
from labctl.runfile.reading import read_summary
from labctl.runs.details import details_of


def test_files_cut_off_foreign_or_no_files_at_all_are_listed_with_the_reason(folder: Path) -> None:
    whole = next(folder.glob("*.h5"))
    (folder / "cut.h5").write_bytes(whole.read_bytes()[:3000])
    (folder / "text.h5").write_text("not a run")
    (folder / "empty.h5").touch()
    (folder / "folder.h5").mkdir()
    (folder / "lost.h5").symlink_to("nowhere")
    h5py.File(folder / "other.h5", "w").close()
    found = {run.file: run for run in Catalogue(folder).runs()}
    assert {name: found[name].status for name in found if "-" not in name} == {
        "cut.h5": "unreadable", "text.h5": "unreadable", "empty.h5": "unreadable", "folder.h5": "unreadable",
        "other.h5": "foreign",
    }  # fmt: skip
    assert sum(run.status == "complete" for run in found.values()) == 12
    assert "truncated" in found["cut.h5"].why
    with pytest.raises(ConfigurationError, match="truncated"):
        details_of(folder / "cut.h5")


def test_a_file_that_could_not_be_read_a_moment_ago_is_tried_again(folder: Path) -> None:
    path, read = next(folder.glob("*.h5")), []
    sound, times = path.read_bytes(), path.stat()
    for age_ns, again in ((0, 1), (3600 * 10**9, 0)):
        path.write_bytes(b"x" * len(sound))
        os.utime(path, ns=(times.st_atime_ns, time.time_ns() - age_ns))
        assert sum(run.status == "unreadable" for run in Catalogue(folder).runs()) == 1
        read.clear()
        Catalogue(folder).runs(read.append)
        assert sum(read) == again


def test_a_text_that_claims_to_be_as_long_as_the_memory_is_told_at_once(folder: Path) -> None:
    path = next(folder.glob("*.h5"))
    with h5py.File(path) as file:
        told = file["setup/bench"].id.get_offset()  # where its length stands, 4 bytes
    data = bytearray(path.read_bytes())
    data[told : told + 4] = b"\xf0\xff\xff\xff"
    path.write_bytes(data)
    before, limits = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrlimit(resource.RLIMIT_AS)
    found = {run.file: run for run in Catalogue(folder).runs()}[path.name]
    assert (found.status, "memory" in found.why) == ("unreadable", True)
    with pytest.raises(ConfigurationError, match="spoilt"):
        details_of(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # kB
    assert resource.getrlimit(resource.RLIMIT_AS) == limits


def test_a_killed_run_is_told_from_one_that_is_being_written(tmp_path: Path) -> None:
    path = folders.killed(tmp_path)
    with Recorder("t.lives", tmp_path, 0):
        listed = {run.protocol: run.now(tmp_path) for run in Catalogue(tmp_path).runs()}
        assert {name: run.status for name, run in listed.items()} == {"t.killed": "killed", "t.lives": "running"}
        assert (listed["t.killed"].steps, details_of(path)["status"]) == (3, "killed")


def test_of_a_killed_run_whose_file_is_cut_off_no_zeros_are_taken_for_steps(tmp_path: Path) -> None:
    path = folders.killed(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size - 60_000])
    (found,) = Catalogue(tmp_path).runs()
    assert found.status == "unreadable"
    assert "cut off" in found.why
    lock = RunLock.take(path)
    with pytest.raises(ConfigurationError, match="cut off"):
        Recorder.resume(path, lock, anew=True)
    lock.release()


def test_spoilt_bytes_anywhere_in_a_killed_run_are_read_or_told_at_once(tmp_path: Path) -> None:
    path = folders.killed(tmp_path)
    sound = path.read_bytes()
    draw = random.Random(3)
    for trial in range(20):
        spoilt = bytearray(sound)
        for place in draw.sample(range(12_000), 5):
            spoilt[place] ^= 1 << draw.randrange(8)
        other = tmp_path / f"spoilt-{trial}.h5"
        other.write_bytes(spoilt)
        assert read_summary(other).status in ("running", "unreadable", "foreign")
    shutil.rmtree(tmp_path)
