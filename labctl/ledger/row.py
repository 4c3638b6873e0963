"""One row of the ledger: a fault, who notices it, what comes of it, and within which time."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from drivers.errors import ConfigurationError

S = TypeVar("S")
Stage = Callable[[Path], AbstractContextManager[Any]]
"""Makes what trials happen on, once for all trials of all rows with the same one; its ``set_up()`` is called before
each."""

KINDS = ("simulated", "emulated")
_LIMIT_S = 240.0


@dataclass(frozen=True)
class Trial:
    """What one trial has to work with. dice: for moments and victims. folder: an empty one, of this trial alone."""

    dice: random.Random
    folder: Path


@dataclass(frozen=True)
class Bench:
    """A kind of bench that a fault is brought about on. kind: "simulated" or "emulated", or another word. bound_s:
    longest time from the fault (or from its detection, where ``detected_by`` of the row says so) until emission is off
    there, None where no time bound applies."""

    kind: str
    stage: Stage
    bound_s: float | None = None


@dataclass(frozen=True)
class Row:
    """A fault that can be brought about again and again.

    fault, detected_by, outcome: in a few words, for people. benches: on which it is. trial: brings the fault about once
    on a stage of one of them; returns the time (s) that the bound is compared with, None without. It raises an error if
    the outcome is not as told. alone: why the fault has no meaning on the other kind of bench, where it is on one only.
    limit_s: a trial that takes longer is broken off, and has failed.
    """

    fault: str
    detected_by: str
    outcome: str
    benches: tuple[Bench, ...]
    trial: Callable[[Any, Trial], float | None]
    alone: str = ""
    limit_s: float = _LIMIT_S

    def __post_init__(self) -> None:
        kinds = [bench.kind for bench in self.benches]
        if not kinds or len(set(kinds)) < len(kinds):
            raise ConfigurationError(f"row {self.fault!r} of the ledger: one bench of each kind, at least one")
        if not set(KINDS) <= set(kinds) and not self.alone:
            raise ConfigurationError(f"row {self.fault!r} of the ledger is tried on one kind of bench: say why (alone)")

    @property
    def bound_s(self) -> float | None:
        """The longest of its bounds."""
        return max((bench.bound_s for bench in self.benches if bench.bound_s is not None), default=None)


def refused(kind: type[Exception], act: Callable[[], Any]) -> str:
    """What the error says that an act must raise. AssertionError if it raises none."""
    try:
        act()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__} was raised")


@dataclass(frozen=True)
class Outcome:
    """What came of one trial. took_s: the time that the bound is compared with, None without. wrong: what did not end
    as told, "" if all did. lasted_s: the trial, with what had to be set up for it."""

    took_s: float | None
    wrong: str
    lasted_s: float


@dataclass(frozen=True)
class Tried:
    """Trials of a row on one of its benches: how many are over, of how many that are planned.

    worst_s: None where no time was taken. wrong: what did not end as told, "" if all did. lasted_s: of all trials
    together, with what had to be set up for them. beside_s: the worst of as many trials before, with others side by
    side, if that was beyond the bound; these trials are alone then.
    """

    bench: Bench
    trials: int = 0
    worst_s: float | None = None
    wrong: str = ""
    lasted_s: float = 0.0
    planned: int = 0
    beside_s: float | None = None

    def after(self, outcome: Outcome) -> Tried:
        """With one more trial."""
        times_s = [time_s for time_s in (self.worst_s, outcome.took_s) if time_s is not None]
        return replace(
            self,
            trials=self.trials + 1,
            worst_s=max(times_s, default=None),
            wrong=self.wrong or outcome.wrong,
            lasted_s=self.lasted_s + outcome.lasted_s,
        )

    @property
    def left(self) -> int:
        """Trials that are not over; after one that did not end as told there are none."""
        return 0 if self.wrong else max(self.planned - self.trials, 0)

    @property
    def late(self) -> str:
        """By how much the bound was missed, "" if it was kept."""
        bound_s = self.bench.bound_s
        if bound_s is None or self.wrong:
            return ""
        if self.worst_s is None:
            return "no time was taken"
        return "" if self.worst_s <= bound_s else f"took {self.worst_s:.3f} s, allowed are {bound_s:g}"

    @property
    def ok(self) -> bool:
        """Whether every trial ended as told, within the bound."""
        return not (self.wrong or self.late)

    @property
    def share(self) -> float:
        """Of the bound that the worst trial needed; 0 without."""
        return self.worst_s / self.bench.bound_s if self.worst_s is not None and self.bench.bound_s else 0.0

    @property
    def time(self) -> str:
        """The worst time and its bound, "" without."""
        if self.worst_s is None or self.bench.bound_s is None:
            return ""
        beside = f" (with others at once {self.beside_s:.3f} s)" if self.beside_s is not None else ""
        return f"{self.worst_s:.3f} s of {self.bench.bound_s:g} s{beside}"


@dataclass(frozen=True)
class Result:
    """What was found of a row, on each of its benches that it was tried on."""

    row: Row
    tried: tuple[Tried, ...]

    @property
    def ok(self) -> bool:
        """Whether all is as told, everywhere."""
        return all(tried.ok for tried in self.tried)

    @property
    def nearest(self) -> Tried:
        """Where it came nearest to its bound, or was farthest beyond; the first where there is none."""
        return max(self.tried, key=lambda tried: tried.share)

    @property
    def wrong(self) -> str:
        """What is not as told, by kind of bench; "" if all is."""
        return "; ".join(f"{t.bench.kind}: {t.wrong or t.late}" for t in self.tried if not t.ok)

    @property
    def outcome(self) -> str:
        """What came of it, and on which benches."""
        if not self.ok:
            return self.wrong
        benches = ", ".join(f"{t.bench.kind} {t.time}".rstrip() for t in self.tried)
        return f"{self.row.outcome} [{benches}]"

    def told(self) -> dict[str, Any]:
        """For JSON: worst time and bound are those of `nearest`."""
        return {
            "fault": self.row.fault,
            "detected_by": self.row.detected_by,
            "outcome": self.outcome,
            "worst_s": self.nearest.worst_s,
            "bound_s": self.nearest.bench.bound_s,
            "ok": self.ok,
        }
