"""Logs: every process of a bench appends to one file, a JSON object per line, and prints a readable line.

Fields: utc, level, bench, process, pid, message, and where known device, run, error. The file outlives whoever dies.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from labctl.private import private_folder

_KEPT = 40
_KEPT_AT_LEAST_S = 30 * 86400.0
_LONGEST_LINE = 16_000
_FIELDS = ("device", "run")
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def folder() -> Path:
    """``LABCTL_LOGS``, or the user's folder for state; made if it is missing."""
    named, state = os.environ.get("LABCTL_LOGS"), os.environ.get("XDG_STATE_HOME")
    path = Path(named) if named else (Path(state) if state else Path.home() / ".local" / "state") / "labctl" / "logs"
    cure = "take the rights to write from others, or set LABCTL_LOGS to a folder of your own"
    return private_folder(path, "log folder", cure, closed=False)


def new_file(bench: str) -> Path:
    """Where the log of a bench that is being started goes; the oldest of many are removed."""
    place = folder()
    for old in _by_age(place.glob("*.jsonl"))[:-_KEPT]:
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _KEPT_AT_LEAST_S:
                old.unlink()
    return place / f"{bench}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.jsonl"


def newest_file(bench: str) -> Path | None:
    """The log of a bench's last start."""
    own = re.compile(re.escape(bench) + r"-\d{8}-\d{6}-\d+\.jsonl")
    found = _by_age(path for path in folder().iterdir() if own.fullmatch(path.name))
    return found[-1] if found else None


def benches() -> tuple[str, ...]:
    """Names of the benches whose logs are kept, sorted."""
    own = (re.fullmatch(r"(.+)-\d{8}-\d{6}-\d+\.jsonl", path.name) for path in folder().iterdir())
    return tuple(sorted({found[1] for found in own if found}))


def _by_age(paths: Iterable[Path]) -> list[Path]:
    """Oldest first; without those that somebody else has just removed."""
    aged = []
    for path in paths:
        with contextlib.suppress(OSError):
            aged.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(aged)]


def set_up(bench: str, process: str, file: Path | None, *, readable: bool = True) -> None:
    """Log to the file and, readable, to the error stream: from level ``LABCTL_SHOW`` (info) on."""
    logging.raiseExceptions = False  # a full disk or a closed terminal must not end a device server
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.handlers.clear()
    if file is not None:
        root.addHandler(_File(file, bench, process))
    if readable:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(_Readable(process))
        stream.setLevel(os.environ.get("LABCTL_SHOW", "INFO").upper())
        root.addHandler(stream)
    logging.getLogger("numba").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class _File(logging.Handler):
    """Appends whole lines, each with one write, so that processes never mix theirs."""

    def __init__(self, path: Path, bench: str, process: str) -> None:
        super().__init__()
        try:
            self._handle = os.open(path, _APPENDING, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the log {path}: {error}; set LABCTL_LOGS to another folder"
            ) from None
        self._fixed = {"bench": bench, "process": process, "pid": os.getpid()}

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, Any] = {
            "utc": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            **self._fixed,
            "message": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in _FIELDS if getattr(record, name, "")})
        if record.exc_info:
            line["error"] = logging.Formatter().formatException(record.exc_info)[-8000:]
        with contextlib.suppress(OSError):
            os.write(self._handle, (json.dumps(line, ensure_ascii=False)[:_LONGEST_LINE] + "\n").encode())


class _Readable(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(labctl_process)s%(labctl_fields)s: %(message)s", "%H:%M:%S")
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        told = [f"{name} {getattr(record, name)}" for name in _FIELDS if getattr(record, name, "")]
        record.labctl_process = self._process
        record.labctl_fields = f" [{', '.join(told)}]" if told else ""
        return super().format(record)


def read(path: Path, device: str = "", run: str = "", process: str = "") -> Iterator[dict[str, Any]]:
    """Lines of a log that are about a device, run or process, as far as these are given."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for text in lines:
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the last line of a full disk
            wanted = {"device": device, "run": run, "process": process}
            if all(not value or line.get(key) == value for key, value in wanted.items()):
                yield line
