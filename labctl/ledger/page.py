"""The ledger as a page of documentation."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterable
from pathlib import Path

from labctl.ledger.row import Result, Tried

_HEAD = """# Safety: what happens when things go wrong

Each row is a fault that is brought about on benches of the ledger's own: with simulated devices, and with the drivers
of real tables on emulated instruments. No hardware was seen. `labctl ledger` does it anywhere, `labctl ledger "FAULT"`
one row; this page is written by `labctl ledger --trials 20 --report docs/safety.md`.

Time is from the fault, or from its detection where a driver, an interlock or the run itself detects it, until no laser
emits, as the simulated table itself has it: the longest of all trials, beside its bound. Trials are dealt to the kinds
of bench. A bound has room for a machine with nothing else to do: on a busy one a process may have to wait for a
processor. Rows are tried side by side; one that was late so is tried again alone, as often, and both times are told. A
time beyond its bound is told as such. What is told of times holds for software that runs; see `bus.md` for what it does
not protect from, and `threats.md` for people.
"""


def page(results: Iterable[Result]) -> str:
    """In Markdown."""
    lines = [
        _HEAD,
        "| fault | detected by | outcome | bench | trials | worst | bound | ok |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    alone: dict[str, list[str]] = {}
    for result in results:
        row, tried = result.row, result.tried
        outcome = row.outcome if result.ok else f"{result.wrong} (should be: {row.outcome})"
        cells = [
            row.fault, row.detected_by, outcome,
            *("<br>".join(column) for column in zip(*map(_cells, tried), strict=True)),
            "yes" if result.ok else "**no**",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |")
        if row.alone:
            alone.setdefault(f"Only {' and '.join(t.bench.kind for t in tried)}: {row.alone}.", []).append(row.fault)
    lines += ["", "Faults that are brought about on one kind of bench only:", ""] if alone else []
    lines += [f"- {why} This holds for: {'; '.join(faults)}." for why, faults in alone.items()]
    return "\n".join([*lines, "", f"{datetime.date.today().isoformat()}, commit {_commit()}.", ""])


def _cells(tried: Tried) -> tuple[str, str, str, str]:
    beside = f" ({_seconds(tried.beside_s)} side by side)" if tried.beside_s is not None else ""
    return tried.bench.kind, str(tried.trials), _seconds(tried.worst_s) + beside, _seconds(tried.bench.bound_s)


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
