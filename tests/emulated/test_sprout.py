"""The Sprout's driver on its emulator; what every pump keeps is in pump_behaviour."""

from __future__ import annotations

import time

import numpy as np
import pytest
from around import wait
from pump_behaviour import PumpBehaviour, Setup

from drivers.contract import ConfigurationError
from drivers.sprout import Sprout
from simulators.emulators.sprout import NOISE, PumpLight, SproutG


class TestSprout(PumpBehaviour):
    driver = Sprout
    instrument = SproutG
    refusal = "3"

    def test_identity_is_what_the_laser_tells(self, s: Setup) -> None:
        found = s.device.identity()
        assert (found.model, found.serial, found.firmware) == (
            "SPROUT-G-10W",
            s.emulator.serial_like("LP-00217"),
            "1.38",
        )

    def test_its_product_name_tells_what_it_is_rated_for(self, s: Setup) -> None:
        assert s.device.limits("power_w").maximum == 10.0

    def test_the_bench_file_may_rate_it_lower(self) -> None:
        with self.running(rated_power="6 W") as s:
            assert s.device.limits("power_w").maximum == 6.0

    def test_without_a_known_rating_it_does_not_open(self, s: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
        ask = s.emulator._asked  # type: ignore[attr-defined]
        monkeypatch.setattr(s.emulator, "_asked", lambda name: "SPROUT-G" if name == "PRODUCT" else ask(name))
        s.device.close()
        with pytest.raises(ConfigurationError, match="rated_power"):
            s.device.open()

    def test_while_it_warms_up_emission_is_on_and_light_follows(self) -> None:
        with self.running({"warm_up": "1 s"}) as s:
            s.device.power_w = 3.0
            s.device.emission = True
            assert s.device.emission
            assert "warmup" in s.device.condition
            assert s.table.power_w == 0.0
            assert wait(lambda: s.table.power_w > 1.0, 5.0)

    def test_safe_ends_a_warm_up(self) -> None:
        with self.running({"warm_up": "0.5 s"}, rest="idle") as s:
            s.device.power_w = 3.0
            s.device.emission = True
            s.device.safe()
            assert not s.device.emission
            time.sleep(0.7)
            assert s.table.power_w == 0.0

    def test_it_may_rest_idle(self) -> None:
        with self.running(rest="idle") as s:
            s.device.power_w = 3.0
            s.device.emission = True
            s.device.emission = False
            assert "mode idle" in s.device.condition
            assert not s.device.emission
            assert s.table.dark_within(0.5)

    def test_a_closed_manual_shutter_keeps_the_table_dark(self, s: Setup) -> None:
        s.emulator.shutter_open = False  # type: ignore[attr-defined]
        s.device.power_w = 3.0
        s.device.emission = True
        assert "shutter close" in s.device.condition
        assert s.table.power_w == 0.0

    def test_pylablib_reads_everything_it_knows_of(self) -> None:
        s = self.make()
        try:
            from pylablib.devices.LighthousePhotonics import SproutG as Vendor  # type: ignore[import-untyped]

            laser = Vendor((s.emulator.start()["port"], 19200))
            try:
                assert laser.get_device_info().serial == s.emulator.serial_like("LP-00217")
                assert laser.get_work_hours().controller.count(":") == 2
                assert laser.set_output_power(2.345) in (2.34, 2.35)
                assert laser.set_output_mode("on") == "on"
                assert laser.is_enabled()
                assert laser.set_output_mode("idle") == "idle"
                assert laser.get_full_info()["output_power"] == 0.0
            finally:
                laser.close()
        finally:
            s.emulator.stop()


def test_noise_is_that_of_the_data_sheet() -> None:
    """False alarm 1e-6: the standard deviation of 4000 draws is known to 1.1 %."""
    light = PumpLight(None, 1e-3, seed=5)
    time.sleep(0.02)
    light.advance(10.0)
    drawn = []
    for _ in range(4000):
        light.advance(10.0)
        drawn.append(light.power_w)
    assert np.std(drawn[100:]) / np.mean(drawn[100:]) == pytest.approx(NOISE, rel=0.06)
