"""Makes a run again, with the command that `labctl runs show` tells, on the bench as the run file has it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.bench.client import open_bench
from labctl.bench.overrides import parse_assignments
from labctl.experiments.console import Console
from labctl.experiments.execute import Outcome, job_of, perform
from labctl.runfile.file import open_run, spoilt_told
from labctl.runfile.reading import read_summary, text_of
from labctl.runfile.summary import FOREIGN, UNREADABLE, RunSummary
from labctl.runs.command import COMMANDS, Command, command_of


@dataclass(frozen=True)
class Again:
    """What is to be made again: the run, its command, what its bench file and its overlay held."""

    run: RunSummary
    command: Command
    bench_texts: tuple[str, str]


def again(path: Path) -> Again:
    """Of a run file. ConfigurationError if it cannot be repeated, and why."""
    summary = read_summary(path)
    if summary.status in (UNREADABLE, FOREIGN):
        raise ConfigurationError(summary.why)
    if summary.now(path.parent).status == "running":
        raise ConfigurationError(f"{path} is being written; repeat it when it has ended")
    command = command_of(summary)
    if summary.group not in COMMANDS:
        raise ConfigurationError(f"{path} cannot be repeated: {command.note}")
    with spoilt_told(path), open_run(path) as file:
        texts = text_of(file["setup"], "bench_file"), text_of(file["setup"], "bench_overlay")
    return Again(summary, command, texts)


def repeat(told: Again, out: Path, console: Console, begun: Callable[[Path], None] | None = None) -> Outcome:
    """Make it again, into another run file in ``out``. What a calibration routine finds is not kept.

    Relative paths among its parameters lead from the folder in which it was begun, where that is still there. Raises
    ConfigurationError for what cannot be made here, any LabError from the bench.
    """
    run, out = told.run, out.absolute()
    meant = os.environ.get("LABCTL_AT") or run.at
    if meant != run.at:
        raise ConfigurationError(
            f"{run.file}: its bench is that of {run.at or 'this machine'}, and LABCTL_AT={meant} names another; "
            "unset it"
        )
    given = parse_assignments(told.command.assignments) if told.command.text else run.given
    with _in_folder(run.folder, console):
        group = cast(registry.Group, run.group)
        bench = Path(run.folder, run.bench_path)
        job = replace(job_of(group, run.protocol, bench, given, told.bench_texts), at=run.at or None)
        if job.config.fingerprint != run.fingerprint:
            console.say(
                f"the bench is read as {job.config.fingerprint} here and was {run.fingerprint}: what its file leaves "
                "open, such as defaults, has changed since"
            )
        return perform(job, open_bench(job.config, at=job.at), run.seed, out, console, begun)


@contextlib.contextmanager
def _in_folder(folder: str, console: Console) -> Iterator[None]:
    if not folder or not os.path.isdir(folder):
        console.say(f"{folder or 'its folder'} is not there any more; relative paths lead from here")
        yield
        return
    with contextlib.chdir(folder):
        yield
