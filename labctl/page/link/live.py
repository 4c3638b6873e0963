"""A camera that is triggered by the page itself, while an operator looks and nobody else has control of it.

No lease is taken: whoever takes control of the camera is not kept waiting, and then has it measured alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from drivers.errors import LabError
from labctl.bench.client import Bench
from labctl.bus.roles import Role
from labctl.page.access.sessions import Session
from labctl.page.link.link import Link

MOST_PER_S = 30.0
SILENT_S = 5.0


class Live:
    """At most one loop of triggers for each camera."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._heard_s: dict[str, float] = {}
        self.ended: dict[str, str] = {}
        """Why the last one ended, by camera."""

    def running(self, camera: str) -> bool:
        """Whether the page triggers this camera."""
        task = self._tasks.get(camera)
        return task is not None and not task.done()

    def start(self, session: Session, camera: str) -> None:
        """Begin to trigger. LeaseError for an observer."""
        session.must_be(Role.OPERATOR, "triggering a camera")
        self.heard(camera)
        if not self.running(camera):
            self.ended.pop(camera, None)
            self._tasks[camera] = asyncio.create_task(self._trigger(session, camera))

    def heard(self, camera: str) -> None:
        """The operator still looks."""
        self._heard_s[camera] = time.monotonic()

    async def stop(self, camera: str) -> None:
        """End it."""
        task = self._tasks.pop(camera, None)
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _trigger(self, session: Session, camera: str) -> None:
        try:
            bench = await self._link.opened_for(min(session.role, Role.OPERATOR))
        except LabError as error:
            self.ended[camera] = str(error)
            return
        try:
            while True:
                begun = time.monotonic()
                if begun - self._heard_s[camera] > SILENT_S:
                    self.ended[camera] = "its operator has left"
                    return
                session.must_be(Role.OPERATOR, "triggering a camera")
                await self._link.in_thread(lambda: _expose(bench, camera))
                await asyncio.sleep(max(1 / MOST_PER_S - (time.monotonic() - begun), 0.001))
        except LabError as error:
            self.ended[camera] = str(error)
        finally:
            await asyncio.shield(self._link.in_thread(bench.close))

    async def end(self) -> None:
        """End all of them."""
        for camera in list(self._tasks):
            await self.stop(camera)


def _expose(bench: Bench, camera: str) -> None:
    """One exposure; its frame goes to whoever reads the camera's stream, and back to the server's memory here."""
    bench[camera].trigger()
