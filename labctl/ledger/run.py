"""Runs rows of the ledger: those with the same stage one after another on it, each as often as wanted."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Self

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.conformance.stand import own_folders
from labctl.ledger.row import Result, Row, Trial

_MARK = "labctl-ledger.lock"


def rows() -> list[Row]:
    """All that are registered."""
    return [row for name in registry.names("labctl.ledger") for row in registry.load("labctl.ledger", name)]


def chosen(all_rows: list[Row], sample: int | None = None, seed: int = 0, names: Iterable[str] = ()) -> list[Row]:
    """Those that are named, else as many as ``sample``, drawn by the seed, else all.

    Raises ConfigurationError for a name that is none, and a sample that is larger than the ledger.
    """
    known = {row.fault: row for row in all_rows}
    wanted = list(names)
    for name in wanted:
        if name not in known:
            hint = registry.suggestion(name, known)
            raise ConfigurationError(f"no row {name!r} in the ledger{hint}; `labctl ledger --list` shows all")
    if wanted:
        return [known[name] for name in wanted]
    if sample is None:
        return all_rows
    if not 1 <= sample <= len(all_rows):
        raise ConfigurationError(
            f"--sample {sample}: the ledger has {len(all_rows)} rows; 1 to {len(all_rows)} of them"
        )
    drawn = set(random.Random(seed).sample(range(len(all_rows)), sample))
    return [row for number, row in enumerate(all_rows) if number in drawn]


def run(
    some: list[Row], trials: int = 1, seed: int = 0, told: Callable[[Result], Any] = lambda result: None
) -> list[Result]:
    """Trials of each row; ``told`` is called after each row, as stages come. Results are in the order of the rows.

    Raises ConfigurationError where Python leaves out assertions.
    """
    results: dict[str, Result] = {}
    with Theatre() as theatre:
        for stage in dict.fromkeys(row.stage for row in some):
            for row in (row for row in some if row.stage is stage):
                result = results[row.fault] = theatre.tried(row, trials, seed)
                told(result)
    return [results[row.fault] for row in some]


def run_side_by_side(
    some: list[Row], trials: int, seed: int, workers: int, told: Callable[[Result], Any] = lambda result: None
) -> list[Result]:
    """As `run`, in so many processes; rows of one stage stay together."""
    stages = [[row for row in some if row.stage is stage] for stage in dict.fromkeys(row.stage for row in some)]
    stages.sort(key=len, reverse=True)
    results: dict[str, Result] = {}

    def tried(rows: list[Row]) -> list[Result]:
        words = [sys.executable, "-m", "labctl", "ledger", *(row.fault for row in rows)]
        words += ["--trials", str(trials), "--seed", str(seed), "--json"]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        try:
            found = json.loads(ran.stdout)["rows"]
        except (ValueError, KeyError):
            found = [{"ok": False, "worst_s": None, "outcome": ran.stderr[-500:] or "nothing was said"}] * len(rows)
        return [
            Result(row, trials, one["worst_s"], "" if one["ok"] else str(one["outcome"]))
            for row, one in zip(rows, found, strict=True)
        ]

    with ThreadPoolExecutor(workers) as pool:
        for done in as_completed([pool.submit(tried, rows) for rows in stages]):
            for result in done.result():
                results[result.row.fault] = result
                told(result)
    return [results[row.fault] for row in some]


def sweep() -> None:
    """Remove the folders of ledgers that were killed. One that lives has a lock on its mark."""
    for mark in Path(tempfile.gettempdir()).glob(f"*/{_MARK}"):
        with contextlib.suppress(OSError):
            folder = mark.parent.lstat()
            if not stat.S_ISDIR(folder.st_mode) or folder.st_uid != os.getuid():
                continue
            with mark.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(mark.parent, ignore_errors=True)


class Theatre:
    """One stage after another, in folders of their own: a stage stays until a row wants another one."""

    def __init__(self) -> None:
        if not __debug__:
            raise ConfigurationError("Python was told to leave out assertions (-O, PYTHONOPTIMIZE): no row could fail")
        logging.getLogger().addHandler(logging.NullHandler())  # what benches say of their faults is in their logs
        self._all = contextlib.ExitStack()
        self._own = contextlib.ExitStack()
        self._stage: Any = None
        self._standing: Any = None

    def __enter__(self) -> Self:
        sweep()
        self._folder = self._all.enter_context(own_folders())
        mark = self._all.enter_context((self._folder / _MARK).open("w"))
        fcntl.flock(mark, fcntl.LOCK_EX)
        return self

    def __exit__(self, *error: object) -> None:
        with self._all:
            self._own.close()

    def _set(self, stage: Any) -> None:
        if self._stage is stage:
            return
        self._own.close()
        self._stage = None
        folder = self._own.enter_context(tempfile.TemporaryDirectory(dir=self._folder))
        self._standing = self._own.enter_context(stage(Path(folder)))
        self._stage = stage

    def tried(self, row: Row, trials: int = 1, seed: int = 0) -> Result:
        """Trials of a row, up to the first that does not end as told."""
        dice = random.Random(f"{seed}/{row.fault}")
        worst_s: float | None = None
        for number in range(trials):
            try:
                self._set(row.stage)
                with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                    self._standing.set_up()
                    took_s = row.trial(self._standing, Trial(dice, Path(folder)))
            except Exception as error:  # noqa: BLE001 - whatever a row does wrong, the others are tried
                return Result(row, number + 1, worst_s, f"trial {number + 1}: {type(error).__name__}: {error}")
            if took_s is not None:
                worst_s = took_s if worst_s is None else max(worst_s, took_s)
        return Result(row, trials, worst_s, "")
