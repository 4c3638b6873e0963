"""Runs rows of the ledger on their benches, each as often as wanted, in this process or in several side by side."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import threading
from collections.abc import Callable, Iterable
from typing import Any

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.experiments import interruption
from labctl.ledger.hand import Found, Hand
from labctl.ledger.plan import Part, Plan, parts
from labctl.ledger.row import Result, Row, Tried
from labctl.ledger.theatre import Theatre

_FOR_EACH_PROCESSOR, _MOST = 2, 6
_LOOK_S = 0.5
"""How long an interruption that was raised where nobody hears of it is not seen."""
Told = Callable[[Row, Tried], Any]


def rows() -> list[Row]:
    """All that are registered."""
    return [row for name in registry.names("labctl.ledger") for row in registry.load("labctl.ledger", name)]


def chosen(all_rows: list[Row], sample: int | None = None, seed: int = 0, names: Iterable[str] = ()) -> list[Row]:
    """Those that are named, else as many as ``sample``, drawn by the seed, else all.

    Raises ConfigurationError for a name that is none, and a sample that is larger than the ledger.
    """
    known = {row.fault: row for row in all_rows}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            hint = registry.suggestion(name, known)
            raise ConfigurationError(f"no row {name!r} in the ledger{hint}; `labctl ledger --list` shows all")
    if wanted:
        return [known[name] for name in wanted]
    if sample is None:
        return all_rows
    if not 1 <= sample <= len(all_rows):
        raise ConfigurationError(
            f"--sample {sample}: the ledger has {len(all_rows)} rows; 1 to {len(all_rows)} of them"
        )
    drawn = set(random.Random(seed).sample(range(len(all_rows)), sample))
    return [row for number, row in enumerate(all_rows) if number in drawn]


def at_once() -> int:
    """Processes side by side: they wait for most of their time; each has a bench up, of a dozen processes."""
    return min(_FOR_EACH_PROCESSOR * len(os.sched_getaffinity(0)), _MOST)


def run(
    some: list[Row], trials: int = 1, seed: int = 0, told: Told = lambda row, tried: None, *, limits: bool = True
) -> list[Result]:
    """Trials of each row, in all, dealt to its benches with at least one for each; results in the order of the rows.

    told: is called after each trial, with all that was found of its row on its bench until then. limits: no trial takes
    longer than its row allows. Raises ConfigurationError where Python leaves out assertions.
    """
    dealt = parts(some, trials)
    plan = Plan(dealt)
    part = None
    with Theatre() as theatre:
        while (todo := plan.next(part.bench.stage if part is not None else None)) is not None:
            part, number = todo
            told(part.row, plan.heard(part, theatre.trial(part.row, part.bench, number, seed, limits=limits)))
    return _results(some, dealt)


def run_side_by_side(
    some: list[Row], trials: int, seed: int, workers: int, told: Told = lambda row, tried: None
) -> list[Result]:
    """As `run`, in so many processes: rows must be registered. A process that says nothing for longer than what it has
    to do may take is ended, and what it was at has failed. Nothing of it is left when this ends, by Ctrl-C too.

    Several benches wait for one another's processors, and bounds are those of a machine that has one bench up: what was
    only late is tried again at last, as often, with nothing beside it. Both times are told.
    """
    Theatre()  # refuses where no row could fail
    dealt = parts(some, trials)
    _work(dealt, seed, workers, told)
    late = [part for part in dealt if part.tried.late and workers > 1]
    for part in late:
        tried = part.tried
        part.tried, part.given = Tried(part.bench, planned=tried.planned, beside_s=tried.worst_s), 0
    _work(late, seed, 1, told)
    return _results(some, dealt)


def _work(dealt: list[Part], seed: int, workers: int, told: Told) -> None:
    """What is waiting, in so many processes."""
    plan = Plan(dealt)
    found: Found = queue.SimpleQueue()
    hands = [Hand() for _ in range(min(workers, sum(part.waiting for part in dealt)))]
    at_work = len(hands)
    try:
        for hand in hands:
            threading.Thread(target=hand.work, args=(plan, seed, found), daemon=True).start()
        while at_work:
            interruption.look()
            with contextlib.suppress(queue.Empty):
                match found.get(timeout=_LOOK_S):
                    case None:
                        at_work -= 1
                    case BaseException() as error:
                        raise error
                    case part, outcome:
                        told(part.row, plan.heard(part, outcome))
    finally:
        for hand in hands:
            hand.interrupt()
        for hand in hands:
            hand.wait()


def _results(some: list[Row], dealt: list[Part]) -> list[Result]:
    found = {(part.row.fault, part.bench.kind): part.tried for part in dealt}
    return [Result(row, tuple(found[row.fault, bench.kind] for bench in row.benches)) for row in some]
