"""Which interlocks are tripped, and what they did: said in words, and kept in memory and on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from labctl.safety.record import Record, Trip

log = logging.getLogger(__name__)

LOST = "record"
"""Name of the interlock that is tripped when what was tripped before a restart cannot be read."""
_EVENTS_KEPT = 200


class Latch:
    """Of one server. tripped: by interlock.

    emitters: what a record that is lost keeps dark.
    """

    def __init__(self, bench: str, record: Record, emitters: Sequence[str]) -> None:
        self._bench = bench
        self.tripped = dict(record.kept.tripped)
        if record.lost:
            limit, now = "a record of what is tripped", time.time()
            self.tripped[LOST] = Trip(LOST, LOST, "", record.lost, limit, now, list(emitters))
        self._events: list[tuple[float, dict[str, Any]]] = []
        """With the monotonic time of each."""

    def to_keep(self) -> dict[str, Trip]:
        """What a restart must not forget."""
        return dict(self.tripped)

    def release(self, trip: Trip, by: str, reason: str) -> None:
        """Somebody acknowledged it."""
        del self.tripped[trip.interlock]
        self.event("acknowledged", trip.interlock, f"by {by}" + (f": {reason}" if reason else ""), trip.run)
        log.warning("interlock %s acknowledged by %s%s", trip.interlock, by, f": {reason}" if reason else "")

    def event(self, what: str, interlock: str, text: str, run: str) -> None:
        """Note what happened now."""
        happened = {"utc": time.time(), "what": what, "interlock": interlock, "text": text, "run": run}
        self._events.append((time.monotonic(), happened))
        del self._events[:-_EVENTS_KEPT]

    def events(self) -> list[dict[str, Any]]:
        """What interlocks did, the oldest first. age_s: how long ago, whatever was done to a clock since."""
        now_s = time.monotonic()
        return [{**happened, "age_s": now_s - then_s} for then_s, happened in list(self._events)]

    def told(self, trip: Trip) -> str:
        """A trip in words, for whoever is refused, and the log."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(trip.utc))
        if trip.rule == "armed":
            return f"emission of {trip.device} was turned off at {when} UTC: {trip.value}. Arm it: {self.cure('arm')}"
        return (
            f"interlock {trip.interlock} ({trip.rule}) tripped at {when} UTC: {trip.value}; allowed is {trip.limit}. "
            f"Emission of {', '.join(trip.guards) or 'everything'} stays off. Find the cause, then "
            f"{self.cure('ack')} --interlock {trip.interlock}"
        )

    def cure(self, command: str) -> str:
        """The command of that name."""
        return f"labctl {command} {self._bench}"
