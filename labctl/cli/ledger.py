"""`labctl ledger`: what happens when things go wrong, brought about and checked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.cli.guard import FAILED
from labctl.ledger.page import page
from labctl.ledger.row import Result
from labctl.ledger.run import chosen, rows, run, run_side_by_side


def list_rows(as_json: bool) -> int:
    """Every row, nothing brought about."""
    found = rows()
    if as_json:
        told = [{"fault": r.fault, "detected_by": r.detected_by, "bound_s": r.bound_s} for r in found]
        print(json.dumps({"rows": told}))  # noqa: T201
        return 0
    width = max((len(row.fault) for row in found), default=0)
    for row in found:
        bound = "" if row.bound_s is None else f" (within {row.bound_s:g} s)"
        print(f"{row.fault:{width}}  {row.detected_by}: {row.outcome}{bound}")  # noqa: T201
    return 0


def run_ledger(
    names: list[str], sample: int | None, seed: int, trials: int, workers: int, report: Path | None, as_json: bool
) -> int:
    """Trials of the rows that are chosen; one JSON object on standard output."""
    if names and sample is not None:
        raise ConfigurationError("--sample draws rows; leave it out where rows are named")
    some = chosen(rows(), sample, seed, names)
    if report is not None and len(some) != len(rows()):
        raise ConfigurationError("--report writes a page of all rows; leave out --sample and names")
    told = _quiet if as_json else _tell
    results = run(some, trials, seed, told) if workers == 1 else run_side_by_side(some, trials, seed, workers, told)
    if report is not None:
        report.write_text(page(results), encoding="utf-8")
    if as_json:
        print(json.dumps({"rows": [result.told() for result in results]}))  # noqa: T201
    return 0 if all(result.ok for result in results) else FAILED


def _quiet(result: Result) -> None:
    pass


def _tell(result: Result) -> None:
    row = result.row
    worst = "" if result.worst_s is None else f"{result.worst_s:.3f} s"
    bound = "" if row.bound_s is None else f" of {row.bound_s:g} s"
    sign = "✓" if result.ok else "✗"
    print(f" {sign} {row.fault}   {worst}{bound}", flush=True)  # noqa: T201
    if not result.ok:
        print(f"   {result.wrong or result.late}", file=sys.stderr, flush=True)  # noqa: T201
