"""What the driver of every SCPI photodetector keeps, on its emulator that sees a small real-time table.

`DetectorBehaviour` is inherited by the tests of each; the rest puts a detector together.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import pytest
import pyvisa
from around import in_a_thread, left_behind

from drivers.contract import ConfigurationError, DeviceError, DeviceTimeout, LimitError, Limits
from drivers.scpi_detector import ScpiDetector
from simulators.emulators.scpi import ScpiEmulator
from simulators.worlds.prbm import PrbmWorld

TIMEOUT_S = 1.5
"""Of a driver; a machine that is busy with other things may stall for a second."""
SLACK_S = 2.5

D = TypeVar("D", bound=ScpiDetector)
E = TypeVar("E", bound=ScpiEmulator)


def tap_w(world: PrbmWorld) -> float:
    """Light at the tap of the table."""
    return world.source_power_w() * world.parameters.optics.tap_share


@contextlib.contextmanager
def powered(emulator: E) -> Iterator[E]:
    emulator.start()
    try:
        yield emulator
    finally:
        emulator.stop()


@contextlib.contextmanager
def opened(device: D) -> Iterator[D]:
    device.open()
    try:
        yield device
    finally:
        device.close()


def built(driver: type[D], emulator: ScpiEmulator, **options: Any) -> D:
    """A driver that leads to the emulator, not yet open."""
    chosen: Any = driver.Options  # type: ignore[attr-defined]
    site: Any = None
    made = driver.build(emulator.name, chosen(**{"timeout": f"{TIMEOUT_S} s", **emulator.start(), **options}), site)
    assert isinstance(made, driver)
    return made


def speaker(emulator: ScpiEmulator) -> pyvisa.resources.MessageBasedResource:
    """The instrument by nothing but pyvisa."""
    resource = pyvisa.ResourceManager("@py").open_resource(
        emulator.start()["resource"], read_termination="\n", write_termination="\n"
    )
    assert isinstance(resource, pyvisa.resources.MessageBasedResource)
    return resource


def numbers_of(device: Any) -> dict[str, Any]:
    """Every setting that is not a table of its own."""
    return {name: value for name, value in device.snapshot().items() if not isinstance(value, dict)}


class DetectorBehaviour:
    """What is so for each of them. A subclass has the fixtures ``emulator`` and ``device`` (open)."""

    driver: ClassVar[type[ScpiDetector]]
    tolerance: ClassVar[float]
    """Relative, of a reading."""
    longest_s: ClassVar[float]
    """An integration time that is waited for in vain."""

    def make(self, emulator: ScpiEmulator, **options: Any) -> ScpiDetector:
        return built(self.driver, emulator, **options)

    def reads(self, device: ScpiDetector, world: PrbmWorld) -> bool:
        return bool(device.measure().power_w == pytest.approx(tap_w(world), rel=self.tolerance))

    # --- opening, closing, stopping ---------------------------------------------------------------------------------

    def test_opening_and_closing_again_leaks_nothing(self, emulator: ScpiEmulator) -> None:
        device = self.make(emulator)
        device.open()
        device.measure()
        device.close()
        time.sleep(0.1)
        before = left_behind()
        for _ in range(5):
            device.open()
            device.open()
            device.measure()
            device.close()
            device.close()
        time.sleep(0.1)
        assert left_behind() == before

    def test_a_closed_detector_answers_nothing(self, device: ScpiDetector) -> None:
        device.close()
        for act in (device.measure, device.identity):
            with pytest.raises(DeviceError, match="open it"):
                act()
        assert not device._link.connected

    def test_a_call_that_waited_while_it_was_closed_does_not_open_it(self, device: ScpiDetector) -> None:
        with device._link.talk("test"):
            thread, met = in_a_thread(device.identity)
            time.sleep(0.2)
            device.close()
        thread.join(10)
        assert "open it" in str(met[0])
        assert not device._link.connected

    def test_an_instrument_that_does_not_answer_is_not_opened_and_leaks_nothing(self, emulator: ScpiEmulator) -> None:
        device = self.make(emulator)
        emulator.inject("mute")
        for opening in range(3):
            with pytest.raises(DeviceTimeout):
                device.open()
            if opening == 0:
                time.sleep(0.1)
                before = left_behind()
        time.sleep(0.1)
        assert left_behind() == before
        emulator.inject(None)

    def test_safe_ends_a_long_measurement_and_the_next_one_is_right(
        self, device: ScpiDetector, world: PrbmWorld
    ) -> None:
        before_s = device.integration_s
        device.integration_s = self.longest_s
        thread, met = in_a_thread(device.measure)
        time.sleep(0.3)
        begun = time.monotonic()
        device.safe()
        thread.join(10)
        assert time.monotonic() - begun < 5
        assert "stopped by safe()" in str(met[0])
        device.integration_s = before_s
        assert self.reads(device, world)

    def test_closing_ends_a_long_measurement(self, device: ScpiDetector) -> None:
        device.integration_s = self.longest_s
        thread, met = in_a_thread(device.measure)
        time.sleep(0.3)
        begun = time.monotonic()
        device.close()
        thread.join(10)
        assert time.monotonic() - begun < 5
        assert "stopped by safe()" in str(met[0])
        assert not device._link.connected

    def test_safe_is_harmless_at_any_moment(self, emulator: ScpiEmulator, world: PrbmWorld) -> None:
        device = self.make(emulator)
        device.safe()
        device.open()
        device.safe()
        device.safe()
        assert self.reads(device, world)
        emulator.inject("port-loss")
        device.safe()
        device.close()
        device.safe()
        emulator.inject(None)

    # --- limits and triggers ----------------------------------------------------------------------------------------

    def test_the_bench_file_narrows_the_instruments_limits(self, device: ScpiDetector) -> None:
        device.restrict("integration_s", Limits(maximum=0.05))
        device.restrict("wavelength_m", Limits(minimum=500e-9))
        with pytest.raises(LimitError, match="integration_s"):
            device.integration_s = 0.06
        with pytest.raises(LimitError, match="wavelength_m"):
            device.wavelength_m = 499e-9
        device.integration_s = 0.05
        device.wavelength_m = 500e-9

    def test_it_takes_no_readings_by_itself_and_says_so(self, device: ScpiDetector) -> None:
        assert device.external_trigger is False
        with pytest.raises(LimitError, match=self.driver.untriggered):
            device.arm(3)
        with pytest.raises(DeviceTimeout, match="0 readings"):
            device.collect()
        with pytest.raises(LimitError, match="0 samples"):
            device.trace(0)

    # --- faults -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("fault", ["mute", "late", "corrupt-crc", "port-loss"])
    def test_a_fault_is_an_error_in_time_and_heals(
        self, device: ScpiDetector, emulator: ScpiEmulator, fault: str
    ) -> None:
        device.integration_s = 30e-3
        device.wavelength_m = 620e-9
        right_w = device.measure().power_w
        settings = numbers_of(device)
        emulator.inject(fault)
        for act in (device.measure, device.identity):
            begun = time.monotonic()
            with pytest.raises(DeviceError, match=rf"{device.name}\."):
                act()
            assert time.monotonic() - begun < TIMEOUT_S + SLACK_S
        emulator.inject(None)
        # What was asked before is not answered now, and the settings are as they were.
        assert numbers_of(device) == pytest.approx(settings)
        assert device.measure().power_w == pytest.approx(right_w, rel=self.tolerance)

    def test_mute_is_a_time_out(self, device: ScpiDetector, emulator: ScpiEmulator) -> None:
        emulator.inject("mute")
        with pytest.raises(DeviceTimeout, match="no answer in time"):
            device.measure()

    def test_another_detector_on_the_same_line_is_refused_until_it_is_opened(
        self, device: ScpiDetector, emulator: ScpiEmulator, world: PrbmWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = device.identity().serial
        emulator.inject("port-loss")
        with pytest.raises(DeviceError):
            device.measure()
        monkeypatch.setattr(emulator, "serial_like", lambda typical: f"another-{typical}")
        emulator.inject(None)
        for act in (device.measure, device.measure, device.identity):
            with pytest.raises(DeviceError, match=rf"another-.* answers where {first} did; close and open"):
                act()
        device.close()
        device.open()
        assert device.identity().serial.startswith("another-")
        assert self.reads(device, world)

    def test_losing_the_port_again_and_again_leaks_nothing(self, device: ScpiDetector, emulator: ScpiEmulator) -> None:
        def lose() -> None:
            emulator.inject("port-loss")
            with pytest.raises(DeviceError):
                device.measure()
            emulator.inject(None)
            device.measure()

        lose()
        time.sleep(0.1)
        before = left_behind()
        for _ in range(3):
            lose()
        time.sleep(0.1)
        assert left_behind() == before

    def test_settings_survive_a_power_cycle_of_the_instrument(
        self, device: ScpiDetector, emulator: ScpiEmulator
    ) -> None:
        device.integration_s = 60e-3
        device.wavelength_m = 700e-9
        settings = numbers_of(device)
        emulator.stop()
        with pytest.raises(DeviceError):
            device.measure()
        emulator.start()
        assert device.measure().wavelength_m == pytest.approx(700e-9)
        assert numbers_of(device) == pytest.approx(settings)

    def test_over_range_is_told(self, device: ScpiDetector, emulator: ScpiEmulator) -> None:
        emulator.inject("over-range")
        reading = device.measure()
        assert reading.saturated
        assert reading.power_w == pytest.approx(device.range_w)
        emulator.inject(None)
        assert not device.measure().saturated

    def test_faults_and_mutations_it_does_not_have_are_refused(self, emulator: ScpiEmulator) -> None:
        with pytest.raises(ConfigurationError):
            emulator.inject("interlock-open")
        with pytest.raises(ConfigurationError):
            emulator.mutate("upside-down")

    # --- mutations: wrong without saying so, and visible through the driver -----------------------------------------

    def test_scale_shows(self, device: ScpiDetector, emulator: ScpiEmulator, world: PrbmWorld) -> None:
        emulator.mutate("scale")
        assert device.measure().power_w == pytest.approx(1.1 * tap_w(world), rel=1.5 * self.tolerance)

    def test_stale_shows(self, device: ScpiDetector, emulator: ScpiEmulator, world: PrbmWorld) -> None:
        last_w = device.measure().power_w
        emulator.mutate("stale")
        world.source.power_fraction = 0.3
        assert device.measure().power_w == pytest.approx(last_w)

    def test_dark_shows(self, device: ScpiDetector, emulator: ScpiEmulator, world: PrbmWorld) -> None:
        emulator.mutate("dark")
        assert abs(device.measure().power_w) < 0.02 * tap_w(world)

    def test_late_shows(self, emulator: ScpiEmulator) -> None:
        with opened(self.make(emulator, timeout="3 s")) as device:
            emulator.mutate("late")
            begun = time.monotonic()
            device.measure()
            assert time.monotonic() - begun > 1

    # --- packages ---------------------------------------------------------------------------------------------------

    def test_a_missing_package_is_named(self, emulator: ScpiEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        device = self.make(emulator)
        for name in list(sys.modules):
            if name.partition(".")[0] == "pyvisa":
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "pyvisa", None)
        with pytest.raises(ConfigurationError, match=r"labctl\[hardware\]"):
            device.open()

    def test_importing_the_driver_costs_no_vendor_package(self) -> None:
        code = f"import sys, {self.driver.__module__}; print('pyvisa' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == "False"
