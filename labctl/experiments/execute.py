"""Runs a protocol or figure: parameters checked, bench opened, control taken, everything recorded, all made safe."""

from __future__ import annotations

import difflib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from drivers.contract import Identity
from drivers.errors import ConfigurationError
from labctl import registry
from labctl.bench.client import Bench, open_bench
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.experiments import interruption
from labctl.experiments.console import Console
from labctl.experiments.experiment import Figure, Protocol, meets
from labctl.experiments.interlocked import noting_interlocks
from labctl.experiments.recorder import Recorder
from labctl.experiments.unfinished import Unfinished, read_unfinished
from labctl.plain import plain
from labctl.runfile.lock import RunLock

BENCH_KEYS = ("world.", "bench.", "devices.", "alignment.", "servers.", "calibrations.", "interlocks.", "recovery.")


@dataclass(frozen=True)
class Outcome:
    """Results of a finished run and where its file is.

    bench_seconds: of a resumed run whose table began anew, since it was resumed; where the experiment took control by
    itself, the ``bench_s`` of its results, or nan if it has none. devices: who was there, by role. stands_on: ids of
    the calibrations that it needed. calibrations_folder: where the bench keeps its calibrations, on the machine it
    runs on.
    """

    name: str
    values: dict[str, Any]
    targets: dict[str, dict[str, float]] | None
    ok: bool | None
    seconds: float
    bench_seconds: float
    run_file: Path
    devices: dict[str, Identity] = field(default_factory=dict)
    stands_on: tuple[str, ...] = ()
    calibrations_folder: Path = Path()


@dataclass(frozen=True)
class Job:
    """An experiment with its parameters, and the bench that it is for.

    bench_given: ``--set`` values of the bench. group, given: where it is registered and all its ``--set`` values, from
    which it can be resumed; "" for what is part of something larger. at: the machine of the bench, if not this.
    """

    name: str
    experiment: Protocol
    parameters: Any
    config: BenchConfig
    bench_given: Mapping[str, object]
    group: registry.Group | Literal[""] = ""
    given: Mapping[str, object] = field(default_factory=dict)
    at: str | None = None


def execute(
    group: registry.Group,
    name: str,
    bench: str | Path | None = None,
    assignments: Mapping[str, object] | None = None,
    seed: int = 0,
    out: Path = Path("runs"),
    console: Console | None = None,
    at: str | None = None,
    begun: Callable[[Path], None] | None = None,
) -> Outcome:
    """Run the protocol or figure ``name`` of an entry-point group.

    assignments: ``--set`` values; keys beginning with world., bench., devices., … change the bench, others are the
    experiment's parameters. at: a bench on another machine, as for `open_bench`. begun: is told the run file as soon as
    there is one. Raises ConfigurationError for bad input, any LabError from the bench.
    """
    job = replace(job_of(group, name, bench, assignments or {}), at=at)
    return perform(job, open_bench(job.config, at=at), seed, out, console, begun)


def resume(
    run_file: str | Path,
    bench: str | Path | None = None,
    console: Console | None = None,
    at: str | None = None,
    begun: Callable[[Path], None] | None = None,
    *,
    anew: bool = False,
) -> Outcome:
    """Go on with a run that was interrupted, failed or killed, from its last checkpoint and in the same file.

    Experiment, parameters, seed and bench are those of the run; its parameters' relative paths, and packages, must
    still lead to the same things. Without a checkpoint, or with ``anew``, it begins anew. bench: go on on this bench,
    which need not be as it was. at: as for `execute`, else as it was.

    Random numbers of the experiment go on as if nothing had happened, and so does a simulated table in virtual time
    that the checkpoint has: what is measured is the same bit for bit. On another bench, or without control at the
    checkpoint, it begins anew, time and noise included, as with every session.

    Raises ConfigurationError if the run is complete, still being written, or of a bench whose file has changed.
    """
    return resume_job(run_file, bench, console, at, begun, anew=anew)[1]


def resume_job(
    run_file: str | Path,
    bench: str | Path | None = None,
    console: Console | None = None,
    at: str | None = None,
    begun: Callable[[Path], None] | None = None,
    *,
    anew: bool = False,
) -> tuple[Job, Outcome]:
    """The same, and what was run: for who keeps what it found."""
    path, console = Path(run_file), console or Console(quiet=True)
    read_unfinished(path)  # what is no run gets no lock beside it
    lock = RunLock.take(path)
    try:
        told = read_unfinished(path)
        job = replace(_job_again(path, told, bench), at=at or _same_machine(path, told))
        record = Recorder.resume(path, lock, console, anew=anew)
    except BaseException:
        lock.release()
        raise
    if record.resumed is None:
        console.say(f"{path}: no checkpoint to go on from; the run begins anew, in the same file")
    else:
        console.say(f"{path}: goes on after {record.steps_saved} steps")
    if record.resumes_table and job.config.fingerprint != told.fingerprint:
        record.leave_table()
    if record.resumes_table:
        console.say("the simulated table goes on where it was, its time and its noise")
    elif job.config.clock == "virtual":
        console.say("the simulated table begins anew, its time and its noise")
    return job, _perform(job, open_bench(job.config, at=job.at), record, console, begun)


def _same_machine(path: Path, told: Unfinished) -> str | None:
    meant = os.environ.get("LABCTL_AT") or told.at
    if meant != told.at:
        raise ConfigurationError(
            f"{path}: its bench is that of {told.at or 'this machine'}, and LABCTL_AT={meant} names another; unset it, "
            f"or go on there with --at {meant}"
        )
    return told.at


def _job_again(path: Path, told: Unfinished, bench: str | Path | None) -> Job:
    """The job of a run, on its own bench as it was, which must be as it is now, or on another."""
    if bench is not None:
        return job_of(told.group, told.name, bench, told.given)
    job = job_of(told.group, told.name, told.bench_path, told.given, told.bench_texts)
    now = job if not told.bench_path.is_file() else job_of(told.group, told.name, told.bench_path, told.given)
    if not told.fingerprint == job.config.fingerprint == now.config.fingerprint:
        raise ConfigurationError(
            f"{path}: its bench {told.bench_path} is not what it was when the run began (fingerprint "
            f"{now.config.fingerprint}, it was {told.fingerprint}); bring the file back, or go on with it as it is: "
            f"--bench {told.bench_path}"
        )
    return job


def job_of(
    group: registry.Group,
    name: str,
    bench: str | Path | None,
    assignments: Mapping[str, object],
    texts: tuple[str, str] | None = None,
) -> Job:
    """What is to be run. texts: of the bench file and its overlay, if not what is there now.

    Raises ConfigurationError that lists every problem of its kind.
    """
    experiment = registry.load(group, name)()
    if not isinstance(experiment, Protocol):
        raise ConfigurationError(f"{name} is registered under {group}, but is no Protocol")
    given = dict(assignments)
    bench_given = {k: given.pop(k) for k in list(given) if k.startswith(BENCH_KEYS)}
    parameters = check_parameters(name, experiment.Parameters, given)
    own = experiment.bench_overrides(parameters)
    try:
        config = load_bench(bench or experiment.bench, {**own, **bench_given}, texts)
    except ConfigurationError as error:
        load_bench(bench or experiment.bench, bench_given, texts)  # what is wrong with the file itself comes first
        raise ConfigurationError(
            f"{name} sets {', '.join(own)}, which bench {bench or experiment.bench} does not take: "
            f"{experiment.overrides_cure or error}"
        ) from error
    return Job(name, experiment, parameters, config, bench_given, group, dict(assignments))


def perform(
    job: Job,
    opening: AbstractContextManager[Bench],
    seed: int = 0,
    out: Path = Path("runs"),
    console: Console | None = None,
    begun: Callable[[Path], None] | None = None,
) -> Outcome:
    """Run a job on the bench that is opened here, so that a failure to open it is in the run file, too.

    begun: is told the run file as soon as there is one, for whoever looks at runs that fail.
    """
    console = console or Console(quiet=True)
    return _perform(job, opening, Recorder(job.name, out, seed, console), console, begun)


def perform_into(recorder: Recorder, job: Job, opening: AbstractContextManager[Bench]) -> Outcome:
    """As `perform`, with a recorder of one's own, and nothing told meanwhile."""
    return _perform(job, opening, recorder, Console(quiet=True), None)


def _perform(
    job: Job,
    opening: AbstractContextManager[Bench],
    recorder: Recorder,
    console: Console,
    begun: Callable[[Path], None] | None,
) -> Outcome:
    started = time.monotonic()
    name, experiment, parameters, config = job.name, job.experiment, job.parameters, job.config
    with recorder as record, interruption.prevailing():
        if begun is not None:
            begun(record.path)
        record.setup(
            group=job.group,
            given=json.dumps(dict(job.given), default=plain),
            folder=str(Path.cwd()),
            at=job.at or os.environ.get("LABCTL_AT") or "",
            bench=config.name,
            bench_file=config.text,
            bench_overlay=config.overlay_text,
            bench_path=str(config.path),
            bench_overrides=dict(config.overrides),
            world=config.world_parameters.model_dump() if config.world_parameters else None,
            fingerprint=config.fingerprint,
            parameters=parameters,
        )
        with opening as table:
            # What the bench lacks is told before anything is trained.
            for role in experiment.roles:
                table[role]
            for alignment in experiment.alignments:
                table.alignment(alignment)
            stands_on = tuple(dict.fromkeys(table.calibration(need).id for need in experiment.needs()))
            experiment.prepare(parameters, record)
            record.bench = table if experiment.keeps_table else None
            control = table.control(name, run=record.path.stem, calibrating=experiment.calibrating)
            noting = noting_interlocks(table, record.path.stem, record, config)
            mending = table.recovering(record.recovered, console.say, own=experiment.recovers_frames)
            with noting, mending, nullcontext() if experiment.takes_control else control:
                devices = {role: device.identity() for role, device in table.devices.items()}
                shelf = table.calibrations()
                record.setup(
                    settings=table.snapshot(),
                    devices=devices,
                    calibrations={f"{f.use.role}.{f.use.kind}": f.use.id for f in shelf.in_force},
                )
                begun_s = table.time_s()
                results = experiment.run(table, parameters, record)
                # A table in virtual time begins anew with every session, unless a frozen one was thawed.
                own = experiment.takes_control
                bench_seconds = float(results.get("bench_s", math.nan)) if own else table.time_s() - begun_s
        values = experiment.conclude(results, parameters, record)
        if record.recoveries:
            values = {**values, "recoveries": dict(record.recoveries)}
        record.finish({**values, "bench_time_s": bench_seconds})
    targets = None
    if isinstance(experiment, Figure) and _as_published(experiment, parameters, config, job.bench_given):
        targets = experiment.targets(parameters)
    return Outcome(
        name=name,
        values=values,
        targets=targets,
        ok=None if targets is None else meets(values, targets),
        seconds=time.monotonic() - started,
        bench_seconds=bench_seconds,
        run_file=record.path,
        devices=devices,
        stands_on=stands_on,
        calibrations_folder=shelf.folder,
    )


def _as_published(experiment: Figure, parameters: Any, config: BenchConfig, given: Mapping[str, object]) -> bool:
    """Whether the bench is the figure's own, but for another draw of the world's hidden truths and noise, and for how
    long a lease lives, which a busy machine needs and no value depends on."""
    free = {key: value for key, value in given.items() if key in ("world.seed", "bench.lease")}
    own = load_bench(experiment.bench, {**experiment.bench_overrides(parameters), **free})
    return own.fingerprint == config.fingerprint


def check_parameters(name: str, model: type[Any], given: Mapping[str, object]) -> Any:
    """An experiment's parameters from ``--set`` values; ConfigurationError lists every problem and what is allowed."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        fields = model.model_fields
        lines = []
        for problem in error.errors():
            key = str(problem["loc"][0]) if problem["loc"] else ""
            if problem["type"] == "extra_forbidden":
                close = difflib.get_close_matches(key, fields, n=1)
                hint = f"; did you mean {close[0]}?" if close else "."
                lines.append(f"--set {key}: {name} has no such parameter{hint} Allowed: {', '.join(sorted(fields))}")
            else:
                doc = fields[key].description if key in fields else None
                message = problem["msg"].removeprefix("Value error, ") + (f" ({doc})" if doc else "")
                # What several parameters do wrong together names them itself.
                lines.append(f"--set {key}={problem['input']}: {message}" if key else message)
        raise ConfigurationError("\n".join(lines)) from None
