"""Bench time: real (it sleeps) or virtual (it does not, but every settling, exposure and read-out takes as long).

All processes of a bench share one clock through cells of memory (int64, nanoseconds):

    cells[0]   UTC of bench time zero
    cells[1]   the machine's monotonic clock at bench time zero (real time)
    cells[2:]  how far each process has brought virtual time

A process writes only the one virtual time that is its own, by an aligned 8-byte store, so no lock is needed between
processes. Whoever finds zeros sets the zero of time.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.int64]

_UTC_ZERO, _MONOTONIC_ZERO, _FIRST_TIME = range(3)


class Clock(Protocol):
    """Monotonic bench time in ns, and the UTC of its zero."""

    virtual: bool

    @property
    def utc_zero_ns(self) -> int:
        """UTC of bench time 0."""
        ...

    def now_ns(self) -> int:
        """Bench time."""
        ...

    def sleep_until(self, time_ns: int) -> None:
        """Return when bench time has reached ``time_ns``."""
        ...


class VirtualClock:
    """Time passes only while a device waits for something, so a run takes as long as its arithmetic.

    ``own`` says which of the virtual times is this process's; bench time is the latest of all.
    """

    virtual = True

    def __init__(self, cells: Cells | None = None, own: int = 0) -> None:
        self._cells = np.zeros(_FIRST_TIME + own + 1, np.int64) if cells is None else cells
        self._times_ns = self._cells[_FIRST_TIME:]
        self._own = own
        self._lock = threading.Lock()
        if not self._cells[_UTC_ZERO]:
            self._cells[_UTC_ZERO] = time.time_ns()

    @property
    def utc_zero_ns(self) -> int:
        """UTC of bench time 0."""
        return int(self._cells[_UTC_ZERO])

    def reset(self) -> None:
        """Bench time 0 again, in every process, for a table that is set up anew while no device waits."""
        with self._lock:
            self._times_ns[:] = 0
            self._cells[_UTC_ZERO] = time.time_ns()

    def set_to(self, time_ns: int) -> None:
        """This bench time in every process, earlier or later, for a table that goes on where one was frozen."""
        with self._lock:
            self._times_ns[:] = 0
            self._times_ns[self._own] = time_ns

    def now_ns(self) -> int:
        """Bench time since the table was set up."""
        times_ns: list[int] = self._times_ns.tolist()
        return max(times_ns)

    def sleep_until(self, time_ns: int) -> None:
        """Advance to ``time_ns``; never backwards."""
        with self._lock:
            if time_ns > self._times_ns[self._own]:
                self._times_ns[self._own] = time_ns


class RealClock:
    """The machine's monotonic clock, which all its processes share."""

    virtual = False

    def __init__(self, cells: Cells | None = None, own: int = 0) -> None:
        self._cells = np.zeros(_FIRST_TIME, np.int64) if cells is None else cells
        if not self._cells[_MONOTONIC_ZERO]:
            self._cells[_UTC_ZERO] = time.time_ns()
            self._cells[_MONOTONIC_ZERO] = time.monotonic_ns()
        self._zero_ns = int(self._cells[_MONOTONIC_ZERO])

    @property
    def utc_zero_ns(self) -> int:
        """UTC of bench time 0."""
        return int(self._cells[_UTC_ZERO])

    def now_ns(self) -> int:
        """Time since the table was set up."""
        return time.monotonic_ns() - self._zero_ns

    def sleep_until(self, time_ns: int) -> None:
        """Sleep until then."""
        remaining_ns = time_ns - self.now_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / 1e9)


def make_clock(kind: str, cells: Cells | None = None, own: int = 0) -> VirtualClock | RealClock:
    """The clock a bench file names, "virtual" or "real"; on ``cells`` if processes share it, else on its own."""
    return VirtualClock(cells, own) if kind == "virtual" else RealClock(cells, own)
