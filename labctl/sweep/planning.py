"""From a command to the plan of a sweep, with everything that is wrong with it told before anything is measured."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from drivers.errors import ConfigurationError, LimitError
from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.experiments.execute import BENCH_KEYS, check_parameters, job_of
from labctl.experiments.experiment import Protocol
from labctl.sweep.axes import HOW, MOST_POINTS, parse_axes
from labctl.sweep.plan import REPEAT, Plan


def plan_of(
    name: str,
    varied: Sequence[str],
    assignments: Mapping[str, object] | None = None,
    bench: str | Path | None = None,
    *,
    together: bool = False,
    repeats: int = 1,
    seed: int = 0,
) -> Plan:
    """The plan of a sweep over a figure, or else a protocol.

    varied: ``KEY=VALUES`` texts (`labctl.sweep.axes`). assignments: ``--set`` values of all points.

    Raises ConfigurationError for bad input: names, values that no point could be measured with, a bench file.
    """
    group = _group_of(name)
    axes, single = parse_axes(varied)
    constants = dict(assignments or {})
    for key in [*single, *(axis.key for axis in axes)]:
        if key in constants:
            raise ConfigurationError(f"{key} is given both to be swept and with --set; give it once")
    constants |= single
    if not axes and repeats == 1:
        raise ConfigurationError(f"nothing is varied; {HOW}, or ask for --repeat")
    if together and len({len(axis.values) for axis in axes}) != 1:
        lengths = ", ".join(f"{axis.key} {len(axis.values)}" for axis in axes) or "none"
        raise ConfigurationError(f"with --zip all axes have one length; their lengths are: {lengths}")
    plan = Plan(group, name, axes, constants, together, repeats, seed)
    if len(set(plan.dimensions)) < len(plan.dimensions):
        raise ConfigurationError(f"{REPEAT} is both a parameter and the number of --repeat; sweep over one of them")
    if plan.size > MOST_POINTS:
        raise LimitError(
            f"{plan.size} points are more than the {MOST_POINTS} of one sweep; take fewer, or several files"
        )
    experiment = registry.load(group, name)()
    if not isinstance(experiment, Protocol):
        raise ConfigurationError(f"{name} is registered under {group}, but is no Protocol")
    return _with_bench(plan, bench, experiment, refused(plan))


def refused(plan: Plan) -> dict[int, ConfigurationError]:
    """Points with parameters that the experiment does not take. ConfigurationError if it takes none of them."""
    model = registry.load(plan.group, plan.name).Parameters
    found: dict[int, ConfigurationError] = {}
    for index in range(plan.size):
        given = {k: v for k, v in plan.given(index).items() if not k.startswith(BENCH_KEYS)}
        try:
            check_parameters(plan.name, model, given)
        except ConfigurationError as error:
            found[index] = error
    if len(found) == plan.size:
        raise ConfigurationError(f"no point can be measured; at {plan.told(0)}: {found[0]}")
    return found


def needs_bench(experiment: Protocol) -> bool:
    """Whether an experiment names devices, or anything else of a bench; one that is all arithmetic does not."""
    return bool(experiment.roles or experiment.alignments or experiment.needs())


def _group_of(name: str) -> registry.Group:
    if name in registry.names("labctl.figures"):
        return "labctl.figures"
    if name in registry.names("labctl.protocols"):
        return "labctl.protocols"
    if name in registry.names("labctl.calibrations"):
        raise ConfigurationError(
            f"{name} is a calibration: what it finds is put in force, and only one can be; sweep over a figure or "
            "protocol, or calibrate with `labctl calibrate`"
        )
    known = sorted({*registry.names("labctl.figures"), *registry.names("labctl.protocols")})
    hint = registry.suggestion(name, known)
    raise ConfigurationError(f'"{name}" is no figure and no protocol{hint}; there are: {", ".join(known)}')


def _with_bench(plan: Plan, bench: str | Path | None, experiment: Protocol, refused: Container[int]) -> Plan:
    """The plan with its bench as it is now, every value of every axis tried on it."""
    changes = [key for key in [*plan.constants, *(axis.key for axis in plan.axes)] if key.startswith(BENCH_KEYS)]
    if bench is None and not changes and not needs_bench(experiment):
        return plan
    source = str(bench or experiment.bench)
    configs = [
        job_of(plan.group, plan.name, source, plan.given(index)).config
        for index in _edges(plan)
        if index not in refused
    ] or [load_bench(source)]
    texts = (configs[0].text, configs[0].overlay_text)
    return replace(plan, bench=source, texts=texts, world_seed=_seed_of(configs[0]))


def _edges(plan: Plan) -> Iterator[int]:
    """Points that have every value of every axis once; the bench file is read anew for each."""
    yield 0
    for n, length in enumerate(plan.shape):
        for i in range(1, length):
            yield int(np.ravel_multi_index([i if m == n else 0 for m in range(len(plan.shape))], plan.shape))


def _seed_of(config: BenchConfig) -> int | None:
    seed = getattr(config.world_parameters, "seed", None)
    return seed if isinstance(seed, int) else None
