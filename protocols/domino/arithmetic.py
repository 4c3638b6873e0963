"""What figures of DOMINO that need no light have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from labctl.client import Figure, Recorder


class Arithmetic(Figure):
    """Measures nothing: the bench is opened as for all figures, and its devices are left alone."""

    bench = "dyad-sim"
    takes_control = True  # would be taken by `run` itself, where devices are used
    recovers_frames = True


def with_picture(record: Recorder, name: str, draw: Callable[[Path], None]) -> None:
    """Draw and tell where, unless nobody wants to see it: the points of a sweep have values only."""
    if record.wants_pictures:
        picture = record.picture(name)
        draw(picture)
        record.console.say(f"picture: {picture}")


def share_error(count: float, trials: int) -> float:
    """Standard error of a share; not 0 where all trials ended alike."""
    p = (count + 0.5) / (trials + 1)
    return math.sqrt(p * (1 - p) / trials)
