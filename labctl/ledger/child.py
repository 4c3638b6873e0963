"""A child process that is spoken to by lines: a bench, or an operator."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_PATIENCE_S = 60.0
START_S = 300.0
"""A world that was never run on this machine compiles first."""


_PR_SET_PDEATHSIG = 1


def dies_with_its_parent() -> None:
    """This process is killed when who started it ends, also where that was killed and this one is stopped; on Linux."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it had ended before
            os.kill(os.getpid(), signal.SIGKILL)


def children(parent: int) -> list[int]:
    """Processes that a process has started, and theirs; on Linux."""
    return _children(parent, _processes())


def spent_s(pids: Iterable[int]) -> float:
    """Time of processors that processes have used."""
    known = _processes()
    ticks = sum(int(known[pid][11]) + int(known[pid][12]) for pid in pids if pid in known)
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0


def _children(parent: int, known: dict[int, list[str]]) -> list[int]:
    own = [pid for pid, fields in known.items() if int(fields[1]) == parent]
    return [one for pid in own for one in (pid, *_children(pid, known))]


def _processes() -> dict[int, list[str]]:
    """What the system tells of each process, from its state on."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(folder.name)] = (folder / "stat").read_text().rsplit(")", 1)[-1].split()
    return found


class Child:
    """``python -m MODULE ARGUMENTS``. environment: beside this process's own."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._module = module
        self._heard: queue.Queue[bytes] = queue.Queue()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._heard.put(line)
        self._heard.put(b"")

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def has_spoken(self) -> bool:
        """Whether there is something to hear; also if it has ended."""
        return not self._heard.empty()

    def say(self, text: str) -> None:
        """A line for it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def heard(self, within_s: float = _PATIENCE_S) -> dict[str, Any]:
        """Its next line. AssertionError if it says nothing in that time, or has ended."""
        try:
            line = self._heard.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"{self._module} said nothing within {within_s:g} s") from None
        if not line:
            self._errors.seek(0)
            words = self._errors.read().decode(errors="replace")
            raise AssertionError(f"{self._module} has ended: {words[-1000:]}")
        told: dict[str, Any] = json.loads(line)
        return told

    def asked(self, text: str, within_s: float = _PATIENCE_S) -> dict[str, Any]:
        """Say something and hear the answer."""
        self.say(text)
        return self.heard(within_s)

    def signal(self, name: str) -> None:
        """Send it a signal, by name ("SIGSTOP"); harmless if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, getattr(signal, name))

    def kill(self) -> None:
        """End it by force and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self._forget()

    def end(self, within_s: float = 30.0) -> None:
        """End it in order, else by force."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within_s)
        self.kill()

    def _forget(self) -> None:
        self.process.wait()
        self._listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._errors.close()
