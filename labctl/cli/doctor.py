"""`labctl doctor`: what of this machine labctl needs, and how that is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable

import msgspec

from labctl.doctor import folders, machine, python, trials
from labctl.doctor.finding import Finding
from labctl.guard import FAILED

_SIGNS = {"ok": "✓", "note": "·", "broken": "✗"}


def examine(processes: bool, as_json: bool) -> int:
    """Every finding as it is made, or all as one object: {"findings", "broken", "seconds"}."""
    began = time.perf_counter()
    found: list[Finding] = []
    looks: list[Callable[[], Iterable[Finding]]] = [
        python.python, python.packages, python.shadows, machine.displays, machine.ports, machine.memory,
        machine.clocks, folders.own, folders.data, folders.environment, folders.benches,
        lambda: trials.trials(processes),
    ]  # fmt: skip
    for look in looks:
        for finding in look():
            found.append(finding)
            if not as_json:
                _tell(finding, found[-2].area if len(found) > 1 else "")
    broken = sum(finding.state == "broken" for finding in found)
    notes = sum(finding.state == "note" for finding in found)
    seconds = round(time.perf_counter() - began, 2)
    if as_json:
        told = {"findings": msgspec.to_builtins(found), "broken": broken, "notes": notes, "seconds": seconds}
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201
    else:
        print(f"\n{broken} broken, {notes} to note, {len(found)} looked at in {seconds:.1f} s")  # noqa: T201
    return FAILED if broken else 0


def _tell(finding: Finding, before: str) -> None:
    if finding.area != before:
        print(finding.area, flush=True)  # noqa: T201
    print(f" {_SIGNS[finding.state]} {finding.what}: {finding.told}", flush=True)  # noqa: T201
    if finding.cure:
        print(f"     → {finding.cure}", flush=True)  # noqa: T201
