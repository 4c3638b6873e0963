"""`labctl calibrate`: run a routine, or all that a bench needs, and keep what they find; check what is in force."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError, LabError
from labctl import registry
from labctl.bench.load import load_bench
from labctl.bench.overrides import parse_assignments
from labctl.experiments.calibrate import Calibrated, calibrate, calibrate_all
from labctl.experiments.check_up import Checked, check_bench
from labctl.experiments.console import Console
from labctl.experiments.execute import BENCH_KEYS
from labctl.experiments.report import write
from labctl.experiments.routine import summary
from labctl.guard import FAILED, status_of
from labctl.plain import plain
from labctl.store import Calibration


def calibrate_one(
    name: str, bench: str | None, assignments: list[str], seed: int, out: Path, dry_run: bool, as_json: bool
) -> int:
    """Run one routine; what it found goes to standard output."""
    console = Console(quiet=as_json)
    result = calibrate(name, bench, parse_assignments(assignments), seed, out, console, dry_run=dry_run)
    if as_json:
        print(json.dumps(plain(_object(result)), ensure_ascii=False))  # noqa: T201
    else:
        _print(result)
    return 0


def calibrate_bench(
    bench: str | None,
    assignments: list[str],
    seed: int,
    out: Path,
    again: bool,
    only_plan: bool,
    report: Path | None,
    as_json: bool,
) -> int:
    """Run all routines that a bench needs; 1 if one of them failed."""
    if bench is None:
        raise ConfigurationError("labctl calibrate --all: of which bench? give --bench FILE")
    given = parse_assignments(assignments)
    config = load_bench(bench, {key: value for key, value in given.items() if key.startswith(BENCH_KEYS)})
    report = report or out / f"{time.strftime('%Y-%m-%d-%H%M%S')}-calibration-{config.name}.html"
    if report.exists():
        raise ConfigurationError(f"--report {report}: the file exists and is kept; choose another name")
    console = Console(quiet=as_json)
    results: list[Calibrated] = []
    for result in calibrate_all(bench, given, seed, out, console, again=again, only_plan=only_plan):
        results.append(result)
        if not as_json:
            _print(result)
    if not only_plan:
        write(report, config.name, results)
    if as_json:
        told = {
            "bench": config.name,
            "routines": [_object(r) for r in results],
            "report": None if only_plan else str(report),
        }
        print(json.dumps(plain(told), ensure_ascii=False))  # noqa: T201
    elif not results:
        print(f"bench {config.name} has the devices of no routine")  # noqa: T201
    elif not only_plan:
        print(f"report: {report}")  # noqa: T201
    errors: list[LabError] = [r.error for r in results if r.error is not None]
    return max(map(status_of, errors), default=0) and FAILED


def check_calibrations(
    names: list[str], bench: str | None, assignments: list[str], seed: int, out: Path, as_json: bool
) -> int:
    """Check what is in force; 1 if some of it does not hold, or could not be told to."""
    if bench is None:
        raise ConfigurationError("labctl calibrate --check: of which bench? give --bench FILE")
    results: list[Checked] = []
    for result in check_bench(bench, names, parse_assignments(assignments), seed, out, Console(quiet=as_json)):
        results.append(result)
        if not as_json:
            _print_checked(result)
    if as_json:
        print(json.dumps(plain({"bench": bench, "routines": [_checked(r) for r in results]}), ensure_ascii=False))  # noqa: T201
    return FAILED if any(r.state in ("drifted", "failed") for r in results) else 0


def list_routines(as_json: bool) -> int:
    """Names, what they find and what they require."""
    import inspect

    from labctl.experiments.routine import routine

    found: dict[str, dict[str, Any]] = {}
    for name in registry.names("labctl.calibrations"):
        cls = routine(name)
        doc = (inspect.getdoc(cls) or "").splitlines()
        kinds = [f"{role}.{kind}" for role, kind in cls.places()]
        found[name] = {
            "finds": kinds,
            "requires": list(cls.requires),
            "checkable": cls.checkable(),
            "doc": doc[0] if doc else "",
        }
    if as_json:
        print(json.dumps(found, ensure_ascii=False))  # noqa: T201
        return 0
    width = max((len(name) for name in found), default=0)
    for name, told in found.items():
        after = f" (after {', '.join(told['requires'])})" if told["requires"] else ""
        check = "" if told["checkable"] else " No check."
        print(f"{name:{width}}  {told['doc']} Finds {', '.join(told['finds'])}{after}.{check}")  # noqa: T201
    return 0


def _object(result: Calibrated) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "routine": result.name,
        "state": result.state,
        "why": result.why,
        "calibrations": [_told(c) for c in result.calibrations],
        "seconds": round(outcome.seconds, 3) if outcome else None,
        "bench_seconds": round(outcome.bench_seconds, 6) if outcome else None,
        "run_file": str(result.run_file) if result.run_file else None,
    }


def _checked(result: Checked) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "routine": result.name,
        "state": result.state,
        "why": result.why,
        "verdicts": [
            {
                "role": v.role,
                "kind": v.kind,
                "id": v.id,
                "holds": v.holds,
                "checks": [
                    {"name": c.name, "value": c.value, "unit": c.unit, "low": c.low, "high": c.high, "passed": c.passed}
                    for c in v.checks
                ],
            }
            for v in result.verdicts
        ],
        "seconds": round(outcome.seconds, 3) if outcome else None,
        "bench_seconds": round(outcome.bench_seconds, 6) if outcome else None,
        "run_file": str(outcome.run_file) if outcome else None,
    }


def _told(c: Calibration) -> dict[str, Any]:
    return {
        "id": c.id or None,
        "role": c.role,
        "kind": c.kind,
        "valid_until": c.valid_until.isoformat() if c.valid_until else None,
        "values": summary(c.values),
        "checks": [{"name": k.name, "value": k.value, "unit": k.unit, "passed": k.passed} for k in c.checks],
    }


_MARKS = {"made": "✓", "measured": "✓", "valid": "=", "failed": "✗", "waiting": "…"}
_STATES = {"made": "in force", "measured": "measured, not kept", "valid": "still valid"}


def _print(result: Calibrated) -> None:
    told = _STATES.get(result.state, result.why)
    if result.state == "failed":
        print(f"labctl: {result.name}: {result.why}", file=sys.stderr)  # noqa: T201
    seconds = f", {result.outcome.seconds:.1f} s" if result.outcome else ""
    print(f"{_MARKS[result.state]} {result.name}: {told}{seconds}", flush=True)  # noqa: T201
    if result.state == "valid":
        return
    for c in result.calibrations:
        print(f"    {c.role}.{c.kind} {c.short_id}")  # noqa: T201
        for name, told_value in summary(c.values).items():
            print(f"      {name}: {_text(told_value)}")  # noqa: T201
        for check in c.checks:
            print(f"      check {check}: {'passed' if check.passed else 'FAILED'}")  # noqa: T201


_FOUND = {"holds": "holds", "drifted": "no longer holds", "failed": "could not be checked"}


def _print_checked(result: Checked) -> None:
    mark = {"holds": "✓", "drifted": "!", "failed": "✗"}.get(result.state, "…")
    told = _FOUND.get(result.state, result.why)
    if result.state == "failed":
        print(f"labctl: {result.name}: {result.why}", file=sys.stderr)  # noqa: T201
    took = f", {result.outcome.bench_seconds:.1f} s on the table" if result.outcome else ""
    print(f"{mark} {result.name}: {told}{took}", flush=True)  # noqa: T201
    for v in result.verdicts:
        print(f"    {v.role}.{v.kind} {v.id[:12]}: {'holds' if v.holds else 'NO LONGER HOLDS'}")  # noqa: T201
        for check in v.checks:
            print(f"      check {check}: {'passed' if check.passed else 'FAILED'}")  # noqa: T201


def _text(told: dict[str, Any]) -> str:
    unit = "" if told["unit"] == "1" else f" {told['unit']}"
    error = told.get("uncertainty", told.get("mean_uncertainty"))
    tail = (f" ± {error:.2g}" if error is not None else "") + unit
    if "value" in told:
        return f"{told['value']:.6g}{tail}"
    shape = " x ".join(map(str, told["shape"]))
    return f"{shape} numbers" + (f", mean {told['mean']:.6g}{tail}" if told["mean"] is not None else unit)
