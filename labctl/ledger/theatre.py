"""Where rows are tried: one stage after another, in folders of their own, with a limit to every trial's time."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import random
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

from drivers.errors import ConfigurationError
from labctl.conformance.stand import own_folders
from labctl.ledger.row import Bench, Outcome, Row, Stage, Trial, Tried

_MARK = "labctl-ledger.lock"
_GRACE_S = 60.0
"""For what a trial has to put away after its limit."""
START_LIMIT_S = 600.0
"""Of a stage that is set: worlds that were never run on this machine compile first."""


class OutOfTime(Exception):
    """A trial has reached its limit."""


@contextlib.contextmanager
def limited(limit_s: float) -> Iterator[None]:
    """OutOfTime is raised in the block after that time, whatever it waits for, and again after each minute more.

    Where signals cannot be used, other threads than the first and other systems, there is no limit.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def out(number: int, frame: FrameType | None) -> None:
        raise OutOfTime(f"not over after {limit_s:g} s: broken off")

    before = signal.signal(signal.SIGALRM, out)
    signal.setitimer(signal.ITIMER_REAL, limit_s, _GRACE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def sweep() -> None:
    """Remove the folders of ledgers that were killed. One that lives has a lock on its mark."""
    for mark in Path(tempfile.gettempdir()).glob(f"*/{_MARK}"):
        with contextlib.suppress(OSError):
            folder = mark.parent.lstat()
            if not stat.S_ISDIR(folder.st_mode) or folder.st_uid != os.getuid():
                continue
            with mark.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(mark.parent, ignore_errors=True)


class Theatre:
    """A stage stays until a row wants another one, or fails on it."""

    def __init__(self) -> None:
        if not __debug__:
            raise ConfigurationError("Python was told to leave out assertions (-O, PYTHONOPTIMIZE): no row could fail")
        logging.getLogger().addHandler(logging.NullHandler())  # what benches say of their faults is in their logs
        self._all = contextlib.ExitStack()
        self._own = contextlib.ExitStack()
        self._stage: Stage | None = None
        self._standing: Any = None

    def __enter__(self) -> Self:
        sweep()
        self._folder = self._all.enter_context(own_folders())
        mark = self._all.enter_context((self._folder / _MARK).open("w"))
        fcntl.flock(mark, fcntl.LOCK_EX)
        return self

    def __exit__(self, *error: object) -> None:
        with self._all:
            self._own.close()

    def _set(self, stage: Stage) -> None:
        if self._stage is stage:
            return
        self._clear()
        folder = self._own.enter_context(tempfile.TemporaryDirectory(dir=self._folder))
        self._standing = self._own.enter_context(stage(Path(folder)))
        self._stage = stage

    def _clear(self) -> None:
        self._stage = self._standing = None
        self._own.close()

    def tried(self, row: Row, bench: Bench, trials: int = 1, seed: int = 0, *, limits: bool = False) -> Tried:
        """Trials of a row on one of its benches, up to the first that does not end as told. limits: of time hold."""
        tried = Tried(bench, planned=trials)
        while tried.left:
            tried = tried.after(self.trial(row, bench, tried.trials, seed, limits=limits))
        return tried

    def trial(self, row: Row, bench: Bench, number: int = 0, seed: int = 0, *, limits: bool = False) -> Outcome:
        """One of them; each has dice of its own, by its number."""
        dice = random.Random(f"{seed}/{row.fault}/{bench.kind}/{number}")
        began_s = time.monotonic()
        took_s, wrong = None, ""
        try:
            with limited(START_LIMIT_S) if limits else contextlib.nullcontext():
                self._set(bench.stage)
                self._standing.set_up()
            with (
                limited(row.limit_s) if limits else contextlib.nullcontext(),
                tempfile.TemporaryDirectory(dir=self._folder) as folder,
            ):
                took_s = row.trial(self._standing, Trial(dice, Path(folder)))
        except Exception as error:  # noqa: BLE001 - whatever a row does wrong, the others are tried
            wrong = f"trial {number + 1}: {type(error).__name__}: {error}"
            with limited(2 * _GRACE_S) if limits else contextlib.nullcontext(), contextlib.suppress(Exception):
                self._clear()  # nobody knows in which state it is
        return Outcome(took_s, wrong, time.monotonic() - began_s)
