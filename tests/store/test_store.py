"""The store's promises: nothing is lost, changed, half written, or believed though it was edited."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import dark

from drivers.errors import CalibrationError, ConfigurationError
from labctl.store import Measured, Store
from labctl.store import file as files


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "calibrations")


def file_of(store: Store, calibration_id: str) -> Path:
    return store.path / "files" / f"{calibration_id}.h5"


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "edited":
        at = len(data) // 3
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    elif how == "longer":
        path.write_bytes(data + b"\0")
    else:
        path.write_bytes(b"")


# --- what is kept -------------------------------------------------------------------------------------------------


def test_what_is_added_comes_back_as_it_was(store: Store) -> None:
    values = {
        "real": Measured(np.linspace(0, 1, 7), "rad", 0.01),
        "small": Measured(np.arange(6, dtype=np.uint8).reshape(2, 3), "px"),
        "complex": Measured(np.array([1 + 2j, 3 - 1j]), "1"),
        "flags": Measured(np.array([True, False]), "1"),
        "undefined": Measured(np.array([1.0, np.nan]), "m", np.array([0.1, np.nan])),
        "none": Measured(np.zeros((0, 2), np.int64), "px"),
        "number": Measured(3, "e"),
    }
    c = dark(values=values, valid_until=datetime(2027, 1, 1, tzinfo=UTC), parents=("a" * 64,))
    again = Store(store.path).get(store.add(c))
    assert again == c
    assert [again[name].dtype for name in values] == [m.value.dtype for m in values.values()]
    assert list(again.values) == list(values)


def test_the_id_is_the_hash_of_the_file(store: Store) -> None:
    import hashlib

    found = store.add(dark())
    assert found == hashlib.sha256(file_of(store, found).read_bytes()).hexdigest() == store.get(found).id
    assert store.add(dark()) == found  # the same content is the same calibration
    assert store.add(dark(100.001)) != found
    assert len(store.list()) == 2


def test_nothing_is_overwritten(store: Store) -> None:
    ids = [store.add(dark(offset)) for offset in (100.0, 101.0, 102.0)]
    before = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in store.path.glob("*/*") if p.parent.name != "incoming"}
    store.add(dark(101.0))
    for one in ids:
        store.use(one)
    after = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in store.path.glob("*/*")}
    assert before.items() <= after.items()
    assert all(p.stat().st_mode & 0o222 == 0 for p in before)


def test_a_list_has_what_is_asked_for(store: Store) -> None:
    a = store.add(dark())
    b = store.add(dark(bench="table-2", made=dark().made + timedelta(days=1)))
    c = store.add(dark(kind="flat", made=dark().made - timedelta(days=1)))
    assert [r.id for r in store.list()] == [c, a, b]
    assert [r.id for r in store.list(bench="table-1")] == [c, a]
    assert [r.id for r in store.list(bench="table-1", kind="dark")] == [a]
    assert [r.id for r in store.list(role="slm")] == []
    assert store.list()[1] == dark().header


def test_a_folder_is_not_made_by_looking(store: Store) -> None:
    assert store.list() == ()
    assert store.all_in_force("table-1") == ()
    assert store.in_force("table-1", "camera", "dark") is None
    assert store.damaged() == {}
    assert not store.path.exists()


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["truncated", "edited", "longer", "empty"])
def test_a_spoilt_file_is_refused_and_the_others_are_not(store: Store, how: str) -> None:
    good, bad = store.add(dark(100.0)), store.add(dark(101.0))
    store.use(bad)
    spoil(file_of(store, bad), how)
    with pytest.raises(CalibrationError, match=f"{bad}.h5 is not what was stored.*restore it from a backup"):
        store.get(bad)
    with pytest.raises(CalibrationError, match="not what was stored"):
        store.in_force("table-1", "camera", "dark")
    with pytest.raises(CalibrationError, match="not what was stored"):
        store.all_in_force("table-1")
    with pytest.raises(CalibrationError, match="not what was stored"):
        store.use(bad)
    with pytest.raises(CalibrationError, match="not what was stored"):
        store.find(bad[:12])
    with pytest.raises(CalibrationError, match="not what was stored"):
        store.add(dark(101.0))  # what is there is not replaced
    assert [r.id for r in store.list()] == [good]
    assert list(store.damaged()) == [f"files/{bad}.h5"]
    assert store.get(good).number("gain") == 0.45


def test_a_file_that_is_missing_is_told(store: Store) -> None:
    found = store.add(dark())
    store.use(found)
    file_of(store, found).unlink()
    with pytest.raises(CalibrationError, match=rf"{found}\.h5 cannot be read.*restore it"):
        store.in_force("table-1", "camera", "dark")


def test_an_hdf5_file_under_its_right_name_that_is_no_calibration_is_refused(store: Store) -> None:
    import h5py

    store.add(dark())
    other = store.path / "other.h5"
    with h5py.File(other, "w") as file:
        file["header"] = "{}"
    data = other.read_bytes()
    (store.path / "files" / f"{files.id_of(data)}.h5").write_bytes(data)
    with pytest.raises(CalibrationError, match="is no calibration of labctl"):
        store.get(files.id_of(data))
    assert len(store.list()) == 1


@pytest.mark.parametrize("how", ["truncated", "edited", "longer", "empty"])
def test_an_edited_log_is_refused(store: Store, how: str) -> None:
    store.use(store.add(dark()))
    (entry,) = (store.path / "uses").iterdir()
    spoil(entry, how)
    for ask in (store.uses, lambda: store.in_force("table-1", "camera", "dark"), lambda: store.all_in_force("table-1")):
        with pytest.raises(CalibrationError, match=f"{entry.name} is not what was stored.*Restore it"):
            ask()


def test_files_that_are_not_ours_are_left_alone(store: Store) -> None:
    found = store.add(dark())
    (store.path / "files" / "notes.txt").write_text("keep")
    (store.path / "files" / "scratch.h5").write_bytes(b"no calibration")
    assert [r.id for r in store.list()] == [found]
    assert list(store.damaged()) == ["files/scratch.h5"]
    assert (store.path / "files" / "notes.txt").read_text() == "keep"


# --- ids ----------------------------------------------------------------------------------------------------------


def test_first_digits_name_a_calibration(store: Store) -> None:
    ids = [store.add(dark(float(k))) for k in range(20)]
    assert [store.find(one[:10]) for one in ids] == ids
    with pytest.raises(ConfigurationError, match="write 6 to 64 hexadecimal digits"):
        store.find(ids[0][:5])
    with pytest.raises(ConfigurationError, match="'xyzxyz' is no id"):
        store.find("xyzxyz")
    with pytest.raises(ConfigurationError, match="no calibration '000000000000'"):
        store.find("0" * 12)


def test_digits_that_several_ids_begin_with_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.store.store.SHORTEST_PREFIX", 1)
    ids = [store.add(dark(float(k))) for k in range(17)]  # 16 first digits for 17 ids
    digits = [one[0] for one in ids]
    twice = next(d for d in digits if digits.count(d) > 1)
    with pytest.raises(ConfigurationError, match="write more digits"):
        store.find(twice)


@pytest.mark.parametrize("wrong", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_an_id_cannot_lead_out_of_the_store(store: Store, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits"):
        store.get(wrong)


# --- in force -----------------------------------------------------------------------------------------------------


def test_the_last_decision_is_in_force_and_the_earlier_ones_are_remembered(store: Store) -> None:
    first, second = store.add(dark(100.0)), store.add(dark(101.0))
    assert store.in_force("table-1", "camera", "dark") is None
    one = store.use(first, who="ada@lab", note="after the move")
    two = store.use(second)
    assert (store.in_force("table-1", "camera", "dark") or dark()).id == second
    at_first = store.in_force("table-1", "camera", "dark", at=one.at + (two.at - one.at) / 2)
    assert at_first is not None
    assert at_first.id == first
    assert store.in_force("table-1", "camera", "dark", at=one.at - timedelta(seconds=1)) is None
    store.use(first)
    assert (store.in_force("table-1", "camera", "dark") or dark()).id == first
    assert [u.id for u in store.uses("table-1")] == [first, second, first]
    assert (store.uses()[0].who, store.uses()[0].note) == ("ada@lab", "after the move")
    assert "@" in store.uses()[1].who


def test_benches_roles_and_kinds_are_apart(store: Store) -> None:
    a, b = store.add(dark(100.0)), store.add(dark(101.0))
    store.use(a)
    store.use(b, bench="table-2")
    store.use(b, role="camera2")
    found = {(f.use.role, f.use.kind): f.use.id for f in store.all_in_force("table-1")}
    assert found == {("camera", "dark"): a, ("camera2", "dark"): b}
    assert [f.header.id for f in store.all_in_force("table-2")] == [b]
    assert store.all_in_force("table-3") == ()


def test_what_is_withdrawn_is_no_longer_in_force_and_still_there(store: Store) -> None:
    found = store.add(dark())
    with pytest.raises(CalibrationError, match="nothing to withdraw"):
        store.withdraw("table-1", "camera", "dark")
    store.use(found)
    store.withdraw("table-1", "camera", "dark")
    assert store.in_force("table-1", "camera", "dark") is None
    assert store.all_in_force("table-1") == ()
    assert store.get(found).id == found
    assert [u.id for u in store.uses()] == [found, ""]


def test_the_last_word_counts_though_the_clock_was_set_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = store.add(dark(100.0)), store.add(dark(101.0))
    store.use(first)
    monkeypatch.setattr("labctl.store.log.now_ns", lambda: 1_000_000_000)
    store.use(second)
    assert (store.in_force("table-1", "camera", "dark") or dark()).id == second


# --- the index ----------------------------------------------------------------------------------------------------


def index_of(store: Store) -> Path:
    return store.path / "index-3.sqlite"


def everything(store: Store) -> Any:
    return store.list(), store.uses(), store.all_in_force("table-1")


@pytest.mark.parametrize("spoilt", ["lost", "garbage", "empty", "another database"])
def test_the_index_is_made_again_from_the_files(store: Store, spoilt: str) -> None:
    for offset in (100.0, 101.0):
        store.use(store.add(dark(offset)))
    before = everything(store)
    path = index_of(store)
    assert path.exists()
    path.unlink()
    if spoilt == "garbage":
        path.write_bytes(b"this is no database" * 1000)
    elif spoilt == "empty":
        path.touch()
    elif spoilt == "another database":
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE runs (name TEXT)")
        other.close()
    assert everything(store) == everything(Store(store.path)) == before
    store.add(dark(102.0))
    assert len(Store(store.path).list()) == 3
    with sqlite3.connect(path) as index:
        assert index.execute("SELECT count(*) FROM calibrations").fetchone() == (3,)
    index.close()


def test_files_that_others_put_there_are_found(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    found = other.add(dark(105.0))
    store.add(dark())
    file_of(store, found).write_bytes(file_of(other, found).read_bytes())
    assert found in [r.id for r in store.list()]


def test_a_store_that_may_only_be_read_is_read(store: Store) -> None:
    found = store.add(dark())
    store.use(found)
    index_of(store).unlink()
    folders = [store.path, *(p for p in store.path.iterdir() if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        reader = Store(store.path)
        assert (reader.in_force("table-1", "camera", "dark") or dark(1.0)).id == found
        if os.geteuid() != 0:  # nothing is forbidden to root
            with pytest.raises(ConfigurationError, match="give the right to write"):
                reader.add(dark(103.0))
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_store_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibrations"
    path.write_text("")
    with pytest.raises(ConfigurationError, match="is no folder"):
        Store(path)


def test_a_full_disk_is_told_and_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(dark())

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labctl.store.store.os.fsync", full)
    with pytest.raises(ConfigurationError, match=r"No space left.*make room"):
        store.add(dark(101.0))
    assert len(store.list()) == 1
    assert list((store.path / "incoming").iterdir()) == []


def test_what_dead_writers_left_is_cleared_away_in_time(store: Store) -> None:
    store.add(dark())
    young, old = store.path / "incoming" / "young", store.path / "incoming" / "old"
    for path in (young, old):
        path.write_bytes(b"half a file")
    os.utime(old, (1, 1))
    store.add(dark(101.0))
    assert young.exists()
    assert not old.exists()
