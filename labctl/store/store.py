"""The store: a folder of files that are written once, and never half.

``files/ID.h5`` are the calibrations, ``uses/`` is the log of what is in force, ``verdicts/`` that of what was checked,
``incoming/`` holds files while they are being written, ``index-3.sqlite`` is made from the others. Any number of
processes may read and write at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drivers.errors import CalibrationError, ConfigurationError
from labctl.registry import suggestion
from labctl.store import file, log
from labctl.store.calibration import Calibration, Check, Header
from labctl.store.index import FILES, LOGS, USES, VERDICTS, Index, header_from, use_of, verdict_of
from labctl.store.log import Use, Verdict

INCOMING = "incoming"
SHORTEST_PREFIX = 6
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_ABANDONED_AFTER_S = 86400.0
_USE_COLUMNS = "bench, role, kind, id, who, utc_ns, note"


@dataclass(frozen=True)
class InForce:
    """A calibration that is in force, without its arrays, and the decision that put it there.

    verdict: of the last check since then, None if there was none.
    """

    use: Use
    header: Header
    verdict: Verdict | None = None


class Store:
    """Calibrations in the folder ``path``, which is made when the first one is added.

    Raises CalibrationError for what is missing, truncated or edited, ConfigurationError for a folder that cannot be
    read or written and for an id that names nothing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._index = Index(self.path)
        if self.path.exists() and not self.path.is_dir():
            raise ConfigurationError(f"{self.path} is no folder; a folder of calibrations is needed")

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    # --- calibrations -----------------------------------------------------------------------------------------------

    def add(self, calibration: Calibration) -> str:
        """Keep a calibration and return its id. It is not in force before `use` says so."""
        return self.add_file(file.encode(calibration), "the calibration to add")

    def add_file(self, data: bytes, where: str) -> str:
        """Keep a calibration that another store wrote; ``where`` it comes from, for errors."""
        found = file.id_of(data)
        file.decode(data, found, where)
        with contextlib.suppress(FileNotFoundError):
            self.read(found)  # it is here already, and sound
            return found
        self._put(FILES, f"{found}.h5", data)
        return found

    def get(self, calibration_id: str) -> Calibration:
        """The calibration with this id (64 digits). CalibrationError if it is missing, truncated or edited."""
        return file.decode(self._bytes(calibration_id), calibration_id, str(self._file(calibration_id)))

    def read(self, calibration_id: str) -> bytes:
        """Its file, after the same check. FileNotFoundError if there is none."""
        path = self._file(calibration_id)
        data = path.read_bytes()
        file.check(data, calibration_id, str(path))
        return data

    def find(self, text: str) -> str:
        """The id that begins with ``text``, 6 digits or more. ConfigurationError if none or several do."""
        if len(text) < SHORTEST_PREFIX or not _HEXADECIMAL.fullmatch(text):
            raise ConfigurationError(
                f"{text!r} is no id of a calibration; write {SHORTEST_PREFIX} to 64 hexadecimal digits, as `labctl "
                "calibrations list` shows them"
            )
        with self._index.open() as index:
            ids = [row[0] for row in index.execute("SELECT id FROM calibrations WHERE id LIKE ?", (text + "%",))]
            all_ids = [row[0] for row in index.execute("SELECT id FROM calibrations")] if not ids else []
            damaged = self._damaged(index)
        if len(ids) == 1:
            return str(ids[0])
        if len(ids) > 1:
            raise ConfigurationError(
                f"{text!r} begins the ids of {len(ids)} calibrations: {', '.join(i[:16] for i in sorted(ids))}; write "
                "more digits"
            )
        for path, reason in damaged.items():
            if path.startswith(f"{FILES}/{text}"):
                raise CalibrationError(reason)
        hint = suggestion(text[:12], [i[:12] for i in all_ids])
        raise ConfigurationError(f"no calibration {text!r} in {self.path}{hint}; `labctl calibrations list` shows them")

    def list(self, *, bench: str | None = None, role: str | None = None, kind: str | None = None) -> tuple[Header, ...]:
        """Records of all sound calibrations, or of those of a bench, role or kind; newest last."""
        with self._index.open() as index:
            where, values = _condition(bench=bench, role=role, kind=kind)
            rows = index.execute(f"SELECT id, header FROM calibrations{where} ORDER BY made, id", values).fetchall()
        return tuple(header_from(*row) for row in rows)

    def damaged(self) -> dict[str, str]:
        """Files that are not what was stored, by path in the folder, and what is wrong with each."""
        with self._index.open() as index:
            return self._damaged(index)

    # --- what is in force -------------------------------------------------------------------------------------------

    def use(
        self, calibration_id: str, *, bench: str | None = None, role: str | None = None, note: str = "", who: str = ""
    ) -> Use:
        """Put a calibration in force from now on, for the bench and role it was made for unless others are named."""
        c = self.get(calibration_id)
        return self._decide(bench or c.bench, role or c.role, c.kind, c.id, note, who)

    def withdraw(self, bench: str, role: str, kind: str, *, note: str = "", who: str = "") -> Use:
        """From now on no calibration of this kind is in force. CalibrationError if none was."""
        if not any(f.use.role == role and f.use.kind == kind for f in self.all_in_force(bench)):
            raise CalibrationError(f"no {kind} of {role} is in force on bench {bench}; there is nothing to withdraw")
        return self._decide(bench, role, kind, "", note, who)

    def in_force(self, bench: str, role: str, kind: str, at: datetime | None = None) -> Calibration | None:
        """The calibration that is, or was ``at`` a time, in force; None if there is none.

        It may be stale, or of another device: see `labctl.store.verdict`.
        """
        with self._index.open() as index:
            self._log_must_be_sound(index)
            row = index.execute(
                f"SELECT {_USE_COLUMNS} FROM uses WHERE bench = ? AND role = ? AND kind = ? AND utc_ns <= ? "
                "ORDER BY utc_ns DESC, path DESC LIMIT 1",
                (bench, role, kind, _until_ns(at)),
            ).fetchone()
        return self.get(row[3]) if row is not None and row[3] else None

    def all_in_force(self, bench: str, at: datetime | None = None) -> tuple[InForce, ...]:
        """Everything that is, or was, in force on a bench, by role and kind."""
        if not self.path.is_dir():
            return ()  # most benches have no calibrations, and this is asked at every session
        with self._index.open() as index:
            self._log_must_be_sound(index)
            rows = index.execute(
                f"SELECT {_USE_COLUMNS} FROM uses WHERE bench = ? AND utc_ns <= ? ORDER BY utc_ns, path",
                (bench, _until_ns(at)),
            )
            last = {(use.role, use.kind): use for use in map(use_of, rows)}
            found = []
            for _, use in sorted(last.items()):
                if use.id:
                    row = index.execute("SELECT header FROM calibrations WHERE id = ?", (use.id,)).fetchone()
                    # One that is missing or damaged is told as `get` tells it.
                    header = header_from(use.id, row[0]) if row else self.get(use.id).header
                    found.append(InForce(use, header, _verdict(index, use, at)))
        return tuple(found)

    def uses(self, bench: str | None = None) -> tuple[Use, ...]:
        """The log of a bench, or of all; newest last."""
        with self._index.open() as index:
            self._log_must_be_sound(index)
            where, values = _condition(bench=bench)
            rows = index.execute(f"SELECT {_USE_COLUMNS} FROM uses{where} ORDER BY utc_ns, path", values).fetchall()
        return tuple(use_of(row) for row in rows)

    # --- whether it holds -------------------------------------------------------------------------------------------

    def judge(
        self, bench: str, role: str, kind: str, checks: Iterable[Check], *, run: str = "", who: str = ""
    ) -> Verdict:
        """Keep what a check found of the calibration in force for this bench, role and kind: it holds if all passed.

        run: the check's run file. CalibrationError if none is in force, or there is no check.
        """
        use = next((f.use for f in self.all_in_force(bench) if (f.use.role, f.use.kind) == (role, kind)), None)
        checks = tuple(checks)
        if use is None or not checks:
            what = "no check was made" if use else "none is in force"
            raise CalibrationError(f"{role}.{kind} on bench {bench} cannot be judged: {what}")
        verdict = Verdict(
            bench=bench,
            role=role,
            kind=kind,
            id=use.id,
            holds=all(check.passed for check in checks),
            checks=checks,
            who=who or log.whoever_asks(),
            utc_ns=max(log.now_ns(), use.utc_ns + 1, 1 + max((v.utc_ns for v in self.verdicts(bench)), default=0)),
            run=run,
        )
        self._put(VERDICTS, *log.encode_verdict(verdict))
        return verdict

    def verdicts(self, bench: str | None = None) -> tuple[Verdict, ...]:
        """All checks of a bench, or of all; newest last."""
        if not self.path.is_dir():
            return ()
        with self._index.open() as index:
            self._log_must_be_sound(index)
            where, values = _condition(bench=bench)
            rows = index.execute(f"SELECT told FROM verdicts{where} ORDER BY utc_ns, path", values).fetchall()
        return tuple(verdict_of(row[0]) for row in rows)

    # --- files ------------------------------------------------------------------------------------------------------

    def _decide(self, bench: str, role: str, kind: str, calibration_id: str, note: str, who: str) -> Use:
        # Later than every decision before it, though the clock may have been set back: the last word counts.
        before = max((u.utc_ns for u in self.uses(bench) if (u.role, u.kind) == (role, kind)), default=0)
        use = Use(
            bench=bench,
            role=role,
            kind=kind,
            id=calibration_id,
            who=who or log.whoever_asks(),
            utc_ns=max(log.now_ns(), before + 1),
            note=note,
        )
        self._put(USES, *log.encode(use))
        return use

    def _file(self, calibration_id: str) -> Path:
        if len(calibration_id) != 64 or not _HEXADECIMAL.fullmatch(calibration_id):
            raise ConfigurationError(f"{calibration_id!r} is no id of a calibration: 64 hexadecimal digits")
        return self.path / FILES / f"{calibration_id}.h5"

    def _bytes(self, calibration_id: str) -> bytes:
        path = self._file(calibration_id)
        try:
            return path.read_bytes()
        except OSError as error:
            raise CalibrationError(f"the calibration {path} cannot be read ({error}); {file.CURE}") from None

    def _put(self, part: str, name: str, data: bytes) -> None:
        """Written aside, then moved: a reader sees all of a file or none, and a writer that dies leaves none."""
        try:
            incoming = self.path / INCOMING
            for folder in (incoming, self.path / part):
                folder.mkdir(parents=True, exist_ok=True)
            _sweep(incoming)
            own = incoming / f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
            try:
                with open(own, "xb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                os.chmod(own, 0o444)
                final = self.path / part / name
                if not final.exists():  # two that come at once bring the same bytes
                    os.replace(own, final)
                    _sync(final.parent)
            finally:
                own.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write in {self.path}: {error}; make room or give the right to write, or name another folder "
                "with [calibrations] folder in the bench file or LABCTL_CALIBRATIONS"
            ) from None

    def _damaged(self, index: sqlite3.Connection) -> dict[str, str]:
        rows = index.execute("SELECT path, damage FROM seen WHERE damage IS NOT NULL ORDER BY path")
        return dict(rows.fetchall())

    def _log_must_be_sound(self, index: sqlite3.Connection) -> None:
        for path, reason in self._damaged(index).items():
            if path.startswith(tuple(f"{part}/" for part in LOGS)):
                raise CalibrationError(reason)


def _verdict(index: sqlite3.Connection, use: Use, at: datetime | None) -> Verdict | None:
    """Of the last check of what a decision put in force."""
    row = index.execute(
        "SELECT told FROM verdicts WHERE bench = ? AND role = ? AND kind = ? AND id = ? AND utc_ns > ? AND utc_ns <= ? "
        "ORDER BY utc_ns DESC, path DESC LIMIT 1",
        (use.bench, use.role, use.kind, use.id, use.utc_ns, _until_ns(at)),
    ).fetchone()
    return verdict_of(row[0]) if row else None


def _condition(**wanted: str | None) -> tuple[str, Sequence[str]]:
    given = {column: value for column, value in wanted.items() if value is not None}
    text = " AND ".join(f"{column} = ?" for column in given)
    return (f" WHERE {text}" if text else ""), list(given.values())


def _until_ns(at: datetime | None) -> int:
    if at is None:
        return (1 << 63) - 1
    if at.tzinfo is None:
        raise ConfigurationError(f"at = {at} has no time zone; give UTC")
    return round(at.astimezone(UTC).timestamp() * 1e9)


def _sweep(incoming: Path) -> None:
    """What writers that died left behind, long ago."""
    for left in _old_files(incoming):
        with contextlib.suppress(OSError):
            left.unlink()


def _old_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                yield path


def _sync(folder: Path) -> None:
    if os.name != "posix":
        return  # a folder cannot be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
