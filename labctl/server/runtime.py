"""Where running benches leave word of themselves: one small file and their sockets, in a folder of the user's own."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from drivers.errors import BusError
from labctl.bus.segments import process_alive
from labctl.private import private_folder, write_private

_LONGEST_BASE = 76
"""The system allows 107 bytes for a socket's path, and names of servers and lanes are added."""


class HostEntry(msgspec.Struct, frozen=True):
    """What others on this host need to find a bench: its directory and, without asking it, every emergency lane.

    kind: "up" for `labctl up`, "script" for a bench served within the script that uses it. ready: whether every server
    is up.
    """

    bench: str
    pid: int
    fingerprint: str
    bench_file: str
    started_utc_ns: int
    kind: str = "up"
    directory: str = ""
    remote: str = ""
    """Address of the directory for other machines, if there is one."""
    emergency: dict[str, str] = {}
    log_file: str = ""
    ready: bool = True
    process_start: str = ""
    """When the process began, as the system counts it: a pid alone is given out again."""


def folder() -> Path:
    """``LABCTL_RUNTIME``, or the user's runtime folder, made with mode 0700. ConfigurationError if others can enter."""
    named, session = os.environ.get("LABCTL_RUNTIME"), os.environ.get("XDG_RUNTIME_DIR")
    if named:
        path = Path(named)
    elif session:
        path = Path(session) / "labctl"
    else:
        path = Path(tempfile.gettempdir()) / f"labctl-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    return private_folder(path, "runtime folder", "remove it, or set LABCTL_RUNTIME to a folder of your own")


def base_endpoint(bench: str) -> str:
    """Prefix of this process's ipc endpoints. BusError if the path is too long for a socket."""
    path = folder() / f"{bench}-{os.getpid()}"
    if len(str(path)) > _LONGEST_BASE:
        raise BusError(f"{path} is too long for a socket; set LABCTL_RUNTIME to a shorter folder")
    return f"ipc://{path}"


def local_endpoint(base: str, name: str) -> str:
    """The endpoint ``name`` of a bench on this host: ipc, or loopback tcp on systems without."""
    if os.name != "nt":
        return f"{base}{name}"
    return f"tcp://127.0.0.1:{free_ports(1)[0]}"


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sockets = [stack.enter_context(socket.socket(family, socket.SOCK_STREAM)) for _ in range(count)]
        for made in sockets:
            made.bind((host, 0))
        return [made.getsockname()[1] for made in sockets]


# --- entries ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def announcing() -> Iterator[None]:
    """While it is held nobody else on this host announces a bench: two `labctl up` of one bench never both start."""
    try:
        import fcntl
    except ImportError:  # another system: the short moment between look and word stays open there
        yield
        return
    handle = os.open(folder(), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def announce(entry: HostEntry) -> Path:
    """Leave word; the file appears whole or not at all."""
    path = _path(entry)
    write_private(path, msgspec.json.encode(entry))
    return path


def withdraw(entry: HostEntry) -> None:
    """Take back the word and the sockets, if they are still this bench's."""
    path = _path(entry)
    found = _read(path)
    if found is not None and found.pid == entry.pid:
        path.unlink(missing_ok=True)
    own = glob.escape(f"{entry.bench}-{entry.pid}")
    for leftover in [*folder().glob(f"{own}-*"), *folder().glob(f"{own}.*"), *folder().glob(f".*.{entry.pid}.*")]:
        leftover.unlink(missing_ok=True)


def _path(entry: HostEntry) -> Path:
    name = f"{entry.bench}.host" if entry.kind == "up" else f"{entry.bench}.{entry.pid}.script"
    return folder() / name


def find(bench: str) -> HostEntry | None:
    """The live `labctl up` of a bench; the word and sockets of a dead one are swept away."""
    return _living(folder() / f"{bench}.host")


def all_hosts() -> list[HostEntry]:
    """Benches of this user that are up, and those within scripts."""
    paths = [*sorted(folder().glob("*.host")), *sorted(folder().glob("*.script"))]
    return [entry for entry in map(_living, paths) if entry is not None]


def wait_until_ready(entry: HostEntry, patience_s: float = 120.0) -> HostEntry:
    """The entry once every server is up. BusError if that does not come."""
    deadline = time.monotonic() + patience_s
    while not entry.ready:
        found = find(entry.bench)
        if found is None:
            raise BusError(f"bench {entry.bench} was being started and ended; see its log {entry.log_file}")
        entry = found
        if time.monotonic() > deadline:
            raise BusError(f"bench {entry.bench} (pid {entry.pid}) is still being started; see {entry.log_file}")
        time.sleep(0.05)
    return entry


def _living(path: Path) -> HostEntry | None:
    entry = _read(path)
    if entry is None:
        return None
    if not process_alive(entry.pid, entry.process_start):
        withdraw(entry)
        return None
    return entry


def _read(path: Path) -> HostEntry | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=HostEntry)
    except (OSError, ValueError):  # msgspec's errors, and those of UTF-8, are ValueErrors
        return None
