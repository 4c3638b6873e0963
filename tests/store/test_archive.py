"""Calibrations that travel arrive as they left, or not at all."""

from __future__ import annotations

import io
import json
import resource
import zipfile
from pathlib import Path

import h5py
import pytest
from samples import dark

from drivers.errors import CalibrationError, ConfigurationError
from labctl.store import Store, archive, file


@pytest.fixture
def home(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def away(tmp_path: Path) -> Store:
    return Store(tmp_path / "away")


def test_an_archive_carries_what_a_calibration_stands_on(home: Store, away: Store, tmp_path: Path) -> None:
    parent = home.add(dark(99.0))
    child = home.add(dark(100.0, kind="flat", parents=(parent,)))
    home.add(dark(55.0))
    home.use(child)
    assert set(archive.export(home, [child], tmp_path / "one.zip")) == {parent, child}
    assert set(archive.import_(away, tmp_path / "one.zip")) == {parent, child}
    assert {r.id for r in away.list()} == {parent, child}
    assert away.get(child) == home.get(child)
    assert away.uses() == ()  # nothing is put in force by arriving
    assert set(archive.import_(away, tmp_path / "one.zip")) == {parent, child}  # twice does no harm
    assert len(away.list()) == 2


def test_a_parent_that_is_not_there_keeps_nobody_at_home(home: Store, away: Store, tmp_path: Path) -> None:
    child = home.add(dark(parents=("a" * 64,)))
    archive.export(home, [child], tmp_path / "one.zip")
    assert archive.import_(away, tmp_path / "one.zip") == (child,)


def test_an_archive_is_not_overwritten(home: Store, tmp_path: Path) -> None:
    path = tmp_path / "one.zip"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="exists and is kept"):
        archive.export(home, [home.add(dark())], path)
    assert path.read_text() == "precious"
    with pytest.raises(ConfigurationError, match="nothing to export"):
        archive.export(home, [], tmp_path / "two.zip")
    with pytest.raises(ConfigurationError, match="cannot write"):
        archive.export(home, [home.list()[0].id], tmp_path / "no folder" / "two.zip")


def test_a_text_that_claims_to_be_as_long_as_the_memory_is_refused_at_once(away: Store, tmp_path: Path) -> None:
    data = bytearray(file.encode(dark()))
    with h5py.File(io.BytesIO(data)) as image:
        told = image["header"].id.get_offset()  # where its length stands, 4 bytes
    data[told : told + 4] = b"\xf0\xff\xff\xff"
    crafted = file.id_of(bytes(data))
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as made:
        made.writestr("labctl-calibrations.json", json.dumps({"ids": [crafted]}))
        made.writestr(f"files/{crafted}.h5", bytes(data))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CalibrationError, match="memory"):
        archive.import_(away, tmp_path / "one.zip")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # kB


def changed(path: Path, ids: list[str], spoil: str) -> None:
    """An archive whose second calibration is not what its name says."""
    with zipfile.ZipFile(path) as archive_file:
        data = {name: archive_file.read(name) for name in archive_file.namelist()}
    path.unlink()
    member = f"files/{ids[1]}.h5"
    if spoil == "edited":
        data[member] = data[member][:-1] + bytes([data[member][-1] ^ 1])
    elif spoil == "swapped":
        data[member] = data[f"files/{ids[0]}.h5"]
    elif spoil == "missing":
        del data[member]
    with zipfile.ZipFile(path, "w") as archive_file:
        for name, content in data.items():
            archive_file.writestr(name, content)


@pytest.mark.parametrize("spoil", ["edited", "swapped", "missing"])
def test_an_archive_with_one_spoilt_calibration_brings_none(
    home: Store, away: Store, tmp_path: Path, spoil: str
) -> None:
    path = tmp_path / "two.zip"
    ids = sorted([home.add(dark(1.0)), home.add(dark(2.0))])
    archive.export(home, ids, path)
    changed(path, ids, spoil)
    with pytest.raises(CalibrationError, match=r"is not what was stored|is incomplete"):
        archive.import_(away, path)
    assert away.list() == ()


def test_bytes_that_changed_on_the_way_are_noticed(home: Store, away: Store, tmp_path: Path) -> None:
    path = tmp_path / "one.zip"
    archive.export(home, [home.add(dark())], path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CalibrationError, match="not what was exported"):
        archive.import_(away, path)


@pytest.mark.parametrize("content", [b"", b"no zip at all", None])
def test_what_is_no_archive_is_refused(away: Store, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"x\.zip cannot be read as an archive"):
        archive.import_(away, path)


@pytest.mark.parametrize("manifest", [None, "[]", '{"ids": ["../../evil"]}', '{"ids": 3}', "{"])
def test_a_zip_without_a_proper_list_is_refused(away: Store, tmp_path: Path, manifest: str | None) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as other:
        other.writestr("readme.txt", "hello")
        if manifest is not None:
            other.writestr("labctl-calibrations.json", manifest)
    with pytest.raises(ConfigurationError, match="no archive of calibrations"):
        archive.import_(away, path)


def test_the_list_of_an_archive_is_readable_by_others(home: Store, tmp_path: Path) -> None:
    found = home.add(dark())
    archive.export(home, [found], tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as zipped:
        assert json.loads(zipped.read("labctl-calibrations.json"))["ids"] == [found]
        assert zipped.testzip() is None
