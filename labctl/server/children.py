"""The processes of a bench as their supervisor sees them: started, listened to, ended; and a spare for the next."""

from __future__ import annotations

import contextlib
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from drivers.errors import ERROR_TYPES, ConfigurationError, DeviceError, LabError
from labctl.server.worker import Blow, Task

log = logging.getLogger(__name__)

END_PATIENCE_S = 8.0
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 0.05, 10.0
LONGEST_BACK_OFF_WITH_LASERS_S = 0.5
"""Of a server whose devices emit: until it is started again, nothing of ours can turn them off."""
_LOOK_AGAIN_S = 0.05
_SILENT_AFTER_S = 10.0
"""Every process says twice a second that it lives."""


@dataclass
class Child:
    """A process of the bench, over all its lives."""

    task: Task
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    heard: float = 0.0
    ready: bool = False
    deaths: int = 0
    start_at: float = 0.0
    back_off_s: float = FIRST_BACK_OFF_S
    said: bytes = field(default=b"")
    connection: dict[str, Any] = field(default_factory=dict)
    """What leads to the emulated instrument that this process is."""
    struck: int = 0
    """Number of the last `Blow` that it has taken."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when its process has closed its end of the pipe."""

    @property
    def label(self) -> str:
        """In messages and status: the server's name, the emulated device, or the role."""
        match self.task.role:
            case "server":
                return self.task.name
            case "emulator":
                return f"{self.task.name} (emulated)"
            case role:
                return role

    @property
    def ended(self) -> bool:
        """Whether its process was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def tell_to_end(self) -> None:
        """It makes its devices safe and ends."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self.process.stdin.write(b"end\n")
                self.process.stdin.flush()

    def strike(self, blow: Blow) -> None:
        """Break the emulated instrument that this process is, or mend it."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self.process.stdin.write(msgspec.json.encode(blow) + b"\n")
                self.process.stdin.flush()

    def wait_or_kill(self) -> None:
        """Until it has ended, by force if need be."""
        assert self.process is not None
        deadline = time.monotonic() + END_PATIENCE_S
        # Of an end of the pipe that closes one hears at once, of a process that ends when one looks again.
        while self.process.poll() is None and not self.gone.wait(_LOOK_AGAIN_S) and time.monotonic() < deadline:
            pass
        try:
            self.process.wait(max(_LOOK_AGAIN_S, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("%s did not end and is killed", self.label)
            self.process.kill()
            self.process.wait()

    def forget(self) -> None:
        """Its process has ended; another may be started in its place."""
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process = None
        self.ready = False

    def failure(self, log_file: str) -> LabError:
        """Why it could not start, in its own words."""
        for line in self.said.splitlines():
            with contextlib.suppress(msgspec.MsgspecError):
                told = msgspec.json.decode(line)
                if isinstance(told, dict) and told.get("ready") is False:
                    return ERROR_TYPES.get(str(told.get("error")), ConfigurationError)(str(told.get("message")))
        return DeviceError(f"{self.label} ended while it was being started; see {log_file}")


class Children:
    """All of them, by label."""

    def __init__(self, tasks: list[Task]) -> None:
        self._children = {child.label: child for child in map(Child, tasks)}
        self._said: queue.Queue[tuple[Child, subprocess.Popen[bytes], bytes]] = queue.Queue()
        self._spare: subprocess.Popen[bytes] | None = None

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children.values())

    @property
    def all_ready(self) -> bool:
        """Whether every process is up."""
        return all(child.ready for child in self)

    def of_role(self, role: str) -> list[Child]:
        """Those with a process."""
        return [child for child in self if child.task.role == role and child.process is not None]

    def spawn(self, child: Child) -> None:
        """Start a process, the spare if there is one."""
        child.process = process = self._spare_or_new()
        child.started = child.heard = time.monotonic()
        child.ready = False
        child.said = b""
        child.gone = gone = threading.Event()
        threading.Thread(target=self._listen, args=(child, process, gone), daemon=True).start()
        _write(process, child.task)

    def keep_spare(self) -> None:
        """A process that has everything imported, so that a laser whose server dies is made safe a second sooner."""
        if self._spare is None or self._spare.poll() is not None:
            self._spare = self._spare_or_new()
            _write(self._spare, msgspec.structs.replace(next(iter(self)).task, role="spare"))

    def end_spare(self) -> None:
        """It is not needed any more."""
        if self._spare is not None:
            self._spare.kill()
            self._spare.wait()
            for pipe in (self._spare.stdin, self._spare.stdout):
                assert pipe is not None
                pipe.close()

    def _spare_or_new(self) -> subprocess.Popen[bytes]:
        spare, self._spare = self._spare, None
        if spare is not None and spare.poll() is None:
            return spare
        return subprocess.Popen(
            [sys.executable, "-m", "labctl.server.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C, and whatever else is sent to the group, is the supervisor's to act on
        )

    def _listen(self, child: Child, process: subprocess.Popen[bytes], gone: threading.Event) -> None:
        """What a process says, line by line, and at last nothing: it closed its end, so it died or is about to."""
        assert process.stdout is not None
        with contextlib.suppress(OSError, ValueError), process.stdout:
            for line in process.stdout:
                child.heard = time.monotonic()
                if line.startswith(b'{"struck":'):  # at once: nobody may be waiting for what else it says
                    child.struck = msgspec.json.decode(line)["struck"]
                elif line.strip():
                    self._said.put((child, process, line))
        gone.set()
        self._said.put((child, process, b""))

    def changed(self, timeout_s: float) -> list[Child]:
        """Those that said something or ended since, after taking note of it."""
        found = []
        with contextlib.suppress(queue.Empty):
            child, process, said = self._said.get(timeout=timeout_s)
            while True:
                if child.process is process:  # and not an earlier life of it
                    self._note(child, process, said)
                    found.append(child)
                child, process, said = self._said.get_nowait()
        return found

    def _note(self, child: Child, process: subprocess.Popen[bytes], said: bytes) -> None:
        if not said:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_PATIENCE_S)
            if process.poll() is None:
                process.kill()
                process.wait()
        child.said += said
        if b'"ready":true' in said and not child.ready:
            child.ready = True
            child.connection = msgspec.json.decode(said).get("connection") or {}
            log.info("%s is up (pid %d)", child.label, process.pid)

    def kill_silent(self) -> None:
        """End processes that live but say nothing: stopped, or hung so thoroughly that no thread of theirs runs."""
        for child in self:
            silent_s = time.monotonic() - child.heard
            if child.ready and child.process is not None and silent_s > _SILENT_AFTER_S:
                log.error("%s has been silent for %.0f s and is killed", child.label, silent_s)
                child.process.kill()


def _write(process: subprocess.Popen[bytes], task: Task) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        process.stdin.flush()
