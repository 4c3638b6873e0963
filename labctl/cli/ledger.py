"""`labctl ledger`: what happens when things go wrong, brought about and checked."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.guard import FAILED
from labctl.ledger.page import page
from labctl.ledger.row import Row, Tried
from labctl.ledger.run import chosen, rows, run_side_by_side


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
    """Trials of the rows that are chosen; one JSON object on standard output."""
    if names and sample is not None:
        raise ConfigurationError("--sample draws rows; leave it out where rows are named")
    some = chosen(rows(), sample, seed, names)
    if report is not None and len(some) != len(rows()):
        raise ConfigurationError("--report writes a page of all rows; leave out --sample and names")
    told = _quiet if as_json else _tell
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is ended first
    try:
        results = run_side_by_side(some, trials, seed, workers, told)
    finally:
        signal.signal(signal.SIGTERM, before)
    if report is not None:
        report.write_text(page(results), encoding="utf-8")
    if as_json:
        print(json.dumps({"rows": [result.told() for result in results]}))  # noqa: T201
    return 0 if all(result.ok for result in results) else FAILED


def _quiet(row: Row, tried: Tried) -> None:
    pass


def _tell(row: Row, tried: Tried) -> None:
    sign = "✓" if tried.ok else "✗"
    print(f" {sign} {row.fault} ({tried.bench.kind})   {tried.time}".rstrip(), flush=True)  # noqa: T201
    if not tried.ok:
        print(f"   {tried.wrong or tried.late}", file=sys.stderr, flush=True)  # noqa: T201
