"""An instrument fails while a loop measures with it: what it does, on the drivers of real tables, and what is told."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from labctl.ledger.child import Child
from labctl.ledger.rail import Rail, both, emulated, until
from labctl.ledger.row import Bench, Row, Trial
from labctl.ledger.runs import broken_off, goes_on

AT_ONCE_S = 0.1
WATCHDOG_S = 2.5
_DETECTED_WITHIN_S = 10.0


def _struck(
    rail: Rail, trial: Trial, device: str, fault: str | None = None, mutation: str | None = None, struck: str = ""
) -> float:
    """The loop gets an error that names the device, and ends; the light with it, at once. Mended, all goes on.

    struck: what is broken, if that is not the device that the loop uses.
    """
    laser = device if device in ("pump", "source") else "pump"
    broken = struck or device
    with rail.operator() as operator:
        assert "on" in operator.asked(f"loop {laser} {device}")
        time.sleep(trial.dice.uniform(0, 0.1))
        rail.strike(broken, fault, mutation)
        try:
            told = _error_of(operator)
            assert device in told["message"], f"it does not say which device: {told['message']}"
            dark_s = rail.dark_after_s(int(told["detected_ns"]))
        finally:
            rail.strike(broken)
        _works_again(operator, laser, device)
    return dark_s


def _during_a_run(rail: Rail, trial: Trial, fault: str) -> None:
    """Of the camera, with every try that its frames have: the run ends, and goes on once it is mended."""
    try:
        run, _ = broken_off(rail, trial, partial(rail.strike, "camera", fault), "camera")
    finally:
        rail.strike("camera")
    goes_on(rail, run)


def _error_of(operator: Child) -> dict[str, Any]:
    told = operator.heard(_DETECTED_WITHIN_S)
    assert "error" in told, f"no error: {told}"
    return told


def _works_again(operator: Child, laser: str, device: str) -> None:
    """A few calls may fail after a fault."""

    def works() -> bool:
        if "on" not in operator.asked(f"loop {laser} {device}"):
            return False
        return "off" in operator.asked("off")

    until(works, 20.0, f"{device} does not work again")


_TOLD = "error that names the device; emission off; works again when mended"
_NO_LINE = "a simulated device has no line, and no screen, that could fail"

ROWS = [
    Row(fault, detected_by, _TOLD, (Bench("emulated", emulated, bound_s),),
        partial(_struck, device=device, fault=struck), _NO_LINE)
    for fault, detected_by, bound_s, device, struck in (
        ("port unplugged and plugged in again (laser)", "driver; then the laser's own watchdog", WATCHDOG_S, "source",
         "port-loss"),
        ("laser answers no more", "driver: time-out", AT_ONCE_S, "pump", "mute"),
        ("laser's answers are garbled", "driver: check sum, echo", AT_ONCE_S, "source", "corrupt-crc"),
        ("photodetector unplugged", "driver", AT_ONCE_S, "meter", "port-loss"),
        ("camera unplugged", "driver", AT_ONCE_S, "camera", "port-loss"),
        ("SLM window covered", "driver: the screen is read back", AT_ONCE_S, "slm", "window"),
        ("SLM display unplugged", "driver", AT_ONCE_S, "slm", "port-loss"),
        ("SLM shows another gamma", "driver: the ramp is read back", AT_ONCE_S, "slm", "gamma"),
        ("SLM display hangs", "driver: time-out", AT_ONCE_S, "slm", "frozen"),
    )
] + [
    Row("photodetector dead", "driver: time-out", _TOLD, both(AT_ONCE_S),
        partial(_struck, device="meter", fault="mute")),
    Row("camera dead", "driver: time-out", _TOLD, both(AT_ONCE_S), partial(_struck, device="camera", fault="mute")),
    Row("camera frozen", "sequencer: two frames are the same in every pixel", _TOLD, both(AT_ONCE_S),
        partial(_struck, device="sequencer", struck="camera", mutation="stale")),
    Row("camera unplugged during a run", "driver", "emission off; the run ends and names the camera; no frame stands "
        "twice in it; it goes on when plugged in again", (Bench("emulated", emulated),),
        partial(_during_a_run, fault="port-loss"), _NO_LINE),
    Row("camera dead during a run", "driver: time-out, also when asked again", "emission off; the run ends and names "
        "the camera; no frame stands twice in it; it goes on when mended", both(),
        partial(_during_a_run, fault="mute")),
]  # fmt: skip
