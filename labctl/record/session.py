"""Records begun and ended from a client: every server of a bench appends to one file."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drivers.errors import BusError, ConfigurationError, LabError
from labctl.bench.client import Bench
from labctl.bus.segments import process_start
from labctl.environment import git_state, versions
from labctl.plain import plain
from labctl.record.blocks import Head, packed

MOST_BYTES = 8 << 30
_PATIENCE_S = 2.0


class Session:
    """What is being recorded of a bench. Servers end by themselves if this process dies."""

    def __init__(self, bench: Bench, path: Path, most_bytes: int) -> None:
        self._bench = bench
        self._path = path
        self._most_bytes = most_bytes
        self._arguments = {
            "file": str(path.absolute()), "most_bytes": most_bytes, "asker": [os.getpid(), process_start(os.getpid())],
        }  # fmt: skip

    def begin(self) -> None:
        """Make the file and have every server write in it. ConfigurationError if it is there already, BusError if the
        bench is being recorded."""
        block = packed(Head("", about=_about(self._bench)), [])
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ConfigurationError(f"{self._path} is there already; records are kept: choose another --to") from None
        except OSError as error:
            raise ConfigurationError(f"cannot write a record: {error}; choose another --to") from None
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(block)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            raise ConfigurationError(f"cannot write a record: {error}; make room, or choose another --to") from None
        begun = []
        try:
            for server in self._bench.servers.values():
                server.calls.request("", "record", arguments=self._arguments)
                begun.append(server)
        except BaseException:
            for server in begun:
                with contextlib.suppress(LabError):
                    server.calls.request("", "record")
            self._path.unlink()
            raise

    def look(self) -> dict[str, str]:
        """Why servers that have ended did; one that was started again begins again. Those that do not answer, and are
        perhaps being started again, are not told of."""
        ended = {}
        for name, server in self._bench.servers.items():
            with contextlib.suppress(LabError):
                told = server.control.request("", "status", timeout_s=_PATIENCE_S)
                if told["instance"] != server.instance:
                    server.greet()
                if told["recording"] is None:
                    server.calls.request("", "record", arguments=self._arguments)
                elif told["recording"]["ended"]:
                    ended[name] = str(told["recording"]["ended"])
        return ended

    def end(self) -> dict[str, dict[str, Any]]:
        """Have every server write the rest; what each has kept. Of servers that do not answer nothing."""
        told = {}
        for name, server in self._bench.servers.items():
            with contextlib.suppress(BusError):
                kept = server.calls.request("", "record")
                if kept is not None:
                    told[name] = kept
        return told


@contextlib.contextmanager
def recording(bench: Bench, path: str | Path, most_bytes: int = MOST_BYTES) -> Iterator[Session]:
    """All bus traffic of an open bench into a file, while the block lasts.

    most_bytes: of the file; when it is full the record ends there, and the session goes on.

    Raises ConfigurationError if the file is there already or cannot be written, BusError if the bench is being recorded
    already, or is on another machine.
    """
    session = Session(bench, Path(path), most_bytes)
    session.begin()
    try:
        yield session
    finally:
        session.end()


def _about(bench: Bench) -> dict[str, Any]:
    config = bench.config
    return {
        "bench": config.name,
        "bench_file": config.text,
        "bench_overlay": config.overlay_text,
        "bench_path": str(config.path.absolute()),
        "bench_overrides": plain(dict(config.overrides)),
        "fingerprint": config.fingerprint,
        "clock": config.clock,
        "settings": {name: plain(device.settings) for name, device in config.devices.items()},
        "begun_utc_ns": time.time_ns(),
        "versions": versions(),
        "git": git_state(),
    }
