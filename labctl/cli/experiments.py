"""`labctl run`, `labctl figure` and `labctl resume`."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError, LabError
from labctl import registry
from labctl.bench.overrides import parse_assignments
from labctl.experiments.calibrate import Calibrated, calibrate, resume_calibration
from labctl.experiments.console import Console
from labctl.experiments.execute import Outcome, execute, resume
from labctl.experiments.unfinished import read_unfinished
from labctl.guard import FAILED, status_of
from labctl.plain import plain
from labctl.runfile.file import find_run


def run_protocol(
    name: str, bench: str | None, assignments: list[str], seed: int, out: Path, as_json: bool, at: str | None = None
) -> int:
    """Run a protocol or calibration routine; its results go to standard output.

    What a routine finds is kept by `labctl calibrate`; that of one that says so, also here.
    """
    console = Console(quiet=as_json)
    routine = name not in registry.names("labctl.protocols") and name in registry.names("labctl.calibrations")
    group: registry.Group = "labctl.calibrations" if routine else "labctl.protocols"
    if routine and registry.load(group, name).kept_by_run:
        kept = calibrate(name, bench, parse_assignments(assignments), seed, out, console)
        assert kept.outcome is not None
        console.say(_in_force(kept))
        return _protocol_ran(kept.outcome, as_json)
    with _told_how_to_resume(not routine) as begun:
        outcome = execute(group, name, bench, parse_assignments(assignments), seed, out, console, at, begun)
    return _protocol_ran(outcome, as_json)


def _protocol_ran(outcome: Outcome, as_json: bool) -> int:
    result = {
        "protocol": outcome.name,
        "values": outcome.values,
        "seconds": outcome.seconds,
        "bench_seconds": outcome.bench_seconds,
        "run_file": str(outcome.run_file),
    }
    _emit(result, as_json)
    return 0


def run_figure(
    name: str, bench: str | None, assignments: list[str], seed: int, out: Path, as_json: bool, at: str | None = None
) -> int:
    """Measure a figure; one JSON object on standard output, whatever happens on the bench."""
    console = Console(quiet=as_json)
    given = parse_assignments(assignments)

    def measure(begun: Callable[[Path], None]) -> Outcome:
        return execute("labctl.figures", name, bench, given, seed, out, console, at, begun)

    return _figure_told(name, measure, console, as_json)


def resume_run(given: str, bench: str | None, out: Path, anew: bool, as_json: bool, at: str | None = None) -> int:
    """Go on with a run that is not complete; what is told, and kept of a calibration, is as if it had never ended."""
    path = find_run(given, out)
    told = read_unfinished(path)
    console = Console(quiet=as_json)

    def measure(begun: Callable[[Path], None]) -> Outcome:
        return resume(path, bench, console, at, begun, anew=anew)

    if told.group == "labctl.figures":
        return _figure_told(told.name, measure, console, as_json)
    with _told_how_to_resume() as begun:
        if told.group == "labctl.calibrations" and registry.load(told.group, told.name).kept_by_run:
            kept = resume_calibration(path, bench, console, begun, anew=anew)
            assert kept.outcome is not None
            console.say(_in_force(kept))
            return _protocol_ran(kept.outcome, as_json)
        outcome = measure(begun)
    return _protocol_ran(outcome, as_json)


def _in_force(kept: Calibrated) -> str:
    return "in force now: " + ", ".join(f"{what} {c[:12]}" for what, c in kept.ids.items())


@contextlib.contextmanager
def _told_how_to_resume(resumable: bool = True) -> Iterator[Callable[[Path], None]]:
    """Where a run ends before it is complete, how to go on with it is told on standard error."""
    begun: list[Path] = []
    try:
        yield begun.append
    except (KeyboardInterrupt, LabError) as error:
        if resumable and begun:
            if begun[0].with_suffix(".checkpoint").exists():
                print(f"labctl: to go on from the last checkpoint: labctl resume {begun[0]}", file=sys.stderr)  # noqa: T201
            elif isinstance(error, KeyboardInterrupt):
                print(f"labctl: no checkpoint yet; to begin anew: labctl resume {begun[0]}", file=sys.stderr)  # noqa: T201
        raise


def _figure_told(
    name: str, measure: Callable[[Callable[[Path], None]], Outcome], console: Console, as_json: bool
) -> int:
    started = time.monotonic()
    try:
        with _told_how_to_resume() as begun:
            outcome = measure(begun)
    except ConfigurationError:
        raise
    except LabError as error:
        failed = {
            "figure": name,
            "values": None,
            "targets": None,
            "ok": False,
            "seconds": time.monotonic() - started,
            "error": {"type": type(error).__name__, "message": str(error)},
        }
        _emit(failed, as_json)
        print(f"labctl: {error}", file=sys.stderr)  # noqa: T201
        return status_of(error)
    _emit(_figure_object(outcome), as_json)
    if not as_json:
        console.say(f"run file: {outcome.run_file}   time on the table: {_duration(outcome.bench_seconds)}")
    return FAILED if outcome.ok is False else 0


def list_figures(as_json: bool) -> int:
    """Names and first lines of the figures' descriptions."""
    described = {name: _summary("labctl.figures", name) for name in registry.names("labctl.figures")}
    if as_json:
        print(json.dumps(described))  # noqa: T201
    else:
        width = max((len(n) for n in described), default=0)
        for name, summary in described.items():
            print(f"{name:{width}}  {summary}")  # noqa: T201
    return 0


def _summary(group: registry.Group, name: str) -> str:
    doc = inspect.getdoc(registry.load(group, name)) or ""
    return doc.splitlines()[0] if doc else ""


def _figure_object(outcome: Outcome) -> dict[str, Any]:
    return {
        "figure": outcome.name,
        "values": outcome.values,
        "targets": outcome.targets,
        "ok": outcome.ok,
        "seconds": round(outcome.seconds, 3),
    }


def _emit(value: dict[str, Any], compact: bool) -> None:
    text = json.dumps(plain(value), indent=None if compact else 1, ensure_ascii=False)
    if not compact:
        # One line per list of numbers: a thousand fields one below the other help nobody.
        text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + " ".join(m.group(1).split()) + "]", text)
    print(text)  # noqa: T201


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "not known"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
