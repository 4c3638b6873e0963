"""The list of runs of a folder, read once for all browsers, and the more seldom the longer it takes."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

from labctl.page.link.link import Link
from labctl.runfile.catalogue import Catalogue
from labctl.runfile.summary import RunSummary

MOST = 300
EVERY_S = 5.0
_SHARE = 0.05
"""Of its time at most, this process reads lists: reading one of 100,000 runs takes a second or two."""


class Listing:
    """The newest runs of a folder."""

    def __init__(self, link: Link, out: Path) -> None:
        self._link = link
        self._out = out
        self._runs: list[RunSummary] = []
        self._again_s = -math.inf
        self._reading = asyncio.Lock()

    async def newest(self) -> list[RunSummary]:
        """The newest `MOST`, the newest first, as they were at most a few seconds ago; of a large folder, longer ago.
        ConfigurationError for a folder that cannot be read."""
        async with self._reading:
            if time.monotonic() >= self._again_s:
                begun = time.monotonic()
                try:
                    self._runs = await self._link.apart(self._read)
                finally:
                    took_s = time.monotonic() - begun
                    self._again_s = time.monotonic() + max(EVERY_S, took_s / _SHARE)
        return self._runs

    def _read(self) -> list[RunSummary]:
        return Catalogue(self._out).runs()[: -MOST - 1 : -1] if self._out.is_dir() else []
