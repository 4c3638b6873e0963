"""Messages that are well formed and ask for what nobody has: refused by name, on every lane, and nothing is changed.

An error of Python's own, which is a fault of labctl's and fills the log, is none of the refusals.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq
from hypothesis import strategies as st
from spoiling import AMOUNTS, MOST_MEMORY_MB, Memory, fuzz, values
from table import write_bench

from drivers.errors import LabError
from labctl.bench.client import Bench, open_bench
from labctl.bus.connection import Connection
from labctl.bus.messages import UNREADABLE, VERSION, Decoder
from labctl.bus.stream import parse_topic
from labctl.bus.values import revive
from labctl.safety.interlocks import VERBS
from labctl.server.directory import Directory

pytestmark = pytest.mark.timeout(3600)

_INTERLOCK = """
[interlocks.key]
rule = "armed"
guards = ["source"]
"""
_FOREIGN = re.compile(r"^[A-Z]\w*(Error|Exception|Warning): ")
_CALLS = ("get", "set", "call", "identity", "snapshot", "describe", "safe")
_OF_SERVER = ("acquire", "calibrations", "calibration", "thaw", "freeze", "bye", "record", "", "x")
_CONTROL = ("ping", "renew", "renew-where", "cancel", "may-acquire", "describe", "time", "status", "release")

arrays = st.builds(
    lambda shape, kind, fill: np.full(shape, fill).astype(kind),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(["u1", "<f8", "<i8", "?", "<u2"]),
    st.integers(0, 1),
)
contract_values = st.builds(
    lambda row, rows: {"type": "ROI", "row": row, "column": 0, "rows": rows, "columns": 2},
    st.none() | st.integers(-5, 2**40) | st.text(max_size=3),
    st.integers(-5, 50) | st.floats(),
)
one = values | arrays | contract_values | st.lists(arrays | contract_values, max_size=2)
several = st.tuples(
    st.lists(one, max_size=3), st.dictionaries(st.sampled_from(["out", "frames", "x", ""]), one, max_size=2)
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A small one, with an interlock, served in this process."""
    path = write_bench(tmp_path_factory.mktemp("bench"), more=_INTERLOCK)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("LABCTL_RUNTIME", "LABCTL_LOGS", "LABCTL_INTERLOCKS"):
            folder = tmp_path_factory.mktemp("own") / "f"
            patch.setenv(variable, str(folder))
        with open_bench(path, own=True) as opened:
            yield opened


@pytest.fixture(autouse=True)
def _memory_stays_bounded() -> Iterator[None]:
    memory = Memory()
    yield
    assert memory.grown_mb < MOST_MEMORY_MB


def refused(act: Callable[[], Any]) -> bool:
    """Whether it is refused, by one of labctl's errors that labctl meant."""
    said = ""
    try:
        act()
    except LabError as error:
        said = str(error)
    assert not _FOREIGN.match(said), said
    return bool(said)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_settings_and_operations_take_what_the_contract_says_and_refuse_the_rest(amount: int, bench: Bench) -> None:
    (server,) = bench.servers.values()
    names = {
        name: [*(s.name for s in device.description.settings), *(o.name for o in device.description.operations)]
        for name, device in bench.devices.items()
    }

    def act(drawn: tuple[random.Random, Any, Any]) -> None:
        dice, single, more = drawn
        device = dice.choice(list(names))
        verb = dice.choice(_CALLS)
        name = dice.choice(names[device]) if dice.random() < 0.9 else "nothing"
        arguments = [list(more[0]), more[1]] if verb == "call" and dice.random() < 0.9 else single
        refused(lambda: server.calls.request(device, verb, name, arguments))

    with bench.control("fuzz", lease_s=30.0):  # on a busy machine
        fuzz(st.tuples(seeds, one, several), 200 * amount, act)
        assert not bench.source.emission


seeds = st.integers(0, 2**32).map(random.Random)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_verbs_of_every_lane_take_their_arguments_and_refuse_others(amount: int, bench: Bench) -> None:
    (server,) = bench.servers.values()
    lanes: dict[str, tuple[Connection, tuple[str, ...]]] = {
        "calls": (server.calls, _OF_SERVER),
        "control": (server.control, (*_CONTROL, *VERBS)),
        "stop": (server.stop, ("ping", "safe", "stop", "revoke", "x")),
    }

    def act(drawn: tuple[random.Random, Any]) -> None:
        dice, arguments = drawn
        connection, verbs = lanes[dice.choice(list(lanes))]
        if dice.random() < 0.4:
            arguments = dice.choice([
                {"token": "t" * 20, "devices": arguments}, {"token": "t" * 20, "devices": ["slm"], "ttl_s": arguments},
                {"devices": arguments}, {"devices": ["source"], "for_s": arguments}, {"interlocks": arguments},
                [arguments, 1], ["s", arguments], [arguments], [arguments, arguments, "x"],
                {"file": arguments, "most_bytes": 1, "asker": [1, ""]}, {"file": "x", "most_bytes": arguments},
            ])  # fmt: skip
        verb, name = dice.choice(verbs), dice.choice(["", "forget", "fresh", "x"])
        refused(lambda: connection.request(dice.choice(["", "", "source", "x"]), verb, name, arguments, timeout_s=20.0))

    fuzz(st.tuples(seeds, one), 250 * amount, act)
    with bench.control("after", lease_s=30.0):  # whoever comes finds everything as it should be
        assert not bench.source.emission
        bench.camera.arm()


@pytest.mark.parametrize("amount", AMOUNTS)
def test_the_directory_takes_word_of_servers_and_refuses_the_rest(amount: int) -> None:
    from labctl.bus.entries import BenchEntry

    context: zmq.Context[Any] = zmq.Context()
    directory = Directory(BenchEntry("b", "0", 1.0, 0, 0, []), context, "inproc://directory")
    directory.start()
    connection = Connection(context, "inproc://directory")
    try:

        def act(drawn: tuple[random.Random, Any]) -> None:
            dice, arguments = drawn
            if dice.random() < 0.6:
                arguments = {
                    "name": dice.choice(["m", arguments]),
                    "state": arguments,
                    "record": dice.choice([None, arguments]),
                }
            verb = dice.choice(["heartbeat", "bench", "status", "x"])
            refused(lambda: connection.request("", verb, "", arguments, timeout_s=20.0))

        fuzz(st.tuples(seeds, one), 100 * amount, act)
    finally:
        connection.close()
        directory.stop()
        context.destroy(linger=0)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_what_comes_over_the_wire_is_decoded_or_refused(amount: int) -> None:
    decoder = Decoder()

    def act(drawn: tuple[list[Any], list[bytes], bytes]) -> None:
        parts, frames, noise = drawn
        try:
            header = msgspec.msgpack.encode(parts)
        except (OverflowError, ValueError, TypeError):
            header = noise
        for decode in (decoder.request, decoder.reply):
            refused(lambda decode=decode: decode([header, *frames]))
        refused(lambda: revive(parts))
        with contextlib.suppress(*UNREADABLE):  # the publisher takes these for wishes that it cannot fulfil
            parse_topic(noise)

    head = st.lists(values, max_size=12) | st.tuples(
        st.just(VERSION), st.text(max_size=3), st.integers(0, 9), *[st.text(max_size=3)] * 3, values,
        st.text(max_size=3), st.integers(0, 9),
    ).map(list)  # fmt: skip
    fuzz(st.tuples(head, st.lists(st.binary(max_size=20), max_size=3), st.binary(max_size=40)), 200 * amount, act)
