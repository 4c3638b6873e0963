"""Runs rows of the ledger: those with the same stage one after another on it, each as often as wanted."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.conformance.stand import own_folders
from labctl.ledger.row import Result, Row, Trial


def rows() -> list[Row]:
    """All that are registered, in order of registration."""
    return [row for name in registry.names("labctl.ledger") for row in registry.load("labctl.ledger", name)]


def chosen(all_rows: list[Row], sample: int | None = None, seed: int = 0, names: Iterable[str] = ()) -> list[Row]:
    """Those that are named, else as many as ``sample``, drawn by the seed, else all. ConfigurationError for a name that
    is none, or a sample that is larger than the ledger."""
    wanted = list(names)
    if wanted:
        known = {row.fault: row for row in all_rows}
        for name in wanted:
            if name not in known:
                hint = registry.suggestion(name, known)
                raise ConfigurationError(f"no row {name!r} in the ledger{hint}; rows: {', '.join(known)}")
        return [known[name] for name in wanted]
    if sample is None:
        return all_rows
    if not 1 <= sample <= len(all_rows):
        raise ConfigurationError(
            f"--sample {sample}: the ledger has {len(all_rows)} rows; 1 to {len(all_rows)} can be drawn"
        )
    drawn = set(random.Random(seed).sample(range(len(all_rows)), sample))
    return [row for number, row in enumerate(all_rows) if number in drawn]


def run(
    some: list[Row], trials: int = 1, seed: int = 0, told: Callable[[Result], Any] = lambda result: None
) -> list[Result]:
    """Trials of each row; ``told`` is called after each row. In the order of the stages, results in that of rows."""
    if not __debug__:
        raise ConfigurationError("Python was told to leave out assertions (-O, PYTHONOPTIMIZE): no row could fail")
    logging.getLogger().addHandler(logging.NullHandler())  # what benches say of their faults is in their logs
    results: dict[str, Result] = {}
    with own_folders() as folder:
        for stage in dict.fromkeys(row.stage for row in some):
            with tempfile.TemporaryDirectory(dir=folder) as own, stage(Path(own)) as standing:
                for row in (row for row in some if row.stage is stage):
                    result = results[row.fault] = _tried(row, standing, trials, seed)
                    told(result)
    return [results[row.fault] for row in some]


def _tried(row: Row, standing: Any, trials: int, seed: int) -> Result:
    dice = random.Random(f"{seed}/{row.fault}")
    worst_s: float | None = None
    for number in range(trials):
        try:
            with tempfile.TemporaryDirectory(prefix="labctl-l-") as folder:
                standing.set_up()
                took_s = row.trial(standing, Trial(dice, Path(folder)))
        except Exception as error:  # noqa: BLE001 - whatever a row does wrong, the others are tried
            return Result(row, number + 1, worst_s, f"trial {number + 1}: {type(error).__name__}: {error}")
        if took_s is not None:
            worst_s = took_s if worst_s is None else max(worst_s, took_s)
    if row.bound_s is not None and (worst_s is None or worst_s > row.bound_s):
        late = "no time was taken" if worst_s is None else f"took {worst_s:.3f} s, allowed are {row.bound_s:g}"
        return Result(row, trials, worst_s, late)
    return Result(row, trials, worst_s, "")
