"""Which figures of which papers a report is made of, and the sweep that measures them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.experiments.execute import job_of
from labctl.plain import plain
from labctl.reproduce.paper import Paper, Reproduction
from labctl.sweep.axes import Axis
from labctl.sweep.plan import Plan
from labctl.sweep.planning import needs_bench

MEASURED = ("figure", "given", "first", "seed")
"""Parameters of a point that say what is measured; one more says where to."""

_PATIENT: dict[str, object] = {"bench.lease": "60 s"}
"""Of every bench: figures side by side on a busy machine renew late, and these tables are simulated."""

_REST = Paper(
    "other",
    "",
    "Figures of no paper",
    "",
    (),
    note="Figures that are registered here and that no paper names, with their default settings.",
)


@dataclass(frozen=True)
class Entry:
    """One line of the report: a paper's reproduction and the points of the sweep that measure it."""

    paper: Paper
    reproduction: Reproduction
    quick: bool
    points: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Of the entry."""
        return self.reproduction.entry

    @property
    def cost_s(self) -> float:
        """Expected processor time of all its measurements."""
        return self.reproduction.cost_s[self.quick] * self.reproduction.repeats[self.quick]


def papers() -> list[Paper]:
    """All that are registered, and one of the figures that none of them has.

    Raises ConfigurationError for one that names no figure of this installation, or an entry twice.
    """
    figures = registry.names("labctl.figures")
    found = [_paper(name) for name in registry.names("labctl.papers")]
    entries = [r for paper in found for r in paper.reproductions]
    for r in entries:
        if r.figure not in figures:
            raise ConfigurationError(f"{r.entry} is of the figure {r.figure}{registry.suggestion(r.figure, figures)}")
        if "," in r.entry:
            raise ConfigurationError(f'the entry "{r.entry}" has a comma, which parts names; name it otherwise')
        if sum(other.entry == r.entry for other in entries) > 1:
            raise ConfigurationError(f"the papers that are registered have {r.entry} twice; name one of them otherwise")
    named = {r.figure for r in entries}
    rest = tuple(Reproduction(name, "") for name in figures if name not in named)
    if rest:
        found.append(Paper(_REST.key, "", _REST.title, "", rest, note=_REST.note))
    return found


def _paper(name: str) -> Paper:
    found = registry.load("labctl.papers", name)
    if not isinstance(found, Paper):
        raise ConfigurationError(f"{name} is registered under labctl.papers, but is no Paper")
    return found


def chosen(only: Collection[str], quick: bool) -> list[Entry]:
    """Entries of the report, in the order of papers. only: names of papers, figures or entries; all if empty.

    Raises ConfigurationError for a name that is none of them.
    """
    entries = [Entry(paper, r, quick) for paper in papers() for r in paper.reproductions]
    known = {word for e in entries for word in (e.paper.key, e.reproduction.figure, e.name)}
    for word in only:
        if word not in known:
            raise ConfigurationError(
                f'--only "{word}" is no paper and no figure of one{registry.suggestion(word, known)}; there are: '
                + ", ".join(sorted(known))
            )
    wanted = set(only)
    return [e for e in entries if not wanted or wanted & {e.paper.key, e.reproduction.figure, e.name}]


def planned(entries: Sequence[Entry], folder: Path) -> tuple[Plan, list[Entry]]:
    """The sweep that measures them, run files in ``folder``, and the entries with their points.

    The longest come first, so that all processors end together. Raises ConfigurationError for settings that a figure
    does not take, before anything is measured.
    """
    rows: list[tuple[float, int, tuple[str, str, str, int]]] = []
    for number, entry in enumerate(entries):
        cost = entry.reproduction.cost_s[entry.quick]
        rows += [(-cost, number, row) for row in _measurements(entry.reproduction, entry.quick)]
    rows.sort(key=lambda row: row[:2])
    columns = list(zip(*(row for _, _, row in rows), strict=True))
    axes = tuple(Axis(name, tuple(column)) for name, column in zip(MEASURED, columns, strict=True))
    plan = Plan("labctl.tasks", "reproduce", axes, {"folder": str(folder.absolute())}, together=True)
    points: list[list[int]] = [[] for _ in entries]
    for index, (_, number, _row) in enumerate(rows):
        points[number].append(index)
    return plan, [
        Entry(e.paper, e.reproduction, e.quick, tuple(found)) for e, found in zip(entries, points, strict=True)
    ]


def _measurements(r: Reproduction, quick: bool) -> Iterator[tuple[str, str, str, int]]:
    """Figure, ``--set`` values, what is measured first, seed: of each repeat."""
    given = {**_PATIENT, **r.settings(quick)}
    for name, (figure, settings) in r.first.items():
        job_of("labctl.figures", figure, None, settings)
        given = {**given, name: "RUN"}
    job = job_of("labctl.figures", r.figure, None, given)
    world_seed = getattr(job.config.world_parameters, "seed", None) if needs_bench(job.experiment) else None
    first = json.dumps(plain({name: (figure, {**_PATIENT, **own}) for name, (figure, own) in r.first.items()}))
    for repeat in range(r.repeats[quick]):
        # Another table as well, hidden truths and noise, or what light makes of it would be the same again.
        other = {"world.seed": world_seed + repeat} if repeat and world_seed is not None else {}
        yield r.figure, json.dumps(plain({**_PATIENT, **r.settings(quick), **other})), first, repeat
