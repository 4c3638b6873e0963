"""Each rule refuses light or puts it out, and keeps it out until it is acknowledged; across servers, in real time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from drill import WATTS_AT_METER, drill_file, lit, served, state_of, told_of_trip

from drivers.errors import BusError, ConfigurationError, DeviceError, InterlockError
from labctl.bench.client import Bench
from labctl.client import ROI, Sequence
from labctl.safety import desk


def rule(name: str, text: str) -> str:
    return f"\n[interlocks.{name}]\nrule = {text}\n"


def steps(n: int) -> Sequence:
    """Two patterns, in turn."""
    return Sequence(
        base=np.zeros((4, 4)),
        base_origin=(0, 0),
        patches=np.ones((1, 1, 1)),
        patch_origins=np.zeros((1, 2), np.int32),
        offsets=(np.arange(n + 1, dtype=np.int32) + 1) // 2,
        indices=np.zeros((n + 1) // 2, np.int32),
    )


READING = rule("tap", '"reading"\ndevice = "meter"\nmax = "15 mW"\nwithin = "2 s"')


def test_light_needs_arming_and_goes_out_when_disarmed(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("key", '"armed"\nfor = "1 h"'))) as (bench, host), bench.control():
        with pytest.raises(InterlockError, match=r"pump is not armed; .* labctl arm drill"):
            bench.pump.emission = True
        armed = bench.arm()["pump"]
        assert armed["armed"]
        assert 3500 < armed["until_utc"] - time.time() <= 3600
        bench.pump.emission = True
        with pytest.raises(ConfigurationError, match="no interlock wants pmup armed; what can be disarmed is pump"):
            bench.disarm("pmup")
        assert bench.disarm() == ["pump"]
        assert not host.devices["pump"].emission
        assert "disarmed by" in told_of_trip(bench)
        assert state_of(bench, "key")["state"] == "not armed"
        with pytest.raises(InterlockError, match="disarmed by"):
            bench.wait_acknowledged(timeout_s=0.2)
        bench.arm()
        assert bench.wait_acknowledged(timeout_s=0.2) == []


def test_a_loop_that_only_renews_is_told_once(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("key", '"armed"'))) as (bench, _), bench.control():
        bench.arm()
        lit(bench)
        bench.disarm()
        with pytest.raises(InterlockError, match="disarmed by"):
            bench.renew()
        bench.renew()
        assert [bench.pump.emission, bench.meter.integration_s, bench.slm.settle_s] == [False, 0.001, 0.005]


def test_who_waits_does_not_wait_for_what_nobody_armed(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("key", '"armed"'))) as (bench, _), bench.control():
        assert bench.wait_acknowledged(timeout_s=0) == []


def test_arming_ends_after_its_time(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("key", '"armed"\nfor = "0.4 s"'))) as (bench, host), bench.control():
        bench.arm(for_s=3600)  # the bench file's time is the shorter one
        bench.pump.emission = True
        assert "0.4 s it was armed for are over" in told_of_trip(bench)
        assert not host.devices["pump"].emission
        assert "are over" in state_of(bench, "key")["armed"]["pump"]["why"]  # type: ignore[index]
        assert [event["what"] for event in bench.interlock_events()] == ["armed", "disarmed"]


def test_a_laser_that_cannot_be_reached_when_it_is_disarmed_is_told_again_and_that_is_told_once(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("key", '"armed"'))) as (bench, host), bench.control():
        bench.arm()
        bench.pump.emission = True
        server, pump = host.servers["lasers"], host.devices["pump"]
        del server.devices["pump"]  # whoever makes devices safe does not find it
        bench.disarm()
        time.sleep(0.2)
        assert pump.emission
        server.devices["pump"] = pump
        deadline = time.monotonic() + 10
        while pump.emission:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        told = [event["what"] for event in bench.interlock_events()]
        assert told.count("disarmed") == 2  # by whom, and what went dark


def test_disarming_asks_all_servers_at_once() -> None:
    both = threading.Barrier(2, timeout=5)  # each is dark when the other one has been asked, too

    class Control:
        def request(self, *_: object, **__: object) -> list[str]:
            both.wait()
            return ["pump"]

    assert desk.disarm({"one": Control(), "two": Control()}, [], "a test") == ["pump", "pump"]


def test_what_interlocks_did_is_told_though_a_server_has_ended() -> None:
    class Control:
        def __init__(self, *events: str) -> None:
            self.events = [{"age_s": 1.0, "what": what, "run": "a-run"} for what in events]

        def request(self, *_: object, **__: object) -> dict[str, object]:
            if not self.events:
                raise BusError("nobody listens")
            return {"events": self.events}

    told = desk.events({"cameras": Control(), "lasers": Control("tripped")}, "a-run")
    assert [event["what"] for event in told] == ["tripped"]
    with pytest.raises(BusError, match="nobody listens"):
        desk.events({"cameras": Control()})


def test_an_emergency_stop_disarms(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("key", '"armed"'))) as (bench, _):
        bench.arm("pump")
        bench.stop()
        with bench.control(), pytest.raises(InterlockError, match="emergency stop"):
            bench.pump.emission = True


def test_what_nothing_wants_armed_cannot_be_armed(tmp_path: Path) -> None:
    with (
        served(drill_file(tmp_path, READING)) as (bench, _),
        pytest.raises(ConfigurationError, match='rule = "armed"'),
    ):
        bench.arm()


def test_a_pattern_comes_before_light(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("shown", '"pattern"\ndevice = "slm"'))) as (bench, _):
        with bench.control():
            lit(bench)
            assert bench.pump.emission
        with bench.control(), pytest.raises(InterlockError, match="no pattern was written to slm in this session"):
            bench.pump.emission = True


def test_a_reading_out_of_bounds_trips_until_it_is_acknowledged(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, READING)) as (bench, host), bench.control(run="a-run"):
        lit(bench)
        bench.pump.power_w = 2.0
        text = told_of_trip(bench)
        assert "interlock tap (reading) tripped at" in text
        assert "labctl ack drill --interlock tap" in text
        assert not host.devices["pump"].emission
        told = state_of(bench, "tap")
        assert (told["state"], told["run"], told["limit"]) == ("tripped", "a-run", "at most 15 mW")
        assert str(told["value"]).startswith("meter reads ")
        with pytest.raises(InterlockError, match="interlock tap"):
            bench.pump.emission = True
        with pytest.raises(InterlockError, match="interlock tap"):
            bench.wait_acknowledged(timeout_s=0.1)
        assert bench.acknowledge("tap", "a filter was missing") == ["tap"]
        assert bench.wait_acknowledged(timeout_s=0) == []
        bench.pump.power_w = 1.0
        bench.pump.emission = True
        assert bench.meter.measure().power_w == pytest.approx(WATTS_AT_METER, rel=0.05)
        assert [event["what"] for event in bench.interlock_events("a-run")] == ["tripped", "acknowledged"]


def test_a_frozen_reading_is_no_reading(tmp_path: Path) -> None:
    path = drill_file(tmp_path, READING)
    with served(path, **{"world.noise": False}) as (bench, host), bench.control():
        lit(bench)
        assert "times in a row, to the last digit" in told_of_trip(bench)
        assert not host.devices["pump"].emission


def test_a_detector_too_dark_trips_once_the_light_is_on(tmp_path: Path) -> None:
    rules = rule("tap", '"reading"\ndevice = "meter"\nmin = "20 mW"\nafter = "0.3 s"')
    with served(drill_file(tmp_path, rules)) as (bench, _), bench.control():
        lit(bench)
        assert "at least 20 mW" in told_of_trip(bench)


def test_a_loop_that_turns_the_light_on_again_and_again_is_judged_as_any_other(tmp_path: Path) -> None:
    rules = rule("tap", '"reading"\ndevice = "meter"\nmin = "15 mW"\nafter = "0.3 s"')
    rules += rule("told", '"read-back"\nafter = "0.3 s"')
    with served(drill_file(tmp_path, rules)) as (bench, host), bench.control():
        with pytest.raises(InterlockError, match="meter reads"):
            light_again_and_again(bench)
        bench.acknowledge()
        bench.pump.power_w = 2.0
        lit(bench)
        host.devices["pump"].power_w = 4.0  # by its front panel
        with pytest.raises(InterlockError, match=r"pump.power_w is 4"):
            light_again_and_again(bench)


def light_again_and_again(bench: Bench) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        bench.pump.emission = True
        time.sleep(0.02)


def test_a_detector_that_is_busy_for_others_is_not_known(tmp_path: Path) -> None:
    rules = rule("tap", '"reading"\ndevice = "meter"\nwithin = "0.3 s"')
    with served(drill_file(tmp_path, rules)) as (bench, _), bench.control():
        lit(bench)
        bench.meter.arm(5)  # a reading would spoil the burst, and nobody collects it
        assert "armed for a burst" in told_of_trip(bench)


def test_a_server_that_does_not_answer_trips(tmp_path: Path) -> None:
    rules = rule("tap", '"reading"\ndevice = "meter"\nwithin = "0.5 s"')
    with served(drill_file(tmp_path, rules)) as (bench, host), bench.control(devices=["pump", "slm"]):
        lit(bench)
        host.servers["meters"].stop()
        assert "server meters does not tell" in told_of_trip(bench)
        assert not host.devices["pump"].emission


def test_saturated_frames_trip(tmp_path: Path) -> None:
    rules = rule("eye", '"camera"\ndevice = "camera"\nframes = 4\npixels = 10\nwithin = "60 s"')
    with served(drill_file(tmp_path, rules), **{"world.pump_share": 1e-6}) as (bench, host), bench.control():
        bench.camera.roi = ROI(row=0, column=0, rows=16, columns=16)
        lit(bench)
        for _ in range(3):
            assert bench.camera.trigger().saturated > 10  # three are allowed
        assert host.devices["pump"].emission
        assert bench.sequencer.play(steps(2), []).saturated.all()
        assert "camera was saturated in 5 successive frames" in told_of_trip(bench)
        assert not host.devices["pump"].emission


def test_a_sequence_that_was_played_into_the_dark_is_not_returned(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("key", '"armed"'))) as (bench, _), bench.control():
        bench.camera.roi = ROI(row=0, column=0, rows=16, columns=16)
        bench.arm()
        lit(bench)
        played = bench.sequencer.play.submit(steps(2000), [])  # 14 s
        time.sleep(0.5)
        begun = time.monotonic()
        bench.disarm()
        with pytest.raises(InterlockError, match="pump is not armed"):
            played.result()
        assert time.monotonic() - begun < 5  # it was not played to its end
        assert not bench.pump.emission  # and nobody is told twice


def test_a_setting_out_of_bounds_trips(tmp_path: Path) -> None:
    rules = rule("short", '"setting"\ndevice = "camera"\nsetting = "exposure"\nmax = "10 ms"\nwithin = "5 s"')
    with served(drill_file(tmp_path, rules)) as (bench, _), bench.control():
        lit(bench)
        bench.camera.exposure_s = 0.02
        assert "camera.exposure_s is 0.02" in told_of_trip(bench)


def test_a_laser_that_went_dark_by_itself_trips(tmp_path: Path) -> None:
    rules = rule("told", '"read-back"\nafter = "0.1 s"')
    with served(drill_file(tmp_path, rules)) as (bench, host), bench.control():
        lit(bench)
        host.devices["pump"].safe()  # as its own interlock would do
        assert "pump says that it is dark; allowed is it was told to emit" in told_of_trip(bench)


def test_a_laser_that_is_brighter_than_it_was_told_trips(tmp_path: Path) -> None:
    rules = rule("told", '"read-back"\nafter = "0.1 s"')
    with served(drill_file(tmp_path, rules)) as (bench, host), bench.control():
        lit(bench)
        host.devices["pump"].power_w = 3.0  # by its front panel
        assert "pump.power_w is 3" in told_of_trip(bench)
        with pytest.raises(InterlockError, match="its cause persists"):
            bench.acknowledge()
        bench.pump.power_w = 1.0
        assert bench.acknowledge() == ["told"]


def test_a_laser_that_emits_though_it_was_told_to_be_dark_is_told_again(tmp_path: Path) -> None:
    rules = rule("told", '"read-back"\nafter = "0.1 s"')
    with served(drill_file(tmp_path, rules)) as (bench, host), bench.control():
        pump = host.devices["pump"]
        for _ in range(2):
            pump.emission = True  # by its front panel
            deadline = time.monotonic() + 10
            while pump.emission:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert "pump says that it emits" in told_of_trip(bench)


def test_a_dose_that_is_reached_trips_until_there_is_a_new_sample(tmp_path: Path) -> None:
    rules = rule("dose", '"dose"\nper = "sample"\nlimit = "0.3 J"\nfactor = 0.5')
    with served(drill_file(tmp_path, rules)) as (bench, _), bench.control():
        lit(bench)
        begun = time.monotonic()
        assert "the sample was given 3" in told_of_trip(bench)
        assert time.monotonic() - begun > 0.5  # at 0.5 W on the sample
        with pytest.raises(InterlockError, match="its cause persists"):
            bench.acknowledge()
        bench.acknowledge(new_sample=True)
        assert state_of(bench, "dose")["dose_j"] == 0


def test_power_rises_no_faster_than_the_ramp_and_stops_rising_when_told(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, rule("slow", '"ramp"\nrate = "4 W/s"'))) as (bench, host), bench.control():
        begun = time.monotonic()
        lit(bench)
        assert time.monotonic() - begun >= 0.25  # from nothing to 1 W
        begun = time.monotonic()
        bench.pump.power_w = 2.0
        assert time.monotonic() - begun >= 0.25
        assert bench.pump.power_w == 2.0
        rising = bench.pump
        sent = rising._connection.submit("pump", "set", "power_w", 8.0)
        time.sleep(0.2)
        bench.safe()
        with pytest.raises(InterlockError, match="rises no further"):
            sent.result()
        assert host.devices["pump"].power_w < 4.0


def test_reading_and_safe_go_on_while_the_power_rises(tmp_path: Path) -> None:
    rules = rule("slow", '"ramp"\nrate = "4 W/s"') + rule("told", '"read-back"\nwithin = "0.3 s"\nafter = "0.1 s"')
    with served(drill_file(tmp_path, rules)) as (bench, _), bench.control():
        lit(bench)
        bench.pump.power_w = 3.0  # half a second, in which the laser is asked what it does
        assert bench.pump.emission
        assert not state_of(bench, "told")["tripped"]


def test_a_fault_of_the_instrument_stays_what_it_was(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, READING)) as (bench, _), bench.control():
        with pytest.raises(DeviceError):
            bench.camera.collect()
        lit(bench)
        assert bench.pump.emission
