"""Runs are removed when they are asked for, and never those that somebody needs."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import folders
import pytest
from samples import dark

from drivers.errors import ConfigurationError
from labctl.experiments.recorder import Recorder
from labctl.runs.prune import Wanted, candidates, remove
from labctl.store import RunFile, Store


def _run_file(path: Path) -> RunFile:
    return RunFile(path=str(path.absolute()), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def _going(folder: Path, wanted: Wanted, *stores: Path) -> list[str]:
    return [one.run.file for one in candidates(folder, wanted, stores) if not one.kept]


def test_runs_go_by_age_status_and_size_and_with_them_what_lies_beside(tmp_path: Path) -> None:
    with Recorder("t.drawn", tmp_path, 0) as record:
        record.picture("seen").write_bytes(b"0" * 300_000)
    killed = folders.killed(tmp_path)
    killed.with_suffix(".checkpoint").write_bytes(b"state")
    (tmp_path / "mine.png").touch()
    assert _going(tmp_path, Wanted(statuses=("killed",))) == [killed.name]
    assert _going(tmp_path, Wanted(larger_bytes=300_000, statuses=("complete",))) == [record.path.name]
    assert _going(tmp_path, Wanted(older_s=3600.0)) == []
    for one in candidates(tmp_path, Wanted(older_s=0.0)):
        assert remove(one) == ""
    assert [p.name for p in tmp_path.iterdir() if "catalogue" not in p.name] == ["mine.png"]


def test_a_run_that_is_being_written_stays(tmp_path: Path) -> None:
    with Recorder("t.lives", tmp_path, 0) as record:
        (found,) = candidates(tmp_path, Wanted(older_s=0.0))
        assert found.kept == "it is being written"
        assert remove(found) == "it is being written"  # one that somebody began to resume after it was listed
    assert record.path.exists()


def test_a_run_stays_as_long_as_a_calibration_in_force_stands_on_it_directly_or_not(tmp_path: Path) -> None:
    folder, store = tmp_path / "runs", Store(tmp_path / "calibrations")
    first, second, third = folders.runs(folder, 3)
    base = store.add(dark(run=_run_file(first)))
    upper = store.add(dark(offset=2.0, kind="upper", run=_run_file(second), parents=(base,)))
    store.use(base)
    store.use(upper)
    assert _going(folder, Wanted(older_s=0.0)) == [third.name]
    store.withdraw("table-1", "camera", "dark")
    assert _going(folder, Wanted(older_s=0.0)) == [third.name]
    store.withdraw("table-1", "camera", "upper")
    assert len(_going(folder, Wanted(older_s=0.0))) == 3


def test_a_run_of_another_name_is_known_by_its_bytes_and_other_stores_count(tmp_path: Path) -> None:
    folder, store = tmp_path / "runs", Store(tmp_path / "elsewhere" / "kept")
    path, _ = folders.runs(folder, 2)
    store.use(store.add(dark(run=_run_file(path))))
    os.rename(path, folder / "renamed.h5")
    assert len(_going(folder, Wanted(older_s=0.0))) == 2
    kept = [one for one in candidates(folder, Wanted(older_s=0.0), [store.path]) if one.kept]
    assert [one.run.file for one in kept] == ["renamed.h5"]
    assert "dark" in kept[0].kept


def test_nothing_goes_where_what_is_in_force_is_not_known(tmp_path: Path) -> None:
    folder, store = tmp_path / "runs", Store(tmp_path / "calibrations")
    (path,) = folders.runs(folder, 1)
    store.use(store.add(dark(run=_run_file(path))))
    for use in (store.path / "uses").iterdir():
        use.chmod(0o644)
        use.write_text("spoilt")
        os.utime(use, (time.time(), time.time() + 10))
    with pytest.raises(ConfigurationError, match="nothing is removed"):
        candidates(folder, Wanted(older_s=0.0))
