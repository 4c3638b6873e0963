"""Interlocks of a bench trip: light off, latched, said everywhere, and light again once somebody has acknowledged."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from drivers.errors import InterlockError, LabError
from labctl.ledger.benches import EMULATED, SIMULATED
from labctl.ledger.child import Child
from labctl.ledger.command import done
from labctl.ledger.rail import EMULATED_LEASE_S, LEASE_S, Rail, standing, until
from labctl.ledger.row import Bench, Row, Trial, refused
from labctl.ledger.runs import broken_off, goes_on
from labctl.runfile.file import open_run

AT_ONCE_S = 0.1
_MONITOR = 'monitor = "output_power"\n'
_INTERLOCKS = f"""
[interlocks.zeroth_order]
rule = "reading"
guards = ["pump"]
device = "meter"
max = "50 mW"                       # at 4 W it reads 40 mW, as delivered by the emulated one 27 mW
frozen = 10

[interlocks.pump_obeys]
rule = "read-back"
guards = ["pump"]
{_MONITOR}tolerance = "2 %"
after = "1 s"
within = "3 s"

[interlocks.camera]
rule = "camera"
guards = ["source"]
device = "camera"
within = "20 s"
frames = 3
"""


class _Guarded(Rail):
    """The rail, with interlocks."""

    def set_up(self) -> None:
        """In health, and acknowledged."""
        super().set_up()
        with self.bench() as bench:
            bench.pump.power_w = 4.0  # what it was told last may not be what it took
            if any(state["tripped"] for state in bench.interlocks()):
                bench.acknowledge(reason="the ledger's next trial")

    def tripped(self, interlock: str) -> dict[str, Any]:
        """How an interlock tripped last."""
        with self.bench() as bench:
            found = [e for e in bench.interlock_events() if (e["interlock"], e["what"]) == (interlock, "tripped")]
        assert found, f"{interlock} has not tripped"
        return found[-1]


@contextlib.contextmanager
def _guarded(folder: Path, name: str, devices: str, lease_s: float) -> Iterator[_Guarded]:
    more = _INTERLOCKS if devices == EMULATED else _INTERLOCKS.replace(_MONITOR, "")  # the simulated one sees no power
    with standing(_Guarded(folder, name, devices, more, lease_s)) as stood:
        stood.frames = 400  # of a run that is not over before ten readings were the same
        yield stood


def _trips(
    rail: _Guarded, trial: Trial, interlock: str, order: str, break_it: Callable[[_Guarded, Child], object],
    mend: Callable[[_Guarded], object],
) -> float:  # fmt: skip
    """Light off; the operator, the status, the log tell why; light is refused until acknowledged, and comes then."""
    laser = order.split()[1]
    with rail.operator() as operator:
        until(lambda: "on" in operator.asked(order), 20.0, "there is no light to begin with")
        time.sleep(trial.dice.uniform(0.6, 0.8))
        begun_s = time.time()
        break_it(rail, operator)
        try:
            rail.dark_after_s(time.monotonic_ns(), 20.0)
            event = rail.tripped(interlock)
            assert event["utc"] >= begun_s, f"it tripped for another reason: {event}"
            since_ns = rail.witness.dark_since_ns()
            assert since_ns is not None
            detected_ns = time.monotonic_ns() - round((time.time() - float(event["utc"])) * 1e9)
            _told_everywhere(rail, operator, interlock, begun_s)
            _latched(rail, laser, interlock)
        finally:
            mend(rail)
        _acknowledged(rail, operator, order, interlock)
    return max(since_ns - detected_ns, 0) / 1e9


def _told_everywhere(rail: _Guarded, operator: Child, interlock: str, begun_s: float) -> None:
    told = operator.heard(20.0)
    while "error" not in told:  # what it had done before
        told = operator.heard(20.0)
    assert told["error"] == "InterlockError", f"the operator was told {told}"
    assert interlock in told["message"], told["message"]
    assert "labctl ack" in told["message"], told["message"]
    assert interlock in done("status"), "the status does not tell of it"
    assert rail.logged(interlock, since_s=begun_s), "the log does not tell of it"


def _latched(rail: _Guarded, laser: str, interlock: str) -> None:
    def light() -> None:
        with rail.bench() as bench, bench.control("ledger", devices=[laser]):
            bench[laser].emission = True

    dark_ns = rail.witness.dark_since_ns()
    # A laser that does not do as it is told may be refused by its driver first, when control begins.
    told = refused(LabError if interlock == "pump_obeys" else InterlockError, light)
    assert interlock in told or interlock == "pump_obeys", f"light was refused for another reason: {told}"
    assert dark_ns is not None, "there was light all the time"
    assert rail.witness.dark_since_ns() == dark_ns, "light came while the interlock was tripped"


def _acknowledged(rail: _Guarded, operator: Child, order: str, interlock: str) -> None:
    def lit() -> bool:
        done("ack", rail.name, "--reason", "mended")
        return "on" in operator.asked(order)

    until(lit, 60.0, "no light after it was acknowledged")
    operator.asked("off")


def _too_bright(rail: _Guarded, operator: Child) -> None:
    operator.say("power pump 8")


def _ignores(rail: _Guarded, trial: Trial) -> float:
    """The laser confirms a set-point and keeps another one: what it says of itself gives it away."""
    with rail.operator() as operator:
        until(lambda: "on" in operator.asked("on pump"), 20.0, "there is no light to begin with")
        rail.strike("pump", mutation="ignore-setpoint")
        try:
            told = operator.asked(f"power pump {trial.dice.uniform(1, 3):.2f}")
            assert told.get("error") == "DeviceError", f"the operator was told {told}"
            assert "pump" in told["message"], told["message"]
            assert "reads back" in told["message"], told["message"]
            return rail.dark_after_s(int(told["detected_ns"]))
        finally:
            rail.strike("pump")


def _trips_during_a_run(rail: _Guarded, trial: Trial) -> float:
    """The run ends and its file says why; it does not go on before somebody has acknowledged, and then it does."""

    def break_it() -> None:
        rail.strike("meter", mutation="stale")

    begun_s = time.time()
    try:
        run, _ = broken_off(rail, trial, break_it, "zeroth_order", "labctl ack")
    finally:
        rail.strike("meter")
    event = rail.tripped("zeroth_order")
    assert event["utc"] >= begun_s, f"it tripped for another reason: {event}"
    detected_ns = time.monotonic_ns() - round((time.time() - float(event["utc"])) * 1e9)
    since_ns = rail.witness.dark_since_ns()
    assert since_ns is not None, "there is light"
    _in_its_file(run)
    said = done("resume", str(run), status=1)
    assert "zeroth_order" in said, said
    assert not rail.witness.lit(), "light came while the interlock was tripped"
    done("ack", rail.name, "--reason", "mended")
    goes_on(rail, run)
    _in_its_file(run)
    return max(since_ns - detected_ns, 0) / 1e9


def _in_its_file(run: Path) -> None:
    with open_run(run) as file:
        status = file["parts/0"].attrs["status"]
        assert status.startswith("failed: InterlockError"), f"its status is {status!r}"
        assert json.loads(file.attrs["interlocks"])["zeroth_order"] == 1, file.attrs["interlocks"]
        assert "zeroth_order" in file["interlocks"].asstr()[()], "what it did is not in the file"


def _struck(
    rail: _Guarded, operator: Child, device: str, fault: str | None = None, mutation: str | None = None
) -> None:
    rail.strike(device, fault, mutation)


def _mend(rail: _Guarded, device: str) -> None:
    rail.strike(device)


_TOLD = "emission off and latched; told in error, status and log; light again after `labctl ack`"

_OBEYS = "a simulated laser does as it is told"
_BENCHES = (
    Bench("simulated", partial(_guarded, name="ledger-guarded", devices=SIMULATED, lease_s=LEASE_S), AT_ONCE_S),
    Bench("emulated", partial(_guarded, name="ledger-guarded-emulated", devices=EMULATED, lease_s=EMULATED_LEASE_S),
          AT_ONCE_S),
)  # fmt: skip

ROWS = [
    Row("zeroth-order power above limit", "interlock `reading`", _TOLD, _BENCHES,
        partial(_trips, interlock="zeroth_order", order="on pump", break_it=_too_bright, mend=lambda rail: None)),
    Row("photodetector stuck", "interlock `reading`: 10 equal values", _TOLD, _BENCHES,
        partial(_trips, interlock="zeroth_order", order="on pump",
                break_it=partial(_struck, device="meter", mutation="stale"), mend=partial(_mend, device="meter"))),
    Row("photodetector of an interlock dead", "interlock `reading`: no value for 1 s", _TOLD, _BENCHES,
        partial(_trips, interlock="zeroth_order", order="on pump",
                break_it=partial(_struck, device="meter", fault="mute"), mend=partial(_mend, device="meter"))),
    Row("camera saturated", "interlock `camera`: 3 frames", _TOLD, _BENCHES,
        partial(_trips, interlock="camera", order="loop source camera",
                break_it=partial(_struck, device="camera", fault="over-range"), mend=partial(_mend, device="camera"))),
    Row("interlock trips during a run", "interlock `reading`: 10 equal values", "emission off; the run ends, its file "
        "says why and how often; refused until `labctl ack`, then it goes on", _BENCHES, _trips_during_a_run),
    Row("laser ignores commands", "driver: every set-point is read back", "error that says what it reads back; "
        "emission off", _BENCHES[1:], _ignores, _OBEYS),
    Row("laser read-back differs", "interlock `read-back`", _TOLD, _BENCHES[1:],
        partial(_trips, interlock="pump_obeys", order="on pump",
                break_it=partial(_struck, device="pump", mutation="scale"), mend=partial(_mend, device="pump")),
        _OBEYS),
]  # fmt: skip
