"""The real PM100 driver, through pyvisa and pyvisa-py, on an emulated PM100D that sees a small real-time table."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import tty
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from detector_behaviour import TIMEOUT_S, DetectorBehaviour, built, opened, powered, speaker, tap_w

from drivers.contract import ConfigurationError, DeviceError, DeviceTimeout, LimitError
from drivers.thorlabs_pm100 import PM100
from simulators.emulators.pm100 import PowerMeter, PowerMeterOptions
from simulators.worlds.prbm import PrbmWorld


@pytest.fixture
def meter(world: PrbmWorld) -> Iterator[PowerMeter]:
    with powered(PowerMeter("meter", world)) as emulator:
        yield emulator


def driver(meter: PowerMeter, **options: Any) -> PM100:
    return built(PM100, meter, **options)


@pytest.fixture
def pm100(meter: PowerMeter) -> Iterator[PM100]:
    with opened(driver(meter)) as device:
        yield device


class TestPM100(DetectorBehaviour):
    driver = PM100
    tolerance = 2e-3
    longest_s = 9.0

    @pytest.fixture
    def emulator(self, meter: PowerMeter) -> PowerMeter:
        return meter

    @pytest.fixture
    def device(self, pm100: PM100) -> PM100:
        return pm100


# --- numbers --------------------------------------------------------------------------------------------------------


def test_it_reads_the_light_of_the_table_in_watts(pm100: PM100, world: PrbmWorld) -> None:
    for fraction in (1.0, 0.36, 0.08, 0.01):
        world.source.power_fraction = fraction
        assert pm100.measure().power_w == pytest.approx(tap_w(world), rel=2e-3)


def test_it_reads_next_to_nothing_in_the_dark(pm100: PM100, world: PrbmWorld) -> None:
    world.source.emission = False
    assert abs(pm100.measure().power_w) < 1e-7


def test_set_points_read_back_as_the_instrument_rounded_them(pm100: PM100) -> None:
    for wavelength_m in (400e-9, 532e-9, 632.84e-9, 1100e-9):
        pm100.wavelength_m = wavelength_m
        assert pm100.wavelength_m == pytest.approx(wavelength_m, abs=0.1e-9)
    for asked_s, rounded_s in ((3e-3, 3e-3), (16.7e-3, 18e-3), (1.0, 0.999), (9.0, 9.0)):
        pm100.integration_s = asked_s
        assert pm100.integration_s == pytest.approx(rounded_s, abs=1e-12)


def test_a_wrong_wavelength_costs_a_fifth_of_a_percent_per_nanometre(pm100: PM100) -> None:
    right_w = pm100.measure().power_w
    pm100.wavelength_m = 614e-9
    assert pm100.measure().power_w / right_w == pytest.approx(1.02, abs=1e-3)
    assert pm100.measure().wavelength_m == pytest.approx(614e-9)


def test_a_reading_lies_between_its_times_and_after_the_question(pm100: PM100) -> None:
    pm100.integration_s = 60e-3
    pm100.measure()
    before_ns = time.monotonic_ns()
    reading = pm100.measure()
    after_ns = time.monotonic_ns()
    assert before_ns <= reading.start_ns < reading.end_ns <= after_ns
    assert (reading.end_ns - reading.start_ns) * 1e-9 >= 60e-3
    assert abs(reading.utc_start_ns - time.time_ns()) < 5e9


def test_readings_scatter_as_they_say(pm100: PM100) -> None:
    """200 readings; a chi-squared of 199 degrees beyond a factor of 1.5 in deviation has a chance below 1e-9."""
    pm100.measure()
    readings = [pm100.measure() for _ in range(200)]
    scatter_w = float(np.std([r.power_w for r in readings], ddof=1))
    assert scatter_w / readings[0].standard_power_w == pytest.approx(1.0, abs=0.5)


def test_a_trace_is_readings_in_a_row(pm100: PM100, world: PrbmWorld) -> None:
    np.testing.assert_allclose(pm100.trace(5), tap_w(world), rtol=2e-3)


def test_a_change_of_range_is_blind_for_a_while_and_steps(pm100: PM100, meter: PowerMeter, world: PrbmWorld) -> None:
    pm100.measure()
    world.source.power_fraction = 0.02
    begun = time.monotonic()
    reading = pm100.measure()
    assert time.monotonic() - begun > 50e-3
    assert (reading.end_ns - reading.start_ns) * 1e-9 < 14e-3 + 1e-6  # what it was blind for is not part of the reading
    assert reading.power_w == pytest.approx(tap_w(world), rel=5e-3)


def test_ranges_differ_by_a_fifth_of_a_percent(meter: PowerMeter) -> None:
    means = []
    for fixed in ("5 mW", "50 mW"):
        device = driver(meter, range=fixed)
        device.open()
        device.integration_s = 30e-3
        means.append(device.trace(5).mean())
        device.close()
    assert abs(means[1] / means[0] - 1) == pytest.approx(2e-3, abs=2e-4)


def test_a_light_beyond_a_fixed_range_is_told(meter: PowerMeter, world: PrbmWorld) -> None:
    device = driver(meter, range="0.5 mW")
    device.open()
    reading = device.measure()
    assert reading.saturated
    assert reading.power_w == device.range_w == pytest.approx(0.5e-3)
    world.source.power_fraction = 0.3
    assert not device.measure().saturated
    device.close()


def test_zero_takes_the_dark_reading_away(world: PrbmWorld) -> None:
    emulator = PowerMeter("meter", world, PowerMeterOptions(offset="3 uW"))  # type: ignore[arg-type]
    device = driver(emulator)
    device.open()
    world.source.emission = False
    assert device.measure().power_w == pytest.approx(3e-6, rel=0.1)
    assert device.zero() == pytest.approx(3e-6, rel=0.1)
    assert abs(device.measure().power_w) < 2e-7
    device.close()
    emulator.stop()


def test_zero_is_refused_in_the_light(pm100: PM100) -> None:
    with pytest.raises(DeviceError, match="too much light"):
        pm100.zero()


# --- limits and identity --------------------------------------------------------------------------------------------


def test_limits_are_the_sensor_s(pm100: PM100) -> None:
    assert pm100.limits("wavelength_m").minimum == 400e-9
    assert pm100.limits("wavelength_m").maximum == 1100e-9
    assert pm100.limits("integration_s").minimum == 3e-3
    for wrong in (399e-9, 1101e-9):
        with pytest.raises(LimitError, match="wavelength_m"):
            pm100.wavelength_m = wrong


def test_it_tells_console_and_sensor(pm100: PM100, meter: PowerMeter) -> None:
    told = pm100.identity()
    assert (told.model, told.firmware) == ("PM100D with S120C", "2.4.0")
    assert told.serial == f"{meter.serial_like('P0004712')} with {meter.serial_like('13041907')}"


def test_without_a_sensor_it_does_not_open(world: PrbmWorld) -> None:
    emulator = PowerMeter("meter", world, PowerMeterOptions(sensor="none"))
    with pytest.raises(DeviceError, match="no sensor"):
        driver(emulator).open()
    emulator.stop()


def test_a_bench_file_without_resource_is_told_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="resource"):
        PM100.build("meter", None, None)  # type: ignore[arg-type]


# --- what others left behind ----------------------------------------------------------------------------------------


def test_attenuation_delta_mode_and_units_of_the_last_user_are_undone(meter: PowerMeter, world: PrbmWorld) -> None:
    visitor = speaker(meter)
    for command in ("SENS:CORR 10", "SENS:POW:REF 1E-3", "SENS:POW:REF:STAT ON", "SENS:POW:UNIT DBM", "NO:SUCH"):
        visitor.write(command)
    visitor.close()
    device = driver(meter)
    device.open()
    assert device.measure().power_w == pytest.approx(tap_w(world), rel=2e-3)
    device.close()


# --- a serial line --------------------------------------------------------------------------------------------------


class SerialLine:
    """A pseudo-terminal whose other end is the instrument's socket; answers are held back for ``hold_s``."""

    def __init__(self, resource: str) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.resource = f"ASRL{os.ttyname(self._slave)}::INSTR"
        host, port = resource.split("::")[1:3]
        self._socket = socket.create_connection((host, int(port)))
        self._running = True
        self.hold_s = 0.0
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        while self._running:
            for ready in select.select([self.master, self._socket], [], [], 0.1)[0]:
                if ready is self._socket:
                    time.sleep(self.hold_s)
                    os.write(self.master, self._socket.recv(4096))
                else:
                    self._socket.sendall(os.read(self.master, 4096))

    def close(self) -> None:
        self._running = False
        self._thread.join()
        self._socket.close()
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def serial_line(meter: PowerMeter) -> Iterator[SerialLine]:
    line = SerialLine(meter.start()["resource"])
    yield line
    line.close()


def test_it_works_over_a_serial_line_too(meter: PowerMeter, serial_line: SerialLine, world: PrbmWorld) -> None:
    device = driver(meter, resource=serial_line.resource, baud=115200)
    device.open()
    assert device.identity().model == "PM100D with S120C"
    assert device.measure().power_w == pytest.approx(tap_w(world), rel=2e-3)
    device.close()


def test_on_a_serial_line_a_late_answer_is_not_taken_for_the_next_one(
    meter: PowerMeter, serial_line: SerialLine, world: PrbmWorld
) -> None:
    device = driver(meter, resource=serial_line.resource)
    device.open()
    device.measure()
    serial_line.hold_s = TIMEOUT_S + 0.2
    with pytest.raises(DeviceTimeout):
        device.measure()
    serial_line.hold_s = 0.0
    assert device.wavelength_m == pytest.approx(604e-9)
    assert device.measure().power_w == pytest.approx(tap_w(world), rel=2e-3)
    device.close()


# --- faults ---------------------------------------------------------------------------------------------------------


def test_another_firmware_s_answers_are_understood(pm100: PM100, meter: PowerMeter, world: PrbmWorld) -> None:
    meter.inject("firmware")
    assert pm100.identity().firmware == "3.1.0"
    assert pm100.measure().power_w == pytest.approx(tap_w(world), rel=2e-3)


def test_a_new_session_of_the_world_goes_unnoticed(pm100: PM100, world: PrbmWorld) -> None:
    pm100.measure()
    world.rewind()
    world.source.emission = True
    world.source.power_fraction = 1.0
    assert pm100.measure().power_w == pytest.approx(tap_w(world), rel=2e-3)


# --- mutations: wrong without saying so, and visible through the driver ---------------------------------------------


def test_ignored_set_points_show(pm100: PM100, meter: PowerMeter) -> None:
    right_w = pm100.measure().power_w
    meter.mutate("ignore-setpoint")
    pm100.wavelength_m = 654e-9
    assert pm100.wavelength_m == pytest.approx(654e-9)
    assert pm100.measure().power_w == pytest.approx(right_w, rel=2e-3)
    pm100.integration_s = 0.15
    readings = [pm100.measure() for _ in range(5)]
    assert min(r.end_ns - r.start_ns for r in readings) * 1e-9 < 0.1
    meter.mutate(None)
    assert pm100.measure().power_w == pytest.approx(1.1 * right_w, rel=3e-3)


# --- a driver that is not ours --------------------------------------------------------------------------------------


def test_another_project_s_driver_reads_the_same_from_the_emulator(
    meter: PowerMeter, pm100: PM100, world: PrbmWorld
) -> None:
    """ThorlabsPM100 1.2.2 (P. Cladé), written against real consoles."""
    from ThorlabsPM100 import ThorlabsPM100  # type: ignore[import-untyped]

    resource = speaker(meter)
    theirs = ThorlabsPM100(inst=resource)
    theirs.sense.correction.wavelength = 620
    theirs.sense.average.count = 7
    assert theirs.sense.average.count == 7
    assert pm100.wavelength_m == pytest.approx(620e-9)
    assert pm100.integration_s == pytest.approx(21e-3)
    assert theirs.sense.correction.minimum_wavelength == 400
    assert theirs.sense.power.dc.range.maximum_upper == pytest.approx(pm100.range_w)
    assert theirs.read == pytest.approx(pm100.measure().power_w, rel=2e-3)
    assert theirs.system.sensor.idn.startswith('"S120C"')
    resource.close()
