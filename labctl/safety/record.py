"""What a restart must not forget, in a file of one device server: which interlocks are tripped, and doses.

It is written by a thread of its own, so that a slow disk keeps no light on and nobody waiting.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from pathlib import Path

import msgspec

from labctl.private import private_folder

log = logging.getLogger(__name__)

_OWN_PATIENCE_S = 2.0


class Trip(msgspec.Struct, frozen=True):
    """An interlock that acted. value, limit: what was found, and what is allowed, in words. utc: s. run: the run that
    had control, if any. guards: devices whose light went out."""

    interlock: str
    rule: str
    device: str
    value: str
    limit: str
    utc: float
    guards: list[str]
    run: str = ""


class DoseKept(msgspec.Struct, frozen=True):
    """Joules given, when that was (UTC, s), and whether the session they were given in has ended in order."""

    joules: float
    utc: float
    ended: bool = True


class Kept(msgspec.Struct, frozen=True):
    """What the file holds."""

    tripped: dict[str, Trip] = {}
    doses: dict[str, DoseKept] = {}


def folder() -> Path:
    """``LABCTL_INTERLOCKS``, or the user's folder for state; made if it is missing, closed to others."""
    named, state = os.environ.get("LABCTL_INTERLOCKS"), os.environ.get("XDG_STATE_HOME")
    base = (Path(state) if state else Path.home() / ".local" / "state") / "labctl" / "interlocks"
    path = Path(named) if named else base
    cure = "take the rights to write from others, or set LABCTL_INTERLOCKS to a folder of your own"
    return private_folder(path, "folder of interlocks", cure, closed=False)


class Record:
    """The file of one server of a bench; path None keeps nothing, as for a table in virtual time.

    It belongs to one process at a time. trouble: why the file cannot be written, lost: why what it held is not known;
    "" if all is well.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.trouble = ""
        self.lost = ""
        self.kept = Kept()
        self._lock: int | None = None
        self._to_write: Kept | None = None
        self._changed = threading.Condition()
        self._writing = False
        self._stop = False
        self._thread = threading.Thread(target=self._write_on, name="labctl-interlock-record", daemon=True)
        if path is not None:
            self._lock = _own(path)
            if self._lock is None:
                self.trouble = f"{path} is kept by another process that serves this bench"
                log.error("%s; end that one", self.trouble)
            self._read(path)

    @classmethod
    def of(cls, bench: str, server: str) -> Record:
        """The record of a server of a bench."""
        safe = re.sub(r"[^A-Za-z0-9_.-]", lambda m: f"%{ord(m[0]):x}", bench)
        return cls(folder() / f"{safe}.{server}.json")

    def start(self) -> None:
        """Begin to write, first of all what was read: a file that cannot be written is told before there is light."""
        if self.path is not None and self._lock is not None:
            self._thread.start()
            self.keep(self.kept)

    def stop(self) -> None:
        """Write what is left to be written."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(5.0)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def keep(self, kept: Kept) -> None:
        """Have this written, soon and in the place of what was to be written before."""
        with self._changed:
            self.kept = kept
            self._to_write = kept if self._lock is not None else None
            self._changed.notify_all()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything is written; whether it is."""
        if self.path is None:
            return True
        with self._changed:
            return self._changed.wait_for(lambda: self._to_write is None and not self._writing, timeout_s)

    def _read(self, path: Path) -> None:
        try:
            self.kept = msgspec.json.decode(path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:  # msgspec's errors, and those of UTF-8, are ValueErrors
            self.lost = f"{path} cannot be read ({error})"
            damaged = path.with_suffix(".damaged")
            # A second name: until the file is written anew it stays where it is, or a start that is broken off here
            # would have the next one find nothing, and nothing tripped.
            with contextlib.suppress(OSError):
                damaged.unlink(missing_ok=True)
                os.link(path, damaged)
            log.error("%s: what was tripped, and what doses were given, is not known", self.lost)

    def _write_on(self) -> None:
        assert self.path is not None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._to_write is not None or self._stop)
                if self._to_write is None:
                    return
                kept, self._to_write, self._writing = self._to_write, None, True
            try:
                _write(self.path, msgspec.json.encode(kept))
                self.trouble = ""
            except OSError as error:
                if not self.trouble:
                    log.error("%s cannot be written: %s; a restart would forget what is tripped", self.path, error)
                self.trouble = f"{self.path} cannot be written ({error})"
            finally:
                with self._changed:
                    self._writing = False
                    self._changed.notify_all()


def _own(path: Path) -> int | None:
    """The right to write a record, as a handle; the system gives it back if this process dies. None if another has it.

    A server that was killed may not be gone yet when the next one comes.
    """
    try:
        import fcntl
    except ImportError:  # another system: two servers of one bench are kept apart by their supervisor only
        return os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + _OWN_PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError:  # held, or a file system without locks
            if time.monotonic() > until:
                os.close(handle)
                return None
        time.sleep(0.02)


def _write(path: Path, data: bytes) -> None:
    """The file appears whole or not at all, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(handle, 0o600)
        rest = data
        while rest:  # a disk that is nearly full takes a part
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(fresh, path)
