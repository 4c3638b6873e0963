"""What a folder's file system can do: whether locks work in it, and whether it lies on another machine."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

_FAR = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "ncpfs")
)


def on_network(folder: Path) -> bool:
    """True where the system says so; False where it does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
        here = os.path.realpath(folder)
    except OSError:
        return False
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), before.split(" ")[4])
        inside = here == point or here.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two on one point the later one is seen
            best, kind = point, after.split(" ")[0]
    return kind in _FAR or (kind.startswith("fuse.") and kind not in ("fuse.overlayfs", "fuse.fuse-overlayfs"))


_lockable: set[Path] = set()


def locks_work(folder: Path) -> bool:
    """Whether files in a folder can be locked as SQLite locks them, tried on one of its own; no if none can be made.

    SQLite would find out for itself, after ten seconds.
    """
    if folder in _lockable:
        return True
    try:
        import fcntl
    except ImportError:  # another system, with locks of its own
        return True
    probe = folder / f".locks.{secrets.token_hex(8)}"
    try:
        handle = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            probe.unlink()
    _lockable.add(folder)
    return True
