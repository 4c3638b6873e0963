"""Runs calibration routines and keeps what they find: one by name, or all that a bench needs, in order."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from drivers.contract import Identity
from drivers.errors import ConfigurationError, LabError
from labctl import registry
from labctl.bench.client import Bench, open_bench
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.bench.shelf import Shelf
from labctl.environment import git_state, versions
from labctl.experiments.console import Console
from labctl.experiments.execute import BENCH_KEYS, Job, Outcome, check_parameters, job_of, perform, resume_job
from labctl.experiments.routine import Routine, routine
from labctl.store import Calibration, RunFile, Store
from labctl.store.verdict import objections

State = Literal["made", "measured", "valid", "failed", "waiting"]


@dataclass(frozen=True)
class Calibrated:
    """What became of a routine.

    state: "made" and in force, "measured" but not kept (a dry run), "valid" still and not run, "failed", or "waiting"
    for a routine that failed. why: of those that were not run or failed. calibrations: what is in force now, or was
    measured. outcome: of those that ran to the end. run_file: of those that ran, to whatever end.
    """

    name: str
    state: State
    calibrations: tuple[Calibration, ...] = ()
    why: str = ""
    error: LabError | None = None
    outcome: Outcome | None = None
    run_file: Path | None = None

    @property
    def ids(self) -> dict[str, str]:
        """By role and kind; "" of what is not in the store."""
        return {f"{c.role}.{c.kind}": c.id for c in self.calibrations}


def calibrate(
    name: str,
    bench: str | Path | None = None,
    assignments: Mapping[str, object] | None = None,
    seed: int = 0,
    out: Path = Path("runs"),
    console: Console | None = None,
    *,
    dry_run: bool = False,
) -> Calibrated:
    """Run the routine ``name``, keep what it finds and put it in force; with ``dry_run`` measure only.

    Raises any LabError of the measurement, and the store is as it was before.
    """
    routine(name)
    must_be_here()
    job = job_of("labctl.calibrations", name, bench, assignments or {})
    outcome = perform(job, open_bench(job.config), seed, out, console)
    return _kept(job, outcome, dry_run)


def resume_calibration(
    run_file: Path,
    bench: str | Path | None = None,
    console: Console | None = None,
    begun: Callable[[Path], None] | None = None,
    *,
    anew: bool = False,
) -> Calibrated:
    """Go on with a routine's run that was interrupted or killed (see `execute.resume`), keep what it finds and put it
    in force.

    Raises any LabError of the measurement, and the store is as it was before.
    """
    must_be_here()
    job, outcome = resume_job(run_file, bench, console, begun=begun, anew=anew)
    return _kept(job, outcome, dry_run=False)


def _kept(job: Job, outcome: Outcome, dry_run: bool) -> Calibrated:
    """All calibrations are made, and thereby checked, before the first is stored."""
    assert isinstance(job.experiment, Routine)
    made = datetime.now(UTC)
    valid_for = job.experiment.valid_for
    run = RunFile(path=str(outcome.run_file.absolute()), sha256=_hash(outcome.run_file))
    software, git = versions(), git_state()
    found = [
        Calibration(
            kind=finding.kind,
            routine=job.name,
            bench=job.config.name,
            role=finding.role or job.experiment.role,
            devices=_of(job.name, outcome.devices, (finding.role or job.experiment.role, *finding.devices)),
            values=finding.values,
            conditions=finding.conditions,
            checks=finding.checks,
            holds_while=finding.holds_while,
            made=made,
            valid_until=None if valid_for is None else made + valid_for,
            run=run,
            parents=outcome.stands_on,
            software=software,
            git=git,
        )
        for finding in job.experiment.found
    ]
    if dry_run:
        return Calibrated(job.name, "measured", tuple(found), outcome=outcome, run_file=outcome.run_file)
    store = Store(outcome.calibrations_folder)
    ids = [store.add(calibration) for calibration in found]
    for calibration_id in ids:
        store.use(calibration_id, note=f"labctl calibrate {job.name}")
    return Calibrated(job.name, "made", tuple(store.get(i) for i in ids), outcome=outcome, run_file=outcome.run_file)


def _of(name: str, devices: Mapping[str, Identity], roles: Sequence[str]) -> dict[str, Identity]:
    missing = [role for role in roles if role not in devices]
    if missing:
        raise ConfigurationError(f"{name} found something of {', '.join(missing)}, which the bench has not; correct it")
    return {role: devices[role] for role in roles}


def must_be_here() -> None:
    """ConfigurationError where calibrations would be made or judged for a bench on another machine."""
    if os.environ.get("LABCTL_AT"):
        raise ConfigurationError(
            "LABCTL_AT is set: a bench is calibrated on its own machine, where its calibrations lie; run it there, or "
            "unset LABCTL_AT"
        )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- all of them --------------------------------------------------------------------------------------------------


def calibrate_all(
    bench: str | Path,
    assignments: Mapping[str, object] | None = None,
    seed: int = 0,
    out: Path = Path("runs"),
    console: Console | None = None,
    *,
    again: bool = False,
    only_plan: bool = False,
) -> Iterator[Calibrated]:
    """Run what a bench needs, in the order of dependence, and yield what became of each routine as it is known.

    assignments: of the bench, and of routines as ``ROUTINE.KEY``. again: also what is still valid. only_plan: run
    nothing; what would run is "waiting". A routine that fails keeps those that stand on it from running, and no others.
    """
    given = dict(assignments or {})
    bench_given = {k: given.pop(k) for k in list(given) if k.startswith(BENCH_KEYS)}
    config = load_bench(bench, bench_given)
    must_be_here()
    parameters_of(needed_by(config), given)  # bad input is told before the bench is opened
    with open_bench(config) as table:
        yield from calibrate_on(table, given, seed, out, console, again=again, only_plan=only_plan)


def calibrate_on(
    table: Bench,
    assignments: Mapping[str, object] | None = None,
    seed: int = 0,
    out: Path = Path("runs"),
    console: Console | None = None,
    *,
    again: bool = False,
    only_plan: bool = False,
) -> Iterator[Calibrated]:
    """`calibrate_all` on a bench that is open, and that nobody controls: each routine takes control for itself."""
    config = table.config
    order = needed_by(config)
    parameters = parameters_of(order, assignments or {})
    console = console or Console(quiet=True)
    lost: dict[str, str] = {}
    planned: set[str] = set()
    for name in order:
        missing = [r for r in routine(name).requires if r in lost]
        try:
            valid = None if again else _valid(name, table.calibrations(), table)
        except LabError as error:  # of a bench that does not answer: the others may still be measured, and are told
            lost[name] = f"{type(error).__name__}: {error}"
            yield Calibrated(name, "failed", why=lost[name], error=error)
            continue
        if missing:
            lost[name] = f"it stands on {', '.join(missing)}"
            yield Calibrated(name, "waiting", why=lost[name])
        elif valid is not None and not planned & set(routine(name).requires):
            yield Calibrated(name, "valid", valid, "still valid")
        elif only_plan:
            planned.add(name)
            yield Calibrated(name, "waiting", why="would be measured")
        else:
            job = Job(name, routine(name)(), parameters[name], config, {})
            result = _attempt(job, table, seed, out, console)
            if result.state == "failed":
                lost[name] = result.why
            yield result


def _attempt(job: Job, table: Bench, seed: int, out: Path, console: Console) -> Calibrated:
    runs: list[Path] = []
    try:
        return _kept(job, perform(job, contextlib.nullcontext(table), seed, out, console, runs.append), dry_run=False)
    except LabError as error:
        why = f"{type(error).__name__}: {error}"
        return Calibrated(job.name, "failed", why=why, error=error, run_file=runs[0] if runs else None)


def needed_by(config: BenchConfig) -> tuple[str, ...]:
    """Registered routines that a bench has the devices for, each after those it requires."""
    return in_order([name for name in registry.names("labctl.calibrations") if routine(name).suits(config)])


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """``names``, each after those it requires, or follows if they are there.

    ConfigurationError for what is missing or stands on itself.
    """
    found: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ConfigurationError(
                f"routines stand on one another: {' > '.join((*above, name))}; mend their requires"
            )
        if name in found:
            return
        for required in routine(name).requires:
            if required not in names:
                raise ConfigurationError(
                    f"{name} requires {required}, which the bench cannot run; give the bench the devices and "
                    "alignments that it needs"
                )
            visit(required, (*above, name))
        for earlier in routine(name).follows:
            if earlier in names:
                visit(earlier, (*above, name))
        found[name] = None

    for name in names:
        visit(name, ())
    return tuple(found)


def _valid(name: str, shelf: Shelf, table: Bench) -> tuple[Calibration, ...] | None:
    """What is in force of everything a routine finds, if all of it holds and stands on what is in force itself."""
    in_force = {(f.use.role, f.use.kind): f for f in shelf.in_force}
    ids = {f.use.id for f in shelf.in_force}
    devices: dict[str, Identity] = {}
    for place in routine(name).places():
        if place not in in_force:
            return None
        header = in_force[place].header
        devices |= {r: table[r].identity() for r in header.devices if r in table.devices and r not in devices}
        against = objections(header, devices, role=place[0], verdict=in_force[place].verdict)
        if against or not set(header.parents) <= ids:
            return None
    store = Store(shelf.folder)
    return tuple(store.get(in_force[place].use.id) for place in routine(name).places())


def parameters_of(order: Sequence[str], given: Mapping[str, object]) -> dict[str, Any]:
    """Of each routine, from ``ROUTINE.KEY`` assignments. ConfigurationError for a key that belongs to none of them."""
    own: dict[str, dict[str, object]] = {name: {} for name in order}
    for key, value in given.items():
        name = max((n for n in order if key.startswith(f"{n}.")), key=len, default="")
        if not name:
            raise ConfigurationError(
                f"--set {key}: with --all write ROUTINE.KEY, with one of {', '.join(order) or 'no routine'}, or a key "
                f"of the bench ({', '.join(BENCH_KEYS)}…)"
            )
        own[name][key.removeprefix(f"{name}.")] = value
    return {name: check_parameters(name, routine(name).Parameters, keys) for name, keys in own.items()}
