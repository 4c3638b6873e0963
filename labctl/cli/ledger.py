"""`labctl ledger`: what happens when things go wrong, brought about and checked."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.experiments.console import Console
from labctl.guard import FAILED
from labctl.ledger.page import page
from labctl.ledger.plan import parts
from labctl.ledger.row import Result, Row, Tried
from labctl.ledger.run import chosen, rows, run_side_by_side

_SAY_EVERY_S = 30.0
"""How far it is, where no bar can be shown."""


def list_rows(as_json: bool) -> int:
    """Every row, nothing brought about."""
    found = rows()
    if as_json:
        told = [{"fault": r.fault, "detected_by": r.detected_by, "bound_s": r.bound_s} for r in found]
        print(json.dumps({"rows": told}))  # noqa: T201
        return 0
    width = max((len(row.fault) for row in found), default=0)
    for row in found:
        benches = ", ".join(b.kind if b.bound_s is None else f"{b.kind} {b.bound_s:g} s" for b in row.benches)
        print(f"{row.fault:{width}}  {row.detected_by}: {row.outcome} [{benches}]")  # noqa: T201
    return 0


def run_ledger(
    names: list[str], sample: int | None, seed: int, trials: int, workers: int, report: Path | None, as_json: bool
) -> int:
    """Trials of the rows that are chosen; one JSON object on standard output.

    What was found until Ctrl-C is told, too: as JSON the rows that were over, and ``"interrupted": true``.
    """
    if names and sample is not None:
        raise ConfigurationError("--sample draws rows; leave it out where rows are named")
    some = chosen(rows(), sample, seed, names)
    if report is not None:
        if len(some) != len(rows()):
            raise ConfigurationError("--report writes a page of all rows; leave out --sample and names")
        _must_be_writable(report)
    watch = _Watch(some, trials, quiet=as_json)
    try:
        with watch.console.progress("ledger", watch.planned) as advance:
            results = run_side_by_side(some, trials, seed, workers, lambda row, tried: watch.told(row, tried, advance))
    except KeyboardInterrupt:
        watch.interrupted(report)
        raise
    if report is not None:
        report.write_text(page(results), encoding="utf-8")
    if as_json:
        print(json.dumps({"rows": [result.told() for result in results]}))  # noqa: T201
    watch.over(results)
    return 0 if all(result.ok for result in results) else FAILED


def _must_be_writable(report: Path) -> None:
    """Said before trials that take long."""
    writable = os.access(report if report.exists() else report.parent, os.W_OK)
    if report.is_dir() or not writable:
        raise ConfigurationError(f"--report {report}: no file can be written there; name one in a folder of yours")


class _Watch:
    """What is shown meanwhile: a bar of trials, and a line for each row on each of its benches once it is over."""

    def __init__(self, some: list[Row], trials: int, quiet: bool) -> None:
        self.console = Console(quiet)
        self._quiet = quiet
        self._some = some
        self._known = {(part.row.fault, part.bench.kind): part.tried for part in parts(some, trials)}
        self.planned = sum(tried.left for tried in self._known.values())
        self._began_s = self._said_s = time.monotonic()

    def told(self, row: Row, tried: Tried, advance: Callable[[], None]) -> None:
        """One more trial is over."""
        before = self._known[row.fault, tried.bench.kind]
        self._known[row.fault, tried.bench.kind] = tried
        for _ in range(before.left - tried.left):
            advance()
        self.console.note(f"{row.fault} ({tried.bench.kind}) {tried.trials} of {tried.planned}  {tried.time}".rstrip())
        if self._quiet:
            return
        if before.left and not tried.left:
            _tell(row, tried)
        if not sys.stderr.isatty() and time.monotonic() - self._said_s > _SAY_EVERY_S:
            self._said_s = time.monotonic()
            left = sum(tried.left for tried in self._known.values())
            self.console.say(f"{self.planned - left} of {self.planned} trials")

    def interrupted(self, report: Path | None) -> None:
        """What was found until now."""
        found = [Result(row, tuple(self._known[row.fault, bench.kind] for bench in row.benches)) for row in self._some]
        over = [result for result in found if not any(tried.left for tried in result.tried)]
        if self._quiet:
            told = [result.told() for result in over]
            print(json.dumps({"rows": told, "interrupted": True}), flush=True)  # noqa: T201
            return
        for result in found:
            for tried in result.tried:
                if tried.left and tried.trials:
                    _tell(result.row, tried)
        unwritten = f"; {report} was not written" if report is not None else ""
        self.console.say(f"interrupted: {len(over)} of {len(found)} rows were over{unwritten}")

    def over(self, results: list[Result]) -> None:
        """What it was in all."""
        wrong = [result for result in results if not result.ok]
        trials = sum(tried.trials for result in results for tried in result.tried)
        lasted = f"{len(results)} rows, {trials} trials in {(time.monotonic() - self._began_s) / 60:.1f} min"
        self.console.say(f"{lasted}; {len(wrong)} rows are not as told" if wrong else f"{lasted}, all as told")


def _tell(row: Row, tried: Tried) -> None:
    sign = "✗" if not tried.ok else "…" if tried.left else "✓"
    so_far = f"   {tried.trials} of {tried.planned} trials" if tried.left else ""
    each = f"   {tried.lasted_s / tried.trials:.1f} s a trial"
    print(f" {sign} {row.fault} ({tried.bench.kind}){so_far}   {tried.time}".rstrip() + each, flush=True)  # noqa: T201
    if not tried.ok:
        print(f"   {tried.wrong or tried.late}", file=sys.stderr, flush=True)  # noqa: T201
