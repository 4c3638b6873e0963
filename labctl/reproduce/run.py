"""A report from beginning to end: figures measured side by side, what is kept of them, the page and its JSON."""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.experiments.console import Console
from labctl.reproduce.choose import Entry, chosen, planned
from labctl.reproduce.entries import entry_of
from labctl.reproduce.journal import journal_of, take_over
from labctl.reproduce.page import page
from labctl.runfile.file import synchronise
from labctl.sweep import file as sweep_file
from labctl.sweep import sweep
from labctl.sweep.plan import Plan

MOST_WORKERS = 2
"""Unless more are asked for: figures of a table take half a gigabyte each."""


@dataclass(frozen=True)
class Report:
    """What became of it. entries: in JSON's types, see `labctl.reproduce.entries`."""

    entries: list[dict[str, Any]]
    html: Path
    json: Path

    @property
    def missed(self) -> list[str]:
        """Entries that miss a target or a published value."""
        return [e["name"] for e in self.entries if e["state"] == "measured" and e["ok"] is False]

    @property
    def failed(self) -> list[str]:
        """Entries without values."""
        return [e["name"] for e in self.entries if e["state"] == "failed"]


def reproduce(
    out: Path,
    *,
    quick: bool = False,
    only: Collection[str] = (),
    workers: int | None = None,
    retry_failed: bool = False,
    console: Console | None = None,
    command: str = "",
) -> Report:
    """Measure what is not measured yet of a report, and write ``reproduction.html`` and ``reproduction.json``.

    out: folder of the report; run files and pictures go to ``runs`` in it, and journals have what is done. What is
    measured already, for this choice of figures or another, is not measured again. only: names of papers, figures or
    entries. workers: processes side by side, up to two if not given. retry_failed: also those that failed before.

    A figure that fails is an entry of the report. When it is interrupted the report is written with what there is, and
    the same call goes on; a figure that was half done is done again.

    Raises ConfigurationError for bad input, or if another process writes the same report; KeyboardInterrupt.
    """
    console = console or Console(quiet=True)
    runs = out / "runs"
    plan, entries = planned(chosen(only, quick), runs)
    kept = journal_of(out, plan)
    _can_be_written(runs)
    console.say(_expected(entries))
    if taken := take_over(kept, plan):
        console.say(f"{taken} of {plan.size} measurements are there already")
    workers = workers or _workers(plan)
    try:
        sweep(plan, kept, workers=workers, retry_failed=retry_failed, console=console, command=command)
    except KeyboardInterrupt:
        _written(out, kept, entries, command)
        raise
    return _written(out, kept, entries, command)


def _can_be_written(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make the folder {folder}: {error}; choose another --out") from None


def _workers(plan: Plan) -> int:
    from labctl.sweep.run import processors

    return min(MOST_WORKERS, processors(), plan.size)


def _expected(entries: list[Entry]) -> str:
    papers = len({entry.paper.key for entry in entries})
    minutes = sum(entry.cost_s for entry in entries) / 60
    return f"{len(entries)} figures of {papers} papers, {minutes:.0f} min of a processor where it was last measured"


def _written(out: Path, kept: Path, entries: list[Entry], command: str) -> Report:
    """The report of what is measured so far."""
    measured = sweep_file.read(kept)[1] if kept.exists() else {}
    runs = out / "runs"
    told = []
    for entry in entries:
        found = entry_of(entry, measured, runs)
        found["title"] = _title(entry.reproduction.figure)
        told.append(found)
    report = Report(told, out / "reproduction.html", out / "reproduction.json")
    seconds = sum(e["seconds"] for e in told)
    _write(report.html, page(list(zip(entries, told, strict=True)), runs, command, seconds))
    _write(report.json, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return report


def _title(figure: str) -> str:
    doc = inspect.getdoc(registry.load("labctl.figures", figure)) or ""
    return doc.split("\n\n")[0].replace("\n", " ") if doc else ""


def _write(path: Path, text: str) -> None:
    """In the place of what was there, at once: whoever has it open keeps a whole one."""
    aside = path.with_suffix(path.suffix + ".new")
    try:
        aside.write_text(text, encoding="utf-8")
        synchronise(aside)
        aside.replace(path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error}; make room, or choose another --out") from None
