"""Files that are spoilt, or made to harm, are read or refused with an error of labctl's; never anything else.

No code of theirs runs, no file hangs a reader or fills the memory, and what was sound before is there afterwards. A
fixed choice of examples in `make test`, fifteen times as many in `make soak`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import random
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import folders
import h5py
import msgspec
import numpy as np
import pytest
import zmq
import zstandard
from hypothesis import strategies as st
from samples import dark
from spoiling import AMOUNTS, MOST_MEMORY_MB, Memory, Spoilt, fuzz, spoilt, unique, values, with_another_part

from drivers.errors import CalibrationError, ConfigurationError, LabError
from drivers.frozen import freeze, thaw
from labctl.bench.load import load_bench, packaged_benches
from labctl.bus import rotation, security
from labctl.experiments import checkpoint
from labctl.experiments.checkpoint import Checkpoint
from labctl.experiments.recorder import Recorder
from labctl.experiments.unfinished import read_unfinished
from labctl.record.blocks import ArrayPlace, Entry, Head, packed, read_heads
from labctl.record.record import Record
from labctl.runfile.catalogue import NAME, Catalogue
from labctl.runfile.file import open_run, pictures_of
from labctl.runfile.lock import RunLock
from labctl.runfile.reading import read_summary
from labctl.runs.details import details_of
from labctl.safety import record as interlocks
from labctl.server import runtime
from labctl.store import Store, archive, file, log

pytestmark = [pytest.mark.parametrize("amount", AMOUNTS), pytest.mark.timeout(3600)]


@pytest.fixture(autouse=True)
def _memory_stays_bounded(request: pytest.FixtureRequest) -> Iterator[None]:
    memory = Memory()
    yield
    # HDF5 believes the length of a text, of 32 bits, before it looks where the text is.
    of_hdf5 = "run_file" in request.node.name or "calibration" in request.node.name
    assert memory.grown_mb < MOST_MEMORY_MB + (4300.0 if of_hdf5 else 0.0)


def refused(act: Callable[[], Any]) -> bool:
    """Whether labctl refuses, as it may; any other error fails the test."""
    try:
        act()
    except LabError as error:
        return bool(str(error))  # it says something
    return False


# --- bench files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prbm-sim", "drill"])
def test_a_spoilt_bench_file_is_read_or_refused(amount: int, name: str, tmp_path: Path) -> None:
    sound = packaged_benches()[name].read_bytes()
    path, overlay = tmp_path / "b.toml", tmp_path / "b.local.toml"

    def act(data: tuple[bytes, bytes]) -> None:
        path.write_bytes(data[0])
        overlay.write_bytes(data[1])
        refused(lambda: load_bench(path))

    fuzz(st.tuples(spoilt(sound), st.binary(max_size=30) | spoilt(sound)) | st.tuples(spoilt(sound), st.just(b"")),
         30 * amount, act)  # fmt: skip


# --- run files ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A complete one, one whose process was killed, and one that failed and can be gone on with."""
    folder = tmp_path_factory.mktemp("sound")
    with contextlib.suppress(ZeroDivisionError), Recorder("t.walk", folder, 3) as record:
        record.setup(
            group="labctl.protocols", given="{}", folder=".", at="", bench_file="", bench_overlay="",
            bench_path="b.toml", fingerprint="0",
        )  # fmt: skip
        record.save("whole", np.arange(10))
        for step in record.steps(3, "there"):
            step.save(position=np.arange(50.0), note=1)
        raise ZeroDivisionError("on purpose")
    return {
        "complete": folders.run(folder).read_bytes(),
        "killed": folders.killed(folder).read_bytes(),
        "failed": record.path.read_bytes(),
    }


def read_run(path: Path) -> None:
    """In every way in which labctl reads a run file; what cannot be gone on with is as it was."""
    read_summary(path)
    pictures_of(path)
    refused(lambda: details_of(path))
    refused(lambda: read_unfinished(path))
    before = path.read_bytes()
    lock = RunLock.take(path)

    def resume() -> None:
        record = Recorder.resume(path, lock, anew=True)
        record.finish({})

    try:
        if refused(resume):
            assert path.read_bytes() == before
        else:
            open_run(path).close()
        assert not path.with_suffix(".new").exists()
    finally:
        lock.release()


@pytest.mark.parametrize("kind", ["complete", "killed", "failed"])
def test_a_spoilt_run_file_is_read_or_refused(amount: int, kind: str, runs: dict[str, bytes], tmp_path: Path) -> None:
    def act(data: bytes) -> None:
        path = unique(tmp_path, ".h5")
        path.write_bytes(data)
        read_run(path)
        path.unlink()

    fuzz(spoilt(runs[kind], 16_000), 15 * amount, act)


def changed_hdf5(data: bytes, dice: random.Random, other: Any) -> bytes:
    """A whole HDF5 file in which something is missing, of another type, or somewhere else."""
    image = io.BytesIO(data)
    with h5py.File(image, "r+") as file:
        found: list[str] = []
        file.visit(found.append)
        for _ in range(dice.randint(1, 3)):
            name = dice.choice(found)
            try:
                place = dice.choice([file, file[name]])
            except (KeyError, OSError, RuntimeError):  # it is gone, or a link to itself
                continue
            if dice.random() < 0.4 and len(place.attrs):
                key = dice.choice(list(place.attrs))
                if dice.random() < 0.3:
                    del place.attrs[key]
                else:
                    with contextlib.suppress(TypeError, ValueError, OverflowError, OSError):  # what HDF5 cannot hold
                        place.attrs[key] = other
                continue
            del file[name]
            with contextlib.suppress(TypeError, ValueError, OverflowError, OSError, RuntimeError):
                match dice.randrange(8):
                    case 0:
                        file[name] = other
                    case 1:
                        file.create_group(name)
                    case 2:
                        file[name] = h5py.SoftLink("/" + dice.choice([name, "setup", "nowhere"]))
                    case 3:
                        file[name] = h5py.ExternalLink("/etc/passwd", "/")
                    case 4:
                        file.create_dataset(name, (1 << 16,), "u1", external=[("/etc/passwd", 0, 1 << 16)])
                    case 5:
                        file.create_dataset(name, (1 << 42,), "f8", chunks=(1 << 20,), fillvalue=1.0)
                    case 6:
                        layout = h5py.VirtualLayout((1 << 36,), "f8")
                        file.create_virtual_dataset(name, layout)
                    case 7:
                        file.create_dataset(name, (1 << 40, 2), maxshape=(None, 2), dtype="u1", chunks=(1 << 16, 2))
    return image.getvalue()


seeds = st.integers(0, 2**32).map(random.Random)


@pytest.mark.parametrize("kind", ["complete", "failed"])
def test_a_run_file_in_which_something_else_is_kept_is_read_or_refused(
    amount: int, kind: str, runs: dict[str, bytes], tmp_path: Path
) -> None:
    def act(drawn: tuple[random.Random, Any]) -> None:
        path = unique(tmp_path, ".h5")
        path.write_bytes(changed_hdf5(runs[kind], *drawn))
        read_run(path)
        path.unlink()

    fuzz(st.tuples(seeds, values), 20 * amount, act)


# --- checkpoints and frozen tables ----------------------------------------------------------------------------------


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def checkpoint_bytes(tmp_path: Path) -> bytes:
    path = tmp_path / "sound.checkpoint"
    rng = np.random.default_rng(3)
    state = {"a": np.arange(20.0), "n": 3, "rng": rng, "old": np.random.Generator(np.random.MT19937(2)), "x": 1.5,
             "late": np.random.Generator(np.random.Philox(2))}  # fmt: skip
    table = freeze({"a": np.zeros((40, 40)), "b": [1, None, "text", {"c": np.arange(5)}]})
    checkpoint.write(path, Checkpoint(2, 0, 1, rng.bit_generator.state, state, {"l": np.ones(3)}, table))
    return path.read_bytes()


def use(found: Checkpoint | None) -> None:
    """As a run that is gone on with does: random numbers of every generator, and the frozen table."""
    assert found is not None
    for value in found.state.values():
        if isinstance(value, np.random.Generator):
            value.random(10)
            value.integers(0, 100, 700, dtype=np.uint32)
    if found.table is not None:
        refused(lambda: thaw(found.table))


def test_a_spoilt_checkpoint_is_read_or_refused(amount: int, tmp_path: Path) -> None:
    sound = checkpoint_bytes(tmp_path)
    path = tmp_path / "x.checkpoint"

    def act(data: bytes) -> None:
        path.write_bytes(data)
        refused(lambda: use(checkpoint.read(path)))

    fuzz(spoilt(sound), 60 * amount, act)


def rezipped(data: bytes, changed: dict[str, bytes | None], compressed: bool = False) -> bytes:
    """The same archive with members that are others, or missing; every checksum is right."""
    out = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", how) as new:
        members = {name: old.read(name) for name in old.namelist()} | changed
        for name, content in members.items():
            if content is not None:
                new.writestr(name, content)
    return out.getvalue()


def npy(value: Any, *, pickled: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, value, allow_pickle=pickled)
    return out.getvalue()


def test_a_checkpoint_that_says_something_else_is_read_or_refused(amount: int, tmp_path: Path) -> None:
    sound = checkpoint_bytes(tmp_path)
    path = tmp_path / "x.checkpoint"
    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        head = json.loads(np.load(io.BytesIO(archive.read("labctl.npy"))).tobytes())
        names = archive.namelist()

    def act(drawn: tuple[random.Random, Any]) -> None:
        dice, other = drawn
        text = json.dumps(with_another_part(head, dice, other)).encode()
        changed: dict[str, bytes | None] = {"labctl.npy": npy(np.frombuffer(text, np.uint8))}
        if dice.random() < 0.3:
            name = dice.choice(names)
            lies = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }" % dice.choice([1 << 31, 1 << 44, -1])
            header = b"\x93NUMPY\x01\x00" + (len(lies) + 1).to_bytes(2, "little") + lies + b"\n"
            changed[name] = dice.choice([None, b"", header, npy(np.arange(3)), npy(np.array(["a", "b"]))])
        path.write_bytes(rezipped(sound, changed))
        refused(lambda: use(checkpoint.read(path)))

    fuzz(st.tuples(seeds, values), 100 * amount, act)


def test_a_checkpoint_never_runs_code_and_never_unpacks_more_than_it_is(amount: int, tmp_path: Path) -> None:
    sound, mark = checkpoint_bytes(tmp_path), tmp_path / "ran"
    path = tmp_path / "x.checkpoint"
    bomb = npy(np.array([Bomb(mark)], dtype=object), pickled=True)
    for content in (bomb, pickle.dumps(Bomb(mark)), b"\x80\x04" + bomb):
        for name in ("labctl.npy", "state_a.npy", "late_l.npy", "table.npy"):
            path.write_bytes(rezipped(sound, {name: content}))
            assert refused(lambda: checkpoint.read(path)), name
    path.write_bytes(rezipped(sound, {"state_a.npy": npy(np.zeros(1 << 22))}, compressed=True))  # 32 MB in 32 kB
    with pytest.raises(ConfigurationError, match="not as it was written"):
        checkpoint.read(path)
    with pytest.raises(ConfigurationError):
        thaw(np.frombuffer(b"labctl frozen 1\n" + pickle.dumps(Bomb(mark)), np.uint8))
    assert not mark.exists()


def test_a_spoilt_frozen_table_is_thawed_or_refused(amount: int) -> None:
    sound = freeze({"a": np.zeros((400, 40)), "b": [1, None, "text", {"c": np.arange(5)}], 3: np.ones(7, np.float32)})
    fuzz(
        spoilt(sound.tobytes(), 400),
        100 * amount,
        lambda data: refused(lambda: thaw(np.frombuffer(data, np.uint8))) and None,
    )


# --- calibrations ---------------------------------------------------------------------------------------------------


def decoded(data: bytes) -> None:
    """As of somebody who has given the file the name that belongs to its bytes."""
    refused(lambda: file.decode(data, file.id_of(data), "x.h5"))


def test_a_spoilt_calibration_is_read_or_refused(amount: int) -> None:
    fuzz(spoilt(file.encode(dark())), 60 * amount, decoded)


def test_a_calibration_in_which_something_else_is_kept_is_read_or_refused(amount: int) -> None:
    sound = file.encode(dark())
    with h5py.File(io.BytesIO(sound), "r") as whole:
        header = json.loads(whole["header"].asstr()[()])

    def act(drawn: tuple[random.Random, Any]) -> None:
        dice, other = drawn
        if dice.random() < 0.5:
            return decoded(changed_hdf5(sound, dice, other))
        image = io.BytesIO(sound)
        with h5py.File(image, "r+") as changed:
            del changed["header"]
            changed.create_dataset(
                "header", data=json.dumps(with_another_part(header, dice, other)), dtype=h5py.string_dtype()
            )
        return decoded(image.getvalue())

    fuzz(st.tuples(seeds, values), 80 * amount, act)


@pytest.mark.parametrize("how", ["external", "virtual", "link", "soft", "claims"])
def test_a_calibration_never_reaches_into_other_files_nor_claims_more_than_it_has(
    amount: int, how: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret!!")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.frombuffer(b"secret!!", np.uint8)
    image = io.BytesIO(file.encode(dark()))
    with h5py.File(image, "r+") as changed:
        group = changed["values"]
        del group["gain"]
        if how == "external":
            group.create_dataset("gain", (8,), "u1", external=[(str(secret), 0, 8)])
        elif how == "virtual":
            layout = h5py.VirtualLayout((8,), "u1")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (8,))
            group.create_virtual_dataset("gain", layout)
        elif how == "claims":
            group.create_dataset("gain", (1 << 42,), "f8", chunks=(1 << 20,))
        else:
            group["gain"] = h5py.SoftLink("/header") if how == "soft" else h5py.ExternalLink("other.h5", "x")
        if how not in ("soft", "link"):
            group["gain"].attrs["unit"] = "1"
    data = image.getvalue()
    with pytest.raises(CalibrationError, match="not kept in the file as labctl keeps it"):
        file.decode(data, file.id_of(data), "x.h5")


def test_of_a_spoilt_archive_of_calibrations_nothing_or_all_is_kept(amount: int, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    ids = [store.add(dark(offset)) for offset in (1.0, 2.0)]
    archive.export(store, ids, tmp_path / "sound.zip")
    sound = (tmp_path / "sound.zip").read_bytes()
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(sound)).read("labctl-calibrations.json"))
    path = tmp_path / "x.zip"
    wild = st.tuples(seeds, values).map(
        lambda drawn: Spoilt(
            rezipped(sound, {"labctl-calibrations.json": json.dumps(with_another_part(manifest, *drawn)).encode()})
        )
    )

    def act(data: bytes) -> None:
        path.write_bytes(data)
        other = Store(unique(tmp_path, ".store"))
        if refused(lambda: archive.import_(other, path)):
            assert not other.path.exists()
        else:
            assert {record.id for record in other.list()} <= set(ids)

    fuzz(spoilt(sound) | wild, 60 * amount, act)
    bomb = rezipped(sound, {f"files/{ids[0]}.h5": bytes(1 << 26)}, compressed=True)
    path.write_bytes(bomb)
    with pytest.raises(ConfigurationError, match="is no archive of calibrations"):
        archive.import_(Store(tmp_path / "bombed"), path)
    assert not (tmp_path / "bombed").exists()


def test_a_spoilt_log_of_calibrations_is_read_or_refused(amount: int) -> None:
    use_ = log.Use(bench="b", role="camera", kind="dark", id="0" * 64, who="me", utc_ns=5)
    told = {
        log.decode: json.loads(log.encode(use_)[1]),
        log.decode_verdict: {**json.loads(log.encode(use_)[1]), "holds": True, "checks": [{"name": "a", "value": 1.0}]},
    }

    def act(drawn: tuple[random.Random, Any]) -> None:
        for decode, table in told.items():
            data = json.dumps(with_another_part(table, *drawn)).encode()
            name = f"{5:020d}-{hashlib.sha256(data).hexdigest()[:32]}.json"
            refused(lambda decode=decode, name=name, data=data: decode(name, data, "x"))

    fuzz(st.tuples(seeds, values), 100 * amount, act)


# --- the catalogue --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    folders.runs(folder, 3)
    Catalogue(folder).runs()
    with contextlib.closing(sqlite3.connect(folder / NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def listed(folder: Path) -> list[tuple[str, str, int]]:
    return [(run.file, run.status, run.seed) for run in Catalogue(folder).runs()]


def test_whatever_the_catalogue_holds_the_runs_are_listed_as_they_are(amount: int, catalogued: Path) -> None:
    expected, sound = listed(catalogued), (catalogued / NAME).read_bytes()

    def act(data: bytes) -> None:
        for path in catalogued.glob(f"{NAME}*"):
            path.unlink()
        (catalogued / NAME).write_bytes(data)
        assert listed(catalogued) == expected
        assert listed(catalogued) == expected  # and it is sound again

    fuzz(spoilt(sound, used=True), 30 * amount, act)


@pytest.mark.parametrize("trick", ["endless view", "trigger", "huge column"])
def test_a_catalogue_that_does_more_than_hold_rows_is_made_again(amount: int, trick: str, catalogued: Path) -> None:
    expected = listed(catalogued)
    with contextlib.closing(sqlite3.connect(catalogued / NAME, isolation_level=None)) as connection:
        if trick == "trigger":
            connection.execute("CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END")
        else:
            connection.executescript("DROP VIEW listed; DROP TABLE runs")
        if trick == "endless view":
            connection.execute(
                "CREATE VIEW runs AS WITH RECURSIVE n(file) AS (SELECT 1 UNION ALL SELECT file + 1 FROM n) "
                "SELECT file, 0 AS size, 0 AS mtime_ns, '' AS told, 0 AS crc FROM n"
            )
        if trick == "huge column":
            connection.execute(
                "CREATE TABLE runs (file TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, crc INTEGER, "
                "told TEXT AS (hex(zeroblob(40000000))) VIRTUAL) WITHOUT ROWID"
            )
            connection.execute("INSERT INTO runs VALUES ('a', 0, 0, 0)")
    assert listed(catalogued) == expected
    assert any("damaged" in path.name for path in catalogued.iterdir())
    for path in catalogued.glob(f"{NAME}.damaged*"):
        path.unlink()


def test_a_spoilt_index_of_calibrations_gives_what_the_files_say_or_an_error(amount: int, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for offset in (1.0, 2.0):
        store.use(store.add(dark(offset)))
    index = next(store.path.glob("index-*.sqlite"))
    with contextlib.closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    expected = [record.id for record in store.list()], store.uses()
    sound = index.read_bytes()

    def act(data: bytes) -> None:
        for path in store.path.glob("index-*"):
            path.unlink()
        index.write_bytes(data)
        found: list[Any] = []
        if not refused(lambda: found.extend([[record.id for record in store.list()], store.uses()])):
            assert tuple(found) == expected

    fuzz(spoilt(sound, used=True), 20 * amount, act)


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_spoilt_key_file_or_list_is_read_or_refused_and_lets_nobody_in(amount: int) -> None:
    security.make("mine")
    security.allow("mine", str(security.folder() / "mine.key"), "operator")
    rotation.accept("mine", "0" * 40)
    security.trust("far", "tcp://127.0.0.1:1", "1" * 40)
    rotation.believe("far", "2" * 40)
    place = security.folder()
    sound = {path: path.read_bytes() for path in place.iterdir()}
    context: zmq.Context[Any] = zmq.Context()
    door = security.Door(context)

    def act(drawn: tuple[int, bytes]) -> None:
        path = sorted(sound)[drawn[0] % len(sound)]
        path.write_bytes(drawn[1])
        refused(lambda: security.load("mine"))
        refused(lambda: security.public_key(str(place / "mine.key")))
        refused(security.own_keys)
        refused(security.trusted)
        listed_ = refused(security.admitted)
        door._stamp = None
        assert not listed_ or not door.callback("", b"0" * 40)
        path.write_bytes(sound[path])

    several = st.integers(0, len(sound) - 1).flatmap(
        lambda k: st.tuples(st.just(k), spoilt(sound[sorted(sound)[k]]) | st.binary(max_size=60))
    )
    deep = st.just((0, b"x = " + b"[" * 5000))
    try:
        fuzz(several | deep, 120 * amount, act)
    finally:
        door.close()
        context.destroy(linger=0)


# --- what is left for the next start --------------------------------------------------------------------------------


def test_what_interlocks_remember_is_read_or_told_as_lost(amount: int, tmp_path: Path) -> None:
    trip = interlocks.Trip("i", "dose", "d", "1 J", "2 J", 5.0, ["d"])
    sound = msgspec.json.encode(interlocks.Kept({"i": trip}, {"d": interlocks.DoseKept(1.0, 5.0)}))
    path = tmp_path / "x.json"

    def act(data: bytes) -> None:
        path.write_bytes(data)
        found = interlocks.Record(path)
        found.stop()
        assert isinstance(found.kept, interlocks.Kept)
        assert found.lost or data.strip()

    fuzz(spoilt(sound) | st.binary(max_size=30), 100 * amount, act)


def test_a_spoilt_word_of_a_bench_is_no_bench(amount: int) -> None:
    record = runtime.HostEntry("b", os.getpid(), "0", "b.toml", 0, process_start="0", emergency={"m": "ipc://x"})
    path = runtime.announce(record)
    sound = path.read_bytes()

    def act(data: bytes) -> None:
        path.write_bytes(data)
        refused(lambda: runtime.find("b"))
        refused(runtime.all_hosts)

    fuzz(spoilt(sound), 100 * amount, act)


# --- records of bus traffic -----------------------------------------------------------------------------------------


def record_bytes() -> bytes:
    from labctl.record import wire

    asked, arrays = wire.packed([[np.arange(50)], {}])
    answer, more = wire.packed(np.arange(900.0))
    names = [wire.digest(data) for data in (*arrays, *more)]
    entry = Entry(1, "calls", 0, "camera", "call", "trigger", asked, names[:1], answer, names[1:], 0, 1, 2, 3)
    acquire = Entry(2, "calls", 0, "", "acquire", "run", wire.packed(None)[0], [], wire.packed(None)[0], [], 0, 1, 2, 3)
    device = {"name": "camera", "kind": "camera", "backend": "simulated", "settings": [], "operations": []}
    places = [ArrayPlace(names[0], 0, len(arrays[0])), ArrayPlace(names[1], len(arrays[0]), len(more[0]))]
    return b"".join((
        packed(Head("", about={"bench": "b", "versions": {"labctl": "1"}, "git": {}}), []),
        packed(Head("main", about={"devices": [device]}), []),
        packed(Head("main", [entry, acquire], places), [*arrays, *more]),
        packed(Head("main", ended="closed"), []),
    ))  # fmt: skip


def read_record(path: Path) -> None:
    found = Record(path)
    found.made_with()
    assert isinstance(found.runs, list)
    for entries in found.entries.values():
        for entry in entries:
            refused(lambda entry=entry: found.asked(entry))
            refused(lambda entry=entry: found.answer(entry))


def test_a_spoilt_record_of_bus_traffic_is_read_or_refused(amount: int, tmp_path: Path) -> None:
    path = tmp_path / "x.record"

    def act(data: bytes) -> None:
        path.write_bytes(data)
        refused(lambda: read_record(path))

    fuzz(spoilt(record_bytes()), 100 * amount, act)


def test_a_record_that_says_something_else_is_read_or_refused(amount: int, tmp_path: Path) -> None:
    path, sound = tmp_path / "x.record", tmp_path / "sound"
    sound.write_bytes(record_bytes())
    heads = [msgspec.msgpack.decode(msgspec.msgpack.encode(head)) for head, _ in read_heads(sound)]

    def act(drawn: tuple[random.Random, Any]) -> None:
        dice, other = drawn
        changed = list(heads)
        at = dice.randrange(len(heads))
        changed[at] = with_another_part(heads[at], dice, other)
        with contextlib.suppress(OverflowError):  # what msgpack cannot hold
            path.write_bytes(b"".join(block(msgspec.msgpack.encode(head), b"x" * 7600) for head in changed))
        refused(lambda: read_record(path))

    fuzz(st.tuples(seeds, values), 150 * amount, act)


def block(top: bytes, body: bytes) -> bytes:
    """A block whose checksums are right, whatever is in it."""
    from labctl.record import blocks

    plain = packed(Head("x"), [body])
    fields = list(blocks._HEADER.unpack(plain[: blocks._HEADER.size]))
    old = fields[1]
    squeezed = zstandard.ZstdCompressor().compress(top)
    fields[1], fields[4] = len(squeezed), blocks.zlib.crc32(squeezed)
    fields[6] = blocks.zlib.crc32(blocks._HEADER.pack(*fields[:6], 0)[:-4])
    return blocks._HEADER.pack(*fields) + squeezed + plain[blocks._HEADER.size + old :]


def test_a_record_never_unpacks_more_than_it_may(amount: int, tmp_path: Path) -> None:
    path = tmp_path / "x.record"
    begun = packed(Head("", about={"bench": "b"}), [])
    path.write_bytes(begun + block(bytes(400 << 20), b""))  # the head of a block: 400 MB in some kB
    assert Record(path).about == {"bench": "b"}
