"""The loop of a sweep: hands out points, keeps what comes back, tries again where a worker died, tells how it goes."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait

from drivers.errors import BusError
from labctl.experiments import interruption
from labctl.experiments.console import Console
from labctl.sweep import points
from labctl.sweep.crew import Crew
from labctl.sweep.file import SweepFile
from labctl.sweep.plan import Plan
from labctl.sweep.point import Measured
from labctl.sweep.points import Failure, MeasuredPoint

_BATCH_S = 0.5
"""Of points that are measured together: what a kill may cost, and long beside the way there and back."""
_MOST_TOGETHER = 500
_LOOK_EVERY_S = 0.5
_DIED = Failure(
    "WorkerDied", "the process that measured it ended, twice: killed, perhaps for want of memory; see the system's log"
)


class Measuring:
    """The loop of a sweep."""

    def __init__(self, plan: Plan, todo: list[int], crew: Crew, kept: SweepFile, console: Console) -> None:
        self._plan = plan
        self._todo = deque(todo)
        self._crew = crew
        self._kept = kept
        self._console = console
        self._under_way: dict[Future[list[Measured]], list[int]] = {}
        self._suspects: deque[int] = deque()
        self._died: set[int] = set()
        self._together = 1
        self._failed = 0

    def run(self) -> None:
        """Until all points are measured or given up."""
        done = self._plan.size - len(self._todo)
        began, before = time.monotonic(), done
        with self._console.progress(self._plan.name, self._plan.size, done) as advance:
            while self._todo or self._suspects or self._under_way:
                interruption.look()
                self._hand_out()
                finished, _ = wait(self._under_way, _LOOK_EVERY_S, FIRST_COMPLETED)
                for future in finished:
                    for _ in range(self._take(future, self._under_way.pop(future))):
                        advance()
                        done += 1
                rate = (done - before) / max(time.monotonic() - began, 1e-9)
                failed = f", {self._failed} failed" if self._failed else ""
                self._console.note(f"{rate:.3g} points/s{failed}")

    def _hand_out(self) -> None:
        while len(self._under_way) < self._crew.slots() and (batch := self._next()):
            self._under_way[self._crew.submit(batch)] = batch

    def _next(self) -> list[int]:
        """Points to hand out together; none if there are none, or if they have to wait."""
        on_trial = any(batch[0] in self._died for batch in self._under_way.values())
        if not self._crew.apart and ((self._suspects and self._under_way) or on_trial):
            return []
        if self._suspects:
            return [self._suspects.popleft()]  # alone: if its worker dies again, it is this point
        # Smaller ones in the end, so that all workers end together.
        fair = -(-len(self._todo) // (2 * self._crew.slots()))
        return [self._todo.popleft() for _ in range(min(self._together, fair))]

    def _take(self, future: Future[list[Measured]], batch: list[int]) -> int:
        """Keep what came; how many points are done with."""
        try:
            measured = future.result()
        except self._crew.deaths:
            measured = [_failed(index, _DIED) for index in batch if index in self._died]
            self._suspects.extend(index for index in batch if index not in self._died)
            self._died.update(batch)
        except CancelledError:
            raise BusError(
                "the Dask scheduler is gone, or has dropped points that were under way; see its log, and go on with "
                f"the sweep when there is one again: {self._kept.path}"
            ) from None
        except Exception as error:  # noqa: BLE001 - what a worker's machine may send back is not ours to foresee
            measured = [_failed(index, points.failure(error)) for index in batch]
        else:
            spent = sum(m.seconds for m in measured) / len(measured)
            self._together = max(1, min(int(_BATCH_S / max(spent, 1e-6)), 4 * self._together, _MOST_TOGETHER))
        if measured:
            self._kept.append([m.encoded for m in measured])
        self._failed += sum(not m.ok for m in measured)
        return len(measured)


def _failed(index: int, why: Failure) -> Measured:
    return Measured(index, False, 0.0, points.encode(MeasuredPoint(index, 0.0, {}, why)))
