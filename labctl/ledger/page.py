"""The ledger as a page of documentation."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterable
from pathlib import Path

from labctl.ledger.row import Result

_HEAD = """# Safety: what happens when things go wrong

Each row is a fault that is brought about on benches of the ledger's own, with simulated devices or with the drivers of
real tables on emulated instruments; no hardware was seen. `labctl ledger` does it anywhere, `labctl ledger "FAULT"` one
row; this page is written by `labctl ledger --trials 20 --report docs/safety.md`. Time is from the fault (from its
detection, where the second column says so) until no laser emits, as the simulated table itself has it, the longest of
all trials. What is told of times holds for software that runs; see `bus.md` for what it does not protect from, and
`threats.md` for people.
"""


def page(results: Iterable[Result]) -> str:
    """In Markdown."""
    lines = [
        _HEAD,
        "| fault | detected by | outcome | worst | bound | trials | ok |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        row = result.row
        worst, bound = _seconds(result.worst_s), _seconds(row.bound_s)
        outcome = row.outcome if result.ok else (result.wrong or result.late).replace("|", "/").replace("\n", " ")
        lines.append(
            f"| {row.fault} | {row.detected_by} | {outcome} | {worst} | {bound} | {result.trials} | "
            f"{'yes' if result.ok else '**no**'} |"
        )
    return "\n".join([*lines, "", f"{datetime.date.today().isoformat()}, commit {_commit()}.", ""])


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.2f} s"


def _commit() -> str:
    """Of the checkout that is run, "unknown" where there is none."""
    folder = Path(__file__).resolve().parent
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return asked.stdout.strip()
