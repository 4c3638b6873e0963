"""The index: what `Store.list` and `Store.in_force` look into instead of opening every file.

It holds nothing that is not in the files. Every opening compares it with the two folders and catches up, so a file that
another process has just put there is found, and a lost or spoilt index is made again.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from drivers.errors import CalibrationError
from labctl.store import file, log
from labctl.store.calibration import Header

FILES, USES, VERDICTS = "files", "uses", "verdicts"
LOGS = (USES, VERDICTS)
_ROWS = {FILES: "calibrations", USES: "uses", VERDICTS: "verdicts"}
_PATIENCE_S = 30.0
_NAME = "index-3.sqlite"  # another layout gets another name: two versions of labctl may share a folder
_TABLES = """
CREATE TABLE seen (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, damage TEXT, crc INTEGER);
CREATE TABLE calibrations (
    path TEXT PRIMARY KEY, id TEXT, kind TEXT, bench TEXT, role TEXT, made TEXT, header TEXT);
CREATE TABLE uses (
    path TEXT PRIMARY KEY, bench TEXT, role TEXT, kind TEXT, id TEXT, who TEXT, utc_ns INTEGER, note TEXT);
CREATE INDEX by_use ON uses (bench, role, kind, utc_ns);
CREATE TABLE verdicts (path TEXT PRIMARY KEY, bench TEXT, role TEXT, kind TEXT, id TEXT, utc_ns INTEGER, told TEXT);
CREATE INDEX by_verdict ON verdicts (bench, role, kind, id, utc_ns);
"""
_STATEMENTS = {statement.strip() for statement in _TABLES.split(";") if statement.strip()}


class _Spoilt(sqlite3.DatabaseError):
    """It does not hold what was written."""


class Index:
    """The index of one store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _NAME

    @contextlib.contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """The index as it is now, for reading. Of a folder that cannot be written it is made in memory."""
        connection = self._current()
        try:
            yield connection
        finally:
            connection.close()

    def _current(self) -> sqlite3.Connection:
        for _ in range(3):
            try:
                return self._caught_up(self._on_disk)
            except (sqlite3.DatabaseError, UnicodeError, TypeError, OverflowError) as error:
                spoilt = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
                known = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _Spoilt)
                if known and getattr(error, "sqlite_errorcode", None) not in spoilt:
                    break  # it cannot be written here, or is locked by somebody who hangs
                self._set_aside()
        return self._caught_up(_in_memory)

    def _caught_up(self, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        connection = connect()
        try:
            _catch_up(connection, self._folder)
        except BaseException:
            connection.close()
            raise
        return connection

    def _on_disk(self) -> sqlite3.Connection:
        if not self._path.exists():
            self._make()
        return sqlite3.connect(self._path, timeout=_PATIENCE_S, isolation_level=None)

    def _make(self) -> None:
        """Under a name of its own, then linked: nobody opens it half made, or while its journal is being chosen."""
        if not self._folder.is_dir():
            raise sqlite3.OperationalError("no folder, no index")
        own = self._path.with_name(f".{_NAME}.{secrets.token_hex(8)}")
        try:
            connection = sqlite3.connect(own, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_TABLES)
            finally:
                connection.close()
            with contextlib.suppress(FileExistsError):
                os.link(own, self._path)
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        finally:
            own.unlink(missing_ok=True)

    def _set_aside(self) -> None:
        """An index that is none: kept under another name for whoever wonders, and made again."""
        with contextlib.suppress(OSError):
            os.replace(self._path, self._path.with_name(f"{_NAME}.damaged-{secrets.token_hex(4)}"))
            for journal in ("-wal", "-shm"):
                self._path.with_name(_NAME + journal).unlink(missing_ok=True)


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_TABLES)
    return connection


def _catch_up(connection: sqlite3.Connection, folder: Path) -> None:
    there = _files_there(folder)
    connection.execute("BEGIN")  # one moment of the index: others may be writing it
    try:
        known = _known(connection)
    finally:
        connection.execute("ROLLBACK")
    if there == known:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for path in known.keys() - there.keys():
            _forget(connection, path)
        for path in sorted(there.keys() - known.keys()) + [p for p in known if p in there and there[p] != known[p]]:
            _forget(connection, path)
            _read(connection, folder, path, *there[path])
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _known(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Size and time of every file that was read. Raises _Spoilt if what was found in them is not what is kept: SQLite
    has no checksums of its own."""
    if {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")} != _STATEMENTS:
        raise _Spoilt("its tables are others")
    kept: dict[str, list[object]] = {}
    for table in _ROWS.values():
        for row in connection.execute(f"SELECT * FROM {table}"):
            kept.setdefault(row[0], []).append(row)
    known = {}
    for path, size, mtime_ns, damage, crc in connection.execute("SELECT path, size, mtime_ns, damage, crc FROM seen"):
        if crc != _crc(path, size, mtime_ns, damage, kept.pop(path, [])):
            raise _Spoilt(f"what it says of {path!r:.80} is not what was written")
        known[path] = (size, mtime_ns)
    if kept:
        raise _Spoilt("it says something of files that it has not seen")
    return known


def _crc(*told: object) -> int:
    return zlib.crc32(repr(told).encode(errors="backslashreplace"))


def _files_there(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for part, suffix in ((FILES, ".h5"), (USES, ".json"), (VERDICTS, ".json")):
        with contextlib.suppress(FileNotFoundError), os.scandir(folder / part) as entries:
            for entry in entries:
                if entry.name.endswith(suffix):
                    told = entry.stat()
                    found[f"{part}/{entry.name}"] = (told.st_size, told.st_mtime_ns)
    return found


def _forget(connection: sqlite3.Connection, path: str) -> None:
    for table in ("seen", "calibrations", "uses", "verdicts"):
        connection.execute(f"DELETE FROM {table} WHERE path = ?", (path,))


def _read(connection: sqlite3.Connection, folder: Path, path: str, size: int, mtime_ns: int) -> None:
    part, _, name = path.partition("/")
    damage, rows = None, []
    row: tuple[object, ...]
    try:
        data = (folder / path).read_bytes()
        if part == FILES:
            c = file.decode(data, name.removesuffix(".h5"), str(folder / path))
            row = (path, c.id, c.kind, c.bench, c.role, c.made.isoformat(), json.dumps(file.header_of(c)))
        elif part == VERDICTS:
            v = log.decode_verdict(name, data, str(folder / path))
            row = (path, v.bench, v.role, v.kind, v.id, v.utc_ns, json.dumps(log.verdict_table(v)))
        else:
            u = log.decode(name, data, str(folder / path))
            row = (path, u.bench, u.role, u.kind, u.id, u.who, u.utc_ns, u.note)
        connection.execute(f"INSERT INTO {_ROWS[part]} VALUES ({', '.join('?' * len(row))})", row)
        rows.append(row)
    except CalibrationError as error:
        damage = str(error)
    except OSError as error:
        damage = f"{folder / path} cannot be read: {error}"
    crc = _crc(path, size, mtime_ns, damage, rows)
    connection.execute("INSERT INTO seen VALUES (?, ?, ?, ?, ?)", (path, size, mtime_ns, damage, crc))


def header_from(calibration_id: str, text: str) -> Header:
    """A row's header."""
    return Header(**file.header_fields(json.loads(text)), id=calibration_id)


def use_of(row: tuple[str, str, str, str, str, int, str]) -> log.Use:
    """A row's use: bench, role, kind, id, who, utc_ns, note."""
    bench, role, kind, calibration_id, who, utc_ns, note = row
    return log.Use(bench=bench, role=role, kind=kind, id=calibration_id, who=who, utc_ns=utc_ns, note=note)


def verdict_of(told: str) -> log.Verdict:
    """A row's verdict."""
    return log.verdict_of(json.loads(told))
