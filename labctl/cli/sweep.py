"""`labctl sweep`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from labctl.bench.overrides import parse_assignments
from labctl.cli.guard import FAILED
from labctl.experiments.console import Console
from labctl.sweep import Outcome, plan_of, resume, sweep

_MOST_TOLD = 5


def run_sweep(
    name: str,
    varied: list[str],
    bench: str | None,
    assignments: list[str],
    together: bool,
    repeats: int,
    seed: int,
    workers: int | None,
    dask: str | None,
    out: Path | None,
    retry_failed: bool,
    as_json: bool,
) -> int:
    """Measure what of a sweep is not measured yet; what became of it goes to standard output."""
    given = parse_assignments(assignments)
    plan = plan_of(name, varied, given, bench, together=together, repeats=repeats, seed=seed)
    outcome = sweep(
        plan,
        out,
        workers=workers,
        dask=dask,
        retry_failed=retry_failed,
        console=Console(quiet=as_json),
        command=_command(),
    )
    return _told(outcome, as_json)


def resume_sweep(path: Path, workers: int | None, dask: str | None, retry_failed: bool, as_json: bool) -> int:
    """Go on with the sweep of a file."""
    outcome = resume(
        path,
        workers=workers,
        dask=dask,
        retry_failed=retry_failed,
        console=Console(quiet=as_json),
        command=_command(),
    )
    return _told(outcome, as_json)


def _command() -> str:
    return shlex.join(["labctl", *sys.argv[1:]])


def _told(outcome: Outcome, as_json: bool) -> int:
    plan, failures = outcome.plan, outcome.failures
    result = {
        "sweep": plan.name,
        "axes": dict(zip(plan.dimensions, plan.shape, strict=True)),
        "points": plan.size,
        "measured": outcome.measured,
        "failed": len(failures),
        "seconds": round(outcome.seconds, 3),
        "file": str(outcome.path),
    }
    print(json.dumps(result, indent=None if as_json else 1, ensure_ascii=False))  # noqa: T201
    for index in list(failures)[:_MOST_TOLD]:
        print(f"labctl: {plan.told(index)}: {failures[index]}", file=sys.stderr)  # noqa: T201
    if failures:
        more = f"{len(failures)} points failed" + (", these first" if len(failures) > _MOST_TOLD else "")
        again = f"labctl sweep --resume {shlex.quote(str(outcome.path))} --retry-failed"
        alone = shlex.join(["labctl", *plan.again(next(iter(failures)))])
        print(f"labctl: {more}; to try again: {again}; the first alone: {alone}", file=sys.stderr)  # noqa: T201
    return FAILED if failures else 0
