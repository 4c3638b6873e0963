"""Control of a bench for as long as a plan runs: taken, renewed and given back by the RunEngine's own thread.

The RunEngine executes plans in a thread with an event loop. Control is taken there, and a timer of that very loop
renews it, so that it lapses when the loop hangs: a plan that computes forever, a panicked RunEngine, a killed process.
Calls to devices are made by other threads, which renew nothing, so that the loop stays free to hear of pauses and
aborts. Control ends with the plan's task, whatever ends that, `RunEngine.halt` included.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from drivers.errors import LabError, LeaseError
from labctl.bench.client import Bench

log = logging.getLogger(__name__)

_THREADS = 8


class Control:
    """What all devices of a `Lab` share."""

    def __init__(self, bench: Bench, purpose: str) -> None:
        self.bench = bench
        self.lit: set[str] = set()
        """Emitters that a plan has turned on."""
        self._purpose = purpose
        self._workers = ThreadPoolExecutor(_THREADS, thread_name_prefix="labctl-bluesky")
        self._held: contextlib.ExitStack | None = None
        self._depth = 0
        self._timer: asyncio.TimerHandle | None = None
        self._dark: set[str] | None = None

    # --- calls ------------------------------------------------------------------------------------------------------

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Begin a call that may take its time."""
        return self._workers.submit(call)

    async def ask(self, call: Callable[[], Any]) -> Any:
        """Make it without holding up the RunEngine."""
        return await asyncio.wrap_future(self._workers.submit(call))

    # --- the lease --------------------------------------------------------------------------------------------------

    def take(self) -> None:
        """Take control of the whole bench for the plan that is being run, which may take it several times over.

        Raises LeaseError if somebody else has it, and outside of a plan; errors as `Bench.control`.
        """
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None:
            raise LeaseError("control is taken within a plan that a RunEngine runs; yield from bps.stage(lab)")
        if self._held is None:
            held = contextlib.ExitStack()
            held.enter_context(self.bench.control(self._purpose))
            self._held = held
            task.add_done_callback(self._plan_ended)
            self._renew(asyncio.get_running_loop())
        self._depth += 1

    def give_back(self) -> None:
        """The last time that it was taken for: devices are made safe and control is given back."""
        self._depth = max(0, self._depth - 1)
        if self._depth == 0:
            self._release()

    def _release(self) -> None:
        self._depth = 0
        held, self._held = self._held, None
        self.lit.clear()
        self._dark = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if held is not None:
            held.close()

    def _plan_ended(self, task: asyncio.Task[Any]) -> None:
        try:
            self._release()
        except LabError as error:  # nobody is there to catch it; the lease lapses by itself
            log.warning("control of bench %s could not be given back: %s", self.bench.name, error)

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._held is None:
            return
        try:
            self.bench.renew()
        except LabError as error:  # lost: the plan's next call is told why
            log.warning("control of bench %s: %s", self.bench.name, error)
            return
        self._timer = loop.call_later(self.bench.patience_s, self._renew, loop)

    # --- pauses -----------------------------------------------------------------------------------------------------

    async def pause(self) -> None:
        """Light off, past any call that is being served. Control is kept, so that the plan can go on."""
        if self._held is None or self._dark is not None:
            return
        self._dark = set(self.lit)
        await self.darken()

    async def darken(self) -> None:
        """Light off, if a plan has control, by the lane where nobody waits."""
        if self._held is None:
            return
        emitters = [d for d in self.bench.devices.values() if any(s.needs_lease for s in d.description.settings)]
        await asyncio.gather(*(self.ask(emitter.safe) for emitter in emitters))

    async def resume(self) -> None:
        """The light that the plan had is on again. Raises LeaseError if control was lost meanwhile, InterlockError."""
        dark, self._dark = self._dark, None
        for name in sorted(dark or ()):
            role, _, setting = name.partition(".")
            await self.ask(functools.partial(setattr, self.bench[role], setting, True))

    def close(self) -> None:
        """Give control back, if a plan still has it, and end the threads."""
        try:
            self._release()
        finally:
            self._workers.shutdown(wait=False)
