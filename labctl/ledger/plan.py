"""Which trial is next: those of one stage follow one another, as setting it up takes longer than most of them.

Rows of a stage take turns. A supervisor waits the longer before it starts a process again the more often it has died of
late, so that trials of a row that kills one would wait for each other, up to ten seconds each.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from labctl.ledger.row import Bench, Outcome, Row, Stage, Tried

_GUESS_S = 5.0
"""Of a trial, as long as none of its row is over."""
_WORTH_S = 20.0
"""Of work for each process on a stage, with which another one helps them: it must set the stage up for itself."""


@dataclass
class Part:
    """Trials of a row on one of its benches. given: how many have been begun."""

    row: Row
    bench: Bench
    tried: Tried
    given: int = 0

    @property
    def waiting(self) -> int:
        """Trials that nobody has begun; none any more after one that did not end as told."""
        return 0 if self.tried.wrong else self.tried.planned - self.given

    @property
    def waiting_s(self) -> float:
        """How long those will take, by what others of the row took."""
        return self.waiting * (self.tried.lasted_s / self.tried.trials if self.tried.trials else _GUESS_S)


def parts(some: Iterable[Row], trials: int) -> list[Part]:
    """Trials dealt to the benches of each row, at least one for each; those of one stage one after another."""
    found = []
    for row in some:
        for number, bench in enumerate(row.benches):
            share = trials // len(row.benches) + (number < trials % len(row.benches))
            found.append(Part(row, bench, Tried(bench, planned=max(share, 1))))
    stages = list(dict.fromkeys(part.bench.stage for part in found))
    return sorted(found, key=lambda part: stages.index(part.bench.stage))


class Plan:
    """Deals trials, each once, to processes that ask for them. Threads may share it."""

    def __init__(self, some: list[Part]) -> None:
        self._parts = some
        self._there: Counter[Stage] = Counter()
        """Processes by the stage that they have set up."""
        self._lock = threading.Lock()

    def next(self, standing: Stage | None) -> tuple[Part, int] | None:
        """A trial, by its part and its number there, for a process on whose stage that is; None if it may end.

        Of its own stage as long as there are any; then of the one where most is left to do that nobody is on, or at
        last of one where others need help.
        """
        with self._lock:
            part = self._of(standing) if standing is not None else None
            if part is None:
                if standing is not None:
                    self._there[standing] -= 1
                stage = self._elsewhere()
                part = self._of(stage) if stage is not None else None
                if part is None:
                    return None
                self._there[part.bench.stage] += 1
            part.given += 1
            return part, part.given - 1

    def heard(self, part: Part, outcome: Outcome) -> Tried:
        """Note what came of a trial; what is known of its part now."""
        with self._lock:
            part.tried = part.tried.after(outcome)
            return part.tried

    def _of(self, stage: Stage) -> Part | None:
        waiting = [part for part in self._parts if part.bench.stage is stage and part.waiting]
        return min(waiting, key=lambda part: part.given, default=None)

    def _elsewhere(self) -> Stage | None:
        left_s: Counter[Stage] = Counter()
        for part in self._parts:
            if part.waiting:
                left_s[part.bench.stage] += part.waiting_s  # type: ignore[assignment]
        free = {stage: s for stage, s in left_s.items() if not self._there[stage]}
        if free:
            return max(free, key=free.__getitem__)
        help_s = {stage: s / self._there[stage] for stage, s in left_s.items()}
        most = max(help_s, key=help_s.__getitem__, default=None)
        return most if most is not None and help_s[most] >= _WORTH_S else None
