"""What is tripped stays so over a restart, doses are not forgotten, and only laser operators let light come back."""

from __future__ import annotations

import math
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from drill import drill_file, lit, served, state_of, told_of_trip

from drivers.errors import InterlockError
from labctl.bench.load import load_bench
from labctl.bus.messages import Request
from labctl.bus.roles import Caller, Role, RoleError
from labctl.safety.device_rules import ReadingWithin
from labctl.safety.doses import Doses
from labctl.safety.judging import Judge
from labctl.safety.laser_rules import Dose
from labctl.safety.observer import Observer
from labctl.safety.record import DoseKept, Record, Trip, folder
from labctl.safety.rules import Interlock, Rule, Seen
from labctl.safety.sources import Local
from labctl.safety.watches import ReadingWatch
from labctl.server.host import rehearse

READING = """
[interlocks.tap]
rule = "reading"
device = "meter"
max = "15 mW"
"""

DOSE = """
[interlocks.dose]
rule = "dose"
per = "{per}"
limit = "50 J"
"""

ARMED = """
[interlocks.key]
rule = "armed"
"""


def test_a_tripped_interlock_is_tripped_after_a_restart(tmp_path: Path) -> None:
    path = drill_file(tmp_path, READING + ARMED)
    with served(path) as (bench, host), bench.control():
        bench.arm()
        bench.pump.power_w = 2.0
        lit(bench)
        told_of_trip(bench)
        guard = host.servers["lasers"].interlocks
        assert guard is not None
        assert guard.record.flush()
    (file,) = folder().glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with served(path) as (bench, _), bench.control():
        assert state_of(bench, "tap")["tripped"]
        assert state_of(bench, "key")["state"] == "not armed"  # whoever is there now arms
        bench.arm()
        with pytest.raises(InterlockError, match=r"interlock tap \(reading\) tripped"):
            bench.pump.emission = True
        bench.acknowledge()
        lit(bench)
    with served(path) as (bench, _):
        assert not state_of(bench, "tap")["tripped"]


def test_a_trip_of_an_interlock_that_the_file_has_no_more_stays(tmp_path: Path) -> None:
    with served(drill_file(tmp_path, READING)) as (bench, _), bench.control():
        bench.pump.power_w = 2.0
        lit(bench)
        told_of_trip(bench)
    with served(drill_file(tmp_path, ARMED)) as (bench, _), bench.control():
        bench.arm()
        with pytest.raises(InterlockError, match="interlock tap"):
            bench.pump.emission = True
        assert bench.acknowledge("tap") == ["tap"]
        bench.pump.emission = True


@pytest.mark.parametrize("spoilt", [b"", b"{", b"\x00\xff", b'{"tripped": {"tap": 3}}'])
def test_a_spoilt_record_is_as_good_as_a_trip(tmp_path: Path, spoilt: bytes) -> None:
    path = drill_file(tmp_path, ARMED)
    (folder() / "drill.lasers.json").write_bytes(spoilt)
    with served(path) as (bench, _), bench.control():
        bench.arm()
        with pytest.raises(InterlockError, match="cannot be read"):
            bench.pump.emission = True
    assert (folder() / "drill.lasers.damaged").read_bytes() == spoilt
    with served(path) as (bench, _), bench.control():  # a restart is no acknowledging
        bench.arm()
        with pytest.raises(InterlockError, match="cannot be read"):
            bench.pump.emission = True
        assert bench.acknowledge() == ["record"]
        bench.pump.emission = True


def test_a_spoilt_record_is_told_of_after_a_start_that_was_broken_off(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(b"{")
    assert Record(file).lost  # and killed before it wrote anything
    assert Record(file).lost


def test_a_record_that_cannot_be_written_refuses_light_where_doses_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drill_file(tmp_path, DOSE.format(per="day"))
    place = folder()
    (place / ".drill.lasers.json.new").mkdir()  # in the place of what would be written
    with served(path) as (bench, host), bench.control():
        guard = host.servers["lasers"].interlocks
        assert guard is not None
        assert guard.record.flush()
        with pytest.raises(InterlockError, match="cannot be written"):
            bench.pump.emission = True


def test_doses_outlive_restarts_and_sessions_that_end_in_disorder(tmp_path: Path) -> None:
    path = drill_file(tmp_path, DOSE.format(per="session"))
    with served(path) as (bench, _):
        bench._lease.take("a test", {"lasers": ["pump"], "cameras": ["slm"]}, whole=False)
        lit(bench)
        bench.stop()  # which ends the lease
        given = float(str(state_of(bench, "dose")["dose_j"]))
        assert given > 0
    with served(path) as (bench, _):
        with bench.control():
            assert state_of(bench, "dose")["dose_j"] == pytest.approx(given)
        assert state_of(bench, "dose")["dose_j"] == 0  # control was given back


def test_a_process_that_is_killed_has_promised_its_light(tmp_path: Path) -> None:
    rule = Dose.model_validate({"rule": "dose", "per": "day", "limit": "50 J"})
    doses = Doses({"dose": rule}, {})
    doses.begin("dose")
    doses.advance("dose", 2.0, 0)
    doses.advance("dose", 2.0, 3_000_000_000)
    assert doses.joules("dose") == pytest.approx(6.0)
    assert doses.to_keep()["dose"].joules == pytest.approx(9.0)  # a second to come, and half of one more
    doses.dark("dose", 3_500_000_000)
    assert doses.to_keep()["dose"].joules == pytest.approx(7.0)


def test_a_saturated_detector_trips_and_spoils_no_count() -> None:
    rule = Dose.model_validate({"rule": "dose", "per": "day", "limit": "50 J", "device": "meter"})
    doses, watch = Doses({"dose": rule}, {}), ReadingWatch(rule, "meter")
    interlock, judge, now = judged(rule, watch, doses)
    told = []
    for power in (2.0, math.inf, math.nan, 2.0):
        now[0] += 10**9
        watch._take([power, 2.0], now[0])
        judge.count_dose(interlock)
        violation = judge.wrong(interlock)
        told.append(violation.value.partition(",")[0] if violation else "")
    assert told == ["", "meter is saturated", "meter is no number", ""]
    assert doses.joules("dose") == pytest.approx(6.0)


@pytest.mark.parametrize("seen", [None, "much", [], [1.0]])
def test_what_cannot_be_judged_is_not_safe(seen: Any) -> None:
    rule = ReadingWithin.model_validate({"rule": "reading", "device": "meter", "max": "15 mW"})
    watch = ReadingWatch(rule, "meter")
    interlock, judge, now = judged(rule, watch, Doses({}, {}))
    watch.seen, now[0] = Seen(1, seen), 2
    violation = judge.wrong(interlock)
    assert violation is not None
    assert violation.value.startswith("meter could not be judged")


def judged(rule: Rule, watch: ReadingWatch, doses: Doses) -> tuple[Interlock, Judge, list[int]]:
    """A rule on a pump that emits, what judges it, and the time that it is, ns."""
    now, name = [0], rule.rule
    observer = Observer(
        "meters", {(name, "meter"): watch}, {}, {}, threading.Lock(), lambda: now[0], virtual=True, tell=lambda: None
    )
    interlock, source = Interlock(name, rule, ("pump",)), Local(observer)
    judge = Judge({name: interlock}, {(name, "meter"): source}, doses, {"pump": 1}, lambda: now[0], lambda r, d: 0.0)
    return interlock, judge, now


def test_a_day_ends_a_dose_by_the_day_and_no_other() -> None:
    kept = {"dose": DoseKept(5.0, 86400.0, ended=False)}
    for per, left in (("day", 0.0), ("sample", 5.0), ("session", 5.0)):
        rule = Dose.model_validate({"rule": "dose", "per": per, "limit": "50 J"})
        assert Doses({"dose": rule}, kept).joules("dose") == left


def test_a_record_reads_what_it_wrote(tmp_path: Path) -> None:
    trip = Trip("tap", "reading", "meter", "20 mW", "15 mW", 1.0, ["pump"], "run")
    record = Record(tmp_path / "record.json")
    record.start()
    record.keep(type(record.kept)({"tap": trip}, {"dose": DoseKept(1.5, 2.0)}))
    record.stop()
    again = Record(tmp_path / "record.json")
    assert again.kept.tripped == {"tap": trip}
    assert again.kept.doses == {"dose": DoseKept(1.5, 2.0)}


def test_a_record_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    path = drill_file(tmp_path, DOSE.format(per="day"))
    with served(path) as (first, _), first.control():
        first.pump.emission = True
        with (
            served(path) as (second, _),
            second.control(),
            pytest.raises(InterlockError, match="kept by another process"),
        ):
            second.pump.emission = True
        assert first.pump.emission
    with served(path) as (third, _), third.control():
        third.pump.emission = True


def test_to_check_a_bench_leaves_what_is_kept_of_it_alone(tmp_path: Path) -> None:
    assert rehearse(load_bench(drill_file(tmp_path, ARMED)))
    assert list(folder().iterdir()) == []


@pytest.mark.parametrize(("verb", "allowed"), [("arm", 3), ("acknowledge", 3), ("disarm", 1), ("interlocks", 1)])
def test_arming_and_acknowledging_are_for_laser_operators(tmp_path: Path, verb: str, allowed: int) -> None:
    with served(drill_file(tmp_path, ARMED)) as (_, host):
        server = host.servers["lasers"]
        request = Request(2, "s", 1, "", verb, "", {"by": "somebody"}, "", 0)
        for role in (Role.OBSERVER, Role.OPERATOR, Role.LASER_OPERATOR):
            caller = Caller("a key", role)
            if role >= allowed:
                server.handle_interlocks(request, caller)
            else:
                with pytest.raises(RoleError, match="laser-operators"):
                    server.handle_interlocks(request, caller)


@pytest.mark.parametrize("verb", ["observed", "tripped", "noted", "look"])
def test_only_servers_of_the_bench_tell_one_another_of_trips(tmp_path: Path, verb: str) -> None:
    with served(drill_file(tmp_path, ARMED)) as (_, host):
        request = Request(2, "s", 1, "", verb, "", ["a", "b", "c"], "", 0)
        with pytest.raises(Exception, match="between servers"):
            host.servers["lasers"].handle_interlocks(request, Caller("a key", Role.LASER_OPERATOR))
