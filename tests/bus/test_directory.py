"""The directory tells where servers are and how; it is no boss: heartbeats go on when it comes back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq
from fakes import wait_until

from drivers.errors import BusError, ConfigurationError
from labctl.bus.connection import Connection
from labctl.bus.entries import LANES, BenchEntry, ServerEntry, entry_from, to_wire
from labctl.bus.transport import Address
from labctl.server import runtime
from labctl.server.directory import Directory, Heart, ask, trusted_address

_numbers = itertools.count(1)


def server(name: str, pid: int = 0) -> ServerEntry:
    return ServerEntry(name, [f"{name}-device"], pid, "", {lane: f"inproc://{name}.{lane}" for lane in LANES})


BENCH = BenchEntry("lamps", "0" * 16, 2.0, 1, 0, [server("a"), server("b")])


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.term()


@contextmanager
def serving(context: zmq.Context[Any], endpoint: str) -> Iterator[Directory]:
    directory = Directory(BENCH, context, endpoint)
    directory.start()
    try:
        yield directory
    finally:
        directory.stop()


@pytest.fixture
def endpoint(context: zmq.Context[Any]) -> Iterator[str]:
    made = f"inproc://directory-{next(_numbers)}"
    with serving(context, made):
        yield made


@pytest.fixture
def connection(context: zmq.Context[Any], endpoint: str) -> Iterator[Connection]:
    made = Connection(context, endpoint)
    yield made
    made.close()


def test_the_whole_bench_is_told_before_any_server_was_heard_of(context: zmq.Context[Any], endpoint: str) -> None:
    assert entry_from(ask(context, Address(endpoint), "bench")) == BENCH
    assert ask(context, Address(endpoint), "status")["servers"] == {}


def test_what_a_server_says_of_itself_is_told_on(connection: Connection) -> None:
    told = {"name": "a", "state": {"devices": {}, "pid": 77}, "record": to_wire(server("a", 77))}
    connection.request("", "heartbeat", arguments=told)
    assert [s.pid for s in entry_from(connection.request("", "bench")).servers] == [77, 0]
    status = connection.request("", "status")
    assert status["servers"]["a"]["pid"] == 77
    assert 0 <= status["servers"]["a"]["heard_s"] < 60


@pytest.mark.parametrize(
    "told",
    [
        None,
        3,
        [],
        {},
        {"name": "a"},
        {"name": "a", "state": {}, "record": 5},
        {"name": "a", "state": {}, "record": {"x": 1}},
    ],
    ids=str,
)
def test_a_malformed_heartbeat_is_refused_and_changes_nothing(connection: Connection, told: Any) -> None:
    with pytest.raises(BusError, match=r"heartbeat: malformed arguments"):
        connection.request("", "heartbeat", arguments=told)
    assert entry_from(connection.request("", "bench")) == BENCH


def test_an_unknown_verb_is_refused(connection: Connection) -> None:
    with pytest.raises(BusError, match=r"unknown verb 'stop' for the directory; it knows bench and status"):
        connection.request("", "stop")


@pytest.mark.parametrize("answer", [None, 3, {"bench": 1}, []], ids=str)
def test_an_answer_that_no_directory_gives_is_a_bus_error(answer: Any) -> None:
    with pytest.raises(BusError, match=r"no directory answers"):
        entry_from(answer)


def test_hearts_beat_on_when_the_directory_comes_back(context: zmq.Context[Any]) -> None:
    endpoint = f"{runtime.base_endpoint('lamps')}.directory"
    heart = Heart(context, endpoint, "a", lambda: {"devices": {}}, lambda: server("a", 5))
    heart.start()
    try:
        for _ in range(2):
            with serving(context, endpoint) as directory:
                wait_until(lambda d=directory: "a" in d._states)
    finally:
        heart.stop()


def test_a_bench_that_nobody_trusted_is_refused_with_the_cure() -> None:
    with pytest.raises(ConfigurationError, match=r"no bench 'far' is trusted.*labctl keys trust"):
        trusted_address("far")
