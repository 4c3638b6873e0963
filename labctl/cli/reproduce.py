"""`labctl reproduce`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from drivers.errors import ConfigurationError, LabError
from labctl.experiments.console import Console
from labctl.guard import FAILED
from labctl.reproduce.choose import chosen
from labctl.reproduce.run import Report, reproduce

FOLDERS = {False: Path("runs", "reproduction"), True: Path("runs", "reproduction-quick")}


def reproduce_papers(
    quick: bool, out: Path | None, only: list[str], workers: int | None, retry_failed: bool, as_json: bool
) -> int:
    """Measure figures and write the report; what became of it goes to standard output."""
    command = shlex.join(["labctl", *sys.argv[1:]])
    folder = out or FOLDERS[quick]
    try:
        report = reproduce(
            folder,
            quick=quick,
            only=_names(only),
            workers=workers,
            retry_failed=retry_failed,
            console=Console(quiet=as_json),
            command=command,
        )
    except (KeyboardInterrupt, LabError) as error:
        if folder.exists() and not isinstance(error, ConfigurationError):
            print(f"labctl: what was measured is kept; to go on, the same again: {command}", file=sys.stderr)  # noqa: T201
        raise
    return _told(report, command, as_json)


def list_entries(quick: bool, only: list[str]) -> int:
    """What a report would be made of: names, and the processor time of each (s)."""
    entries = chosen(_names(only), quick)
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        print(f"{entry.name:{width}}  {entry.cost_s:6.0f} s  {entry.reproduction.source}")  # noqa: T201
    return 0


def _names(only: list[str]) -> list[str]:
    return [name.strip() for text in only for name in text.split(",") if name.strip()]


def _told(report: Report, command: str, as_json: bool) -> int:
    result = {
        "figures": len(report.entries),
        "ok": sum(e["ok"] is True for e in report.entries),
        "not_judged": sum(e["state"] == "measured" and e["ok"] is None for e in report.entries),
        "missed": report.missed,
        "failed": report.failed,
        "report": str(report.html),
        "json": str(report.json),
    }
    print(json.dumps(result, indent=None if as_json else 1, ensure_ascii=False))  # noqa: T201
    for entry in report.entries:
        if entry["error"]:
            print(f"labctl: {entry['name']}: {entry['error']['type']}: {entry['error']['message']}", file=sys.stderr)  # noqa: T201
    if report.failed:
        again = command if "--retry-failed" in shlex.split(command) else f"{command} --retry-failed"
        print(f"labctl: to try those that failed again: {again}", file=sys.stderr)  # noqa: T201
    return FAILED if report.missed or report.failed else 0
