"""The command line and scripts as processes of their own, which a test may interrupt, stop and kill."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zmq

from labctl.bus import segments
from labctl.bus.connection import Connection
from labctl.bus.transport import Address
from labctl.server import runtime
from labctl.server.directory import ask

LABCTL = [sys.executable, "-m", "labctl"]
PATIENCE_S = 60.0


def _usual_signals() -> None:
    # A test run in the background would hand its deafness to Ctrl-C on to its children.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextlib.contextmanager
def process(*command: str, stdin: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A child that does not outlive the block."""
    child = subprocess.Popen(
        list(command),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_usual_signals,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGCONT)
            child.kill()
        child.communicate()


def labctl_process(*arguments: object) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return process(*LABCTL, *map(str, arguments))


def script(source: str, *arguments: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return process(sys.executable, "-c", source, *arguments, stdin=subprocess.PIPE)


def next_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], PATIENCE_S)
    line = child.stdout.readline() if ready else ""
    if not line:
        child.kill()
        pytest.fail(f"{child.args} said nothing: {child.communicate()[1]}")
    return line.strip()


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate(timeout=PATIENCE_S)
    return child.returncode, out, err


@contextlib.contextmanager
def up(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A served bench, ready."""
    with labctl_process("up", *arguments) as child:
        assert "is up" in next_line(child)
        yield child


@contextlib.contextmanager
def up_in_its_own_folder(*arguments: object) -> Iterator[Served]:
    """A served bench that several tests may use, each of which points LABCTL_RUNTIME to it."""
    with tempfile.TemporaryDirectory(prefix="labctl-test-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABCTL_RUNTIME", folder)
        with up(*arguments) as child:
            yield Served(child.pid, folder)


@dataclass(frozen=True)
class Served:
    """Supervisor and runtime folder of a bench that is up."""

    pid: int
    folder: str


class Observer:
    """Asks the servers of a bench for their state, fast and without control."""

    def __init__(self, bench: str = "prbm-sim") -> None:
        record = runtime.find(bench)
        assert record is not None
        self.record = runtime.wait_until_ready(record)
        self._context: zmq.Context[Any] = zmq.Context()
        self._connections = {
            name: Connection(self._context, stop.removesuffix("stop") + "control", patience_s=0.5)
            for name, stop in self.record.emergency.items()
        }

    def directory(self) -> dict[str, Any]:
        """What the directory knows: servers, and processes by name."""
        found: dict[str, Any] = ask(self._context, Address(self.record.directory), "status")
        return found

    def pids(self) -> dict[str, int | None]:
        """Processes of the bench by name; None for one that is being started again."""
        return {name: told["pid"] for name, told in self.directory()["processes"].items()}

    def states(self) -> dict[str, dict[str, Any]]:
        return {name: c.request("", "status", timeout_s=10.0) for name, c in self._connections.items()}

    def state(self) -> dict[str, Any]:
        """Of the only server."""
        (found,) = self.states().values()
        return found

    def emission(self) -> bool | None:
        """None while the server is too busy to tell."""
        found: bool | None = self.state()["devices"]["source"]["emission"]
        return found

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._context.term()


@contextlib.contextmanager
def observer(bench: str = "prbm-sim") -> Iterator[Observer]:
    made = Observer(bench)
    try:
        yield made
    finally:
        made.close()


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S, poll_s: float = 0.01) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(poll_s)


def only_run(folder: Path) -> Path:
    (path,) = folder.glob("*.h5")
    return path


def leftovers() -> list[str]:
    return sorted(os.listdir(os.environ["LABCTL_RUNTIME"]))


def segments_of(pids: Iterable[int | None]) -> list[str]:
    """Shared memory that belongs to these processes, dead or alive."""
    mine = {str(pid) for pid in pids}
    return sorted(p.name for p in segments.folder().glob("labctl-*") if p.name.split("-")[3] in mine)
