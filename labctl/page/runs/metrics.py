"""Numbers and pictures of a run from its file, also while it is being measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.runfile.file import pictures_of
from labctl.runs.data import BENCH_TIMES, RunData

_MOST_SERIES = 8
_MOST_POINTS = 400


@dataclass(frozen=True)
class Metrics:
    """series: of each step one number, at steps ``at``; results: single numbers; pictures: names of files beside it."""

    steps: int
    at: NDArray[np.int64]
    series: dict[str, NDArray[np.float64]]
    results: dict[str, float]
    pictures: tuple[str, ...]


def metrics_of(path: Path) -> Metrics:
    """Read them. ConfigurationError if there is no such run file, or it is spoilt."""
    run = RunData(path)
    series: dict[str, NDArray[np.float64]] = {}
    with run.reading() as arrays:
        steps = arrays.steps
        every = max(1, -(-steps // _MOST_POINTS))
        at = np.arange(0, steps, every)
        for name, values in arrays.series.items():
            if (
                name not in BENCH_TIMES
                and values.ndim == 1
                and values.dtype.kind in "biuf"
                and steps
                and len(series) < _MOST_SERIES
            ):
                series[name] = np.asarray(values[:steps:every], np.float64)
    results = {name: float(value) for name, value in run.results.items() if _is_number(value)}
    return Metrics(steps, at, series, results, tuple(picture.name for picture in pictures_of(path)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and bool(np.isfinite(value))
