"""Folders and files of this user alone, in places where others may write as well, such as /tmp.

Keys, sockets, logs and what interlocks remember lie in such folders. Modes are given when something is made, not
afterwards, so they hold whatever the umask is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from drivers.errors import ConfigurationError

_OTHERS_WRITE, _GROUP_WRITES = stat.S_IWOTH, stat.S_IWGRP
_MOST_LINKS = 40


def private_folder(path: Path, what: str, cure: str, *, closed: bool = True) -> Path:
    """A folder of this user's own, made with mode 0700 if it is not there, with those above it that are missing.

    closed: nobody else may enter it; else nobody else may write in it. what, cure: for the error. Raises
    ConfigurationError, with the reason and the cure, if it is a link of somebody else's, belongs to somebody else, is
    open to others, or lies where others could put another in its place.
    """
    try:
        _make(path)
        if hasattr(os, "getuid"):
            wrong = _wrong(path, closed)
            if wrong:
                raise ConfigurationError(f"the {what} {path} cannot be trusted: {wrong}; {cure}")
    except OSError as error:
        raise ConfigurationError(f"the {what} {path} cannot be used: {error}; {cure}") from None
    return path


def write_private(path: Path, data: bytes) -> None:
    """A file with mode 0600 in the place of the one that was there; a reader sees all of it or the old one. Raises
    OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(fresh, flags, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def open_to_others(path: Path) -> str:
    """Why a file that decides who may do what is not to be believed: whose it is, or who may write it; "" if all is
    well. Raises OSError if it is not there."""
    if not hasattr(os, "getuid"):
        return ""
    status = os.stat(path)
    if status.st_uid not in (os.getuid(), 0):
        return f"it belongs to user {status.st_uid}"
    return f"others can write it (mode {stat.S_IMODE(status.st_mode):04o})" if _writable(status) else ""


def others_never_write() -> None:
    """From here on nothing that this process makes can be written by everybody, whatever the umask was. Groups that
    share a folder go on sharing it."""
    before = os.umask(0o077)
    os.umask(before | _OTHERS_WRITE)


def _make(path: Path) -> None:
    missing = []
    place = Path(os.path.abspath(path))
    while not os.path.lexists(place):
        missing.append(place)
        place = place.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process needs it as well
            os.mkdir(folder, 0o700)


def _wrong(path: Path, closed: bool) -> str:
    """What speaks against a folder; "" if nothing does. Every step of its path is looked at, links as well."""
    steps = list(Path(os.path.abspath(path)).parts)
    place, links = Path(steps.pop(0)), 0
    trusted = {0, os.getuid(), os.lstat(place).st_uid}  # in a container the root folder may belong to nobody
    while steps:
        above = os.lstat(place)
        if above.st_uid not in trusted:
            return f"{place} belongs to user {above.st_uid}"
        if _writable(above) and not above.st_mode & stat.S_ISVTX:
            return f"others can write in {place} (mode {stat.S_IMODE(above.st_mode):04o})"
        step = steps.pop(0)
        if step == "..":  # of a link's text; links on the way were replaced by where they lead
            place = place.parent
            continue
        status = os.lstat(place / step)
        if not stat.S_ISLNK(status.st_mode):
            place = place / step
            continue
        if status.st_uid not in trusted:
            return f"{place / step} is a link that user {status.st_uid} has put there"
        links += 1
        if links > _MOST_LINKS:
            return f"{place / step} is a link without end"
        target = Path(os.readlink(place / step))
        steps = [*(target.parts[1:] if target.is_absolute() else target.parts), *steps]
        place = Path(target.anchor) if target.is_absolute() else place
    status = os.lstat(place)
    if not stat.S_ISDIR(status.st_mode):
        return f"{place} is no folder"
    if status.st_uid != os.getuid():
        return f"it belongs to user {status.st_uid}"
    mode = stat.S_IMODE(status.st_mode)
    if closed and mode & 0o077:
        return f"it can be entered by others (mode {mode:04o})"
    return f"others can write in it (mode {mode:04o})" if _writable(status) else ""


def _writable(status: os.stat_result) -> bool:
    """Whether somebody else may write; a group that is this user's alone, as many systems give everybody, is not."""
    if status.st_mode & _OTHERS_WRITE:
        return True
    return bool(status.st_mode & _GROUP_WRITES) and not _own_group(status.st_gid)


def _own_group(gid: int) -> bool:
    import grp
    import pwd

    try:
        me, group = pwd.getpwuid(os.getuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == me.pw_gid and group.gr_name == me.pw_name and set(group.gr_mem) <= {me.pw_name}
