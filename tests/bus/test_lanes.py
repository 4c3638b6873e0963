"""A server answers what it can read, refuses the rest, and goes on living."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import tempfile
import threading
import time
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq
from fakes import TWO_SERVERS, Lab, bench_config, laboratory, wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.errors import BusError, ConfigurationError, DeviceError, DeviceTimeout, LeaseError, LimitError
from labctl.bench.client import Bench
from labctl.bus.connection import Connection
from labctl.bus.messages import VERSION, Hello, Request, decode_reply, decode_welcome, encode
from labctl.bus.roles import Caller
from labctl.bus.server_side import ServerSide
from labctl.server.lane import Lane

_numbers = itertools.count(1)


def raw(lab: Lab) -> zmq.Socket[Any]:
    socket = lab.context.socket(zmq.DEALER)
    socket.linger = 0
    socket.rcvtimeo = 5000
    socket.connect(lab.endpoint("calls"))
    return socket


def failure_to(socket: zmq.Socket[Any], frames: list[Any]) -> Any:
    socket.send_multipart(frames)
    return decode_reply(list(socket.recv_multipart())).failure


def request(verb: str, name: str, arguments: Any, device: str = "lamp", expires_ns: int = 0) -> list[Any]:
    return list(encode(Request(VERSION, "raw", next(_numbers), device, verb, name, arguments, "", expires_ns)))


# --- malformed and unknown --------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nonsense_is_answered_by_a_bus_error_and_executes_nothing(lab: Lab, frames: list[bytes]) -> None:
    before = list(lab.lamp.executed)
    with raw(lab) as socket:
        assert failure_to(socket, frames).error_type == "BusError"
    assert lab.lamp.executed == before


def test_a_lane_serves_on_after_nonsense(lab: Lab, bench: Bench) -> None:
    with raw(lab) as socket:
        for frames in ([b""], [b"\xc1"], [b"\x91" * 5000], [b"a", b"b", b"c"]):
            failure_to(socket, frames)
    assert bench.lamp.echo(3) == 3


@pytest.mark.parametrize("arguments", [None, [], [[]], [[], []], [{}, {}], [3, {}], ["ab", {}], [[], {}, 1]], ids=repr)
def test_malformed_arguments_are_a_bus_error_and_call_nothing(lab: Lab, arguments: Any) -> None:
    lab.lamp.executed.clear()
    with raw(lab) as socket:
        failure = failure_to(socket, request("call", "echo", arguments))
    assert (failure.error_type, lab.lamp.executed) == ("BusError", [])


def test_a_client_of_another_version_is_told_both_versions_instead_of_being_left_waiting(lab: Lab) -> None:
    with raw(lab) as socket:
        socket.send_multipart(encode(Hello("labctl", VERSION + 1, VERSION + 3, {})))
        welcome = decode_welcome(list(socket.recv_multipart()))
        assert (welcome.version, welcome.about) == (0, {"lowest": VERSION, "highest": VERSION})
        strange = encode(Request(VERSION + 1, "raw", next(_numbers), "lamp", "get", "power_w", None, "", 0))
        assert f"version {VERSION + 1}" in failure_to(socket, list(strange)).message


@pytest.mark.parametrize(
    ("device", "verb", "name", "told"),
    [
        ("sun", "get", "power_w", "'sun'.*lamp"),
        ("lamp", "get", "colour", "'colour'.*power_w"),
        ("lamp", "set", "colour", "'colour'.*power_w"),
        ("lamp", "call", "explode", "'explode'.*echo"),
        ("lamp", "call", "secret", "'secret'.*echo"),
        ("lamp", "call", "__init__", "__init__"),
        ("lamp", "get", "executed", "executed"),
        ("lamp", "delete", "power_w", "verb 'delete'"),
    ],
)
def test_an_unknown_device_setting_operation_or_verb_is_named(
    lab: Lab, device: str, verb: str, name: str, told: str
) -> None:
    with pytest.raises(BusError, match=told):
        lab.connection().request(device, verb, name, [[], {}])


@pytest.mark.parametrize("lane", ["control", "stop"])
def test_an_unknown_verb_of_another_lane_is_refused(lab: Lab, lane: str) -> None:
    with pytest.raises(BusError, match=r"unknown verb 'reboot'"):
        lab.connection(lane).request("", "reboot")


# --- expiry -----------------------------------------------------------------------------------------------------


def test_an_expired_request_is_not_executed(lab: Lab) -> None:
    lab.lamp.executed.clear()
    with raw(lab) as socket:
        late = request("call", "echo", [[1], {}], expires_ns=time.monotonic_ns() - 1)
        failure = failure_to(socket, late)
    assert "expired" in failure.message
    assert lab.lamp.executed == []


def test_a_request_that_expires_while_the_server_is_busy_is_not_executed(lab: Lab, bench: Bench) -> None:
    busy = threading.Thread(target=bench.lamp.slow, args=(0.4,))
    busy.start()
    lab.lamp.busy.wait(5)
    with pytest.raises(BusError, match=r"no answer|expired"):
        lab.connection().request("spare", "set", "power_w", 3.0, timeout_s=0.05)
    busy.join()
    assert bench.lamp.echo(1) == 1
    assert lab.host.devices["spare"].power_w == 1.0


# --- errors and values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "kind"), [("", DeviceError), ("own", DeviceTimeout), ("bug", DeviceError)])
def test_a_remote_error_keeps_its_type_and_the_servers_traceback(bench: Bench, how: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        bench.lamp.fail(how)
    assert type(caught.value) is kind
    assert "fakes.py" in "".join(caught.value.__notes__)


def test_an_error_message_that_is_no_text_does_not_end_the_server(bench: Bench) -> None:
    with pytest.raises(DeviceError, match=r"\\udcff"):
        bench.lamp.fail("undecodable")
    assert bench.lamp.echo(1) == 1


def test_a_result_that_cannot_cross_is_an_error_and_not_silence(lab: Lab, bench: Bench, monkeypatch: Any) -> None:
    monkeypatch.setattr(type(lab.lamp), "_read_power_w", lambda self: object())
    with pytest.raises(BusError, match=r"object cannot cross"):
        _ = bench.lamp.power_w


def test_arrays_go_to_a_device_and_back(bench: Bench) -> None:
    array = np.arange(2_000_000, dtype=np.uint16).reshape(1000, 2000)
    assert np.array_equal(bench.lamp.echo(array), array)


# --- a server that is not there ---------------------------------------------------------------------------------


def test_nobody_listening_is_a_bus_error_with_the_cure(tmp_path: Any) -> None:
    context: zmq.Context[Any] = zmq.Context()
    connection = Connection(context, f"ipc:///tmp/nobody-{id(context)}")
    try:
        with pytest.raises(BusError, match=r"nobody listens.*labctl up"):
            connection.request("lamp", "get", "power_w")
    finally:
        connection.close()
        context.term()


def test_a_server_that_stops_during_a_call_is_a_bus_error_and_not_a_hang(lab: Lab) -> None:
    bench = lab.bench()
    errors: list[BaseException] = []

    def call() -> None:
        try:
            bench.lamp.slow(0.3)
            while True:
                bench.lamp.echo(1)
        except BusError as error:
            errors.append(error)

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    lab.lamp.busy.wait(5)
    lab.host.close()
    caller.join(15)
    assert not caller.is_alive()
    assert errors


def test_who_asked_last_is_answered_although_the_process_ends_at_once() -> None:
    """As with an emergency stop, which ends the script that it interrupts. So large an answer is in no socket's buffer
    yet when its lane has ended."""
    contexts: list[zmq.Context[Any]] = [zmq.Context(), zmq.Context()]
    asked, answer = threading.Event(), np.zeros(1 << 22, np.uint8)

    def answered(request: Request, caller: Caller) -> Any:
        asked.set()
        return answer

    with tempfile.TemporaryDirectory() as folder:
        lane = Lane(contexts[0], f"ipc://{folder}/last", answered, ServerSide("last"))
        lane.start()
        with contexts[1].socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.rcvtimeo = 5000
            socket.connect(lane.endpoint)
            socket.send_multipart(request("get", "power_w", None))
            assert asked.wait(5)
            lane.stop()
            contexts[0].term()
            assert socket.recv_multipart()[-1] == answer.tobytes()
        contexts[1].term()


def test_an_endpoint_in_use_is_a_bus_error(lab: Lab) -> None:
    lane = Lane(lab.context, lab.endpoint("control"), lambda request, caller: None, ServerSide("second"))
    with pytest.raises(BusError, match=r"cannot listen"):
        lane.start()
    lane.stop()


def test_a_device_that_cannot_be_described_does_not_leave_the_client_hanging(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any) -> None:
        raise DeviceError("no description")

    monkeypatch.setattr(type(lab.lamp), "describe", broken)
    context: zmq.Context[Any] = zmq.Context.shadow(lab.context.underlying)
    with pytest.raises(DeviceError, match=r"no description"):
        Bench(lab.host.config, context, lab.host.entry())
    assert all(socket.closed for socket in context._sockets)


# --- proxies ----------------------------------------------------------------------------------------------------


def test_a_proxy_lists_settings_and_operations(bench: Bench) -> None:
    assert set(dir(bench.lamp)) == {
        "emission", "power_w", "roi", "hours", "calibration_ids", "echo", "slow", "look", "fail",
        "identity", "snapshot", "limits", "safe", "allocate", "submit_get", "stream", "name", "kind", "description",
    }  # fmt: skip


def test_a_proxy_tells_the_limits_that_the_bench_file_left(bench: Bench) -> None:
    limits = bench.lamp.limits("power_w")
    assert limits == next(s.limits for s in bench.lamp.description.settings if s.name == "power_w")
    assert limits.minimum == 0
    with pytest.raises(AttributeError, match=r"colour.*power_w"):
        bench.lamp.limits("colour")


def test_a_proxys_operation_shows_signature_and_text(bench: Bench) -> None:
    assert bench.lamp.echo.__doc__.startswith("echo(value: Any, *, twice: bool = False)")
    assert list(inspect.signature(bench.lamp.echo).parameters) == ["value", "twice"]
    assert "Give back what was given." in bench.lamp.echo.__doc__


def test_a_proxy_passes_positional_and_named_arguments(bench: Bench) -> None:
    assert bench.lamp.echo("a", twice=True) == ["a", "a"]


def test_wrong_arguments_raise_and_name_the_operation(bench: Bench) -> None:
    with pytest.raises(LimitError, match=r"lamp\.echo.* argument"):
        bench.lamp.echo()


def test_setting_an_unknown_attribute_raises_and_lists_the_settings(bench: Bench) -> None:
    with pytest.raises(AttributeError, match=r"colour.*power_w"):
        bench.lamp.colour = "red"


def test_an_operation_cannot_be_overwritten(bench: Bench) -> None:
    with pytest.raises(AttributeError, match=r"no setting 'echo'"):
        bench.lamp.echo = None


def test_reading_an_unknown_attribute_raises_and_lists_what_there_is(bench: Bench) -> None:
    with pytest.raises(AttributeError, match=r"colour.*power_w"):
        _ = bench.lamp.colour


def test_a_read_only_setting_raises_limit_error(bench: Bench) -> None:
    with pytest.raises(LimitError, match=r"lamp.hours is read-only"):
        bench.lamp.hours = 1.0


@pytest.mark.parametrize("value", [4.5, -1.0, float("nan"), "bright", True, None, [1.0]], ids=repr)
def test_a_value_outside_limit_or_type_is_refused_and_changes_nothing(lab: Lab, bench: Bench, value: Any) -> None:
    with pytest.raises(LimitError, match=r"lamp\.power_w"):
        bench.lamp.power_w = value
    assert lab.lamp.power == 2.0


def test_a_setting_is_read_back_as_set(bench: Bench) -> None:
    bench.lamp.power_w = 3
    assert bench.lamp.power_w == 3.0


def test_the_benches_limits_are_in_the_description(bench: Bench) -> None:
    info = next(s for s in bench.lamp.description.settings if s.name == "power_w")
    assert (info.limits.minimum, info.limits.maximum, info.unit) == (0, 4.0, "W")


def test_a_bench_lists_its_devices_and_names_them_when_one_is_missing(bench: Bench) -> None:
    assert {"lamp", "spare", "relay"} <= set(dir(bench))
    with pytest.raises(AttributeError, match=r"sun.*lamp"):
        _ = bench.sun
    with pytest.raises(ConfigurationError, match=r"sun.*lamp"):
        _ = bench["sun"]


def test_identity_and_snapshot_come_from_the_device(bench: Bench) -> None:
    assert bench.spare.identity().serial == "spare"
    assert bench.snapshot()["lamp"]["power_w"] == 2.0


# --- several servers --------------------------------------------------------------------------------------------


def test_a_composite_reaches_a_device_of_another_server() -> None:
    with laboratory(bench_config(servers=TWO_SERVERS)) as lab:
        assert lab.bench().relay.pass_on([1, 2]) == [1, 2]


def test_a_composite_may_use_its_devices_while_somebody_has_control() -> None:
    with laboratory(bench_config(servers=TWO_SERVERS)) as lab:
        bench = lab.bench()
        with bench.control():
            assert bench.relay.pass_on(1) == 1


def test_closing_does_not_wait_for_a_call_between_servers_that_will_never_be_answered() -> None:
    with laboratory(bench_config(servers=TWO_SERVERS)) as lab:
        first, second = lab.bench(), lab.bench()

        def ignoring(call: Any, argument: Any) -> None:
            with contextlib.suppress(BusError, LeaseError):
                call(argument)

        busy = threading.Thread(target=ignoring, args=(first.lamp.slow, 0.5), daemon=True)
        busy.start()
        lab.lamp.busy.wait(5)
        waiting = threading.Thread(target=ignoring, args=(second.relay.pass_on, 1), daemon=True)
        waiting.start()
        wait_until(lambda: lab.host.servers["b"].lock.locked())
        closing = threading.Thread(target=lab.host.close, daemon=True)
        closing.start()
        closing.join(15)
        assert not closing.is_alive()


def test_a_header_of_the_largest_integers_is_answered(lab: Lab) -> None:
    with raw(lab) as socket:
        frames = [msgspec.msgpack.encode([VERSION, "raw", 2**64 - 1, "", "x", "", None, "", 2**64 - 1])]
        assert failure_to(socket, frames).error_type == "BusError"
