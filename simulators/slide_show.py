"""The plain loop of a slide show: pattern, settling, trigger pulse, dwell, next pattern.

In virtual time the world runs it within one call; in real time the SLM does, so that no sleep keeps the world busy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.clock import Clock


class Pace(NamedTuple):
    """Settling of a whole new pattern and of a local change, and how long a pattern is held after its pulse, ns."""

    base_settle_ns: int
    settle_ns: int
    dwell_ns: int


def play(
    show: Callable[[int], int],
    pulse: Callable[[], object],
    stopped: Callable[[], bool],
    clock: Clock,
    pace: Pace,
    stable_ns: NDArray[np.int64],
    first: int,
    end: int,
) -> int:
    """Patterns ``first`` to ``end`` - 1, unless ``stopped`` before one of them; the number of patterns shown by then.

    ``show`` puts a pattern on the panel and returns when; ``pulse`` fires the trigger line. Fills ``stable_ns``.
    """
    for k in range(first, end):
        if stopped():
            return k
        stable_ns[k] = show(k) + (pace.settle_ns if k else pace.base_settle_ns)
        clock.sleep_until(int(stable_ns[k]))
        pulse()
        clock.sleep_until(int(stable_ns[k]) + pace.dwell_ns)
    return end
