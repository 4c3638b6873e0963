"""Bench time: real (it sleeps) or virtual (it does not, but every settling, exposure and read-out takes as long)."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic bench time in ns, and the UTC of its zero."""

    virtual: bool
    utc_zero_ns: int

    def now_ns(self) -> int:
        """Bench time."""
        ...

    def sleep_until(self, time_ns: int) -> None:
        """Return when bench time has reached ``time_ns``."""
        ...


class VirtualClock:
    """Time passes only while a device waits for something, so a run takes as long as its arithmetic."""

    virtual = True

    def __init__(self) -> None:
        self._now_ns = 0
        self._lock = threading.Lock()
        self.utc_zero_ns = time.time_ns()

    def reset(self) -> None:
        """Bench time 0 again, for a table that is set up anew."""
        with self._lock:
            self._now_ns = 0
            self.utc_zero_ns = time.time_ns()

    def now_ns(self) -> int:
        """Bench time since the table was set up."""
        return self._now_ns

    def sleep_until(self, time_ns: int) -> None:
        """Advance to ``time_ns``; never backwards."""
        with self._lock:
            self._now_ns = max(self._now_ns, time_ns)


class RealClock:
    """The machine's monotonic clock."""

    virtual = False

    def __init__(self) -> None:
        self._zero_ns = time.monotonic_ns()
        self.utc_zero_ns = time.time_ns()

    def now_ns(self) -> int:
        """Time since the table was set up."""
        return time.monotonic_ns() - self._zero_ns

    def sleep_until(self, time_ns: int) -> None:
        """Sleep until then."""
        remaining_ns = time_ns - self.now_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / 1e9)


def make_clock(kind: str) -> VirtualClock | RealClock:
    """The clock a bench file names: "virtual" or "real"."""
    return VirtualClock() if kind == "virtual" else RealClock()
