"""One feed for each device, made when the first browser asks and ended when none has asked for a while.

A watcher asks for a picture, gets the newest there is as soon as it is newer than the one before, and asks again when
it has shown it. So a slow browser or network gets fewer pictures, never older ones; where nobody asks, nothing is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import LabError
from labctl.page.feed.sources import FrameSource, PanelSource, Source
from labctl.page.link.link import Link

log = logging.getLogger(__name__)

MOST_PER_S = 30.0
_LINGER_S = 4.0
"""Who looks asks again within two seconds (`feed.socket`); a tab that is hidden does not, and keeps nothing going."""


@dataclass(frozen=True)
class Wish:
    """How a watcher wants pictures: at most so many pixels along a side; stretched from darkest to brightest."""

    most: int = 640
    stretch: bool = False


class Feed:
    """Pictures of one device for any number of watchers. All but the source's reading happens in the event loop."""

    def __init__(self, source: Source, link: Link) -> None:
        self._source = source
        self._link = link
        self._asked_s = 0.0
        self._fresh = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.number = 0
        """Counts what was read; 0 before the first."""
        self.trouble = ""

    @property
    def reading(self) -> bool:
        """Whether its device is read."""
        return self._task is not None and not self._task.done()

    def asked(self) -> None:
        """Somebody asks for a picture, and looks until then."""
        self._asked_s = time.monotonic()
        if not self.reading:
            self._task = asyncio.create_task(self._read())

    async def newer(self, than: int) -> int:
        """Wait until there is something newer than number ``than``; its number."""
        while self.number <= than:
            await self._fresh.wait()
        return self.number

    async def picture(self, wish: Wish) -> bytes | None:
        """The newest as bytes for a browser; None before the first."""
        return await self._link.in_thread(lambda: self._source.message(wish.most, wish.stretch, self.number))

    def note(self) -> dict[str, object]:
        """What there is to say where there is no picture."""
        return {"trouble": self.trouble, **self._source.note()}

    async def _read(self) -> None:
        try:
            while (begun := time.monotonic()) - self._asked_s <= _LINGER_S:
                try:
                    fresh = await self._source.read()
                    self.trouble = ""
                except Exception as error:
                    # Whatever it is, such as a device that the bench lacks since it was started again: a picture that
                    # comes no more must say so.
                    if not isinstance(error, LabError) and not self.trouble:
                        log.exception("page: a picture cannot be read")
                    fresh, self.trouble = True, str(error) or type(error).__name__
                    await asyncio.sleep(0.5)
                if fresh:
                    self.number += 1
                    self._fresh.set()
                    self._fresh = asyncio.Event()
                await asyncio.sleep(max(1 / MOST_PER_S - (time.monotonic() - begun), 0.001))
        finally:
            with contextlib.suppress(LabError):
                await self._source.close()

    async def end(self) -> None:
        """Stop, whoever looks."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


class Hub:
    """All feeds of a page, by device."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._feeds: dict[str, Feed] = {}

    def feed(self, device: str) -> Feed | None:
        """The feed of a camera, sequencer or SLM; None for other devices, and what is no device."""
        kind = self._link.state.devices.get(device, {}).get("kind", "")
        if device not in self._feeds:
            make: Callable[[str, Link], Source] | None = _SOURCES.get(kind)
            if make is None:
                return None
            self._feeds[device] = Feed(make(device, self._link), self._link)
        return self._feeds[device]

    async def end(self) -> None:
        """End all of them."""
        for feed in self._feeds.values():
            await feed.end()


_SOURCES: dict[str, Callable[[str, Link], Source]] = {
    "camera": FrameSource,
    "sequencer": FrameSource,
    "slm": PanelSource,
}
