"""Sweeps from beginning to end: who measures, into which file, and what became of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from drivers.contract import Device
from drivers.errors import ConfigurationError
from labctl.experiments.console import Console
from labctl.experiments.execute import job_of
from labctl.sweep import file, points
from labctl.sweep.crew import Crew, Here, Processes
from labctl.sweep.file import SweepFile
from labctl.sweep.measuring import Measuring
from labctl.sweep.plan import Plan
from labctl.sweep.planning import refused
from labctl.sweep.points import Failure, MeasuredPoint


@dataclass(frozen=True)
class Outcome:
    """A sweep that ended. failures: by the number of the point. seconds, measured: of this time only."""

    path: Path
    plan: Plan
    failures: dict[int, Failure]
    measured: int
    seconds: float


def sweep(
    plan: Plan,
    path: Path | None = None,
    *,
    workers: int | None = None,
    dask: str | None = None,
    retry_failed: bool = False,
    console: Console | None = None,
    command: str = "",
    begun: Callable[[Path], None] | None = None,
) -> Outcome:
    """Measure all points of a plan into one file; of a file that is there, those that it has not.

    path: else a file in ``sweeps`` named after the plan. workers: processes of this machine, as many as it has
    processors if not given; 1 is this process. dask: address of the scheduler of a cluster, instead. retry_failed: also
    points that failed before. command: kept in the file. begun: is told the file as soon as this process has it.

    Results do not depend on workers, their number, or the order of points. Points that fail are in the outcome. Raises
    ConfigurationError for bad input or a file of another sweep, BusError if the cluster is lost, KeyboardInterrupt;
    what was measured is in the file whatever happens.
    """
    console = console or Console(quiet=True)
    path = path or Path("sweeps", f"{plan.name.replace('.', '-')}-{plan.digest}.h5")
    unfit = refused(plan)
    choice = _choose(plan, unfit, workers, dask)
    about = {"command": command or "labctl.sweep", "workers": str(choice)}
    if path.exists() and (done := _if_done(path, plan, retry_failed)) is not None:
        console.say(f"{path}: all points are measured")
        return done
    with SweepFile(path, plan, about) as kept:
        if begun is not None:
            begun(path)
        known = {i for i, point in kept.measured.items() if point.error is None or not retry_failed}
        _keep_refused(kept, unfit, known, console)
        todo = [i for i in range(plan.size) if i not in known and i not in unfit]
        began = time.monotonic()
        if todo:
            crew = choice.crew(plan)
            try:
                console.say(f"{path}: {len(todo):,} of {plan.size:,} points to measure, {crew.about}")
                Measuring(plan, todo, crew, kept, console).run()
            finally:
                crew.close()
        failures = {i: r.error for i, r in sorted(kept.measured.items()) if r.error is not None}
    return Outcome(path, plan, failures, len(todo), time.monotonic() - began)


def resume(
    path: Path,
    *,
    workers: int | None = None,
    dask: str | None = None,
    retry_failed: bool = False,
    console: Console | None = None,
    command: str = "",
    begun: Callable[[Path], None] | None = None,
) -> Outcome:
    """Go on with a sweep that was interrupted or killed; see `sweep`. Its bench is as it was when the sweep began."""
    plan, _, _ = file.read(path)
    return sweep(
        plan,
        path,
        workers=workers,
        dask=dask,
        retry_failed=retry_failed,
        console=console,
        command=command,
        begun=begun,
    )


def _if_done(path: Path, plan: Plan, retry_failed: bool) -> Outcome | None:
    """The outcome of a sweep with nothing left to do, whose file then stays as it is."""
    kept, found, status = file.read(path)
    failures = {i: r.error for i, r in sorted(found.items()) if r.error is not None}
    if kept.differences(plan) or not status.startswith("complete") or (failures and retry_failed):
        return None
    return Outcome(path, plan, failures, 0, 0.0)


@dataclass(frozen=True)
class _Choice:
    """Who is to measure: a cluster, processes of this machine, or this process, on a bench that others may use."""

    dask: str | None
    workers: int
    alone: bool

    def __str__(self) -> str:
        return self.dask or f"{self.workers} of this machine"

    def crew(self, plan: Plan) -> Crew:
        """It, begun."""
        if self.dask is not None:
            from labctl.sweep.cluster import Cluster

            return Cluster(plan, self.dask)
        return Here(plan, alone=self.alone) if self.workers == 1 else Processes(plan, self.workers)


def _choose(plan: Plan, unfit: Collection[int], workers: int | None, dask: str | None) -> _Choice:
    """Raises ConfigurationError for a crew that cannot measure the plan."""
    if workers is not None and workers < 1:
        raise ConfigurationError(f"--workers {workers}: at least 1")
    if dask is not None and workers is not None:
        raise ConfigurationError("--workers are processes of this machine, --dask is a cluster; give one of them")
    if shared := _shared(plan, unfit):
        if dask is not None or (workers or 1) > 1:
            raise ConfigurationError(
                f"{shared}: there is one of it, and several workers cannot measure with it; sweep with --workers 1, or "
                "on a simulated bench"
            )
        return _Choice(None, 1, alone=False)
    return _Choice(dask, workers or processors(), alone=True)


def processors() -> int:
    """How many of them this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shared(plan: Plan, unfit: Collection[int]) -> str:
    """What of the bench there is only one of, in words; "" if every worker can have its own."""
    if plan.bench is None:
        return ""
    if at := os.environ.get("LABCTL_AT"):
        return f"the bench {plan.bench} is on another machine (LABCTL_AT={at})"
    first = next(i for i in range(plan.size) if i not in unfit)
    config = job_of(plan.group, plan.name, plan.bench, plan.given(first), plan.texts).config
    for device in config.devices.values():
        composite = issubclass(device.factory, Device) and device.factory.composite
        if device.backend != "simulated" and not composite:
            return f"the {device.name} of bench {config.name} is {device.backend}"
    return ""


def _keep_refused(
    kept: SweepFile, unfit: Mapping[int, ConfigurationError], known: Collection[int], console: Console
) -> None:
    """Points that the experiment does not take have failed already."""
    if unfit:
        first, plan = min(unfit), kept.plan
        console.say(f"{len(unfit):,} of {plan.size:,} points cannot be measured; at {plan.told(first)}: {unfit[first]}")
    new = [MeasuredPoint(i, 0.0, {}, Failure(type(e).__name__, str(e))) for i, e in unfit.items() if i not in known]
    if new:
        kept.append([points.encode(point) for point in new])
