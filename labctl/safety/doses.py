"""Energy given to the sample, by interlock: power times bench time while there is light, over sessions and restarts.

Between two looks the power is taken for the larger of the two, so that what is counted is rather too much.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from labctl.safety.laser_rules import Dose
from labctl.safety.record import DoseKept

PLEDGE_S = 1.0
"""What is kept on disk includes the light of so many seconds to come: a process that is killed forgets none."""
_DAY_S = 86400.0


class _Running:
    def __init__(self, kept: DoseKept) -> None:
        self.kept = kept
        self.power_w = 0.0
        self.since_ns: int | None = None


class Doses:
    """Of one server. kept: what the file says."""

    def __init__(self, rules: Mapping[str, Dose], kept: Mapping[str, DoseKept]) -> None:
        self.rules = dict(rules)
        # The system's clock may jump while this process lives; a day is then as long as ever.
        self._zero_s = time.time() - time.monotonic()
        now_s = self._utc_s()
        self._doses = {name: _Running(kept.get(name, DoseKept(0.0, now_s))) for name in rules}
        self._written_s = 0.0

    def joules(self, name: str) -> float:
        """Given so far."""
        dose = self._doses[name]
        if self.rules[name].per == "day" and self._utc_s() // _DAY_S > dose.kept.utc // _DAY_S:
            dose.kept = DoseKept(0.0, self._utc_s())
        return dose.kept.joules

    def advance(self, name: str, power_w: float | None, now_ns: int) -> None:
        """Light is on the sample, of so many watts (None if it is not known), or none is (0)."""
        dose = self._doses[name]
        joules = self.joules(name)
        known_w = dose.power_w if power_w is None else max(power_w, 0.0)
        if dose.since_ns is not None:
            joules += max(dose.power_w, known_w) * max(now_ns - dose.since_ns, 0) / 1e9
            dose.kept = DoseKept(joules, self._utc_s(), ended=False)
        dose.power_w = known_w
        dose.since_ns = now_ns

    def dark(self, name: str, now_ns: int) -> None:
        """The light of all emitters of the interlock is off."""
        dose = self._doses[name]
        if dose.since_ns is not None:
            self.advance(name, dose.power_w, now_ns)
        dose.since_ns, dose.power_w = None, 0.0

    def begin(self, name: str) -> None:
        """A session begins: one that ended in disorder is gone on with."""
        dose = self._doses[name]
        dose.since_ns, dose.power_w = None, 0.0
        if self.rules[name].per == "session" and dose.kept.ended:
            dose.kept = DoseKept(0.0, self._utc_s(), ended=False)

    def end(self, name: str) -> None:
        """Control was given back in order."""
        joules = 0.0 if self.rules[name].per == "session" else self.joules(name)
        self._doses[name].kept = DoseKept(joules, self._utc_s(), ended=True)

    def anew(self, name: str) -> None:
        """There is a new sample."""
        self._doses[name].kept = DoseKept(0.0, self._utc_s(), self._doses[name].kept.ended)

    def to_keep(self) -> dict[str, DoseKept]:
        """For the disk, with what will be given until it is written again."""
        self._written_s = time.monotonic()
        return {
            name: DoseKept(dose.kept.joules + PLEDGE_S * 1.5 * dose.power_w, dose.kept.utc, dose.kept.ended)
            for name, dose in self._doses.items()
        }

    @property
    def due(self) -> bool:
        """Whether it is to be written again."""
        return bool(self.rules) and time.monotonic() - self._written_s > PLEDGE_S

    def _utc_s(self) -> float:
        return self._zero_s + time.monotonic()
