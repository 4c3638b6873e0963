"""What of a paper is measured again: its figures with their settings, and the published numbers they stand beside.

A paper is an object of the room that has its protocols, registered under ``labctl.papers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["paper", "derived", "independent", "theory"]
"""Who says a published number: the paper prints it; it follows from the paper's equations; somebody else computed it
from these, with a program of their own; it is known exactly, by mathematics that is older than the paper."""


@dataclass(frozen=True)
class Compared:
    """A value of a figure, and the number that was published for it.

    value: ``NAME``, ``NAME[1]`` of a list, ``NAME.KEY`` of a table. published: None where nobody has stated one.
    error: standard error of the published number. within: by how much, besides four standard errors of both, the two
    may differ; None: both are shown, nothing is judged, and `why` says why not. quick: the same with few statistics, if
    more is to be allowed then. stated_error: value of the figure that is the standard error, if it is not ``NAME_err``.
    why: what makes the two differ, or should be known of either.
    """

    value: str
    published: float | None = None
    error: float | None = None
    by: Source = "paper"
    within: float | None = None
    quick: float | None = None
    stated_error: str = ""
    label: str = ""
    unit: str = ""
    why: str = ""


@dataclass(frozen=True)
class Reproduction:
    """A figure as it is measured for the report.

    figure: registered under ``labctl.figures``. source: figure, table or equation of the paper. given: ``--set``
    values; quick: those that are added, or replace them, for a quick report. repeats: how often it is measured, with
    other seeds and other simulated tables, if its values come without errors: (full, quick). first: parameters that are
    the run file of another figure, which is measured before: its name and its ``--set`` values. cost_s: processor time
    of one measurement, full and quick, by which the longest begin first. name: of this entry, if a figure has several.
    """

    figure: str
    source: str
    compared: tuple[Compared, ...] = ()
    given: Mapping[str, object] = field(default_factory=dict)
    quick: Mapping[str, object] = field(default_factory=dict)
    repeats: tuple[int, int] = (1, 1)
    first: Mapping[str, tuple[str, Mapping[str, object]]] = field(default_factory=dict)
    cost_s: tuple[float, float] = (1.0, 1.0)
    name: str = ""
    note: str = ""
    """What should be known of all of it: what is not reproduced, and why."""

    @property
    def entry(self) -> str:
        """Its name in the report."""
        return self.name or self.figure

    def settings(self, quick: bool) -> dict[str, object]:
        """``--set`` values."""
        return {**self.given, **(self.quick if quick else {})}


@dataclass(frozen=True)
class Paper:
    """A paper. key: short name. reference: where it was published. reproductions: in the order of the paper."""

    key: str
    authors: str
    title: str
    reference: str
    reproductions: tuple[Reproduction, ...]
    note: str = ""
