"""The command that makes a run again, from what its file says was asked for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from labctl import registry
from labctl.bench.load import packaged_benches
from labctl.bench.overrides import spelt
from labctl.runfile.summary import RunSummary

COMMANDS = {"labctl.protocols": "run", "labctl.figures": "figure", "labctl.calibrations": "calibrate"}


@dataclass(frozen=True)
class Command:
    """``text`` to be given in ``folder``; "" where there is none. note: why not, or what to mind.

    assignments: what it has after ``--set``.
    """

    text: str
    folder: str
    note: str = ""
    assignments: tuple[str, ...] = ()


def command_of(run: RunSummary) -> Command:
    """How to make a run again: the same protocol, bench, parameters and seed. It writes a run file of its own."""
    if run.group not in COMMANDS:
        why = "it was part of a larger command" if run.bench else "it ended before it said what was to be done"
        return Command("", run.folder, why)
    said = {key: spelt(key, value) for key, value in run.given.items()}
    assignments = tuple(text for text in said.values() if text is not None)
    if len(assignments) < len(said):
        unsaid = ", ".join(key for key, text in said.items() if text is None)
        return Command("", run.folder, f"no command line can say its {unsaid}; `labctl repeat` can")
    words = ["labctl", COMMANDS[run.group], run.protocol, "--bench", _bench(run), "--seed", str(run.seed)]
    if run.at:
        words += ["--at", run.at]
    for text in assignments:
        words += ["--set", text]
    note = "" if run.protocol in registry.names(run.group) else f"{run.protocol} is not installed here"  # type: ignore[arg-type]
    return Command(shlex.join(words), run.folder, note, assignments)


def _bench(run: RunSummary) -> str:
    path = Path(run.bench_path)
    return path.stem if packaged_benches().get(path.stem) == path else run.bench_path
