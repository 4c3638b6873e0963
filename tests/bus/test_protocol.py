"""The rules of the bus, without a socket: versions, expiry, and that no request is executed twice."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import BusError, DeviceError
from labctl.bus.client_side import START_WITHIN_S, ClientSide, result_of
from labctl.bus.messages import VERSION, Hello, Request, Welcome, decode_reply, decode_welcome, encode
from labctl.bus.ring import Arena
from labctl.bus.roles import LOCAL_USER
from labctl.bus.segments import machine
from labctl.bus.server_side import ServerSide, Sessions

S = 1_000_000_000


@pytest.fixture
def server() -> ServerSide:
    return ServerSide("test")


@pytest.fixture
def client(server: ServerSide) -> ClientSide:
    made = ClientSide()
    made.welcome(server.receive(made.hello()))
    return made


def request_of(server: ServerSide, frames: list[Any]) -> Request:
    request = server.receive(frames)
    assert isinstance(request, Request)
    return request


def refusal(server: ServerSide, frames: list[Any]) -> str:
    """Why a request is not executed."""
    answer = server.receive(frames)
    assert isinstance(answer, list)
    failure = decode_reply(answer).failure
    assert failure is not None
    assert failure.error_type == ("Repeated" if "came twice" in failure.message else "BusError")
    return failure.message


# --- versions ---------------------------------------------------------------------------------------------------


def test_greeted_both_speak_the_common_version(server: ServerSide, client: ClientSide) -> None:
    assert (client.about["server"], client.about["instance"]) == ("test", server.sessions.instance)
    assert request_of(server, client.request("lamp", "get", "power_w")[1]).version == VERSION


@pytest.mark.parametrize(("lowest", "highest"), [(VERSION, VERSION + 5), (1, VERSION)], ids=["newer", "older"])
def test_a_client_that_speaks_several_versions_is_told_which_to_use(
    server: ServerSide, lowest: int, highest: int
) -> None:
    answer = server.receive(encode(Hello("labctl", lowest, highest, {})))
    assert decode_welcome(answer).version == VERSION


@pytest.mark.parametrize(("lowest", "highest"), [(VERSION + 1, VERSION + 2), (0, VERSION - 1)], ids=["newer", "older"])
def test_without_a_common_version_the_client_is_told_the_servers(server: ServerSide, lowest: int, highest: int) -> None:
    welcome = decode_welcome(server.receive(encode(Hello("labctl", lowest, highest, {}))))
    assert (welcome.version, welcome.about) == (0, {"lowest": VERSION, "highest": VERSION})


def test_without_a_common_version_the_client_says_both_and_what_to_do() -> None:
    told = encode(Welcome("labctl", 0, {"lowest": 7, "highest": 9}))
    client = ClientSide()
    client.hello()
    with pytest.raises(BusError, match=rf"version {VERSION} .* 7 to 9; update the older"):
        client.welcome(told)


@pytest.mark.parametrize("frames", [[b"HTTP/1.1 400"], [b""], [], [b"\x91" * 5000]], ids=str)
def test_a_server_of_something_else_is_named_as_such(frames: list[bytes]) -> None:
    with pytest.raises(BusError, match=r"does not speak labctl's protocol"):
        decode_welcome(frames)


@pytest.mark.parametrize(
    "lie", [{"machine": "another"}, {"probe": ["labctl-1-2-3-4-5", "00"]}, {"probe": None}], ids=str
)
def test_memory_is_shared_only_where_the_client_can_read_the_servers_probe(lie: dict[str, Any]) -> None:
    arena = Arena()
    server, client = ServerSide("test", None, arena, shares_memory=True), ClientSide(arena)
    try:
        greeting = server.receive(client.hello())
        client.welcome(greeting)
        assert client.shares_memory
        client.welcome(encode(Welcome("labctl", VERSION, decode_welcome(greeting).about | lie)))
        assert not client.shares_memory
    finally:
        server.close()
        arena.close()


# --- expiry -----------------------------------------------------------------------------------------------------


def expiry_s(server: ServerSide, client: ClientSide, timeout_s: float | None) -> float:
    """Seconds from now until the request expires on the server's clock."""
    request = request_of(server, client.request("lamp", "get", "x", timeout_s=timeout_s)[1])
    return (request.expires_ns - time.monotonic_ns()) / S


@pytest.mark.parametrize(("timeout_s", "within_s"), [(30.0, 30.0), (None, START_WITHIN_S)])
def test_a_request_must_begin_within_its_time_out(
    server: ServerSide, client: ClientSide, timeout_s: float | None, within_s: float
) -> None:
    assert expiry_s(server, client, timeout_s) == pytest.approx(within_s, abs=2.0)


def test_a_request_that_comes_too_late_is_refused_and_counted(server: ServerSide, client: ClientSide) -> None:
    _, frames = client.request("lamp", "set", "emission", True, timeout_s=1e-6)
    time.sleep(0.001)
    assert "lamp.emission expired before its turn came and was not executed" in refusal(server, frames)
    assert server.counts["expired"] == 1


@pytest.mark.parametrize("ahead_s", [-5000.0, 5000.0])
def test_the_clock_of_another_machine_is_taken_into_account(client: ClientSide, ahead_s: float) -> None:
    about = {"instance": "x", "machine": "another", "monotonic_ns": time.monotonic_ns() + int(ahead_s * S)}
    client.hello()
    client.welcome(encode(Welcome("labctl", VERSION, about)))
    server = ServerSide("far")
    _, frames = client.request("lamp", "get", "x", timeout_s=20.0)
    far_now_ns = time.monotonic_ns() + int(ahead_s * S)
    expires_ns = msgspec.msgpack.decode(frames[0])[8]
    assert (expires_ns - far_now_ns) / S == pytest.approx(20.0, abs=2.0)
    assert isinstance(server.receive(frames), Request) == (ahead_s > 0)  # as this machine's clock would have it


def test_the_clock_of_this_machine_needs_no_correction(client: ClientSide) -> None:
    client.hello()
    about = {"instance": "x", "machine": machine(), "monotonic_ns": 5}
    client.welcome(encode(Welcome("labctl", VERSION, about)))
    assert client._clock_offset_ns == 0


# --- once -------------------------------------------------------------------------------------------------------


def test_a_request_that_comes_twice_is_executed_once_and_answered_from_memory(
    server: ServerSide, client: ClientSide
) -> None:
    _, frames = client.request("lamp", "call", "echo", [[1], {}])
    first = server.answer(request_of(server, frames), "done")
    again = server.receive(frames)
    assert again == first
    assert result_of(decode_reply(first)) == "done"
    assert (server.counts["handled"], server.counts["repeated"]) == (1, 1)


def test_a_failure_is_remembered_too(server: ServerSide, client: ClientSide) -> None:
    _, frames = client.request("lamp", "call", "fail")
    first = server.failure(request_of(server, frames), DeviceError("broken"))
    assert server.receive(frames) == first


def test_an_answer_too_large_to_keep_is_refused_the_second_time(server: ServerSide, client: ClientSide) -> None:
    _, frames = client.request("eye", "call", "snap")
    server.answer(request_of(server, frames), np.zeros(10_000))
    assert "came twice; it was executed once" in refusal(server, frames)


def test_a_request_that_comes_again_while_it_is_executed_is_refused(server: ServerSide, client: ClientSide) -> None:
    _, frames = client.request("lamp", "call", "slow")
    request_of(server, frames)
    assert "came twice" in refusal(server, frames)


def test_a_request_overtaken_by_a_later_one_is_executed_once(server: ServerSide, client: ClientSide) -> None:
    """It was lost with a link and sent again: the later one says nothing of it."""
    (early_number, early), (_, late) = (client.request("lamp", "get", "x") for _ in range(2))
    request_of(server, late)
    assert server.sessions.whereabouts(client.session, early_number) == "unknown"
    request_of(server, early)
    assert "came twice" in refusal(server, early)


@given(st.lists(st.integers(0, 29), max_size=100))
@settings(deadline=None, max_examples=50)
def test_in_whatever_order_requests_come_and_come_again_each_is_executed_once(order: list[int]) -> None:
    """As over a link that is cut and joined: some overtake others, some come twice."""
    server, client = ServerSide("test"), ClientSide()
    client.welcome(server.receive(client.hello()))
    sent = [client.request("lamp", "get", "x")[1] for _ in range(30)]
    executed: list[int] = []
    for k in order:
        request = server.receive(sent[k])
        if isinstance(request, Request):
            executed.append(k)
            server.answer(request, k)
    assert sorted(executed) == sorted(set(order))


def test_the_same_number_of_another_client_is_another_request(server: ServerSide) -> None:
    for _ in range(2):
        other = ClientSide()
        other.welcome(server.receive(other.hello()))
        assert request_of(server, other.request("lamp", "get", "x")[1]).number == 1


def test_only_so_many_answers_are_kept(server: ServerSide, client: ClientSide) -> None:
    sent = [client.request("lamp", "get", "x")[1] for _ in range(40)]
    for frames in sent:
        server.answer(request_of(server, frames), 1)
    assert "came twice" in refusal(server, sent[0])
    assert result_of(decode_reply(server.receive(sent[-1]))) == 1


def test_being_told_that_a_request_came_twice_is_not_its_answer(server: ServerSide, client: ClientSide) -> None:
    """The answer itself, too large to be kept, may still be on its way."""
    number, frames = client.request("eye", "call", "snap")
    request = request_of(server, frames)
    answer = server.answer(request, np.arange(10_000.0))
    assert client.take(server.receive(frames)) is None
    assert client.take(answer) is not None
    assert number not in client.waiting


def test_a_request_that_came_twice_is_not_called_late(server: ServerSide, client: ClientSide) -> None:
    _, frames = client.request("lamp", "get", "x", timeout_s=0.01)
    server.answer(request_of(server, frames), 1)
    time.sleep(0.02)
    assert result_of(decode_reply(server.receive(frames))) == 1


# --- cancelling, and where a request is -------------------------------------------------------------------------


def test_a_request_cancelled_before_it_came_is_not_executed(server: ServerSide, client: ClientSide) -> None:
    number, frames = client.request("lamp", "set", "emission", True)
    assert server.sessions.cancel(client.session, number) == "unknown"
    assert "cancelled before its turn came and was not executed" in refusal(server, frames)


def test_cancelling_another_clients_request_needs_its_session(server: ServerSide, client: ClientSide) -> None:
    number, frames = client.request("lamp", "get", "x")
    server.sessions.cancel("another", number)
    request_of(server, frames)


def test_where_a_request_is(client: ClientSide, server: ServerSide) -> None:
    number, frames = client.request("lamp", "call", "slow")
    where = [server.sessions.whereabouts(client.session, number)]
    request = request_of(server, frames)
    where.append(server.sessions.whereabouts(client.session, number))
    assert server.sessions.cancel(client.session, number) == "running"
    server.answer(request, None)
    where.append(server.sessions.whereabouts(client.session, number))
    assert server.sessions.cancel(client.session, number) == "done"
    assert where == ["unknown", "running", "done"]


def test_every_start_of_a_server_has_an_instance_of_its_own() -> None:
    assert len({Sessions().instance for _ in range(20)}) == 20


def test_memory_of_clients_is_bounded() -> None:
    sessions = Sessions()
    for k in range(5000):
        assert sessions.begin(f"client {k}", 1) is None
        sessions.cancel(f"client {k}", 7)
    assert len(sessions._sessions) <= 4096
    assert len(sessions._cancelled) <= 4096


def test_a_caller_on_this_host_may_make_light() -> None:
    LOCAL_USER.must_be(LOCAL_USER.role, "emission")
