"""`labctl conformance`: does a driver keep the contract's promises?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.conformance.report import write
from labctl.conformance.runner import Result, run, run_all
from labctl.conformance.stand import Case


def check_drivers(driver: str | None, mutation: str | None, report: Path | None, as_json: bool) -> int:
    """Run the suite and print what was found. 0 if everything passed, 1 if not."""
    if driver is None and mutation is not None:
        raise ConfigurationError(f"--mutate {mutation}: of which driver? give its name")
    if driver is not None and report is not None:
        raise ConfigurationError(f"--report {report}: the page is about all drivers; leave out {driver}")
    if report is not None and not report.parent.is_dir():
        raise ConfigurationError(f"--report {report}: there is no folder {report.parent}")
    if driver is not None:
        results = run(driver, mutation)
        for columns in _by_case(results).values() if not as_json else ():
            _print_case(columns)
    else:
        results = run_all(lambda case, found: None if as_json else _print_case(found))
    if report is not None:
        write(results, report)
    if as_json:
        print(json.dumps([asdict(result) for result in results]))  # noqa: T201
    return 1 if any(result.broken for result in results) else 0


def _by_case(results: list[Result]) -> dict[Case, list[Result]]:
    columns: dict[Case, list[Result]] = {}
    for r in results:
        columns.setdefault(Case(r.subject, r.kind, r.backend, r.layout), []).append(r)  # type: ignore[arg-type]
    return columns


def _print_case(results: list[Result]) -> None:
    case, taken_s = results[0], sum(r.seconds for r in results)
    passed = sum(not r.broken for r in results)
    print(  # noqa: T201
        f"{case.subject}, {case.backend}, {case.layout}: {passed} of {len(results)} checks passed, {taken_s:.1f} s",
        flush=True,
    )
    for result in results:
        if result.broken:
            print(f"  {result.check}: {result.broken.splitlines()[0]}", flush=True)  # noqa: T201
