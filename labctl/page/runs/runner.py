"""Starts runs for people at the page, keeps what they tell, and ends them: by request, or with the page's server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from drivers.errors import ConfigurationError, LabError
from labctl.bus.roles import Role
from labctl.experiments.execute import BENCH_KEYS, job_of
from labctl.page.access.sessions import Session
from labctl.page.link.link import Link
from labctl.page.runs.child import Task

log = logging.getLogger(__name__)

_LINES_KEPT = 200
_END_PATIENCE_S = 40.0
_LONGEST_LINE = 1 << 20
_LOOK_EVERY_S = 0.5


@dataclass
class Run:
    """A run that was started here. status: "starting", "running", "stopping", or how it ended: "complete",
    "interrupted", "failed"."""

    protocol: str
    by: str
    given: Mapping[str, object]
    status: str = "starting"
    file: Path | None = None
    label: str = ""
    done: int = 0
    total: int = 0
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES_KEPT))
    values: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    begun_s: float = field(default_factory=time.time)

    @property
    def alive(self) -> bool:
        """Whether its process lives."""
        return self.status in ("starting", "running", "stopping")


class Runner:
    """At most one run of the page at a time: a bench has one table."""

    def __init__(self, link: Link, out: Path) -> None:
        self.out = out
        self.run: Run | None = None
        self._link = link
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self, session: Session, protocol: str, given: Mapping[str, object], seed: int) -> Run:
        """Start a protocol in the role of who asks. Raises LeaseError for an observer, ConfigurationError for input
        that `labctl run` would refuse as well, for keys that change the bench, and while a run of the page lives."""
        async with self._starting:  # two at once would both see that nothing runs
            return await self._start(session, protocol, given, seed)

    async def _start(self, session: Session, protocol: str, given: Mapping[str, object], seed: int) -> Run:
        session.must_be(Role.OPERATOR, "starting a protocol")
        if self.run is not None and self.run.alive:
            raise ConfigurationError(f"{self.run.protocol} is still {self.run.status}; stop it, or wait until it ends")
        foreign = [key for key in given if key.startswith(BENCH_KEYS)]
        if foreign:
            raise ConfigurationError(
                f"{', '.join(foreign)}: the bench is as it is; only a protocol's parameters can be set"
            )
        bench = self._link.bench_file or self._link.bench
        job = await self._link.in_thread(lambda: job_of("labctl.protocols", protocol, bench, given))
        if self._link.fingerprint not in ("", job.config.fingerprint):
            raise ConfigurationError(
                f"{protocol} would run on {bench} as it is in its file, or as these parameters ask for, and the bench "
                "that is up was started with other settings; start it with the same"
            )
        run = Run(protocol, session.name, dict(given))
        task = Task(protocol, bench, dict(given), seed, str(self.out.absolute()), int(session.role), self._link.at)
        self.run, self._child = run, None
        try:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "labctl.page.runs.child",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the page's server, which ends the run in order
                limit=_LONGEST_LINE,
            )  # fmt: skip
        except OSError as error:
            run.status, run.why = "failed", str(error)
            raise ConfigurationError(f"a process for {protocol} could not be started: {error}") from None
        assert self._child.stdin is not None
        self._child.stdin.write(msgspec.json.encode(task) + b"\n")
        log.info("page: %s starts %s", run.by, protocol)
        self._task = asyncio.create_task(self._attend(run, self._child))
        self._watching = asyncio.create_task(self._watch(run, session))
        if run.status == "stopping":  # somebody was faster than its process
            self._hang_up(run)
        return run

    async def _watch(self, run: Run, session: Session) -> None:
        """End the run of somebody whose token was revoked. Signing out, and the end of a session, let it go on."""
        while run.alive:
            await asyncio.sleep(_LOOK_EVERY_S)
            if run.status != "stopping" and session.revoked:
                log.warning("page: %s is ended, since the token of %s was revoked", run.protocol, run.by)
                run.lines.append(f"ended, since the token of {run.by} was revoked")
                self._hang_up(run)

    async def stop(self, session: Session) -> None:
        """End the run as Ctrl-C would. LeaseError for an observer."""
        session.must_be(Role.OPERATOR, "stopping a run")
        if self.run is not None and self.run.alive:
            log.info("page: %s stops %s", session.name, self.run.protocol)
            self._hang_up(self.run)

    def _hang_up(self, run: Run) -> None:
        run.status = "stopping"
        child = self._child
        if child is not None and child.stdin is not None:
            child.stdin.close()
            # A protocol that computes for long is asked once more, as by a second Ctrl-C.
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)

    async def _attend(self, run: Run, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        assert child.stderr is not None
        errors = asyncio.create_task(child.stderr.read())
        try:
            while line := await child.stdout.readline():
                self._take(run, line)
        except ValueError:
            run.lines.append("a line longer than this page reads")
        code = await child.wait()
        told = (await errors).decode(errors="replace").strip().splitlines()
        run.lines.extend(told[-20:])
        if code == 0:
            run.status = "complete"
        elif run.status == "stopping" and not run.why:
            run.status = "interrupted"
        else:
            run.status = "failed"
            run.why = run.why or (told[-1] if told else f"its process ended with {code}")
        log.info("page: %s ended: %s %s", run.protocol, run.status, run.why)

    @staticmethod
    def _take(run: Run, line: bytes) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            run.lines.append(line.decode(errors="replace").rstrip())
            return
        if "begun" in told:
            run.file = Path(told["begun"])
            run.status = "running" if run.status == "starting" else run.status
        elif "progress" in told:
            run.label, run.done, run.total = told["progress"]
        elif "say" in told:
            run.lines.append(str(told["say"]))
        elif "done" in told:
            run.values = told["done"]
        elif "failed" in told:
            run.why = str(told["failed"])

    async def end(self) -> None:
        """End the run with the page's server; waits until its devices are safe and its file is closed."""
        if self.run is not None and self.run.alive and self._child is not None:
            self._hang_up(self.run)
            with contextlib.suppress(TimeoutError, LabError):
                await asyncio.wait_for(self._child.wait(), _END_PATIENCE_S)
        if self._watching is not None:
            self._watching.cancel()
        if self._task is not None:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._task, 2.0)
