"""The real oscilloscope driver, through pyvisa and pyvisa-py, on an emulated one that sees a small real-time table."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import pyvisa
from detector_behaviour import SLACK_S, TIMEOUT_S, DetectorBehaviour, built, opened, powered, speaker, tap_w

from drivers.contract import ConfigurationError, DeviceError, DeviceTimeout, LimitError
from drivers.scpi_scope import Oscilloscope
from simulators.emulators.scope import ScopeOptions, ScpiScope
from simulators.worlds.prbm import PrbmWorld

NOISE_V = 0.5e-3


@pytest.fixture
def instrument(world: PrbmWorld) -> Iterator[ScpiScope]:
    with powered(ScpiScope("scope", world)) as emulator:
        yield emulator


def driver(instrument: ScpiScope, **options: Any) -> Oscilloscope:
    return built(Oscilloscope, instrument, **options)


@pytest.fixture
def scope(instrument: ScpiScope) -> Iterator[Oscilloscope]:
    with opened(driver(instrument)) as device:
        yield device


class TestOscilloscope(DetectorBehaviour):
    driver = Oscilloscope
    tolerance = 5e-3
    longest_s = 50.0

    @pytest.fixture
    def emulator(self, instrument: ScpiScope) -> ScpiScope:
        return instrument

    @pytest.fixture
    def device(self, scope: Oscilloscope) -> Oscilloscope:
        return scope


def record(resource: pyvisa.resources.MessageBasedResource) -> tuple[list[float], np.ndarray[Any, Any]]:
    """Preamble and codes of a new record, by nothing but pyvisa."""
    resource.write(":SING;:TRIG:FORC")
    while int(resource.query(":OPER:COND?")) & 8:
        time.sleep(0.005)
    preamble = [float(x) for x in resource.query(":WAV:PRE?").split(",")]
    return preamble, np.asarray(resource.query_binary_values(":WAV:DATA?", "B", container=np.ndarray))


# --- numbers --------------------------------------------------------------------------------------------------------


def test_it_reads_the_light_of_the_table_in_watts(scope: Oscilloscope, world: PrbmWorld) -> None:
    """Six deviations: false alarm below 1e-8."""
    for fraction in (1.0, 0.36, 0.08, 0.0, 1.0):
        world.source.power_fraction = fraction
        reading = scope.measure()
        assert abs(reading.power_w - tap_w(world)) < 6 * reading.standard_power_w
        assert not reading.saturated


def test_readings_scatter_as_they_say(scope: Oscilloscope) -> None:
    """100 readings; a factor of 1.5 in deviation has a chance below 1e-6."""
    readings = [scope.measure() for _ in range(100)]
    scatter_w = float(np.std([r.power_w for r in readings], ddof=1))
    assert scatter_w / readings[-1].standard_power_w == pytest.approx(1.0, abs=0.5)


def test_integration_reads_back_as_the_time_base_rounds_it(scope: Oscilloscope) -> None:
    for asked_s, rounded_s in ((1e-6, 1e-6), (16.7e-3, 16.7e-3), (16.666e-3, 16.7e-3), (0.25, 0.25)):
        scope.integration_s = asked_s
        assert scope.integration_s == pytest.approx(rounded_s, rel=1e-9)


def test_a_reading_takes_its_time_and_lies_after_the_question(scope: Oscilloscope) -> None:
    scope.integration_s = 60e-3
    scope.measure()
    before_ns = time.monotonic_ns()
    reading = scope.measure()
    assert before_ns <= reading.start_ns < reading.end_ns <= time.monotonic_ns()
    assert (reading.end_ns - reading.start_ns) * 1e-9 >= 59e-3


def test_watts_follow_the_responsivity_at_the_wavelength(scope: Oscilloscope, world: PrbmWorld) -> None:
    scope.wavelength_m = 2 * 604e-9
    reading = scope.measure()
    assert reading.power_w == pytest.approx(tap_w(world) / 2, rel=5e-3)
    assert reading.wavelength_m == 2 * 604e-9


def test_a_trace_is_one_record_without_gaps(scope: Oscilloscope, world: PrbmWorld) -> None:
    scope.measure()
    scope.integration_s = 0.1

    def darken() -> None:
        time.sleep(0.55)
        world.source.emission = False

    thread = threading.Thread(target=darken)
    thread.start()
    trace = scope.trace(10)
    thread.join()
    assert trace.shape == (10,)
    assert trace[0] == pytest.approx(tap_w_lit(world), rel=0.02)
    assert abs(trace[-1]) < 0.02 * trace[0]


def tap_w_lit(world: PrbmWorld) -> float:
    world.source.emission = True
    lit_w = tap_w(world)
    world.source.emission = False
    return lit_w


def test_readings_go_on_after_a_trace(scope: Oscilloscope, world: PrbmWorld) -> None:
    scope.integration_s = 2e-4
    scope.trace(2000)
    assert scope.integration_s == 2e-4
    assert scope.measure().power_w == pytest.approx(tap_w(world), rel=5e-3)


def test_averaging_by_the_instrument_lowers_the_noise(instrument: ScpiScope) -> None:
    device = driver(instrument, averages=16)
    plain = driver(instrument)
    plain.open()
    many_w = plain.measure().standard_power_w
    plain.close()
    device.open()
    reading = device.measure()
    assert reading.standard_power_w == pytest.approx(many_w / 4, rel=0.3)
    device.close()


# --- the converter --------------------------------------------------------------------------------------------------


def test_the_converter_has_8_bits_and_half_a_millivolt_of_noise(instrument: ScpiScope, world: PrbmWorld) -> None:
    world.source.emission = False
    resource = speaker(instrument)
    resource.write(":CHAN1:SCAL 2E-3;:TIM:RANG 1E-3;:WAV:POIN 10000")
    preamble, codes = record(resource)
    assert preamble[7] == pytest.approx(8 * 2e-3 / 256, rel=1e-5)
    assert codes.dtype == np.uint8
    assert np.std(codes * preamble[7]) == pytest.approx(NOISE_V, rel=0.12)  # and that of the diode
    resource.write(":CHAN1:SCAL 1")
    assert set(record(resource)[1].tolist()) == {128}
    resource.close()


def test_a_record_full_of_newlines_arrives_exactly(instrument: ScpiScope, world: PrbmWorld) -> None:
    world.source.emission = False
    resource = speaker(instrument)
    # The light is off, and zero is 118 steps below the middle of the screen: every point is the code of a newline.
    resource.write(":CHAN1:SCAL 1;:CHAN1:OFFS 3.69;:WAV:POIN 20000")
    _, codes = record(resource)
    resource.close()
    assert codes.tolist() == [0x0A] * 20_000


def test_light_beyond_the_screen_is_told(instrument: ScpiScope, world: PrbmWorld) -> None:
    device = driver(instrument, full_scale="0.4 mW", autoscale=False)
    device.open()
    reading = device.measure()
    assert reading.saturated
    assert reading.power_w == device.range_w == pytest.approx(0.4e-3)
    world.source.power_fraction = 0.4
    assert not device.measure().saturated
    device.close()


def test_brighter_light_after_dim_is_taken_again_and_not_clipped(scope: Oscilloscope, world: PrbmWorld) -> None:
    world.source.power_fraction = 0.01
    scope.measure()
    world.source.power_fraction = 1.0
    reading = scope.measure()
    assert not reading.saturated
    assert reading.power_w == pytest.approx(tap_w(world), rel=5e-3)


# --- limits, identity, triggers -------------------------------------------------------------------------------------


def test_it_tells_who_it_is(scope: Oscilloscope, instrument: ScpiScope) -> None:
    told = scope.identity()
    serial = instrument.serial_like("MY57230417")
    assert (told.model, told.serial, told.firmware) == ("DSO-X 3054T", serial, "07.50.2021102830")


def test_limits_hold(scope: Oscilloscope) -> None:
    for wrong in (1e-7, 101.0):
        with pytest.raises(LimitError, match="integration_s"):
            scope.integration_s = wrong
    scope.integration_s = 100.0
    with pytest.raises(LimitError, match="longer than"):
        scope.trace(6)


def test_a_trigger_that_does_not_come_is_a_time_out(instrument: ScpiScope) -> None:
    device = driver(instrument, trigger="external")
    device.open()
    begun = time.monotonic()
    with pytest.raises(DeviceTimeout, match="trigger cable"):
        device.measure()
    assert time.monotonic() - begun < TIMEOUT_S + SLACK_S
    device.close()


def test_what_the_instrument_refuses_is_told_in_its_words(instrument: ScpiScope) -> None:
    device = driver(instrument, channel=8)
    with pytest.raises(DeviceError, match="Undefined header;CHANnel8"):
        device.open()


def test_a_bench_file_without_its_keys_is_told_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="transimpedance"):
        Oscilloscope.build("scope", None, None)  # type: ignore[arg-type]


# --- faults ---------------------------------------------------------------------------------------------------------


def test_another_firmware_s_answers_are_understood(
    scope: Oscilloscope, instrument: ScpiScope, world: PrbmWorld
) -> None:
    instrument.inject("firmware")
    assert scope.identity().firmware == "02.65.2021030741"
    assert scope.measure().power_w == pytest.approx(tap_w(world), rel=5e-3)


def test_a_front_panel_that_was_operated_is_noticed(scope: Oscilloscope, instrument: ScpiScope) -> None:
    scope.measure()
    resource = speaker(instrument)
    resource.write(":TIM:RANG 0.02")
    resource.query("*OPC?")
    resource.close()
    with pytest.raises(DeviceError, match="front panel"):
        scope.measure()
    assert scope.measure().power_w > 0


# --- mutations ------------------------------------------------------------------------------------------------------


def test_ignored_set_points_show(scope: Oscilloscope, instrument: ScpiScope) -> None:
    scope.measure()
    instrument.mutate("ignore-setpoint")
    scope.integration_s = 5.0
    assert scope.integration_s == 5.0
    # Its records still take a millisecond, and come long before their time.
    resource = speaker(instrument)
    begun = time.monotonic()
    record(resource)
    resource.close()
    assert time.monotonic() - begun < 2.5


# --- the emulator's own ---------------------------------------------------------------------------------------------


def test_the_amplifier_can_be_told(world: PrbmWorld) -> None:
    options = ScopeOptions.model_validate({"responsivity": "0.2 A/W", "transimpedance": "1e3 V/A", "noise": "1 mV"})
    emulator = ScpiScope("scope", world, options)
    device = driver(emulator)
    device.open()
    assert device.measure().power_w == pytest.approx(tap_w(world), rel=1e-2)
    device.close()
    emulator.stop()
