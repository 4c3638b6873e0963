"""One figure of a report, measured by a worker of the sweep: into a run file, as `labctl figure` does."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pydantic import Field

from drivers.errors import ConfigurationError
from labctl.bench.client import Bench, open_bench
from labctl.environment import git_state, versions
from labctl.experiments.execute import Outcome, job_of, perform
from labctl.experiments.experiment import Parameters, Protocol
from labctl.experiments.recorder import Recorder
from labctl.plain import plain
from labctl.runfile.file import pictures_of
from labctl.runfile.reading import read_summary
from labctl.runs.command import command_of
from labctl.runs.data import RunData
from labctl.runs.plot import draw


class PointParameters(Parameters):
    """A figure and how it is measured."""

    figure: str = Field(description="its name")
    given: str = Field(description="--set values, JSON")
    first: str = Field(default="{}", description="parameters that are run files of other figures, measured first, JSON")
    seed: int = Field(description="of the figure's own random numbers")
    folder: str = Field(description="of run files")


class Point(Protocol):
    """Measures a figure, on a simulated bench of its own where it needs one, and keeps its run file and picture."""

    Parameters = PointParameters

    def run(self, bench: Bench, parameters: PointParameters, record: Recorder) -> dict[str, Any]:
        """What is kept of it, as JSON: values, targets, times, run files, commands, versions."""
        p, folder = parameters, Path(parameters.folder)
        given: dict[str, object] = json.loads(p.given)
        began, spent = time.perf_counter(), time.process_time()
        commands: list[str] = []
        for name, (figure, settings) in json.loads(p.first).items():
            before = _measured(figure, settings, p.seed, folder)
            commands.append(_command(before.run_file))
            given[name] = str(before.run_file)
        outcome = _measured(p.figure, given, p.seed, folder)
        commands.append(_command(outcome.run_file))
        told = {
            "values": outcome.values,
            "seed": p.seed,
            "targets": outcome.targets,
            "ok": outcome.ok,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - spent,
            "bench_seconds": outcome.bench_seconds,
            "run_file": outcome.run_file.name,
            "pictures": [path.name for path in _pictures(outcome.run_file)],
            "commands": commands,
            "git": git_state(),
            "versions": versions(),
        }
        return {"told": json.dumps(plain(told))}


def _measured(figure: str, given: dict[str, object], seed: int, folder: Path) -> Outcome:
    job = job_of("labctl.figures", figure, None, given)
    return perform(job, open_bench(job.config, own=True), seed, folder)


def _command(run_file: Path) -> str:
    return command_of(read_summary(run_file)).text


def _pictures(run_file: Path) -> list[Path]:
    """Those that the figure drew, or else one of all that its run file has."""
    found = pictures_of(run_file)
    if found:
        return found
    drawn = run_file.with_name(f"{run_file.stem}-all.png")
    try:
        draw(RunData(run_file), drawn)
    except ConfigurationError:  # it has no arrays
        return []
    return [drawn]
