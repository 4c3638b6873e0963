"""One point of a sweep, measured: on a bench of its own, or on none. Runs in workers, near and far."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl import registry
from labctl.bench.client import open_bench
from labctl.experiments.execute import check_parameters, job_of, perform_into
from labctl.experiments.in_memory import MemoryRecorder
from labctl.sweep import points
from labctl.sweep.no_bench import NoBench
from labctl.sweep.plan import Plan
from labctl.sweep.points import MeasuredPoint

_ONE_AT_A_TIME = threading.Lock()
"""A Dask worker may have several threads; experiments count on being alone in their process."""


@dataclass(frozen=True)
class Measured:
    """What a worker sends back of a point: all of it as bytes, for the file, and how it went."""

    index: int
    ok: bool
    seconds: float
    encoded: bytes


def measure(plan: Plan, indices: Sequence[int], *, alone: bool = True) -> list[Measured]:
    """Measure points one after the other. What goes wrong with one is kept with it and stops nothing.

    alone: on a simulated table of its own, also where the same bench is up.
    """
    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory(prefix="labctl-sweep-") as folder:
        registry.load(plan.group, plan.name)  # first: limits hold for libraries that are loaded
        # Sums of several threads depend on how many there are.
        with threadpool_limits(limits=1, user_api="blas"):
            return [_measured(plan, index, Path(folder), alone) for index in indices]


def _measured(plan: Plan, index: int, folder: Path, alone: bool) -> Measured:
    began = time.perf_counter()
    values: dict[str, Any] = {}
    error = None
    try:
        values = points.tidy(_values(plan, index, folder, alone))
    except Exception as problem:  # noqa: BLE001 - an experiment may fail in any way, and others are to go on
        error = points.failure(problem)
    measured = MeasuredPoint(index, time.perf_counter() - began, values, error)
    return Measured(index, error is None, measured.seconds, points.encode(measured))


def _values(plan: Plan, index: int, folder: Path, alone: bool) -> dict[str, Any]:
    given, seed = plan.given(index), plan.seed_of(index)
    record = MemoryRecorder(plan.name, folder, seed)
    if plan.bench is not None:
        job = job_of(plan.group, plan.name, plan.bench, given, plan.texts)
        return perform_into(record, job, open_bench(job.config, own=alone)).values
    experiment = registry.load(plan.group, plan.name)()
    parameters = check_parameters(plan.name, experiment.Parameters, given)
    with record:
        experiment.prepare(parameters, record)
        results = experiment.run(NoBench(plan.name), parameters, record)
        values: dict[str, Any] = experiment.conclude(results, parameters, record)
    return values
