"""Where running hosts leave word of themselves: one small file and their sockets, in a folder of the user's own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from drivers.errors import BusError, ConfigurationError


class HostRecord(msgspec.Struct, frozen=True):
    """What a client needs to find a host of `labctl up`."""

    bench: str
    pid: int
    control_endpoint: str
    fingerprint: str
    bench_file: str
    started_utc_ns: int
    process_start: str = ""
    """When the process began, as the system counts it: a pid alone is given out again."""


def folder() -> Path:
    """``LABCTL_RUNTIME``, or the user's runtime folder; made with mode 0700."""
    named, session = os.environ.get("LABCTL_RUNTIME"), os.environ.get("XDG_RUNTIME_DIR")
    if named:
        path = Path(named)
    elif session:
        path = Path(session) / "labctl"
    else:
        path = Path(tempfile.gettempdir()) / f"labctl-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise ConfigurationError(
            f"the runtime folder {path} cannot be used: {error}; set LABCTL_RUNTIME to a folder of your own"
        ) from None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o077):
        raise BusError(f"{path} can be entered by others; remove it or set LABCTL_RUNTIME to a folder of your own")
    return path


def base_endpoint(bench: str) -> str:
    """Prefix of a host's ipc endpoints. BusError if the path is too long for a socket."""
    path = folder() / f"{bench}-{os.getpid()}"
    if len(str(path)) > 80:  # the system allows 107 bytes, and server names are added
        raise BusError(f"{path} is too long for a socket; set LABCTL_RUNTIME to a shorter folder")
    return f"ipc://{path}"


def announce(record: HostRecord) -> Path:
    """Leave word; the file appears whole or not at all."""
    path = folder() / f"{record.bench}.host"
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(record))
    fresh.chmod(0o600)
    fresh.replace(path)
    return path


def withdraw(record: HostRecord) -> None:
    """Take back the word and the sockets, if they are still this host's."""
    path = folder() / f"{record.bench}.host"
    found = _read(path)
    if found is not None and found.pid == record.pid:
        path.unlink(missing_ok=True)
    own = f"{record.bench}-{record.pid}"
    for leftover in [*folder().glob(f"{own}-*"), *folder().glob(f"{own}.*")]:
        leftover.unlink(missing_ok=True)


def find(bench: str) -> HostRecord | None:
    """The live host of a bench; the word and sockets of a dead one are swept away."""
    record = _read(folder() / f"{bench}.host")
    if record is None:
        return None
    if not _alive(record):
        withdraw(record)
        return None
    return record


def all_hosts() -> list[HostRecord]:
    """Live hosts of this user."""
    found = (find(path.stem) for path in sorted(folder().glob("*.host")))
    return [record for record in found if record is not None]


def _read(path: Path) -> HostRecord | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=HostRecord)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def process_start(pid: int) -> str:
    """When a process began, in the system's own count; empty where the system does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(record: HostRecord) -> bool:
    pid = record.pid
    if record.process_start and process_start(pid) != record.process_start:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    # A zombie still has a pid but serves nobody.
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[-1].split()[0] == "Z")
