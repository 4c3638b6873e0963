"""Calls into a library that may hang: made by a thread of their own, and waited for no longer than the caller can."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class _Job:
    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.act()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            self.error = error
        finally:
            self.done.set()


class Aside:
    """One thread that makes calls in order; also for a library whose calls must all come from one thread."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._hangs: _Job | None = None
        self._thread.start()

    @property
    def hangs(self) -> bool:
        """Whether a call that was given up has still not returned."""
        return self._hangs is not None and not self._hangs.done.is_set()

    def ask(self, act: Callable[[], T], within_s: float) -> T:
        """Result of a call, or its error. Raises TimeoutError when it takes longer than ``within_s``.

        A call that hangs goes on; until it returns, every other one raises TimeoutError as well.
        """
        deadline = time.monotonic() + within_s
        if self._hangs is not None and not self._hangs.done.wait(within_s):
            raise TimeoutError("an earlier call still waits for an answer")
        self._hangs = None
        job = _Job(act)
        self._jobs.put(job)
        if not job.done.wait(max(deadline - time.monotonic(), 0.0)):
            self._hangs = job
            raise TimeoutError("no answer in time")
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def leave(self, last: Callable[[], object]) -> None:
        """Make one more call, in its turn, and end; nothing is waited for."""
        self._jobs.put(_Job(last))
        self._jobs.put(None)

    def left(self, within_s: float) -> bool:
        """Whether the thread has ended after `leave`, by then."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
