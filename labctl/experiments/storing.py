"""What the disk says when a run cannot be written: one error, which names the file, the reason and the cure."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from drivers.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

_CURES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "a file may not become so large there: raise the limit (ulimit -f)",
    errno.EROFS: "the folder cannot be written to any more: mount it for writing",
    errno.EACCES: "the folder may not be written to: change its mode",
}
_RESERVE_BYTES = 16 << 20
"""What is left free on a disk: HDF5 cannot end a file in order when there is no room at all."""
_HDF5_ERRNO = re.compile(r"errno = (\d+)")


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Raises StorageError for what the system, or HDF5 in its own words, says of a disk."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        told = _HDF5_ERRNO.search(str(error))
        if number is None and told is not None:
            number = int(told[1])
        if number is None and not _of_hdf5(error):
            raise
        why = _reason(error, number)
        global _spoilt
        _spoilt = _spoilt or _of_hdf5(error)
        cure = _CURES.get(number or 0, "look at the disk")
        raise StorageError(
            f"{path}: the run cannot be written ({why}). What was written before is sound. To go on, {cure}, and "
            f"`labctl resume {path}`"
        ) from error


def must_have_room(path: Path, more_bytes: int) -> None:
    """Raises OSError if a disk has no room for so much more, and a reserve."""
    if not hasattr(os, "statvfs"):
        return
    disk = os.statvfs(path)
    if disk.f_bavail * disk.f_frsize < more_bytes + _RESERVE_BYTES:
        raise OSError(errno.ENOSPC, f"less than {_RESERVE_BYTES >> 20} MB would be left on the disk")


_spoilt = False


def spoilt() -> bool:
    """Whether HDF5 holds a file that it could not end: then the interpreter must not end in order, HDF5 would crash."""
    return _spoilt


def _of_hdf5(error: Exception) -> bool:
    return any(words in str(error).lower() for words in ("unable to", "can't", "write failed"))


def _reason(error: Exception, number: int | None) -> str:
    if number is not None and _of_hdf5(error):
        return os.strerror(number)  # HDF5's own words are a whole page
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def stored(method: Callable[P, T]) -> Callable[P, T]:
    """A method of who writes a run, whose errors are those of `storing`."""

    @functools.wraps(method)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        own: Any = arguments[0]
        with storing(own.path):
            return method(*arguments, **named)

    return call
