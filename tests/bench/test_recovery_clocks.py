"""A run that pauses at an interlock judges by how long ago it tripped, not by the clock of the server's computer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from drivers.errors import InterlockError
from labctl.bench.recovery import Recovery
from labctl.bench.schema import RecoveryTable

HOUR_S = 3600.0


class TrippedOnce:
    """What a pause asks of a bench: one trip, told of by a clock that is wrong."""

    def __init__(self, wrong_s: float) -> None:
        self._wrong_s = wrong_s
        self._tripped_s = -1.0
        self.waited = 0

    def trip(self) -> None:
        self._tripped_s = time.monotonic()

    def wait_acknowledged(self, timeout_s: float | None = None) -> list[str]:
        self.waited += 1
        return []

    def interlock_events(self, run: str = "") -> list[dict[str, Any]]:
        age_s = time.monotonic() - self._tripped_s
        utc = time.time() - age_s + self._wrong_s
        return [{"utc": utc, "age_s": age_s, "what": "tripped", "interlock": "tap", "text": "", "run": run}]


@pytest.mark.parametrize("wrong_s", [-HOUR_S, 0.0, HOUR_S])
def test_what_was_measured_before_the_trip_is_kept(wrong_s: float) -> None:
    bench, counted = TrippedOnce(wrong_s), list[str]()
    recovery = recovering(bench, counted)
    assert recovery.call("camera", "camera", "trigger", lambda: 1) == 1
    time.sleep(0.01)
    bench.trip()
    assert recovery.call("camera", "camera", "trigger", refusing_once()) == 2
    assert (bench.waited, counted) == (1, ["interlock tap waited for"])


@pytest.mark.parametrize("wrong_s", [-HOUR_S, 0.0, HOUR_S])
def test_what_may_have_been_measured_without_light_is_not(wrong_s: float) -> None:
    bench = TrippedOnce(wrong_s)
    recovery = recovering(bench, [])

    def trips_meanwhile() -> int:
        bench.trip()
        time.sleep(0.01)
        return 1

    assert recovery.call("camera", "camera", "trigger", trips_meanwhile) == 1
    with pytest.raises(InterlockError) as refused:
        recovery.call("camera", "camera", "trigger", refusing_once())
    assert "without light" in refused.value.__notes__[0]
    assert bench.waited == 0


def recovering(bench: TrippedOnce, counted: list[str]) -> Recovery:
    recovery = Recovery(bench, RecoveryTable(acknowledge_within="60 s"), counted.append)
    recovery.emits("laser", True, lambda: None)
    return recovery


def refusing_once() -> Any:
    answers = iter([InterlockError("interlock tap: tripped"), 2])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask
