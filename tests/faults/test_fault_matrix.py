"""Each fault with each driver: an error or right values, in time, never light left on, and right again afterwards.

Drivers that are registered with an emulated instrument are found by themselves.
"""

from __future__ import annotations

import time

import pytest
from fault_bench import LATE_S, Bench, wait
from fault_meaning import UNSEEN, cells, lasers
from fault_page import Ledger
from fault_trials import LIMIT_S, OPENING_LIMIT_S, Keeper, LaserTrial, Notes, Recovery, Trial, made, opened

from drivers.contract import Device, DeviceError, LabError

pytestmark = pytest.mark.hil

WATCHDOG_S = 2.5
"""2 s, and some."""
AT_ONCE_S = 0.2
UNATTENDED_S = 0.6

every_cell = pytest.mark.parametrize(("bench", "fault"), cells(), indirect=["bench"], scope="module")
late_ones = [(driver, fault) for driver, fault in cells() if fault == "late"]
every_late_one = pytest.mark.parametrize(("bench", "fault"), late_ones, indirect=["bench"], scope="module")
every_laser = pytest.mark.parametrize(("bench", "fault"), lasers(), indirect=["bench"], scope="module")


def by_lasers(trial: Trial) -> LaserTrial:
    assert isinstance(trial, LaserTrial)
    return trial


@every_cell
def test_a_fault_strikes_an_idle_device(bench: Bench, keeper: Keeper, fault: str, ledger: Ledger) -> None:
    in_health = keeper.in_health()
    assert not in_health.wrong
    with keeper.trial() as trial:
        bench.strike(fault)
        notes = trial.sweep(fault)
        bench.strike(None)
        trial.recover()
    ledger.note("idle", bench.driver, fault, outcome(bench.driver, fault, notes, in_health))


@every_late_one
def test_what_comes_late_is_not_taken_for_the_next_answer(bench: Bench, keeper: Keeper, fault: str) -> None:
    with keeper.trial() as trial:
        bench.strike(fault)
        with pytest.raises(DeviceError):
            trial.ask()
        bench.strike(None)
        recovery = Recovery()
        trial.works(recovery)  # it is still on its way
        time.sleep(LATE_S)
        trial.works(recovery)  # it has come


def outcome(driver: str, fault: str, notes: Notes, in_health: Notes) -> str:
    """In a word, if it is one that is allowed."""
    if (driver, fault) in UNSEEN:
        assert notes.wrong, "it is seen, or does no harm: strike it off the list"
        return "unseen"
    assert not notes.wrong, f"wrong and no error: {notes.wrong}"
    if set(notes.raised) - set(in_health.raised):
        return "error"
    return "told" if notes.told else "works"


@every_cell
def test_a_fault_is_there_when_a_device_is_closed_and_opened(
    bench: Bench, keeper: Keeper, fault: str, ledger: Ledger
) -> None:
    keeper.let_go()
    before, device, notes = bench.make(), bench.make(), Notes(fault)
    Recovery().call(before.open)
    if bench.is_laser:
        leave_lit(bench, before)
    anew = fault == "firmware"
    try:
        if not anew:
            bench.strike(fault)
        notes.call("close()", before.close)
        if anew:
            bench.strike(fault, anew=True)
            device = bench.make()
        opens = notes.call("open()", device.open, limit_s=OPENING_LIMIT_S if bench.has_open_within else LIMIT_S)
        if bench.is_laser and fault != "port-loss":
            bench.must_be_dark()
        if not opens:
            with pytest.raises(LabError):
                device.identity()
        notes.call("close() again", device.close)
        bench.strike(None)
        recovery = Recovery()
        recovery.call(device.open)
        if bench.is_laser:
            bench.must_be_dark()
        trial = made(bench, device)
        trial.prepare(recovery)
        trial.works(recovery)
    finally:
        bench.strike(None)
        Recovery().call(device.close)
        if anew:
            bench.strike(None, anew=True)
    ledger.note("open", bench.driver, fault, "opens" if opens else "refused")


def leave_lit(bench: Bench, device: Device) -> None:
    """A laser emits, and whoever turned it on goes without a word."""
    trial, recovery = by_lasers(made(bench, device)), Recovery()
    trial.set_power(recovery)
    trial.light_up(recovery)
    trial.device._link.close()


@every_laser
def test_a_fault_strikes_a_laser_that_emits(bench: Bench, keeper: Keeper, fault: str, ledger: Ledger) -> None:
    keeper.let_go()
    with opened(bench) as opened_trial:
        trial = by_lasers(opened_trial)
        trial.light_up(Recovery())
        comes_and_goes(bench, trial, fault)
        trial.light_up(Recovery())
        bench.strike(fault)
        ends = what_ends_the_light(bench, trial, fault)
        bench.strike(None)
        recovery = Recovery()
        assert recovery.call(lambda: trial.device.emission) is False
        bench.must_be_dark()
        trial.works(recovery)
        bench.strike(fault)
        Notes(fault).call("close()", trial.device.close)
        bench.must_be_dark()
    ledger.note("lit", bench.driver, fault, ends)


def comes_and_goes(bench: Bench, trial: LaserTrial, fault: str) -> None:
    """A fault that nobody notices by a call: afterwards the driver knows whether there is light."""
    bench.strike(fault)
    time.sleep(UNATTENDED_S)
    bench.strike(None)
    emits = Recovery().call(lambda: trial.device.emission)
    assert wait(lambda: (bench.light_w > 0.0) == emits, AT_ONCE_S), f"emission reads {emits}: {bench.light_w} W"


def what_ends_the_light(bench: Bench, trial: LaserTrial, fault: str) -> str:
    """In a word. Where nothing does before the line is back, the driver must have said so."""
    if wait(lambda: bench.light_w == 0.0, AT_ONCE_S):
        return "instrument"
    notes = Notes(fault)
    notes.call("power", lambda: getattr(trial.device, trial.power))
    notes.call("safe()", trial.device.safe)
    if wait(lambda: bench.light_w == 0.0, AT_ONCE_S):
        return "driver"
    assert "may still be on" in str(notes.raised["safe()"])
    if wait(lambda: bench.light_w == 0.0, WATCHDOG_S):
        return "watchdog"
    return "reconnection"
