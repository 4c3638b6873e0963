"""The command that makes a run again, from what its file says was asked for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from labctl import registry
from labctl.bench.load import packaged_benches
from labctl.bench.overrides import spelt
from labctl.runs.summary import RunSummary

_COMMANDS = {"labctl.protocols": "run", "labctl.figures": "figure", "labctl.calibrations": "calibrate"}


@dataclass(frozen=True)
class Command:
    """``text`` to be given in ``folder``; "" where there is none. note: why not, or what to mind."""

    text: str
    folder: str
    note: str = ""


def command_of(run: RunSummary) -> Command:
    """How to make a run again: the same protocol, bench, parameters and seed. It writes a run file of its own."""
    if run.group not in _COMMANDS:
        why = "it was part of a larger command" if run.bench else "it ended before it said what was to be done"
        return Command("", run.folder, why)
    said = {key: spelt(key, value) for key, value in run.given.items()}
    unsaid = [key for key, text in said.items() if text is None]
    if unsaid:
        return Command("", run.folder, f"no command line can say its {', '.join(unsaid)}; call labctl from Python")
    words = ["labctl", _COMMANDS[run.group], run.protocol, "--bench", _bench(run), "--seed", str(run.seed)]
    if run.at:
        words += ["--at", run.at]
    for text in said.values():
        words += ["--set", str(text)]
    note = "" if run.protocol in registry.names(run.group) else f"{run.protocol} is not installed here"  # type: ignore[arg-type]
    return Command(shlex.join(words), run.folder, note)


def _bench(run: RunSummary) -> str:
    path = Path(run.bench_path)
    return path.stem if packaged_benches().get(path.stem) == path else run.bench_path
