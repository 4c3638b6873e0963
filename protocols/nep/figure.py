"""What figures of NEP have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labctl.client import Figure, Recorder
from protocols.nep.network import Task
from simulators.physics.sheet.equation import Array


class NepFigure(Figure):
    """By arithmetic the bench's devices are left alone; by light (loop=table) its control is taken then."""

    bench = "nep-sim"
    takes_control = True
    recovers_frames = True


def with_picture(record: Recorder, name: str, draw: Callable[[Path], None]) -> None:
    """Draw and tell where, unless nobody wants to see it: the points of a sweep have values only."""
    if record.wants_pictures:
        picture = record.picture(name)
        draw(picture)
        record.console.say(f"picture: {picture}")


def per_sample(outputs: Array) -> Any:
    """Outputs (samples, n) as results have them: a number for each sample where there is one output."""
    return (outputs[:, 0] if outputs.shape[1] == 1 else outputs).tolist()


def sample_names(task: Task) -> list[str]:
    """Samples by their inputs, such as 01, where these are few."""
    X = task.X
    if task.P is not None or X.shape[1] > 6 or not np.isin(X, (0, 1)).all():
        return [str(k + 1) for k in range(len(X))]
    return ["".join(str(int(x.real)) for x in row) for row in X]
