"""A file of a sweep is gone on with, and holds one sweep."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from sweepable import wave

from labctl.client import ConfigurationError
from labctl.runfile import file as runfile
from labctl.runfile.lock import RunLock
from labctl.sweep import open_sweep, resume, sweep
from labctl.sweep.file import SweepFile
from labctl.sweep.point import measure


def begun(out: Path, tally: Path, points: int) -> None:
    """A sweep of six points that ended after some, as by Ctrl-C."""
    plan = wave("g=1,2,3", "J=1,2", tally=str(tally))
    file = SweepFile(out, plan, {})
    for measured in measure(plan, range(points)):
        file.append([measured.encoded])
    file.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def test_what_is_measured_is_not_measured_again(tmp_path: Path, out: Path) -> None:
    tally = tmp_path / "tally"
    begun(out, tally, 4)
    found = open_sweep(out)
    assert found.status == "interrupted"
    np.testing.assert_array_equal(found["product"], [[1, 2], [2, 4], [np.nan, np.nan]])
    assert resume(out, workers=1).measured == 2
    assert sorted(tally.read_text().split("\n")) == ["", *(f"{g} {J}" for g in (1.0, 2.0, 3.0) for J in (1.0, 2.0))]
    whole = open_sweep(out)
    assert whole.status == "complete"
    sweep(wave("g=1,2,3", "J=1,2", tally=str(tally)), out.with_name("whole.h5"), workers=1)
    np.testing.assert_array_equal(whole["height"], open_sweep(out.with_name("whole.h5"))["height"])


def test_the_same_sweep_again_measures_nothing_and_leaves_the_file_alone(tmp_path: Path, out: Path) -> None:
    plan = wave("g=1,2")
    sweep(plan, out, workers=1)
    before = out.read_bytes()
    assert sweep(plan, out, workers=1).measured == 0
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [out.name]


def test_failed_points_are_measured_again_when_asked(tmp_path: Path, out: Path) -> None:
    tally = tmp_path / "tally"
    sweep(wave("g=1,2", tally=str(tally), bad_above=1.5), out, workers=1)
    assert resume(out, workers=1).measured == 0
    again = resume(out, workers=1, retry_failed=True)
    assert again.measured == 1
    assert list(again.failures) == [1]
    assert tally.read_text() == "1.0 0.5\n2.0 0.5\n2.0 0.5\n"


def test_another_sweep_in_the_same_file_is_refused(out: Path) -> None:
    sweep(wave("g=1,2"), out, workers=1)
    before = out.read_bytes()
    with pytest.raises(ConfigurationError, match=r"is another sweep: with other values of g.*--resume .*sweep\.h5"):
        sweep(wave("g=1,3"), out, workers=1)
    assert out.read_bytes() == before


def test_two_sweeps_at_once_into_one_file_are_refused(out: Path) -> None:
    plan = wave("g=1,2")
    with SweepFile(out, plan, {}), pytest.raises(ConfigurationError, match="is being written by a process that lives"):
        sweep(plan, out, workers=1)
    RunLock.take(out).release()


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_file_that_is_no_sweep_is_refused_and_left_alone(out: Path, content: bytes | None) -> None:
    if content is None:
        with h5py.File(out, "w") as file:
            file.attrs["labctl_run"] = 1
    else:
        out.write_bytes(content)
    before = out.read_bytes()
    with pytest.raises(ConfigurationError, match=r"sweep\.h5"):
        sweep(wave("g=1,2"), out, workers=1)
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir() if path.is_file()] == [out.name]


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"one that ends in \.h5"):
        sweep(wave("g=1,2"), tmp_path / "sweep.csv", workers=1)


def test_a_file_is_read_while_it_is_written_up_to_the_last_point(out: Path) -> None:
    plan = wave("g=1,2,3")
    with SweepFile(out, plan, {}) as file:
        for count, measured in enumerate(measure(plan, range(3)), 1):
            file.append([measured.encoded])
            assert np.isfinite(open_sweep(out)["product"]).sum() == count


def test_points_half_written_when_the_writer_was_killed_are_measured_again(tmp_path: Path, out: Path) -> None:
    tally = tmp_path / "tally"
    begun(out, tally, 2)
    file = runfile.appending(out)
    data = file["journal/bytes"]
    data.resize(len(data) + 100, axis=0)  # what a writer had flushed, without the end that counts
    file.close()
    assert resume(out, workers=1).measured == 4
    assert open_sweep(out).status == "complete"


def test_a_damaged_file_is_told(out: Path) -> None:
    sweep(wave("g=1,2"), out, workers=1)
    with h5py.File(out, "r+") as file:
        file["journal/bytes"][3] = 255
    with pytest.raises(ConfigurationError, match="is damaged"):
        open_sweep(out)
