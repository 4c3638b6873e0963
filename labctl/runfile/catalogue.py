"""The catalogue of a folder of runs: one SQLite file beside them, so that 10,000 runs are listed at once.

It holds nothing that is not in the run files. Runs enter themselves when they begin and end; whoever lists compares it
with the folder, by size and time of each file, and reads what differs. Lost, it is made again; damaged, it is set aside
and made again; locked, full or not to be written, run files are read instead. No run ever fails for it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from drivers.errors import ConfigurationError
from labctl.headroom import READING_BYTES, memory_for
from labctl.runfile.filesystems import locks_work, on_network
from labctl.runfile.summary import UNREADABLE, RunSummary

NAME = "catalogue-1.sqlite"  # another layout gets another name: two versions of labctl may share a folder
_PATIENCE_S = 0.25
_BATCH = 200
_FRESH_NS = 60 * 10**9
_TABLES = """
CREATE TABLE runs (file TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, told TEXT, crc INTEGER) WITHOUT ROWID;
CREATE VIEW listed AS SELECT
    file, json_extract(told, '$.protocol') AS protocol, json_extract(told, '$.status') AS status,
    json_extract(told, '$.bench') AS bench, json_extract(told, '$.seed') AS seed,
    datetime(json_extract(told, '$.begun_s'), 'unixepoch') AS begun_utc,
    json_extract(told, '$.duration_s') AS duration_s, json_extract(told, '$.why') AS why
    FROM runs;
"""

_STATEMENTS = {statement.strip() for statement in _TABLES.split(";") if statement.strip()}

_Place = tuple[int, int]
_Row = tuple[_Place, RunSummary]
_decoder = msgspec.json.Decoder(RunSummary)


class _Damaged(sqlite3.DatabaseError):
    """A row is not what was written."""


class Catalogue:
    """The catalogue of one folder. ``messages``: what a person should know of it, such as that it was damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self.messages: list[str] = []

    # --- for runs ---------------------------------------------------------------------------------------------------

    def enter(self, run: Path) -> None:
        """A run has begun or ended. Never fails, and waits for others no longer than a quarter of a second."""
        with contextlib.suppress(OSError):
            place = _place(os.stat(run))
            row = place, _read(run)
            self._attempt(lambda connection: _write(connection, _kept([row])))

    # --- for people -------------------------------------------------------------------------------------------------

    def runs(self, reading: Callable[[int], None] = lambda count: None) -> list[RunSummary]:
        """Every HDF5 file of the folder, by the time its run was begun; see `RunSummary.now`.

        reading: is told how many files are to be read. ConfigurationError if there is no such folder.
        """
        there = self._there()
        known = self._known()
        fresh = {name: place for name, place in there.items() if name not in known or known[name][0] != place}
        gone = known.keys() - there.keys()
        found = {name: row[1] for name, row in known.items() if name in there and name not in fresh}
        if fresh:
            reading(len(fresh))
            import labctl.runfile.reading  # noqa: F401 - here: libraries on many cores take more room than files may
        keeps = True
        for names in _batches(sorted(fresh)):
            with memory_for(READING_BYTES):
                rows = [(fresh[name], _read(self._folder / name)) for name in names]
            found |= {row[1].file: row[1] for row in rows}
            # Some at a time, so that who interrupts this need not begin anew; what failed once will again.
            kept = _kept(rows)
            keeps = keeps and self._attempt(lambda connection, kept=kept: _write(connection, kept))  # type: ignore[misc]
        if gone and keeps:
            self._attempt(lambda connection: _forget(connection, gone))
        return sorted(found.values(), key=lambda run: (run.begun_s or there[run.file][1] / 1e9, run.file))

    def _there(self) -> dict[str, _Place]:
        found = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".h5"):
                        with contextlib.suppress(OSError):  # it has just been taken away
                            found[entry.name] = _place(entry.stat())
        except OSError as error:
            raise ConfigurationError(f"no runs in {self._folder}: {error}; name the folder with --out") from None
        return found

    def _known(self) -> dict[str, _Row]:
        known: dict[str, _Row] = {}

        def read(connection: sqlite3.Connection) -> None:
            known.clear()
            known.update(_rows(connection))

        if not self._path.exists() or self._attempt(read):
            return known
        known.clear()
        # A folder that cannot be written, or a lock that is held: every row proves itself, so it may be read.
        with contextlib.suppress(sqlite3.Error, UnicodeError, OSError):
            uri = f"{self._path.absolute().as_uri()}?immutable=1"
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
                read(connection)
        return known

    # --- the file ---------------------------------------------------------------------------------------------------

    def _attempt(self, act: Callable[[sqlite3.Connection], None]) -> bool:
        """Whether it could be done; on a catalogue that turned out to be damaged, on the one made in its place."""
        if not locks_work(self._folder):
            return False
        for _ in range(2):
            inode = -1
            try:
                if not self._path.exists():
                    self._make()
                inode = os.stat(self._path).st_ino
                with contextlib.closing(sqlite3.connect(self._path, _PATIENCE_S, isolation_level=None)) as connection:
                    connection.execute("PRAGMA synchronous = NORMAL")
                    act(connection)
                return True
            except (sqlite3.Error, UnicodeError, OverflowError, OSError) as error:
                if not self._spoilt(error):
                    return False
                self._set_aside(inode, error)
        return False

    def _spoilt(self, error: Exception) -> bool:
        if isinstance(error, OSError):
            return False
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # what is in it cannot be text, or a number, of ours
            return True
        if code & 0xFF == sqlite3.SQLITE_READONLY:  # by what its first bytes say, where the system would let it be
            return os.access(self._path, os.W_OK) and os.access(self._folder, os.W_OK)
        return code & 0xFF in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

    def _make(self) -> None:
        """Under a name of its own, then linked: nobody opens it half made, or while its journal is being chosen."""
        own = self._path.with_name(f".{NAME}.{secrets.token_hex(8)}")
        try:
            with contextlib.closing(sqlite3.connect(own, isolation_level=None)) as connection:
                # What several machines write has no write-ahead log: that needs memory which they share.
                connection.execute(f"PRAGMA journal_mode = {'DELETE' if on_network(self._folder) else 'WAL'}")
                connection.executescript(_TABLES)
            with contextlib.suppress(FileExistsError):
                os.link(own, self._path)
        finally:
            for leftover in ("", "-wal", "-shm", "-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(f"{own}{leftover}")

    def _set_aside(self, inode: int, error: Exception) -> None:
        """Kept under another name for whoever wonders; not if another process has just made it again."""
        aside = self._path.with_name(f"{NAME}.damaged-{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == inode:
                os.replace(self._path, aside)
                for journal in ("-wal", "-shm"):
                    self._path.with_name(NAME + journal).unlink(missing_ok=True)
                self.messages.append(
                    f"the catalogue of {self._folder} was damaged ({error}); it is made again from the run files, and "
                    f"what was there is {aside.name}"
                )


def _place(status: os.stat_result) -> _Place:
    return status.st_size, status.st_mtime_ns


def _read(path: Path) -> RunSummary:
    from labctl.runfile.reading import read_summary  # with it comes HDF5, which listing what is known does not need

    return read_summary(path)


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]


# --- rows ---------------------------------------------------------------------------------------------------------


def _kept(rows: Iterable[_Row]) -> list[tuple[str, int, int, str, int]]:
    """Rows as SQLite has them. A run whose name or numbers it cannot hold is left out, and read each time; and so is a
    file that could not be read, if it has just been written or that may be for want of permission."""
    found = []
    for (size, mtime_ns), run in rows:
        passing = "ermission denied" in run.why or time.time_ns() - mtime_ns < _FRESH_NS
        if run.status == UNREADABLE and passing:
            continue
        with contextlib.suppress(UnicodeError, OverflowError, TypeError, msgspec.MsgspecError):
            told = msgspec.json.encode(run).decode()
            found.append((run.file, size, mtime_ns, told, _crc(run.file, size, mtime_ns, told)))
    return found


def _write(connection: sqlite3.Connection, rows: Iterable[tuple[str, int, int, str, int]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")


def _forget(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("DELETE FROM runs WHERE file = ?", [(name,) for name in names])
    connection.execute("COMMIT")


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[str, _Row]]:
    """All rows. Raises _Damaged where one is not as it was written, or the file does more than hold rows."""
    made = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if made != _STATEMENTS:  # a view in the table's place, say, need not end
        raise _Damaged("its tables are not those of labctl")
    for file, size, mtime_ns, told, crc in connection.execute("SELECT file, size, mtime_ns, told, crc FROM runs"):
        try:
            if crc != _crc(file, size, mtime_ns, told):
                raise _Damaged(f"the row of {file!r:.80} is not what was written")
            yield file, ((size, mtime_ns), _decoder.decode(told))
        except (msgspec.MsgspecError, TypeError, AttributeError, UnicodeError, RecursionError) as error:
            raise _Damaged(str(error)) from None


def _crc(file: str, size: int, mtime_ns: int, told: str) -> int:
    return zlib.crc32(f"{file}\0{size}\0{mtime_ns}\0{told}".encode())
