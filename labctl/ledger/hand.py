"""A process that tries rows, one trial after another, at the side of others; what it is at when it dies has failed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any

from labctl.ledger.plan import Part, Plan
from labctl.ledger.row import Outcome
from labctl.ledger.theatre import START_LIMIT_S

_GRACE_S = 180.0
_END_PATIENCE_S = 60.0
Found = queue.SimpleQueue[tuple[Part, Outcome] | BaseException | None]
"""What comes of trials, and at last None; or the error that kept a hand from going on."""


class Hand:
    """One of them: `labctl.ledger.worker`, started again where it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._errors: IO[str] | None = None
        self._ended = False
        self._lock = threading.Lock()

    def work(self, plan: Plan, seed: int, found: Found) -> None:
        """Try what the plan has, until that is nothing any more, or `interrupt`."""
        part = None
        try:
            while (todo := plan.next(part.bench.stage if part is not None else None)) is not None:
                part, number = todo
                outcome = self._tried(part, number, seed)
                if outcome is None:
                    break
                found.put((part, outcome))
            self._close()
            found.put(None)
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits for results
            found.put(error)

    def interrupt(self) -> None:
        """Its process ends as if by Ctrl-C, with all that it has started; see `wait`."""
        with self._lock:
            self._ended = True
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        """Until its process has ended; by force if that takes too long."""
        process = self._process
        if process is not None:
            _ended(process)

    def _tried(self, part: Part, number: int, seed: int) -> Outcome | None:
        """What came of a trial; None if it was interrupted."""
        task = {"fault": part.row.fault, "kind": part.bench.kind, "number": number, "seed": seed}
        limit_s = START_LIMIT_S + part.row.limit_s + _GRACE_S
        began_s = time.monotonic()
        process = self._running()
        if process is None:
            return None
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has died: it says nothing more
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        try:
            line = self._said.get(timeout=limit_s)
        except queue.Empty:
            line, why = "", f"not over after {limit_s:g} s: its process was ended"
            process.kill()
            _ended(process)
        else:
            if line:
                return Outcome(**json.loads(line))
            _ended(process)
            why = f"its process ended with {process.returncode}: {self._last_words()}"
        if self._ended:
            return None
        return Outcome(None, f"trial {number + 1}: {why}", time.monotonic() - began_s)

    def _running(self) -> subprocess.Popen[str] | None:
        """Its process, which is started if there is none; None after `interrupt`."""
        with self._lock:
            if self._ended:
                return None
            if self._process is None or self._process.poll() is not None:
                self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
                # A trial starts several processes, each of which would compile the project's text anew.
                environment = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "labctl.ledger.worker"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment,
                    start_new_session=True,  # Ctrl-C is passed on to it once
                )  # fmt: skip
                self._said = queue.SimpleQueue()
                threading.Thread(target=_read, args=(self._process.stdout, self._said), daemon=True).start()
            return self._process

    def _last_words(self) -> str:
        assert self._errors is not None
        self._errors.seek(0)
        return self._errors.read()[-500:].strip()

    def _close(self) -> None:
        """Its process puts away what it has set up, and ends."""
        if self._process is not None:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            _ended(self._process)


def _ended(process: subprocess.Popen[str]) -> None:
    """Wait until a process has put away what it has started; by force if that takes too long."""
    try:
        process.wait(_END_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(stream: Any, said: queue.SimpleQueue[str]) -> None:
    for line in stream:
        said.put(line)
    said.put("")
