"""What the driver of every pump on a line keeps, on its emulator: `PumpBehaviour`, which the tests of each inherit."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from around import in_a_thread, left_behind, wait

from drivers.contract import (
    ConfigurationError,
    DeviceError,
    DeviceTimeout,
    InterlockError,
    LabError,
    LimitError,
    Limits,
    PumpLaser,
)
from simulators.emulators.sprout import PumpInstrument

STATE = np.dtype([("pump_emission", np.uint8), ("pump_power_w", np.float64)])
TIMEOUT_S = 0.3
"""Of a driver whose timeouts are looked at; all others are patient, since the machine may be busy."""
SLACK_S = 1.5
"""Beyond the second after the timeout that is promised: this may run on a busy machine."""
FAULTS = ("mute", "late", "corrupt-crc", "interlock-open", "over-range", "port-loss", "firmware")


class Table:
    """A world with nothing but a pump."""

    def __init__(self) -> None:
        self.state = np.zeros(1, STATE)
        self.parameters = SimpleNamespace()

    @property
    def power_w(self) -> float:
        return float(self.state["pump_power_w"][0]) if self.state["pump_emission"][0] else 0.0

    def dark_within(self, seconds: float) -> bool:
        return wait(lambda: not self.state["pump_emission"][0] and self.power_w == 0.0, seconds)


class Setup(SimpleNamespace):
    """A pump that is switched on, its table, and a driver that was not opened."""

    table: Table
    emulator: PumpInstrument
    device: Any

    def recover(self) -> None:
        """Safe again, within a few calls: old answers may still be on their way."""
        self.emulator.inject(None)
        until = time.monotonic() + 20.0
        while True:
            try:
                self.device.safe()
                return
            except DeviceError:
                assert time.monotonic() < until, "it does not recover"
                time.sleep(0.1)


class PumpBehaviour:
    """What is so for each of them."""

    driver: ClassVar[type[PumpLaser]]
    instrument: ClassVar[type[PumpInstrument]]
    unit_w: ClassVar[float] = 1.0
    step_w: ClassVar[float] = 0.01
    package: ClassVar[str] = "pylablib"
    refusal: ClassVar[str]
    driver_keys: ClassVar[dict[str, Any]] = {}

    def make(self, emulator_keys: dict[str, Any] | None = None, **driver_keys: Any) -> Setup:
        table = Table()
        keys = {"settle": "0.15 s", **(emulator_keys or {})}
        emulator = self.instrument("pump", table, self.instrument.Options.model_validate(keys))
        told = emulator.start()
        assert set(told) == set(emulator.supplies)
        options: Any = self.driver.Options.model_validate(  # type: ignore[attr-defined]
            {"timeout": "5 s", "light_within": "5 s", **told, **self.driver_keys, **driver_keys}
        )
        site: Any = None
        return Setup(table=table, emulator=emulator, device=self.driver.build("pump", options, site))

    @contextlib.contextmanager
    def running(self, emulator_keys: dict[str, Any] | None = None, **driver_keys: Any) -> Iterator[Setup]:
        s = self.make(emulator_keys, **driver_keys)
        try:
            for _ in range(5):
                with contextlib.suppress(DeviceTimeout):
                    s.device.open()
                    break
            yield s
        finally:
            s.emulator.inject(None)
            s.emulator.mutate(None)
            with contextlib.suppress(LabError):
                s.device.close()
            s.emulator.stop()
            assert s.table.power_w == 0.0

    @pytest.fixture
    def s(self) -> Iterator[Setup]:
        with self.running() as s:
            yield s

    @pytest.fixture
    def hasty(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
        monkeypatch.setattr("simulators.emulators.serial_line._LATE_FAULT_S", 2 * TIMEOUT_S)
        monkeypatch.setattr("simulators.emulators.serial_line._LATE_MUTATION_S", 2 * TIMEOUT_S)
        with self.running(timeout=f"{TIMEOUT_S} s") as s:
            yield s

    # --- numbers ----------------------------------------------------------------------------------------------------

    def test_a_set_power_reads_back_within_its_step(self, s: Setup) -> None:
        limits = s.device.limits("power_w")
        for value in np.random.default_rng(3).uniform(limits.minimum, limits.maximum, 12):
            s.device.power_w = float(value)
            assert abs(s.device.power_w - value) <= self.step_w / 2 + 1e-9

    def test_a_power_beyond_the_rated_one_is_refused_and_changes_nothing(self, s: Setup) -> None:
        s.device.power_w = 2 * self.unit_w
        with pytest.raises(LimitError, match="nothing was changed"):
            s.device.power_w = s.emulator.options.rated_power * 1.01
        assert s.device.power_w == pytest.approx(2 * self.unit_w)

    def test_rounding_does_not_pass_a_limit(self, s: Setup) -> None:
        limit = 3 * self.unit_w + 0.7 * self.step_w
        s.device.restrict("power_w", Limits(maximum=limit))
        s.device.power_w = limit
        assert s.device.power_w == pytest.approx(3 * self.unit_w)

    def test_the_light_settles_at_the_set_point(self, s: Setup) -> None:
        s.device.power_w = 4 * self.unit_w
        s.device.emission = True
        assert s.device.emission
        assert s.table.state["pump_emission"][0]
        assert wait(lambda: abs(s.table.power_w / (4 * self.unit_w) - 1) < 5e-3, 5.0)
        assert s.device.output_power_w == pytest.approx(4 * self.unit_w, rel=0.02, abs=self.step_w)

    def test_power_follows_a_new_set_point_while_it_emits(self, s: Setup) -> None:
        s.device.power_w = 4 * self.unit_w
        s.device.emission = True
        s.device.power_w = 2 * self.unit_w
        assert wait(lambda: abs(s.table.power_w / (2 * self.unit_w) - 1) < 5e-3, 5.0)

    def test_wavelength_is_its_own(self, s: Setup) -> None:
        assert s.device.wavelength_m == pytest.approx(532e-9)

    def test_it_has_no_pulses_of_its_own(self, s: Setup) -> None:
        with pytest.raises(LimitError):
            s.device.modulation = "pulsed"
        s.device.modulation = "cw"
        assert s.device.modulation == "cw"

    def test_a_snapshot_has_every_setting(self, s: Setup) -> None:
        snapshot = s.device.snapshot()
        assert set(snapshot) == set(s.device.declared_settings())
        assert "interlock" in snapshot["condition"]

    # --- safe -------------------------------------------------------------------------------------------------------

    def test_opening_ends_the_light_that_a_dead_process_left(self, s: Setup) -> None:
        s.device.power_w = 3 * self.unit_w
        s.device.emission = True
        s.device._link.drop()
        assert s.table.state["pump_emission"][0]
        s.device.open()
        assert s.table.dark_within(1.0)

    def test_closing_ends_the_light(self, s: Setup) -> None:
        s.device.power_w = 3 * self.unit_w
        s.device.emission = True
        s.device.close()
        assert s.table.dark_within(1.0)

    def test_a_closed_device_is_safe_and_answers_nothing(self, s: Setup) -> None:
        s.device.close()
        s.device.safe()
        s.device.close()
        with pytest.raises(DeviceError, match="open it"):
            _ = s.device.power_w

    def test_opening_and_closing_leaves_nothing_behind(self, s: Setup) -> None:
        s.device.close()
        before = left_behind()
        for _ in range(3):
            s.device.open()
            s.device.close()
        assert left_behind() == before

    def test_an_emulator_leaves_nothing_behind(self) -> None:
        before = left_behind()
        for _ in range(2):
            s = self.make()
            s.emulator.stop()
        assert left_behind() == before

    def test_an_open_interlock_is_named_and_the_light_stays_off_when_it_closes(self, s: Setup) -> None:
        s.device.power_w = 3 * self.unit_w
        s.device.emission = True
        s.emulator.inject("interlock-open")
        assert s.table.dark_within(1.0)
        assert not s.device.emission
        with pytest.raises(InterlockError, match="interlock"):
            s.device.emission = True
        s.emulator.inject(None)
        assert not s.device.emission
        assert s.table.power_w == 0.0

    def test_safe_does_not_wait_behind_a_call_that_fails(self, hasty: Setup) -> None:
        s = hasty
        s.device.power_w = 3 * self.unit_w
        s.device.emission = True
        s.emulator.inject("mute")
        reading, _ = in_a_thread(lambda: s.device.power_w)
        time.sleep(0.05)
        began = time.monotonic()
        with contextlib.suppress(DeviceError):
            s.device.safe()
        assert time.monotonic() - began < TIMEOUT_S + 1.0 + SLACK_S
        reading.join()
        assert s.table.dark_within(1.0)

    def test_safe_ends_the_wait_for_light(self, s: Setup) -> None:
        s.device.power_w = 3 * self.unit_w
        s.emulator.mutate("dark")
        thread, found = in_a_thread(lambda: setattr(s.device, "emission", True))
        time.sleep(0.3)
        s.device.safe()
        thread.join(2.0 + SLACK_S)
        assert not thread.is_alive()
        assert "safe()" in str(found[0])
        assert not s.device.emission

    def test_light_that_was_asked_for_before_safe_came_stays_off(self, s: Setup) -> None:
        s.device.power_w = 3 * self.unit_w
        with s.device._link.talk("test"):  # so that the other thread waits for its turn
            thread, found = in_a_thread(lambda: setattr(s.device, "emission", True))
            time.sleep(0.2)
            s.device.safe()
        thread.join(2.0 + SLACK_S)
        assert not thread.is_alive()
        assert "safe()" in str(found[0])
        assert s.table.dark_within(0.5)
        assert not s.device.emission

    @pytest.mark.parametrize("answer", ["nonsense", "refusal", "nothing"])
    def test_no_light_is_left_behind_when_answers_fail_after_it_went_on(
        self, hasty: Setup, monkeypatch: pytest.MonkeyPatch, answer: str
    ) -> None:
        s = hasty
        s.device.power_w = 3 * self.unit_w
        said = {"nonsense": ["%$&"], "refusal": [self.refusal], "nothing": []}[answer]
        reply = s.emulator.reply
        went_on: list[bool] = []

        def fail_in_the_light(line: str) -> list[str]:
            answers = reply(line)
            if s.emulator.emitting():
                went_on.append(True)
            return said if went_on else answers

        monkeypatch.setattr(s.emulator, "reply", fail_in_the_light)
        with pytest.raises(DeviceError):
            s.device.emission = True
        assert went_on
        assert wait(lambda: not s.emulator.emitting(), 0.5)
        monkeypatch.undo()
        s.recover()
        assert s.table.dark_within(0.5)

    def test_a_line_lost_while_light_is_awaited_ends_the_wait_in_the_dark(self, s: Setup) -> None:
        s.device.power_w = 3 * self.unit_w
        s.emulator.mutate("dark")
        thread, found = in_a_thread(lambda: setattr(s.device, "emission", True))
        time.sleep(0.3)
        s.device._link.drop()
        thread.join(2.0 + SLACK_S)
        assert not thread.is_alive()
        assert "lost" in str(found[0])
        assert not s.emulator.emitting()

    def test_a_set_point_beyond_the_limit_gets_no_light(self, s: Setup) -> None:
        s.device.power_w = 4 * self.unit_w
        s.device.restrict("power_w", Limits(maximum=3 * self.unit_w))
        with pytest.raises(LimitError, match="set power_w first"):
            s.device.emission = True
        assert not s.emulator.emitting()
        s.device.power_w = 3 * self.unit_w
        s.device.emission = True
        assert s.device.emission

    def test_a_call_that_waited_while_it_was_closed_does_not_open_it(self, s: Setup) -> None:
        with s.device._link.talk("test"):
            thread, found = in_a_thread(lambda: s.device.power_w)
            time.sleep(0.2)
            s.device.close()
        thread.join(2.0 + SLACK_S)
        assert "open it" in str(found[0])
        assert not s.device._link.connected

    # --- faults -----------------------------------------------------------------------------------------------------

    def test_a_port_that_takes_no_more_is_an_error_in_time(self, hasty: Setup) -> None:
        s = hasty
        port: Any = s.emulator._wire
        termios.tcflow(port._ends[1], termios.TCOOFF)
        try:
            for act in (lambda: s.device.power_w, s.device.safe):
                began = time.monotonic()
                with pytest.raises(DeviceError):
                    act()
                assert time.monotonic() - began < TIMEOUT_S + 1.0 + SLACK_S
        finally:
            termios.tcflow(port._ends[1], termios.TCOON)
        s.recover()

    def test_losing_the_port_again_and_again_leaks_nothing(self, s: Setup) -> None:
        def lose() -> None:
            s.emulator.inject("port-loss")
            with pytest.raises(DeviceError):
                _ = s.device.power_w
            s.emulator.inject(None)
            _ = s.device.power_w

        lose()
        before = left_behind()
        for _ in range(3):
            lose()
        assert left_behind() == before

    def test_a_laser_that_does_not_answer_is_not_opened_and_leaks_nothing(self, hasty: Setup) -> None:
        s = hasty
        s.device.close()
        before = left_behind()
        s.emulator.inject("mute")
        for _ in range(2):
            with pytest.raises(DeviceTimeout):
                s.device.open()
        assert left_behind() == before
        with pytest.raises(DeviceError, match="open it"):
            _ = s.device.power_w

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_fault_ends_in_an_error_or_not_at_all_but_soon(self, hasty: Setup, fault: str) -> None:
        s = hasty
        s.device.power_w = 2 * self.unit_w
        s.emulator.inject(fault)

        for name, value in (("power_w", 3 * self.unit_w), ("emission", True)):
            began = time.monotonic()
            with contextlib.suppress(DeviceError, InterlockError):
                setattr(s.device, name, value)
            assert time.monotonic() - began < TIMEOUT_S + 1.0 + SLACK_S, name
        assert s.table.dark_within(0.5)
        s.recover()
        assert not s.device.emission

    @pytest.mark.parametrize("fault", FAULTS)
    def test_safe_ends_the_light_through_every_fault(self, hasty: Setup, fault: str) -> None:
        s = hasty
        s.device.power_w = 2 * self.unit_w
        s.device.emission = True
        s.emulator.inject(fault)
        with contextlib.suppress(DeviceError):
            s.device.safe()
        if fault == "port-loss":  # nothing reaches the laser: the first call after it does
            s.recover()
        assert s.table.dark_within(0.5)

    def test_the_first_call_after_a_port_loss_reconnects_and_makes_safe(self, s: Setup) -> None:
        s.device.power_w = 2 * self.unit_w
        s.device.emission = True
        s.emulator.inject("port-loss")
        with pytest.raises(DeviceError):
            _ = s.device.power_w
        s.emulator.inject(None)
        assert s.device.power_w == pytest.approx(2 * self.unit_w)
        assert s.table.dark_within(0.5)
        assert not s.device.emission

    def test_a_late_answer_is_not_taken_for_the_next_one(self, hasty: Setup) -> None:
        s = hasty
        s.device.power_w = 2 * self.unit_w
        s.emulator.inject("late")
        with pytest.raises(DeviceTimeout):
            _ = s.device.power_w
        s.emulator.inject(None)
        answers = 0
        for _ in range(5):
            with contextlib.suppress(DeviceError):
                assert s.device.power_w == pytest.approx(2 * self.unit_w)
                assert not s.device.emission
                answers += 1
            time.sleep(0.15)
        assert answers

    # --- mutations --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("mutation", ["scale", "stale", "ignore-setpoint"])
    def test_a_set_point_that_is_not_taken_is_noticed(self, s: Setup, mutation: str) -> None:
        s.device.power_w = 2 * self.unit_w
        s.device.power_w = 3 * self.unit_w
        s.emulator.mutate(mutation)
        with pytest.raises(DeviceError, match="reads back"):
            s.device.power_w = 5 * self.unit_w

    def test_a_laser_that_says_on_and_stays_dark_is_noticed_and_turned_off(self) -> None:
        with self.running(light_within="0.5 s") as s:
            s.device.power_w = 3 * self.unit_w
            s.emulator.mutate("dark")
            with pytest.raises(DeviceError, match="turned off"):
                s.device.emission = True
            s.emulator.mutate(None)
            assert not s.device.emission
            assert s.table.dark_within(0.5)

    def test_a_laser_that_answers_too_late_is_noticed(self, hasty: Setup) -> None:
        s = hasty
        s.emulator.mutate("late")
        with pytest.raises(DeviceTimeout):
            _ = s.device.power_w

    def test_unknown_faults_and_mutations_are_refused(self, s: Setup) -> None:
        with pytest.raises(ConfigurationError):
            s.emulator.inject("flood")
        with pytest.raises(ConfigurationError):
            s.emulator.mutate("blue")

    # --- packages ---------------------------------------------------------------------------------------------------

    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in list(sys.modules):
            if name.partition(".")[0] == self.package:
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, self.package, None)
        s = self.make()
        try:
            with pytest.raises(ConfigurationError, match=r"labctl\[hardware\]"):
                s.device.open()
        finally:
            s.emulator.stop()

    def test_importing_the_driver_costs_no_vendor_package(self) -> None:
        vendors = "{'pylablib', 'pyvisa', 'serial'}"
        code = f"import sys, {self.driver.__module__}; print(sorted({vendors} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == "[]"
