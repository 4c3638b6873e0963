"""The finesse's driver on its emulator; what every pump keeps is in pump_behaviour."""

from __future__ import annotations

import pytest
from pump_behaviour import PumpBehaviour, Setup

from drivers.contract import DeviceError
from drivers.finesse import Finesse
from simulators.emulators.finesse import FinesseHead


class TestFinesse(PumpBehaviour):
    driver = Finesse
    instrument = FinesseHead
    refusal = "Error: value out of range"

    def test_identity_is_what_the_laser_tells(self, s: Setup) -> None:
        found = s.device.identity()
        assert (found.model, found.serial, found.firmware) == (
            "Laser Quantum finesse",
            s.emulator.serial_like("FIN-10482"),
            "SMD12 V2.14",
        )

    def test_a_power_the_laser_silently_ignores_is_an_error(self) -> None:
        with self.running(rated_power="20 W") as s:
            s.device.power_w = 5.0
            with pytest.raises(DeviceError, match=r"20\.00 W: the laser reads back 5\.00 W"):
                s.device.power_w = 20.0

    def test_pylablib_alone_does_not_notice_it(self, s: Setup) -> None:
        s.device.power_w = 5.0
        with s.device._talk("test") as laser:
            assert laser.set_output_power(20.0) == 5.0

    def test_light_needs_laser_and_shutter(self, s: Setup) -> None:
        s.device.power_w = 5.0
        s.device.emission = True
        assert "opened" in s.device.condition
        with s.device._talk("test") as laser:
            assert laser.set_shutter(False) == "closed"
        assert s.table.dark_within(0.5)
        assert not s.device.emission

    def test_safe_closes_the_shutter_too(self, s: Setup) -> None:
        s.device.power_w = 5.0
        s.device.emission = True
        s.device.safe()
        assert "disabled" in s.device.condition
        assert "closed" in s.device.condition

    def test_the_commands_of_its_manual_are_known(self, s: Setup) -> None:
        with s.device._talk("test") as laser:
            laser.query("LASER=ON")
            assert laser.is_enabled()
            laser.query("LASER=OFF")
            assert not laser.is_enabled()

    def test_pylablib_reads_everything_it_knows_of(self, s: Setup) -> None:
        with s.device._talk("test") as laser:
            hours = laser.get_work_hours()
            assert hours.psu > hours.laser_enabled > 0
            temperatures = laser.get_temperatures()
            assert 15 < temperatures.head < temperatures.psu < 60
            assert laser.get_current() == 0.0
            assert laser.get_full_info()["output_status"] == "disabled"
