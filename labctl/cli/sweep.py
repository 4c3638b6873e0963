"""`labctl sweep`."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from drivers.errors import LabError
from labctl.bench.overrides import parse_assignments
from labctl.experiments.console import Console
from labctl.guard import FAILED
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
    with _told_how_to_go_on() as begun:
        outcome = sweep(
            plan,
            out,
            workers=workers,
            dask=dask,
            retry_failed=retry_failed,
            console=Console(quiet=as_json),
            command=_command(),
            begun=begun,
        )
    return _told(outcome, as_json)


def resume_sweep(path: Path, workers: int | None, dask: str | None, retry_failed: bool, as_json: bool) -> int:
    """Go on with the sweep of a file."""
    with _told_how_to_go_on() as begun:
        outcome = resume(
            path,
            workers=workers,
            dask=dask,
            retry_failed=retry_failed,
            console=Console(quiet=as_json),
            command=_command(),
            begun=begun,
        )
    return _told(outcome, as_json)


@contextlib.contextmanager
def _told_how_to_go_on() -> Iterator[Callable[[Path], None]]:
    """Where a sweep ends before all is measured, how to measure the rest is told on standard error."""
    begun: list[Path] = []
    try:
        yield begun.append
    except (KeyboardInterrupt, LabError):
        if begun:
            print(f"labctl: what was measured is kept; to go on: labctl sweep --resume {begun[0]}", file=sys.stderr)  # noqa: T201
        raise


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
