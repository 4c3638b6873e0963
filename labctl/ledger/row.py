"""One row of the ledger: a fault, who notices it, what comes of it, and within which time."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

S = TypeVar("S")


@dataclass(frozen=True)
class Trial:
    """What one trial has to work with. dice: for moments and victims. folder: an empty one, of this trial alone."""

    dice: random.Random
    folder: Path


@dataclass(frozen=True)
class Row:
    """A fault that can be brought about again and again.

    fault, detected_by, outcome: in a few words, for people. bound_s: longest time from the fault (or from its
    detection, where ``detected_by`` says so) until emission is off, None where no time bound applies. stage: makes
    what trials happen on, once for all trials of all rows with the same stage; its ``set_up()`` is called before each.
    trial: brings the fault about once on it; returns the time (s) that ``bound_s`` is compared with, None without. It
    raises an error if the outcome is not as told.
    """

    fault: str
    detected_by: str
    outcome: str
    bound_s: float | None
    stage: Callable[[Path], AbstractContextManager[Any]]
    trial: Callable[[Any, Trial], float | None]


def refused(kind: type[Exception], act: Callable[[], Any]) -> str:
    """What the error says that an act must raise. AssertionError if it raises none."""
    try:
        act()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__} was raised")


@dataclass(frozen=True)
class Result:
    """What trials of a row found. worst_s: None where no time bound applies. wrong: what did not end as told, "" if all
    did."""

    row: Row
    trials: int
    worst_s: float | None
    wrong: str

    @property
    def late(self) -> str:
        """By how much the bound was missed, "" if it was kept."""
        bound_s = self.row.bound_s
        if bound_s is None or self.wrong:
            return ""
        if self.worst_s is None:
            return "no time was taken"
        return "" if self.worst_s <= bound_s else f"took {self.worst_s:.3f} s, allowed are {bound_s:g}"

    @property
    def ok(self) -> bool:
        """Whether every trial ended as told, within the bound."""
        return not (self.wrong or self.late)

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "fault": self.row.fault,
            "detected_by": self.row.detected_by,
            "outcome": self.wrong or self.late or self.row.outcome,
            "worst_s": self.worst_s,
            "bound_s": self.row.bound_s,
            "ok": self.ok,
        }
