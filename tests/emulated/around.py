"""What stands around a driver in these tests: waiting, another thread, and a count of what is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from drivers.contract import LabError


def wait(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether it comes true in that time."""
    until_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until_s:
            return condition()
        time.sleep(0.01)
    return True


def in_a_thread(act: Callable[[], Any]) -> tuple[threading.Thread, list[LabError]]:
    """A thread that acts, and the error that it met."""
    met: list[LabError] = []

    def run() -> None:
        try:
            act()
        except LabError as error:
            met.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, met


def left_behind() -> tuple[int, int]:
    """Open files and threads of this process."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()
