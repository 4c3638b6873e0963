"""What was recorded is answered again, to the same questions in the same order, and to no others."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from recording_fixtures import Recorded, Replays

from drivers.contract import ROI
from drivers.errors import ConfigurationError, DeviceError, LeaseError, LimitError, ReplayError
from labctl.bench.client import Bench
from labctl.record.record import Record


def session(bench: Bench, *, power_w: float = 3.0, ramp: float = 0.0) -> list[Any]:
    """Everything that a client does, and what it saw."""
    seen: list[Any] = []
    with bench.control("a test", run="first"):
        seen += [bench.lamp.identity(), bench.lamp.snapshot(), bench.lamp.power_w]
        bench.lamp.power_w = power_w
        bench.lamp.emission = True
        bench.lamp.roi = ROI(row=1, column=2, rows=3, columns=4)
        seen += [bench.lamp.power_w, bench.lamp.emission, bench.lamp.roi]
        for how in ("own", "bug", "other"):
            with pytest.raises(DeviceError) as caught:
                bench.lamp.fail(how)
            seen.append((type(caught.value), str(caught.value)))
        with pytest.raises(LimitError, match="outside") as limit:
            bench.lamp.power_w = 99.0
        seen.append(str(limit.value))
        seen += [bench.lamp.echo([1, 2.5, "text", None, True], twice=True)]
        for shape in ((300, 200), (3, 4), (0, 2)):
            phase = bench.lamp.allocate(shape, np.float64)
            phase[...] = np.arange(phase.size).reshape(shape) + ramp
            seen.append(np.array(bench.lamp.echo(phase)))
        for rows in (5, 400):
            frame = bench.eye.snap(rows, 300)
            seen += [np.array(frame.data), frame.frame_id, frame.utc_start_ns, frame.roi]
        pending = [bench.eye.measure.submit() for _ in range(3)]
        seen += [p.result() for p in pending]
        seen.append(bench.relay.pass_on({"a": np.arange(3)}))
        seen += [bench.time_s(), bench.lamp.look()]
    return seen


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    else:
        assert one == other


@pytest.mark.parametrize("ipc", [True, False])
@pytest.mark.parametrize("servers", [None, fakes.TWO_SERVERS])
def test_a_session_sees_the_same_again(recorded: Recorded, replayed: Replays, servers: Any, ipc: bool) -> None:
    with recorded(fakes.bench_config(servers=servers), ipc=ipc) as (_, bench):
        first = session(bench)
    with replayed(ipc=ipc) as lab:
        assert_same(session(lab.bench()), first)


def test_devices_are_described_as_they_were(recorded: Recorded, replayed: Replays) -> None:
    with recorded() as (_, bench):
        was = {name: device.description for name, device in bench.devices.items()}
    with replayed() as lab:
        now = {name: device.description for name, device in lab.bench().devices.items()}
    for name in was:
        assert (now[name].settings, now[name].operations) == (was[name].settings, was[name].operations)
        assert (now[name].kind, now[name].backend) == (was[name].kind, "replay")


def test_another_value_is_an_error_that_shows_both(recorded: Recorded, replayed: Replays) -> None:
    with recorded() as (_, bench):
        session(bench)
    with replayed() as lab, pytest.raises(ReplayError) as caught:
        session(lab.bench(), power_w=2.5)
    assert "request 4 of lamp: recorded setting lamp.power_w" in str(caught.value)
    assert "arguments: recorded 3.0, asked 2.5" in str(caught.value)


def test_another_array_is_told_by_shape_hash_and_first_difference(recorded: Recorded, replayed: Replays) -> None:
    with recorded() as (_, bench):
        session(bench)
    with replayed() as lab, pytest.raises(ReplayError) as caught:
        session(lab.bench(), ramp=0.5)
    told = str(caught.value)
    assert "arguments[0][0]: recorded float64 (300, 200) " in told
    assert "first at (0, 0): recorded 0.0, asked 0.5; 60000 of 60000 differ" in told


def test_another_request_and_one_too_many_are_told(recorded: Recorded, replayed: Replays) -> None:
    with recorded() as (_, bench), bench.control():
        bench.lamp.echo(1)
        bench.lamp.echo(2)
    with replayed() as lab:
        bench = lab.bench()
        with bench.control():
            bench.lamp.echo(1)
            with pytest.raises(ReplayError, match=r"recorded lamp.echo\(…\), asked reading lamp.hours"):
                bench.lamp.hours  # noqa: B018
            bench.lamp.echo(2)  # what differed was not counted
            with pytest.raises(ReplayError, match=r"no more of lamp after 2 requests of this client \(closed\)"):
                bench.lamp.echo(2)


def test_each_client_is_answered_what_it_was_and_a_run_can_be_chosen(
    recorded: Recorded, replayed: Replays, file: Path
) -> None:
    with recorded() as (lab, bench):
        for run in ("first", "second"):
            client = lab.bench()
            with client.control("a test", run=run):
                for number in range(3):
                    bench.eye.identity()  # somebody else looks on meanwhile
                    assert client.eye.snap(2, 2).frame_id == number + (3 if run == "second" else 0)
    assert Record(file).runs == ["first", "second"]
    with replayed() as lab:
        for begins in (0, 3):  # in turn, as they came
            client = lab.bench()
            with client.control("a test", run="again"):
                assert [client.eye.snap(2, 2).frame_id for _ in range(3)] == [begins, begins + 1, begins + 2]
    with replayed(run="second") as lab:
        client = lab.bench()
        with client.control():
            assert client.eye.snap(2, 2).frame_id == 3
    with pytest.raises(ConfigurationError, match="has no run third; it has first, second"), replayed(run="third"):
        pass


def test_a_stop_in_the_middle_is_seen_at_the_same_place(recorded: Recorded, replayed: Replays) -> None:
    with recorded() as (_, bench), bench.control():
        bench.lamp.echo(1)
        bench.stop("the experiment smells")
        with pytest.raises(LeaseError) as first:
            bench.lamp.power_w = 1.0
    with replayed() as lab:
        bench = lab.bench()
        with bench.control():
            bench.lamp.echo(1)
            with pytest.raises(LeaseError) as again:
                bench.lamp.power_w = 1.0
    assert str(again.value) == str(first.value)
    assert "smells" in str(again.value)


def test_what_was_measured_is_published_again(recorded: Recorded, replayed: Replays) -> None:
    with recorded() as (_, bench), bench.control():
        images = [np.array(bench.eye.snap(300, 400).data) for _ in range(3)]
    with replayed() as lab:
        bench = lab.bench()
        with bench.eye.stream(timeout_s=20) as stream, bench.control():
            threading.Event().wait(0.3)  # until the subscription is there
            for image in images:
                bench.eye.snap(300, 400)
                assert np.array_equal(stream.next().value.data, image)


def test_a_part_that_is_replayed_wants_its_composite_replayed(recorded: Recorded, replayed: Replays) -> None:
    with recorded():
        pass
    with replayed() as lab:
        config = lab.host.config
    devices = {**config.devices, "relay": fakes.bench_config().devices["relay"]}
    mixed = dataclasses.replace(config, devices=devices)
    with pytest.raises(ConfigurationError, match="relay: its lamp is replayed"), fakes.laboratory(mixed):
        pass
