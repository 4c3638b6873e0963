"""The OBIS' driver on its emulator; what every pump keeps is in pump_behaviour."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from around import wait
from pump_behaviour import TIMEOUT_S, PumpBehaviour, Setup

from drivers.coherent_obis import Obis
from drivers.contract import DeviceError, DeviceTimeout, LimitError
from simulators.emulators.obis import ObisHead


class TestObis(PumpBehaviour):
    driver = Obis
    instrument = ObisHead
    unit_w = 0.02
    step_w = 1e-5
    package = "pyvisa"
    refusal = "ERR-200"

    def test_identity_is_what_the_laser_tells(self, s: Setup) -> None:
        found = s.device.identity()
        assert (found.model, found.serial, found.firmware) == (
            "Coherent OBIS 532nm 150mW C",
            s.emulator.serial_like("VXA4711"),
            "V1.2.4",
        )

    def test_limits_are_the_lasers(self, s: Setup) -> None:
        limits = s.device.limits("power_w")
        assert (limits.minimum, limits.maximum) == (0.0015, 0.15)
        with pytest.raises(LimitError):
            s.device.power_w = 0.0

    def test_a_refusal_carries_the_lasers_reason(self, s: Setup) -> None:
        s.emulator.inject("over-range")
        with pytest.raises(DeviceError, match="ERR-220, -220,Invalid parameter"):
            s.device.power_w = 0.03
        with pytest.raises(DeviceError, match="over-power"):
            s.device.emission = True

    def test_a_refusal_without_a_queue_of_reasons_is_told_all_the_same(
        self, s: Setup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reply = s.emulator.reply
        monkeypatch.setattr(s.emulator, "reply", lambda x: ["ERR-100"] if x.startswith("SYST:ERR") else reply(x))
        s.emulator.inject("over-range")
        with pytest.raises(DeviceError, match="ERR-220"):
            s.device.power_w = 0.03

    def test_a_reason_that_does_not_come_is_not_taken_for_the_next_answer(
        self, hasty: Setup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s = hasty
        s.device.power_w = 0.05
        reply = s.emulator.reply
        monkeypatch.setattr(s.emulator, "reply", lambda x: [] if x.startswith("SYST:ERR") else reply(x))
        s.emulator.inject("over-range")
        with pytest.raises(DeviceTimeout):
            s.device.power_w = 0.03
        s.emulator.inject(None)
        monkeypatch.undo()
        assert s.device.power_w == pytest.approx(0.05)

    def test_external_modulation_shapes_the_light(self, s: Setup) -> None:
        s.device.power_w = 0.1
        s.device.modulation = "external"
        assert s.device.modulation == "external"
        s.emulator.gate = 0.0  # type: ignore[attr-defined]
        s.device.emission = True
        assert s.device.emission
        assert s.table.power_w == 0.0
        s.emulator.gate = 0.5  # type: ignore[attr-defined]
        assert wait(lambda: abs(s.table.power_w - 0.05) < 5e-4, 5.0)

    @pytest.mark.parametrize("external", ["digital", "analog", "mixed"])
    def test_the_bench_file_says_what_modulates_it(self, external: str) -> None:
        with self.running(external=external) as s:
            s.device.modulation = "external"
            with s.device._link.talk("test") as laser:
                assert laser.ask("SOUR:AM:SOUR?") == external.upper()

    def test_modulation_changes_only_in_the_dark(self, s: Setup) -> None:
        s.device.emission = True
        with pytest.raises(DeviceError, match="emission off first"):
            s.device.modulation = "external"
        assert s.device.modulation == "cw"

    def test_emission_waits_for_the_cdrh_delay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("simulators.emulators.obis._CDRH_S", 1.0)
        with self.running({"cdrh": True}) as s:
            s.device.power_w = 0.05
            began = time.monotonic()
            s.device.emission = True
            assert time.monotonic() - began > 0.9
            assert s.table.power_w > 0.0

    def test_while_it_warms_up_emission_is_on_and_light_follows(self) -> None:
        with self.running({"warm_up": "1 s"}) as s:
            s.device.power_w = 0.05
            s.device.emission = True
            assert s.device.emission
            assert wait(lambda: s.table.power_w > 0.04, 5.0)

    @pytest.mark.parametrize("shaken", [True, False])
    @pytest.mark.parametrize("wanted", [True, False])
    def test_handshaking_is_taken_as_it_is_found_and_set_as_wanted(self, shaken: bool, wanted: bool) -> None:
        s = self.make(handshake=wanted)
        s.emulator._handshake = shaken  # type: ignore[attr-defined]
        try:
            s.device.open()
            assert s.emulator._handshake is wanted  # type: ignore[attr-defined]
            s.device.power_w = 0.07
            assert s.device.power_w == pytest.approx(0.07)
            s.device.emission = True
            assert s.device.emission
            s.emulator.inject("over-range")
            with pytest.raises(DeviceError, match="-220"):
                s.device.power_w = 0.05
            s.device.close()
        finally:
            s.emulator.stop()

    def test_status_words_are_those_that_users_report(self, s: Setup) -> None:
        """From the table of states in the AllenNeuralDynamics driver for OBIS lasers with a remote."""
        e = s.emulator

        def word() -> str:
            with s.device._link.talk("test") as laser:
                return str(laser.ask("SYST:STAT?"))

        assert word() == "C8000008"
        s.device.modulation = "external"
        assert word() == "C8000408"
        s.device.emission = True
        assert word() == "C8001402"
        s.device.emission = False
        s.device.modulation = "cw"
        s.device.emission = True
        assert word() == "C8001002"
        e.inject("interlock-open")
        assert word() == "CC000008"
        e.inject("over-range")
        assert word() == "C8001001"

    def test_long_and_short_headers_are_one(self, s: Setup) -> None:
        with s.device._link.talk("test") as laser:
            for header in ("SYSTem:INFormation:SNUMber?", "syst:inf:snum?", "SYST:INFORMATION:SNUM?"):
                assert laser.ask(header) == s.emulator.serial_like("VXA4711")

    def test_errors_queue_up_and_are_taken_one_by_one(self, s: Setup) -> None:
        with s.device._link.talk("test") as laser:
            laser.write("SYST:INFO:SNUM?")
            assert laser.read() == "ERR-100"
            laser.write("SOUR:POW:LEV:IMM:AMPL")
            assert laser.read() == "ERR-109"
            assert laser.ask("SYST:ERR:COUN?") == "2"
            assert laser.ask("SYST:ERR?").startswith("-100")
            assert laser.ask("SYST:ERR:NEXT?").startswith("-109")
            assert laser.ask("SYST:ERR?").startswith("0")

    def test_the_drivers_messages_are_those_of_the_manual(self, s: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
        heard: list[str] = []
        reply = s.emulator.reply
        monkeypatch.setattr(s.emulator, "reply", lambda line: (heard.append(line), reply(line))[1])
        s.device.power_w = 0.05
        s.device.emission = True
        s.device.emission = False
        assert [c for c in heard if not c.endswith("?")] == [
            "SOUR:POW:LEV:IMM:AMPL 0.05",
            "SOUR:AM:STAT ON",
            "SOUR:AM:STAT OFF",
        ]


class TestObisOverTcp:
    """Behind a terminal server: what depends on the line. A dead peer shows as a timeout in pyvisa-py."""

    @pytest.fixture
    def s(self) -> Iterator[Setup]:
        with TestObis().running({"transport": "tcp"}) as s:
            assert s.device._options.resource.endswith("::SOCKET")
            yield s

    @pytest.fixture
    def hasty(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
        monkeypatch.setattr("simulators.emulators.serial_line._LATE_FAULT_S", 2 * TIMEOUT_S)
        with TestObis().running({"transport": "tcp"}, timeout=f"{TIMEOUT_S} s") as s:
            yield s

    def test_it_shines_as_asked(self, s: Setup) -> None:
        TestObis().test_the_light_settles_at_the_set_point(s)

    def test_opening_and_closing_leaves_nothing_behind(self, s: Setup) -> None:
        TestObis().test_opening_and_closing_leaves_nothing_behind(s)

    def test_it_reconnects_and_makes_safe_after_a_port_loss(self, hasty: Setup) -> None:
        TestObis().test_the_first_call_after_a_port_loss_reconnects_and_makes_safe(hasty)

    def test_a_late_answer_is_not_taken_for_the_next_one(self, hasty: Setup) -> None:
        TestObis().test_a_late_answer_is_not_taken_for_the_next_one(hasty)

    @pytest.mark.parametrize("fault", ["mute", "corrupt-crc", "port-loss"])
    def test_safe_ends_the_light_through_a_fault(self, hasty: Setup, fault: str) -> None:
        TestObis().test_safe_ends_the_light_through_every_fault(hasty, fault)
