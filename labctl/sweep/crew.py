"""Who measures the points of a sweep: this process, or worker processes of this machine, of which any may die."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, wait
from multiprocessing import connection
from types import FrameType
from typing import Protocol

from drivers.errors import DeviceError
from labctl.sweep.plan import Plan
from labctl.sweep.point import Measured, measure

_START_S = 120.0
_GRACE_S = 3.0


class Crew(Protocol):
    """Measures batches of points side by side.

    deaths: what a future's result raises if the process that had the batch is gone. apart: whether no process has two
    batches, so that it is known which of them it died of.
    """

    deaths: tuple[type[BaseException], ...]
    apart: bool

    @property
    def about(self) -> str:
        """In words, for the file."""

    def slots(self) -> int:
        """How many batches to have under way, now."""

    def submit(self, batch: Sequence[int]) -> Future[list[Measured]]:
        """Begin with a batch, if fewer than `slots` are under way."""

    def close(self) -> None:
        """End; what is under way is given up."""


class Ended(BaseException):
    """A worker was asked to end by SIGTERM, and has left its point."""


class Here:
    """This process, one point after the other. alone: as for `labctl.sweep.point.measure`."""

    deaths: tuple[type[BaseException], ...] = ()
    apart = True
    about = "in one process"

    def __init__(self, plan: Plan, *, alone: bool) -> None:
        self._plan = plan
        self._alone = alone

    def slots(self) -> int:
        """One."""
        return 1

    def submit(self, batch: Sequence[int]) -> Future[list[Measured]]:
        """It is done when this returns."""
        future: Future[list[Measured]] = Future()
        future.set_result(measure(self._plan, batch, alone=self._alone))
        return future

    def close(self) -> None:
        """Nothing is under way."""


class Processes:
    """Worker processes of this machine, one batch each; one that dies takes its batch with it, and is replaced."""

    deaths: tuple[type[BaseException], ...] = (BrokenExecutor, Ended)
    apart = True

    def __init__(self, plan: Plan, count: int) -> None:
        self._plan = plan
        self._workers: list[_Worker] = []
        try:
            for _ in range(count):
                self._workers.append(_Worker())
            for worker in self._workers:
                worker.wait_until_ready()
        except BaseException:
            self.close()
            raise

    @property
    def about(self) -> str:
        """How many there are."""
        return f"{len(self._workers)} processes"

    def slots(self) -> int:
        """One for each worker."""
        return len(self._workers)

    def submit(self, batch: Sequence[int]) -> Future[list[Measured]]:
        """To a worker that has nothing to do."""
        worker = next(worker for worker in self._workers if worker.idle)
        if worker.dead:
            worker.close()
            self._workers[self._workers.index(worker)] = worker = _Worker()
            worker.wait_until_ready()
        return worker.submit(self._plan, batch)

    def close(self) -> None:
        """Workers leave their points, with simulated benches closed; one that does not is killed."""
        for worker in self._workers:
            worker.end()
        wait([worker.task for worker in self._workers if worker.task is not None], timeout=_GRACE_S)
        for worker in self._workers:
            worker.close()


class _Worker:
    """One process: an executor of its own, so that its death is nobody else's and its batch is known."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self.task: Future[list[Measured]] | None = None
        self._start()

    def _start(self) -> None:
        # Not forked: threads and sockets of this process do not survive that.
        self._executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin)
        self._started = self._executor.submit(os.getpid)

    def wait_until_ready(self, again: bool = True) -> None:
        """Raises DeviceError if it does not start, twice."""
        try:
            self._pid = self._started.result(_START_S)
        except (BrokenExecutor, TimeoutError) as error:
            self.close()
            if again:
                self._start()
                self.wait_until_ready(again=False)
                return
            raise DeviceError(
                f"a worker process did not start ({type(error).__name__}); what it said is above. A script that sweeps "
                'needs `if __name__ == "__main__":`; or measure with --workers 1'
            ) from None

    @property
    def idle(self) -> bool:
        """Whether it has no batch."""
        return self.task is None or self.task.done()

    @property
    def dead(self) -> bool:
        """Whether its last batch ended with it."""
        return self.task is not None and self.task.done() and isinstance(self.task.exception(), BrokenExecutor)

    def submit(self, plan: Plan, batch: Sequence[int]) -> Future[list[Measured]]:
        """Begin with a batch."""
        try:
            self.task = self._executor.submit(measure, plan, batch)
        except BrokenExecutor as error:  # it was killed while it had nothing to do
            self.task = Future()
            self.task.set_exception(error)
        return self.task

    def end(self) -> None:
        """Have it leave its batch, if it has one."""
        if not self.idle:
            self._signal(signal.SIGTERM)

    def close(self) -> None:
        """It is gone afterwards."""
        if not self.idle:
            self._signal(signal.SIGKILL)
        self._executor.shutdown(cancel_futures=True)

    def _signal(self, number: int) -> None:
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)


def _begin() -> None:
    """In a new worker: Ctrl-C is the parent's, who tells by SIGTERM; without a parent nobody waits for results."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)  # a simulated bench leaves nothing behind
    threading.Event().wait(_GRACE_S)
    os._exit(1)
