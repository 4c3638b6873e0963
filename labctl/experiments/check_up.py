"""Checks calibrations in force by a few frames each, and keeps the verdicts: what drifted is told from what holds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from drivers.contract import Identity
from drivers.errors import ConfigurationError, LabError
from labctl.bench.client import Bench, open_bench
from labctl.bench.load import load_bench
from labctl.bench.shelf import Shelf
from labctl.experiments.calibrate import must_be_here, needed_by, parameters_of
from labctl.experiments.console import Console
from labctl.experiments.execute import BENCH_KEYS, Job, Outcome, perform
from labctl.experiments.experiment import Protocol
from labctl.experiments.recorder import Recorder
from labctl.experiments.routine import Routine, routine
from labctl.runfile.file import open_run
from labctl.store import Calibration, Check, InForce, Store, Verdict
from labctl.store.verdict import objections

State = Literal["holds", "drifted", "failed", "missing", "unchecked"]


@dataclass(frozen=True)
class Checked:
    """What a check found of a routine's calibrations.

    state: "holds", "drifted" if one of them no longer does, "failed" if it could not be told, "missing" if none of them
    is in force with these devices, "unchecked" of a routine without a check. verdicts: as they were kept. why: of those
    that do not hold or are not known to.
    """

    name: str
    state: State
    verdicts: tuple[Verdict, ...] = ()
    why: str = ""
    error: LabError | None = None
    outcome: Outcome | None = None


class _CheckUp(Protocol):
    """One routine's check as an experiment of its own: with a run file, control, and light that goes off."""

    calibrating = True

    def __init__(self, measure: Routine, in_force: Mapping[str, Calibration]) -> None:
        self._measure, self._in_force = measure, in_force
        self.checks: dict[str, tuple[Check, ...]] = {}

    def prepare(self, parameters: Any, record: Recorder) -> None:
        self._measure.prepare(parameters, record)

    def run(self, bench: Bench, parameters: Any, record: Recorder) -> dict[str, Any]:
        self.checks = dict(self._measure.check(bench, parameters, self._in_force, record))
        wrong = [name for name, checks in self.checks.items() if name not in self._in_force or not checks]
        if wrong:
            raise ConfigurationError(
                f"{type(self._measure).__name__}.check told of {', '.join(wrong)}, and was asked about "
                f"{', '.join(self._in_force)}; correct the routine"
            )
        return {name: {c.name: c.value for c in checks} for name, checks in self.checks.items()}


def check_bench(
    bench: str | Path,
    names: Sequence[str] = (),
    assignments: Mapping[str, object] | None = None,
    seed: int = 0,
    out: Path = Path("runs"),
    console: Console | None = None,
) -> Iterator[Checked]:
    """Check the calibrations of the routines ``names`` (all that the bench needs) and yield what each is found to be.

    assignments: of the bench, and of routines as ``ROUTINE.KEY``; what is not given is as in the run that measured,
    where its file is still there. Verdicts go to the bench's store: a calibration that no longer holds is refused from
    then on, and `calibrate_all` measures it anew with what stands on it.
    """
    given = dict(assignments or {})
    bench_given = {k: given.pop(k) for k in list(given) if k.startswith(BENCH_KEYS)}
    config = load_bench(bench, bench_given)
    must_be_here()
    parameters_of(tuple(names) or needed_by(config), given)  # bad input is told before the bench is opened
    with open_bench(config) as table:
        yield from check_on(table, names, given, seed, out, console)


def check_on(
    table: Bench,
    names: Sequence[str] = (),
    assignments: Mapping[str, object] | None = None,
    seed: int = 0,
    out: Path = Path("runs"),
    console: Console | None = None,
) -> Iterator[Checked]:
    """`check_bench` on a bench that is open, and that nobody controls: each check takes control for itself."""
    order = tuple(names) or needed_by(table.config)
    given = parameters_of(order, assignments or {})
    for name in order:
        yield _checked(name, given[name], table, seed, out, console or Console(quiet=True))


def _checked(name: str, parameters: Any, table: Bench, seed: int, out: Path, console: Console) -> Checked:
    cls = routine(name)
    shelf = table.calibrations()
    found = {kind: f for kind, f in _in_force(name, shelf).items() if not _foreign(f, table)}
    if not found:
        return Checked(name, "missing", why="none of its calibrations is in force with these devices")
    if not cls.checkable():
        return Checked(name, "unchecked", why="it has no check")
    store = Store(shelf.folder)
    in_force = {kind: store.get(f.use.id) for kind, f in found.items()}
    experiment = _CheckUp(cls(), in_force)
    job = Job(f"check.{name}", experiment, _as_measured(parameters, in_force), table.config, {})
    try:
        outcome = perform(job, contextlib.nullcontext(table), seed, out, console)
    except LabError as error:
        return Checked(name, "failed", why=f"{type(error).__name__}: {error}", error=error)
    if not experiment.checks:
        return Checked(name, "unchecked", why="what is in force of it has no check", outcome=outcome)
    run = str(outcome.run_file.absolute())
    verdicts = tuple(
        store.judge(table.name, found[kind].use.role, found[kind].use.kind, checks, run=run)
        for kind, checks in experiment.checks.items()
    )
    why = "; ".join(f"{v.role}.{v.kind}: {v.why}" for v in verdicts if not v.holds)
    return Checked(name, "drifted" if why else "holds", verdicts, why, outcome=outcome)


def _in_force(name: str, shelf: Shelf) -> dict[str, InForce]:
    """What a routine found and is in force, by the names in its ``kinds``."""
    places = {(f.use.role, f.use.kind): f for f in shelf.in_force if f.header.routine == name}
    cls = routine(name)
    return {kind: places[place] for kind, place in zip(cls.kinds, cls.places(), strict=True) if place in places}


def _foreign(found: InForce, table: Bench) -> bool:
    roles = {found.use.role if r == found.header.role else r for r in found.header.devices}
    devices: dict[str, Identity] = {r: table[r].identity() for r in roles if r in table.devices}
    return "foreign" in objections(found.header, devices, role=found.use.role)


def _as_measured(given: Any, in_force: Mapping[str, Calibration]) -> Any:
    """Parameters of the run that measured, where its file is there, under those that are given."""
    for run in {c.run.path for c in in_force.values() if c.run is not None}:
        try:
            with open_run(run) as file:
                then = json.loads(file["setup/parameters"].asstr()[()])
            return type(given).model_validate({**then, **given.model_dump(exclude_unset=True)})
        except (ConfigurationError, KeyError, ValueError, ValidationError):
            continue  # gone, or of another version
    return given
