"""Shared-memory segments: files in the system's memory folder, named after the process that owns them.

A segment is a plain memory-mapped file with mode 0600, so there is no resource tracker that deletes what it does not
own. Its name carries the owner's process id, start time and pid namespace; `sweep` removes those whose owner is dead.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import mmap
import os
import re
import stat
import tempfile
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any

from drivers.errors import BusError

LARGEST_SEGMENT_BYTES = 1 << 32
_MOST_ATTACHED = 64
_NAME = re.compile(r"labctl-(?P<user>\d+)-(?P<space>\d+)-(?P<pid>\d+)-(?P<start>\d*)-\d+")
_numbers = itertools.count(1)
_live: weakref.WeakSet[Segment]


def folder() -> Path:
    """Where segments lie: memory where the system has such a folder, else the folder for temporary files."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def machine() -> str:
    """This machine since it was started: clocks agree, and memory can be shared, within one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import platform

        return platform.node()


def process_start(pid: int) -> str:
    """When a process began, in the system's own count; empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split()[19]
    except (OSError, IndexError):
        return ""


def process_alive(pid: int, start: str = "") -> bool:
    """Whether the process that had ``pid`` when it started at ``start`` still runs. A zombie does not."""
    if start and process_start(pid) != start:
        return False
    if os.name == "nt":
        return _alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(")", 1)[-1].split()[0] != "Z"
    except (OSError, IndexError):
        return not Path("/proc/self/stat").exists()


def _alive_on_windows(pid: int) -> bool:
    # There os.kill would send Ctrl-C.
    import ctypes

    kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009 - exists on Windows only
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return False
    status = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(status))
    kernel.CloseHandle(handle)
    return status.value == 259  # STILL_ACTIVE


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def pid_namespace() -> int:
    """Which set of process numbers ours belongs to; 0 where there are none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


class Segment:
    """A piece of memory that this process owns and others of the same user may map."""

    def __init__(self, size_bytes: int) -> None:
        """Make one; OSError if there is not so much memory."""
        pid = os.getpid()
        self.name = f"labctl-{_user()}-{pid_namespace()}-{pid}-{process_start(pid)}-{next(_numbers)}"
        self._path = folder() / self.name
        self._pid = pid
        handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, size_bytes)  # else a full memory kills whoever touches a page
            else:
                os.ftruncate(handle, size_bytes)
            self.memory = _map(handle, size_bytes, writable=True)
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        _live.add(self)

    def close(self) -> None:
        """Take the name away. Whoever has it mapped, here too, keeps the memory until the last array is gone."""
        if self._pid == os.getpid():  # a forked child owns nothing
            self._path.unlink(missing_ok=True)


_live = weakref.WeakSet()


@atexit.register
def close_all() -> None:
    """Take away the names of all segments of this process."""
    for segment in list(_live):
        segment.close()


def _map(handle: int, size_bytes: int, *, writable: bool) -> mmap.mmap:
    if os.name == "nt":
        return mmap.mmap(handle, size_bytes, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return mmap.mmap(handle, size_bytes, flags=flags, prot=protection)


class Attachments:
    """Segments of other processes, mapped when first named and kept."""

    def __init__(self, *, writable: bool = False) -> None:
        self._writable = writable
        self._mapped: OrderedDict[str, mmap.mmap] = OrderedDict()

    def memory(self, name: str) -> mmap.mmap:
        """The segment's memory. BusError unless it is one of this user's, closed to others."""
        found = self._mapped.get(name)
        if found is None:
            for other in [known for known in self._mapped if not owner_alive(known)]:
                del self._mapped[other]  # else a server would keep the memory of every client it ever had
            found = self._mapped[name] = self._attach(name)
            while len(self._mapped) > _MOST_ATTACHED:
                self._mapped.popitem(last=False)  # unmapped when the last array on it is gone
        return found

    def _attach(self, name: str) -> mmap.mmap:
        if not _NAME.fullmatch(name):
            raise BusError(f"malformed message: {name!r:.80} names no shared memory of labctl's")
        flags = (os.O_RDWR if self._writable else os.O_RDONLY) | getattr(os, "O_NOFOLLOW", 0)
        try:
            handle = os.open(folder() / name, flags)
        except OSError as error:
            raise BusError(f"shared memory {name} is gone ({error.strerror}): its owner ended") from None
        try:
            status = os.fstat(handle)
            if hasattr(os, "getuid") and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077):
                raise BusError(f"shared memory {name} is not this user's alone and is not trusted")
            if not 0 < status.st_size <= LARGEST_SEGMENT_BYTES:
                raise BusError(f"shared memory {name} has {status.st_size} bytes")
            return _map(handle, status.st_size, writable=self._writable)
        finally:
            os.close(handle)


def owner_alive(name: str) -> bool:
    """Whether the process that owns a segment runs; True where that cannot be told."""
    match = _NAME.fullmatch(name)
    if match is None or int(match["user"]) != _user() or int(match["space"]) != pid_namespace():
        return True
    return process_alive(int(match["pid"]), match["start"])


def sweep() -> list[str]:
    """Remove this user's segments whose owners are dead; returns their names."""
    removed = []
    for path in folder().glob(f"labctl-{_user()}-*"):
        if not owner_alive(path.name):
            with contextlib.suppress(OSError):
                path.unlink()
                removed.append(path.name)
    return removed
