"""What a bench does by itself when a measurement fails: it is made again, a few times, and light may be waited for.

A frame that was lost, or that is not the one that was asked for (DeviceTimeout, FrameError), was dropped by who found
out, so that asking again gives nothing stale: a trigger is given again, a sequence is played again from its first
pattern, with a camera that is armed anew. Where a bench file says so (``[recovery] acknowledge_within``), a run pauses
at an interlock that tripped until it is acknowledged, has the light on again that was on, and measures again what was
being measured. Whatever was done is counted.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from drivers.errors import DeviceTimeout, FrameError, InterlockError
from labctl.bench.schema import RecoveryTable

log = logging.getLogger(__name__)
T = TypeVar("T")

AGAIN = {
    "camera": frozenset({"trigger", "burst"}),
    "photodetector": frozenset({"measure", "trace"}),
    "sequencer": frozenset({"play"}),
}
"""Operations by kind of device that measure from their beginning to their end, and may be asked for again."""


class Waiting(Protocol):
    """The bench, as far as a pause needs it."""

    def wait_acknowledged(self, timeout_s: float | None = None) -> list[str]:
        """Until no interlock is tripped."""
        ...

    def interlock_events(self, run: str = "") -> list[dict[str, Any]]:
        """What interlocks did."""
        ...


class Recovery:
    """Of one run. count: is told what was recovered from, such as "camera.trigger again". say: tells a person.

    own: whether the experiment deals with lost frames by itself, so that only interlocks are waited for here.
    """

    def __init__(
        self,
        bench: Waiting,
        policy: RecoveryTable,
        count: Callable[[str], None],
        say: Callable[[str], None] = lambda text: None,
        *,
        own: bool = False,
    ) -> None:
        self._bench, self._policy, self._count, self._say, self._own = bench, policy, count, say, own
        self._lit: dict[str, Callable[[], Any]] = {}
        self._measured_s = -math.inf

    def recovered(self, what: str) -> None:
        """Count something that was dealt with elsewhere."""
        self._count(what)

    def emits(self, device: str, on: bool, again: Callable[[], Any]) -> None:
        """A device was told to emit, or not to. again: tells it once more."""
        self._lit.pop(device, None)
        if on:
            self._lit[device] = again

    def call(self, device: str, kind: str, name: str, ask: Callable[[], T]) -> T:
        """``ask`` for an operation, or a setting; again where that is safe and allowed."""
        measures, tries = name in AGAIN.get(kind, ()), 0
        while True:
            try:
                value = ask()
            except InterlockError as error:
                self._wait_for_light(error, f"{device}.{name}")
            except (DeviceTimeout, FrameError) as error:
                tries += 1
                if not measures or self._own or tries >= self._policy.tries:
                    if tries > 1:
                        error.add_note(f"{device}.{name} was asked for {tries} times ([recovery] tries)")
                    raise
                log.warning("%s.%s is asked for again: %s", device, name, error, extra={"device": device})
                self._count(f"{device}.{name} again")
            else:
                if measures:
                    self._measured_s = time.monotonic()
                return value

    def _wait_for_light(self, error: InterlockError, what: str) -> None:
        """Return once there is light again as there was, or raise the error."""
        if not self._policy.acknowledge_within or not self._lit or what.endswith(".emission"):
            raise error
        asked_s = time.monotonic()
        tripped = [event for event in self._bench.interlock_events() if event["what"] == "tripped"]
        # The server may be another computer, with a clock of its own: only how long ago it was is alike on both.
        told_s = (asked_s + time.monotonic()) / 2
        if not tripped or told_s - tripped[-1]["age_s"] < self._measured_s:
            error.add_note("what was measured last may have been without light: go on from the last checkpoint")
            raise error
        self._say(f"paused: {error}")
        self._bench.wait_acknowledged(self._policy.acknowledge_within)
        for again in list(self._lit.values()):
            again()
        self._say(f"acknowledged: goes on with {what}")
        self._count(f"interlock {tripped[-1]['interlock']} waited for")
