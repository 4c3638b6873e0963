"""The lock of a run file: who writes it, and whether anybody does."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.bus.segments import process_alive

_LOCKED_BYTE = 1 << 20
"""Windows lets nobody read bytes that are locked, and the text of a lock is to be read."""
_OPEN_LOCK = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class RunLock:
    """The right to write a run file: a locked file beside it. It is given back by the system if the process dies."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle: int | None = handle

    @classmethod
    def take(cls, run: Path) -> RunLock:
        """The lock of a run file. ConfigurationError if a living process has it."""
        path = run.with_suffix(".lock")
        while True:
            handle = os.open(path, _OPEN_LOCK, 0o644)
            if not _lock(handle):
                holder = os.read(handle, 200).decode(errors="replace").strip()
                os.close(handle)
                raise ConfigurationError(
                    f"{run} is being written by a process that lives ({holder or 'just started'}); let it end, or end "
                    "it with Ctrl-C, and then resume"
                )
            # Whoever held it may have taken the file away after it was opened here.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    break
            os.close(handle)
        os.truncate(handle, 0)
        os.write(handle, f"pid {os.getpid()} on {socket.gethostname()}\n".encode())
        return cls(path, handle)

    def release(self) -> None:
        """Give it back; the file goes."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        if sys.platform == "win32":  # no file goes there while it is open; who comes between finds it free
            os.close(handle)
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            return
        self._path.unlink(missing_ok=True)
        os.close(handle)


def _lock(handle: int) -> bool:
    """Whether nobody else has it; the system gives it back when this process ends."""
    try:
        import fcntl
    except ImportError:
        return _lock_a_byte(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_a_byte(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            os.lseek(handle, 0, os.SEEK_SET)
            return False
        os.lseek(handle, 0, os.SEEK_SET)
    return True  # a Python with no locks at all: the process whose number is in the file is believed


def being_written(run: Path) -> bool:
    """Whether a living process holds the lock of a run file. The lock is hardly ever touched to find out."""
    try:
        handle = os.open(run.with_suffix(".lock"), os.O_RDONLY)
    except OSError:
        return False
    try:
        words = os.read(handle, 200).decode(errors="replace").split()
        here = len(words) == 4 and words[3] == socket.gethostname()
        if here and words[1].isdigit() and not process_alive(int(words[1])):
            return False
        return _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # another system: the process is believed to be the one that took it
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a folder without locks
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False
