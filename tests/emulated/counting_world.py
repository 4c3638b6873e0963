"""A table on which every frame tells what it is, and what tests of cameras measure with the clock."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from drivers.contract import ROI, DeviceError
from simulators.clock import RealClock
from simulators.worlds.prbm import PrbmParameters

TIMEOUT_S = 0.8
"""Margin of the drivers after exposure and read-out."""


class CountingWorld:
    """A table whose only light is a number: every pixel of a frame shows ``value`` at the moment of its trigger."""

    def __init__(self, rows: int = 40, columns: int = 50) -> None:
        self.parameters = PrbmParameters.model_validate(
            {"camera": {"rows": rows, "columns": columns, "axis_row": 1, "axis_column": 1}}
        )
        self.clock = RealClock()
        self.state = np.zeros(1, [("stop", np.uint8, (4,))])
        self.value = 1
        self.number = 0
        self.attached = False
        self.regions: list[ROI] = []

    def attach(self, device: str, what: str) -> int:
        self.attached, self.number = True, 0
        return 0

    def detach(self, device: str) -> None:
        self.attached = False

    def arm_camera(self, device: str, frames: int, exposure_ns: int, roi: ROI) -> None: ...

    def trigger(self, device: str, exposure_ns: int, roi: ROI, out: Any) -> tuple[int, int, int]:
        if not self.attached:
            raise DeviceError(f"{device} is not on the table; open it")
        start_ns = self.clock.now_ns()
        out[:] = self.value
        # Two corners tell that nothing is mirrored, shifted or padded.
        out[0, 0], out[-1, -1] = 1000 + roi.row, 2000 + roi.column
        self.regions.append(roi)
        self.number += 1
        return self.number - 1, start_ns, 0


def ends_within(limit_s: float, act: Callable[[], object]) -> BaseException | None:
    """Call it; the DeviceError it ended in, if one. Fails if it takes longer (and some more on a busy machine)."""
    began = time.monotonic()
    error: BaseException | None = None
    try:
        act()
    except DeviceError as found:
        error = found
    assert time.monotonic() - began < limit_s + 5
    return error


def leftovers() -> tuple[int, int, int]:
    """Open files, Python's threads and the system's of this process, once what ends by itself has ended."""
    time.sleep(0.3)  # the emulator's side of a closed line
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(os.listdir("/proc/self/task"))
