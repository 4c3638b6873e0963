"""What photodetectors read, and sequences summed, as points over time, while somebody looks."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from drivers.contract import Reading, SequenceResult
from drivers.errors import BusError, LabError
from labctl.bench.client import Bench
from labctl.bus.roles import Role
from labctl.bus.stream import Item, Stream
from labctl.page.link.link import Link

MOST_POINTS = 600
_AGAIN_AFTER_S = 1.0
_AT_ONCE_S = 0.2
_LINGER_S = 60.0
"""A trace goes on for a while when nobody looks: whoever comes back from another view finds no gap."""
KINDS = ("photodetector", "sequencer")


@dataclass(frozen=True)
class Point:
    """time_s: bench time. value: W of a detector; of a sequence, the mean over windows of each pattern, in its unit."""

    time_s: float
    value: float
    saturated: bool


class Trace:
    """The last `MOST_POINTS` points of a device."""

    def __init__(self, device: str, link: Link) -> None:
        self.device = device
        self.points: deque[Point] = deque(maxlen=MOST_POINTS)
        self.lost = 0
        self.unit = ""
        """ "W", or "counts" of a sequence that a camera measured; "" before the first point."""
        self._link = link
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None

    def enter(self) -> None:
        """Somebody looks."""
        self._watchers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())

    def leave(self) -> None:
        """Somebody has stopped looking."""
        self._watchers -= 1
        if self._watchers == 0 and self._task is not None:
            asyncio.get_running_loop().call_later(_LINGER_S, self._end_if_alone)

    def _end_if_alone(self) -> None:
        if self._watchers == 0 and self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        of: Bench | None = None
        stream: Stream | None = None
        try:
            while True:
                try:
                    bench = await self._link.bench_for(Role.OBSERVER)
                    if stream is None or bench is not of:
                        if stream is not None:
                            stream.close()
                        stream, of = bench[self.device].stream(timeout_s=_AT_ONCE_S), bench
                    for item in await self._link.in_thread(functools.partial(_come, stream)):
                        self.lost += item.lost
                        self._add(item.value)
                except LabError:
                    await asyncio.sleep(_AGAIN_AFTER_S)
        finally:
            if stream is not None:
                stream.close()

    def _add(self, value: object) -> None:
        if isinstance(value, Reading):
            self.unit = "W"
            self.points.append(Point(value.end_ns / 1e9, value.power_w, value.saturated))
        elif isinstance(value, SequenceResult) and value.signal.size:
            # A photodetector's signal is one power for each pattern, and its peak the same power.
            power = value.signal.shape[1] == 1 and np.array_equal(value.signal[:, 0], value.peak)
            self.unit = "W" if power else "counts"
            levels = value.signal.mean(axis=1)
            for end_ns, level, saturated in zip(value.end_ns, levels, value.saturated, strict=True):
                self.points.append(Point(float(end_ns) / 1e9, float(level), bool(saturated)))


def _come(stream: Stream) -> list[Item]:
    """What comes within a moment: all of it, not only the newest."""
    found: list[Item] = []
    until = time.monotonic() + _AT_ONCE_S
    while time.monotonic() < until:
        try:
            found.append(stream.next())
        except BusError as error:
            if "nothing was measured" not in str(error):
                raise
            break
    return found


class Traces:
    """Those of every detector and sequencer of the bench."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._traces: dict[str, Trace] = {}

    @property
    def devices(self) -> list[str]:
        """Devices that have one."""
        return [name for name, told in self._link.state.devices.items() if told["kind"] in KINDS]

    def of(self, device: str) -> Trace:
        """The trace of a device."""
        if device not in self._traces:
            self._traces[device] = Trace(device, self._link)
        return self._traces[device]
