"""A run as tables of text."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labctl.plain import plain
from labctl.runs.data import RunData
from labctl.runs.exporters.exporter import Exported, Exporter, size_of
from labctl.runs.units import unit_of

_MOST_COLUMNS = 1_000
_MOST_NUMBERS = 1_000_000


class Csv(Exporter):
    """Tables: steps (a row each), results, and each array of one or two dimensions, as .csv."""

    def write(self, run: RunData, folder: Path, stem: str) -> Exported:
        """Lists within a step become columns NAME[0], NAME[1,2], …; numbers are written so that they are read as the
        same number. The column step_time_s is when a step was saved, UTC in s since 1970."""
        exported = Exported()

        def put(end: str, rows: Iterable[Sequence[Any]]) -> None:
            path = folder / f"{stem}{end}.csv"
            with open(path, "x", newline="", encoding="utf-8") as out:
                csv.writer(out).writerows([_cell(value) for value in row] for row in rows)
            exported.files.append(path)

        with run.reading() as arrays:
            chosen = {}
            for name, series in arrays.series.items():
                if size_of(series.shape[1:]) > _MOST_COLUMNS:
                    exported.left_out[name] = f"{size_of(series.shape[1:])} numbers a step; take nexus or npz"
                else:
                    chosen[name] = series
            if chosen and arrays.steps:
                times = run.step_times(arrays.steps)
                when = {} if times is None or "step_time_s" in chosen else {"step_time_s": times}
                put("", itertools.chain([_head(when | chosen)], _rows(when | chosen, arrays.steps)))
            for name, kept in arrays.data.items():
                if kept.ndim not in (1, 2) or kept.size > _MOST_NUMBERS:
                    exported.left_out[name] = f"an array of {tuple(kept.shape)}; take nexus or npz"
                else:
                    values = np.asarray(kept[()])
                    put(f"-{name.replace('/', '-')}", values if values.ndim == 2 else values[:, None])
        if run.results:
            put("-results", [("name", "value", "unit"), *((n, v, unit_of(n)) for n, v in run.results.items())])
        return exported


def _head(chosen: dict[str, Any]) -> list[str]:
    columns = ["step"]
    for name, series in chosen.items():
        inner = itertools.product(*map(range, series.shape[1:]))
        columns += [f"{name}[{','.join(map(str, at))}]" if at else name for at in inner]
    return columns


def _rows(chosen: dict[str, Any], steps: int) -> Iterable[list[Any]]:
    for start in range(0, steps, 1000):
        stop = min(start + 1000, steps)
        blocks = [np.asarray(series[start:stop]).reshape(stop - start, -1) for series in chosen.values()]
        for k in range(stop - start):
            yield [start + k, *itertools.chain.from_iterable(block[k].tolist() for block in blocks)]


def _cell(value: Any) -> Any:
    """What cannot be a cell as JSON."""
    if isinstance(value, (list, dict)) or (isinstance(value, np.ndarray) and value.ndim):
        return json.dumps(plain(value))
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value.item() if isinstance(value, np.generic) else value
