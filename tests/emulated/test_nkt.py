"""The SuperK driver on the emulated Interbus: numbers, limits, faults, and what happens when our side dies."""

from __future__ import annotations

import binascii
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from around import in_a_thread, left_behind, wait

from drivers.contract import DeviceError, DeviceTimeout, InterlockError, LabError, LimitError, Limits
from drivers.nkt_superk import SuperK
from simulators.emulators.nkt import Interbus
from simulators.emulators.nkt_modules import InterbusOptions
from simulators.emulators.nkt_telegrams import (
    ACK,
    CRC_ERROR,
    DATAGRAM,
    NACK,
    WRITE,
    Receiver,
    check_sum,
    telegram,
)
from simulators.worlds.prbm import PrbmParameters, PrbmWorld
from simulators.worlds.prbm.source import CONTROLS

TIMEOUT_S = 0.5
SLACK_S = 2.0
"""For machines that are busy with other things."""


def make_world() -> PrbmWorld:
    small: dict[str, Any] = {
        "slm": {"rows": 24, "columns": 48},
        "beam": {"waist": "0.3 mm"},
        "optics": {"first_row": 3, "bands": 6, "dispersion": 3e3, "camera_attenuation": "100 %"},
        "camera": {"rows": 40, "columns": 60, "axis_row": 20, "axis_column": 30},
    }
    return PrbmWorld(PrbmParameters.model_validate(small), PrbmWorld.clock_of_kind("real"))


@contextmanager
def bench(world: Any = None, driver: dict[str, Any] | None = None, **options: Any) -> Iterator[tuple[SuperK, Interbus]]:
    """An open driver on an emulator. options: of the emulator; driver: of the driver."""
    emulator = Interbus("source", world or make_world(), InterbusOptions(**{"latency": "0 s"} | options))
    told = emulator.start()
    laser = SuperK.build("source", SuperK.Options.model_validate(told | (driver or {})), None)  # type: ignore[arg-type]
    try:
        laser.open()
        yield laser, emulator
    finally:
        emulator.inject(None)
        emulator.mutate(None)
        with suppress(LabError):
            laser.close()
        emulator.stop()


@pytest.fixture
def superk() -> Iterator[tuple[SuperK, Interbus]]:
    with bench() as pair:
        yield pair


def lit(emulator: Interbus) -> bool:
    return bool(emulator.world.state["emission"][0])


def raw_exchange(port: str, line: bytes) -> bytes:
    """What comes back for a telegram that is written by hand."""
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(fd, line)
        answer = b""
        while not answer.endswith(b"\n") and select.select([fd], [], [], 1.0)[0]:
            answer += os.read(fd, 64)
        return answer
    finally:
        os.close(fd)


# --- the protocol, against what is not ours ---------------------------------------------------------------------------

# Worked telegrams with a Koheras laser, from the tests of QMI (QuTech-Delft/QMI, tests/instruments/nkt_photonics/
# test_adjustik.py, commit 6cd98101), which was written from the vendor's SDK manual and is used with the instrument.
QMI_TELEGRAMS = [
    ("01 a1 04 32", "0d 01 a1 04 32 26 cd 0a"),
    ("a1 01 08 32 20 6a a2 00", "0d a1 01 08 32 20 6a a2 00 2c 8c 0a"),
    ("01 a1 05 2a 48 03", "0d 01 a1 05 2a 48 03 8c d1 0a"),
    ("a1 01 03 2a", "0d a1 01 03 2a 7b 89 0a"),
    ("01 a2 04 2a", "0d 01 a2 04 2a ec a4 0a"),
    ("a2 01 08 2a e4 02", "0d a2 01 08 2a e4 02 f8 c9 0a"),
    ("a1 01 00 32", "0d a1 01 00 32 bd e3 0a"),
]


@pytest.mark.parametrize(("message", "line"), QMI_TELEGRAMS)
def test_worked_telegrams_come_out_and_go_in_byte_for_byte(message: str, line: str) -> None:
    assert telegram(bytes.fromhex(message)) == bytes.fromhex(line)
    assert Receiver().feed(bytes.fromhex(line)) == [(bytes.fromhex(message), True)]


def test_the_check_sum_is_that_of_xmodem() -> None:
    assert check_sum(b"123456789") == 0x31C3  # the catalogue's check value of CRC-16/XMODEM
    data = bytes(np.random.default_rng(5).integers(0, 256, 300, dtype=np.uint8))
    assert check_sum(data) == binascii.crc_hqx(data, 0)


def test_pylablib_builds_the_telegrams_that_the_emulator_understands_and_reads_those_it_writes() -> None:
    from pylablib.devices.NKT.interbus import GenericInterbusDevice

    vendor = GenericInterbusDevice.__new__(GenericInterbusDevice)
    rng = np.random.default_rng(7)
    for size in range(1, 60):
        payload = bytes(rng.choice([0x0A, 0x0D, 0x5E, 0x4A, 0x4D, 0x9E, 0, 255, *range(32)], size).astype(np.uint8))
        line = telegram(bytes([15, 0xA2, WRITE]) + payload)
        assert vendor._ib_build_telegram(15, 0xA2, WRITE, payload) == line
        unescaped = vendor._ib_unescape(line[1:-1])
        assert Receiver().feed(line) == [(unescaped[:-2], True)]


def test_telegrams_arrive_whole_however_the_line_cuts_them_and_whatever_noise_is_between() -> None:
    receiver, found = Receiver(), []
    for byte in b"noise\n" + telegram(b"\x0f\xa2\x04\x30") + b"\xff\x5e" + telegram(b"\x0f\xa2\x05\x37\x0d\x0a"):
        found += receiver.feed(bytes([byte]))
    assert found == [(b"\x0f\xa2\x04\x30", True), (b"\x0f\xa2\x05\x37\x0d\x0a", True)]


def test_the_instrument_answers_reads_writes_and_what_it_does_not_understand() -> None:
    emulator = Interbus("source", make_world(), InterbusOptions())
    port = emulator.start()["port"]
    try:
        ask = lambda message: raw_exchange(port, telegram(bytes.fromhex(message)))  # noqa: E731
        assert ask("0f a2 04 61") == telegram(bytes([0xA2, 15, DATAGRAM, 0x61, 0x60]))
        assert ask("10 a2 04 61") == telegram(bytes([0xA2, 16, DATAGRAM, 0x61, 0x68]))
        assert ask("0f a2 05 37 fa 00") == telegram(bytes([0xA2, 15, ACK, 0x37]))
        assert ask("0f a2 04 37") == telegram(bytes([0xA2, 15, DATAGRAM, 0x37, 0xFA, 0x00]))
        assert ask("0f a2 05 37 e9 03") == telegram(bytes([0xA2, 15, NACK, 0x37]))  # 100.1 %
        assert ask("0f a2 04 99") == telegram(bytes([0xA2, 15, NACK, 0x99]))  # no such register
        assert raw_exchange(port, telegram(b"\x0f\xa2\x04\x30", spoil=1)) == telegram(
            bytes([0xA2, 15, CRC_ERROR, 0x30])
        )
        assert ask("0e a2 04 30") == b""  # nobody there
    finally:
        emulator.stop()


def test_pylablib_alone_finds_and_reads_the_emulated_modules() -> None:
    from pylablib.devices import NKT

    emulator = Interbus("source", make_world(), InterbusOptions(latency="0 s"))
    port = emulator.start()["port"]
    try:
        system = NKT.InterbusSystem((port, 115200), modules={15: "laser", 16: "varia"})
        try:
            laser = system["laser"]
            assert type(laser).__name__ == "SuperKExtremeInterbusModule"
            assert laser.serial == emulator.serial_like("SK15007")
            laser.set_register("power", 12.5)
            assert laser.get_register("power") == pytest.approx(12.5)
            assert "emission" not in laser.get_status()
            assert system["varia"].dtype == 0x68
        finally:
            system.close()
    finally:
        emulator.stop()


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["extreme", "fianium"])
def test_all_1001_power_set_points_read_back_exactly(module: str) -> None:
    with bench(module=module) as (laser, emulator):
        for step in range(1001):
            laser.power_fraction = step / 1000
            assert emulator._laser.setpoint() == step / 1000
        for step in range(0, 1001, 7):
            laser.power_fraction = step / 1000
            assert laser.power_fraction == step / 1000


def test_power_between_steps_is_rounded_and_a_limit_is_never_exceeded_by_rounding(superk: Any) -> None:
    laser, _ = superk
    laser.power_fraction = 0.12345
    assert laser.power_fraction == 0.123
    laser.restrict("power_fraction", Limits(maximum=0.3996))
    laser.power_fraction = 0.3996
    assert laser.power_fraction == 0.399
    with pytest.raises(LimitError):
        laser.power_fraction = 0.4
    assert laser.power_fraction == 0.399


def test_the_band_reads_back_to_the_last_digit_and_the_filters_stand_when_it_is_set(superk: Any) -> None:
    laser, emulator = superk
    laser.wavelength_min_m = 588e-9
    laser.wavelength_max_m = 611.04e-9
    assert (laser.wavelength_min_m, laser.wavelength_max_m) == (588e-9, 611e-9)
    emulator._finish_turn()
    assert emulator.world.state["wavelength_min_m"][0] == 588e-9
    assert emulator.world.state["wavelength_max_m"][0] == 611e-9


def test_a_band_turned_inside_out_or_beyond_the_filters_is_refused_and_nothing_changes(superk: Any) -> None:
    laser, _ = superk
    laser.wavelength_max_m = 611e-9
    for edge, value in (("wavelength_min_m", 620e-9), ("wavelength_max_m", 900e-9), ("wavelength_max_m", 400e-9)):
        with pytest.raises(LimitError):
            setattr(laser, edge, value)
    assert (laser.wavelength_min_m, laser.wavelength_max_m) == (400e-9, 611e-9)


def test_without_a_varia_the_band_is_the_sources_own_and_cannot_be_set() -> None:
    with bench(varia=False) as (laser, _):
        assert (laser.wavelength_min_m, laser.wavelength_max_m) == (400e-9, 2400e-9)
        laser.wavelength_min_m = 400e-9
        with pytest.raises(LimitError):
            laser.wavelength_min_m = 588e-9
        with pytest.raises(LimitError):
            laser.wavelength_max_m = 611e-9
        assert laser.limits("wavelength_max_m").minimum == 2400e-9


def test_a_varia_that_is_not_there_is_an_error_with_its_cure() -> None:
    with pytest.raises(DeviceError, match="varia_address"), bench(varia=False, driver={"varia_address": 16}):
        pass


@pytest.mark.parametrize(("module", "most"), [("extreme", 40), ("fianium", 25)])
def test_pulses_are_picked_up_to_what_the_instrument_has(module: str, most: int) -> None:
    with bench(module=module, most_pulses=most) as (laser, emulator):
        for ratio in (1, 2, most):
            laser.pulse_picker = ratio
            assert laser.pulse_picker == ratio
        with pytest.raises(LimitError):
            laser.pulse_picker = most + 1
        emulator._finish_turn()
        assert emulator.world.state["pulse_picker"][0] == most


def test_a_pulse_ratio_set_on_the_front_panel_is_read_in_one_byte_or_two() -> None:
    with bench(most_pulses=300) as (laser, emulator):
        for ratio in (200, 300):
            emulator._laser.picker.value = ratio
            assert laser.pulse_picker == ratio


def test_a_laser_without_a_pulse_picker_lets_every_pulse_through_and_takes_nothing_else() -> None:
    with bench(pulse_picker=False) as (laser, _):
        assert laser.pulse_picker == 1
        laser.pulse_picker = 1
        with pytest.raises(LimitError, match="no pulse picker"):
            laser.pulse_picker = 2


def test_an_extreme_in_current_mode_is_set_by_the_register_that_then_decides(superk: Any) -> None:
    laser, emulator = superk
    emulator._laser._setup.value = 0
    laser.power_fraction = 0.25
    assert laser.power_fraction == 0.25
    assert emulator._laser.setpoint() == 0.25
    emulator._laser._setup.value = 3
    with pytest.raises(DeviceError, match="mode 3"):
        laser.power_fraction = 0.5


@pytest.mark.parametrize(
    ("options", "model"),
    [
        ({"varia": False}, "SuperK EXTREME"),
        ({"module": "fianium"}, "SuperK FIANIUM with VARIA"),
    ],
)
def test_identity_is_what_the_modules_tell(options: dict[str, Any], model: str) -> None:
    with bench(**options) as (laser, _):
        identity = laser.identity()
        assert identity.model == model
        assert identity.serial.startswith("SK")
        assert identity.firmware.startswith("ver. 1.07")


def test_light_comes_up_when_emission_is_on_and_follows_the_power(superk: Any) -> None:
    laser, emulator = superk
    laser.power_fraction = 0.5
    assert not lit(emulator)
    laser.emission = True
    assert laser.emission
    assert lit(emulator)
    emulator._finish_turn()
    assert emulator.world.state["power_fraction"][0] == 0.5
    laser.power_fraction = 0.7
    emulator._finish_turn()
    assert emulator.world.state["power_fraction"][0] == 0.7
    laser.emission = False
    assert not laser.emission
    assert wait(lambda: not lit(emulator), 1.0)


def test_a_table_that_is_set_up_anew_still_gets_the_lasers_light(superk: Any) -> None:
    laser, emulator = superk
    laser.power_fraction = 0.3
    laser.emission = True
    emulator.world.begin("another session")
    assert wait(lambda: lit(emulator) and emulator.world.state["power_fraction"][0] == 0.3, 1.0)


def test_options_say_what_is_wrong_with_them() -> None:
    for wrong in (
        {"watchdog": "2.5 s"},
        {"watchdog": "0.5 s"},
        {"timeout": "0 s"},
        {"laser_address": 300},
        {"prot": "x"},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SuperK.Options.model_validate({"port": "COM4"} | wrong)
    assert SuperK.Options.model_validate({"port": "COM4", "watchdog": "3 s", "timeout": "500 ms"}).watchdog == 3


# --- safe first, safe last --------------------------------------------------------------------------------------------


def test_a_laser_that_is_found_emitting_is_off_and_its_watchdog_armed_once_it_is_open() -> None:
    emulator = Interbus("source", make_world(), InterbusOptions(latency="0 s"))
    told = emulator.start()
    try:
        emulator._laser.switch(True, time.monotonic())
        laser = SuperK("source", told["port"], watchdog=3.0)
        laser.open()
        assert not emulator.emitting
        assert emulator._laser._watchdog_s == 3
        laser.emission = True
        laser.close()
        assert not emulator.emitting
    finally:
        emulator.stop()


def test_safe_is_harmless_before_open_after_close_and_twice(superk: Any) -> None:
    laser, _ = superk
    laser.safe()
    laser.safe()
    laser.close()
    laser.close()
    laser.safe()
    with pytest.raises(DeviceError, match="not open"):
        _ = laser.emission
    SuperK("other", "/dev/null").safe()


def test_safe_from_another_thread_ends_a_switching_on_and_the_light_stays_off() -> None:
    with bench(ramp="1 s") as (laser, emulator):
        threading.Timer(0.3, laser.safe).start()
        with pytest.raises(DeviceError, match=r"stopped by safe|turned on"):
            laser.emission = True
        assert not emulator.emitting
        time.sleep(0.1)
        assert not emulator.emitting
        laser.emission = True
        assert emulator.emitting


def test_light_that_was_asked_for_before_safe_came_stays_off(superk: Any) -> None:
    laser, emulator = superk
    with laser._link.talk("test"):  # so that the other thread waits for its turn
        thread, met = in_a_thread(lambda: setattr(laser, "emission", True))
        time.sleep(0.2)
        laser.safe()
    thread.join(5.0)
    assert "safe()" in str(met[0])
    assert not emulator.emitting


def test_a_call_that_waited_while_it_was_closed_does_not_open_it(superk: Any) -> None:
    laser, _ = superk
    with laser._link.talk("test"):
        thread, met = in_a_thread(lambda: laser.power_fraction)
        time.sleep(0.2)
        laser.close()
    thread.join(5.0)
    assert "open it" in str(met[0])
    assert not laser._link.connected


def test_a_power_beyond_the_limit_gets_no_light(superk: Any) -> None:
    laser, emulator = superk
    laser.power_fraction = 0.9
    laser.restrict("power_fraction", Limits(maximum=0.4))
    with pytest.raises(LimitError, match="set power_fraction first"):
        laser.emission = True
    assert not emulator.emitting
    laser.power_fraction = 0.4
    laser.emission = True
    assert emulator.emitting


def test_opening_and_closing_again_and_again_leaves_no_file_and_no_thread_behind(superk: Any) -> None:
    laser, _ = superk
    laser.close()
    laser.open()
    laser.close()
    before = left_behind()
    for _ in range(5):
        laser.open()
        laser.emission = True
        laser.close()
    assert left_behind() == before


def test_the_emulator_leaves_nothing_behind_either() -> None:
    emulator = Interbus("source", make_world())
    before = left_behind()
    for _ in range(3):
        port = emulator.start()["port"]
        emulator.stop()
        emulator.stop()
    assert not os.path.lexists(port)
    assert left_behind() == before


def test_a_port_in_use_by_another_program_is_refused(superk: Any) -> None:
    laser, _ = superk
    second = SuperK("second", laser._port)
    with pytest.raises(DeviceError, match="cannot connect"):
        second.open()
    assert laser.power_fraction == 0.0


def test_a_missing_port_is_a_device_error_that_names_it() -> None:
    with pytest.raises(DeviceError, match="/dev/no-such-laser"):
        SuperK("source", "/dev/no-such-laser").open()


# --- watchdog ---------------------------------------------------------------------------------------------------------


def test_emission_outlives_the_watchdogs_interval_while_the_driver_lives() -> None:
    with bench() as (laser, emulator):
        laser.emission = True
        time.sleep(3.0)
        assert emulator.emitting


def test_feeding_ends_when_emission_is_off(superk: Any) -> None:
    laser, emulator = superk
    laser.emission = True
    laser.emission = False
    assert wait(lambda: not any(t.name == "source-watchdog" for t in threading.enumerate()), 2.0)
    before = emulator._telegrams
    time.sleep(1.2)
    assert emulator._telegrams == before


DRIVER_PROCESS = """
import sys, time
from drivers.nkt_superk import SuperK
laser = SuperK("source", sys.argv[1])
laser.open()
laser.power_fraction = 0.5
laser.emission = True
print("on", flush=True)
while True:
    time.sleep(60)
"""

EMULATOR_PROCESS = """
import signal, sys, time
from types import SimpleNamespace
import numpy as np
from simulators.emulators.nkt import Interbus
from simulators.worlds.prbm.source import CONTROLS
world = SimpleNamespace(parameters=None, clock=None, state=np.zeros(1, np.dtype(CONTROLS)))
emulator = Interbus("source", world)
print(emulator.start()["port"], flush=True)
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
was = False
while not ended:
    now = bool(world.state["emission"][0])
    if now != was:
        print("on" if now else "off", time.monotonic(), flush=True)
        was = now
    time.sleep(0.005)
emulator.stop()
"""


def process(source: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_emission_goes_off_by_the_instruments_watchdog_alone_when_our_process_dies_or_freezes(how: int) -> None:
    emulator = process(EMULATOR_PROCESS)
    driver = None
    try:
        assert emulator.stdout is not None
        port = emulator.stdout.readline().strip()
        driver = process(DRIVER_PROCESS, port)
        assert driver.stdout is not None
        assert driver.stdout.readline().strip() == "on"
        assert emulator.stdout.readline().startswith("on")
        time.sleep(2.5)  # longer than the watchdog: it is fed
        assert not select.select([emulator.stdout], [], [], 0)[0]
        driver.send_signal(how)
        died_s = time.monotonic()
        word, when_s = emulator.stdout.readline().split()
        took_s = float(when_s) - died_s
        assert word == "off"
        assert took_s <= 2.5
    finally:
        emulator.terminate()
        for each in (driver, emulator):
            if each is not None:
                if each is driver:
                    each.kill()
                each.wait(30)
                if each.stdout is not None:
                    each.stdout.close()


# --- faults -----------------------------------------------------------------------------------------------------------

READS = ["emission", "power_fraction", "wavelength_min_m", "wavelength_max_m", "pulse_picker"]


@pytest.mark.parametrize("fault", ["mute", "late", "corrupt-crc", "port-loss"])
def test_a_broken_line_is_a_typed_error_in_time_and_emission_is_not_left_on(fault: str) -> None:
    with bench(driver={"timeout": f"{TIMEOUT_S} s"}) as (laser, emulator):
        laser.power_fraction = 0.5
        laser.emission = True
        emulator.inject(fault)
        for act in (lambda: laser.power_fraction, lambda: setattr(laser, "emission", True), laser.safe):
            began_s = time.monotonic()
            with pytest.raises(DeviceError, match="source"):
                act()
            assert time.monotonic() - began_s <= TIMEOUT_S + 1.0 + SLACK_S
        assert wait(lambda: not emulator.emitting and not lit(emulator), 2.5 + SLACK_S)
        emulator.inject(None)
        time.sleep(0.1)
        assert laser.power_fraction == 0.5
        assert not laser.emission
        laser.emission = True
        assert emulator.emitting


def test_a_port_that_takes_no_more_is_an_error_in_time_and_the_watchdog_ends_the_light() -> None:
    with bench(driver={"timeout": f"{TIMEOUT_S} s"}) as (laser, emulator):
        laser.emission = True
        line = emulator._line
        assert line is not None
        termios.tcflow(line[1], termios.TCOOFF)
        try:
            for act in (lambda: laser.power_fraction, laser.safe):
                began_s = time.monotonic()
                with pytest.raises(DeviceError, match="source"):
                    act()
                assert time.monotonic() - began_s <= TIMEOUT_S + 1.0 + SLACK_S
            assert wait(lambda: not emulator.emitting, 2.5 + SLACK_S)
        finally:
            termios.tcflow(line[1], termios.TCOON)
        assert laser.power_fraction == 0.0


@pytest.mark.parametrize("fault", ["mute", "late", "corrupt-crc", "port-loss"])
def test_emission_is_not_left_on_even_if_nobody_looks_while_the_line_is_broken(fault: str) -> None:
    with bench(driver={"watchdog": "1 s", "timeout": "0.4 s"}) as (laser, emulator):
        laser.emission = True
        emulator.inject(fault)
        assert wait(lambda: not emulator.emitting, 3.0 + SLACK_S)
        assert wait(lambda: not any(t.name == "source-watchdog" for t in threading.enumerate()), 3.0)
        emulator.inject(None)
        time.sleep(0.5)
        assert not laser.emission


def test_safe_is_in_time_though_others_wait_for_a_mute_laser() -> None:
    with bench(driver={"timeout": f"{TIMEOUT_S} s"}) as (laser, emulator):
        laser.emission = True
        emulator.inject("mute")

        looking, _ = in_a_thread(lambda: laser.power_fraction)
        time.sleep(0.05)
        began_s = time.monotonic()
        with pytest.raises(DeviceError):
            laser.safe()
        assert time.monotonic() - began_s <= TIMEOUT_S + 1.0 + SLACK_S
        assert not emulator.emitting  # it heard, though it cannot say so
        looking.join()


def test_a_mute_laser_is_a_time_out() -> None:
    with bench(driver={"timeout": "0.3 s"}) as (laser, emulator):
        emulator.inject("mute")
        with pytest.raises(DeviceTimeout):
            _ = laser.power_fraction


def test_a_late_answer_is_never_taken_for_that_to_a_later_question() -> None:
    with bench(driver={"timeout": "0.3 s"}, late="0.5 s") as (laser, emulator):
        laser.power_fraction = 0.2
        emulator.inject("late")
        with pytest.raises(DeviceTimeout):
            _ = laser.power_fraction
        emulator.inject(None)
        laser.power_fraction = 0.8  # while the answers "20 %" are still under way
        until_s = time.monotonic() + 0.6
        while time.monotonic() < until_s:
            assert laser.power_fraction == 0.8


def test_an_answer_that_gets_lost_now_and_then_and_a_busy_module_are_asked_again() -> None:
    with bench(lost_answers=11, busy_answers=7, driver={"timeout": "0.2 s"}) as (laser, _):
        for step in range(20):
            laser.power_fraction = step / 1000
            assert laser.power_fraction == step / 1000


def test_an_open_interlock_refuses_emission_with_the_instruments_reason_and_opening_it_turns_the_light_off() -> None:
    with bench() as (laser, emulator):
        emulator.inject("interlock-open")
        with pytest.raises(InterlockError, match="door switch is open"):
            laser.emission = True
        assert not emulator.emitting
        emulator.inject(None)
        laser.emission = True
        emulator.inject("interlock-open")
        assert not emulator.emitting
        assert not lit(emulator)
        assert not laser.emission
        emulator.inject(None)
        time.sleep(0.1)
        assert not laser.emission  # closing the door does not turn it on again


def test_an_interlock_that_waits_for_its_reset_is_said_so(superk: Any) -> None:
    laser, emulator = superk
    emulator._laser._write_interlock(b"\x00")
    with pytest.raises(InterlockError, match="waiting for its reset"):
        laser.emission = True
    assert not emulator.emitting


def test_a_tripped_laser_of_the_world_refuses_emission() -> None:
    world = SimpleNamespace(
        parameters=SimpleNamespace(source=SimpleNamespace(tripped=True)), state=np.zeros(1, np.dtype(CONTROLS))
    )
    with bench(world) as (laser, emulator):
        with pytest.raises(InterlockError, match="interlock open"):
            laser.emission = True
        assert not emulator.emitting


def test_values_that_cannot_be_are_errors(superk: Any) -> None:
    laser, emulator = superk
    emulator.inject("over-range")
    for name in ("power_fraction", "wavelength_min_m", "wavelength_max_m"):
        with pytest.raises(DeviceError, match="cannot have"):
            getattr(laser, name)
    with pytest.raises(DeviceError):
        laser.power_fraction = 0.5
    laser.safe()
    emulator.inject(None)
    laser.power_fraction = 0.5
    assert laser.power_fraction == 0.5


def test_other_firmware_is_understood() -> None:
    with bench(module="fianium") as (laser, emulator):
        laser.close()
        emulator.inject("firmware")
        laser.open()
        assert laser.identity().firmware.startswith("2.01")
        laser.power_fraction = 0.123
        laser.pulse_picker = 7
        assert (laser.power_fraction, laser.pulse_picker) == (0.123, 7)
        laser.emission = True
        assert emulator.emitting


def test_a_line_that_was_cut_comes_back_with_emission_off_and_the_watchdog_armed(superk: Any) -> None:
    laser, emulator = superk
    laser.power_fraction = 0.4
    laser.emission = True
    emulator.inject("port-loss")
    with pytest.raises(DeviceError, match=r"failed|cannot connect"):
        _ = laser.power_fraction
    emulator.inject(None)
    emulator._laser._watchdog_s = 0
    assert laser.power_fraction == 0.4
    assert not emulator.emitting
    assert emulator._laser._watchdog_s == 2


def test_losing_the_port_again_and_again_leaks_nothing(superk: Any) -> None:
    laser, emulator = superk

    def lose() -> None:
        emulator.inject("port-loss")
        with pytest.raises(DeviceError):
            _ = laser.power_fraction
        emulator.inject(None)
        _ = laser.power_fraction

    lose()
    before = left_behind()
    for _ in range(5):
        lose()
    assert left_behind() == before


def test_the_wrong_kind_of_module_is_named() -> None:
    with pytest.raises(DeviceError, match="type 0x68"), bench(driver={"laser_address": 16}):
        pass


# --- mutations: wrong without saying so -------------------------------------------------------------------------------


@pytest.mark.parametrize("mutation", ["scale", "stale", "ignore-setpoint"])
@pytest.mark.parametrize(
    ("name", "value"), [("power_fraction", 0.6), ("wavelength_min_m", 560e-9), ("pulse_picker", 20)]
)
def test_a_set_point_that_is_not_taken_is_noticed(superk: Any, mutation: str, name: str, value: Any) -> None:
    laser, emulator = superk
    emulator.mutate(mutation)
    with pytest.raises(DeviceError, match="reads back"):
        setattr(laser, name, value)


def test_a_laser_a_second_too_late_is_noticed(superk: Any) -> None:
    laser, emulator = superk
    emulator.mutate("late")
    with pytest.raises(DeviceTimeout):
        laser.power_fraction = 0.5


def test_a_dark_laser_shows_in_the_light(superk: Any) -> None:
    laser, emulator = superk
    emulator.mutate("dark")
    laser.emission = True
    assert laser.emission
    assert not lit(emulator)


def test_faults_and_mutations_it_does_not_have_are_refused(superk: Any) -> None:
    _, emulator = superk
    for act in (emulator.inject, emulator.mutate):
        with pytest.raises(LabError, match="nonsense"):
            act("nonsense")


def test_every_read_setting_of_a_snapshot_is_there(superk: Any) -> None:
    laser, _ = superk
    assert set(laser.snapshot()) == {*READS, "calibration_ids"}


def test_importing_the_driver_costs_no_vendor_package() -> None:
    code = "import sys, drivers.nkt_superk; sys.exit(any(m.split('.')[0] == 'pylablib' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_vendor_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylablib.devices", None)
    with pytest.raises(LabError, match=r"pip install 'labctl\[hardware\]'"):
        SuperK("source", "/dev/null").open()
