"""Nonsense on every socket: the server lives, executes nothing, and its memory stays flat.

Random bytes, damaged messages, messages that are well formed and wrong (from hypothesis and from dice), too many
frames, forged shared memory. The test holds every device, so whatever is understood by chance may read but not change.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.table import Table, table
from labctl.bus import security
from labctl.bus.messages import VERSION, Hello, Request, encode
from labctl.bus.transport import Address, connect
from labctl.client import open_bench
from labctl.server import runtime
from labctl.server.directory import ask

AMOUNTS = [
    pytest.param(3_000, 100, None, id="some"),
    pytest.param(1_000_000, 20_000, 20.0, id="million", marks=pytest.mark.soak),
]
NEAR = ("calls", "control", "stop", "stream", "directory")
LANES = (*NEAR, *(f"{lane} over tcp" for lane in NEAR))
BATCH = 100
OFTEN_S = 5.0
NETWORK = '\n[network]\nlisten = "127.0.0.1"\nport = 0\n'
WORDS = ("get", "set", "call", "describe", "renew", "acquire", "release", "status", "laser", "camera", "emission",
         "power_w", "trigger", "bench", "heartbeat", "bye", "", "x" * 300, "\0", "__init__")  # fmt: skip


def requests(dice: random.Random) -> list[bytes]:
    """A request that can be read and must not be granted."""
    array = np.zeros(dice.randint(0, 3), dice.choice(["u1", "<f8", "?"]))
    arguments = dice.choice(
        [None, [], [[], {}], [[1.0], {}], {"token": "t" * dice.randint(0, 40), "devices": ["laser"]}, True, array,
         [[array], {"x": dice.random()}], "text", dice.getrandbits(60)]
    )  # fmt: skip
    request = Request(
        dice.choice([VERSION, VERSION, VERSION, 0, 99]),
        dice.choice(["s", "a.b.c", "", "x" * 100]),
        dice.choice([1, 0, -5, dice.getrandbits(62)]),
        dice.choice(["laser", "camera", "", *WORDS]),
        dice.choice([w for w in WORDS if w != "heartbeat"]),
        dice.choice(WORDS),
        arguments,
        dice.choice(["", "", "no such lease", "t" * 32]),
        dice.choice([0, 1, time.monotonic_ns() + 10**10]),
        dice.choice([0, 1, 2, 3]),
        dice.choice([[], [1], [dice.getrandbits(40), -1]]),
    )
    return [bytes(f) for f in encode(request)]


def forged(dice: random.Random) -> list[bytes]:
    """A request that names shared memory of somebody else's, or none."""
    names = ["labctl-0-1-1-1-1", "../../etc/passwd", "", "labctl-%d" % dice.getrandbits(20), "/dev/shm/x"]  # noqa: UP031
    place = [dice.choice(names), dice.getrandbits(40), dice.getrandbits(20), 1, 1, "<u2", [dice.getrandbits(12), 7]]
    extension = msgspec.msgpack.Ext(2, msgspec.msgpack.encode(place))
    header = [VERSION, "s", dice.getrandbits(50), "laser", "call", "trigger", [[extension], {}], "", 0, 2, []]
    return [msgspec.msgpack.encode(header)]


def damaged(dice: random.Random) -> list[bytes]:
    frames = [bytearray(f) for f in requests(dice)]
    for _ in range(dice.randint(1, 5)):
        if frames[0]:
            frames[0][dice.randrange(len(frames[0]))] = dice.getrandbits(8)
    if dice.random() < 0.3:
        del frames[0][dice.randrange(len(frames[0]) + 1) :]
    return [bytes(f) for f in frames]


def noise(dice: random.Random) -> list[bytes]:
    return [dice.randbytes(dice.choice([0, 1, 8, 60, 300])) for _ in range(dice.choice([1, 1, 2, 5, 70]))]


def nested(dice: random.Random) -> list[bytes]:
    return [b"\x91" * dice.choice([10, 2000, 100_000]), *[b""] * dice.choice([0, 3])]


def greetings(dice: random.Random) -> list[bytes]:
    hello = Hello("labctl", dice.choice([0, 1, 2, 50]), dice.choice([0, 1, 2, 99]), {"client": "x"})
    return [bytes(f) for f in encode(hello)]


# Large ones are rare: they cost the sender more than the server.
KINDS: list[Callable[[random.Random], list[bytes]]] = [requests] * 6 + [forged] * 2 + [damaged] * 8 + [noise] * 6 + [greetings]  # fmt: skip  # noqa: E501


def messages(amount: int) -> Iterator[list[bytes]]:
    dice = random.Random(11)
    for number in range(amount):
        kind = nested if number % 5_000 == 0 else dice.choice(KINDS)
        yield kind(dice)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


class Socket:
    """Sends to one lane without ever being held up by answers, which it counts."""

    def __init__(self, context: zmq.Context[Any], address: Address, kind: int, keys: Any = None) -> None:
        self.socket = connect(context, address, kind, keys)
        self.socket.sndtimeo = 10_000
        self.answers = 0

    def send(self, frames: list[bytes]) -> None:
        self.socket.send_multipart(frames or [b""])

    def drain(self) -> None:
        while self.socket.poll(0):
            self.socket.recv_multipart()
            self.answers += 1


def resident_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * 4096 / 1e6


def directory_pid(record: runtime.HostEntry) -> int:
    context: zmq.Context[Any] = zmq.Context()
    try:
        pid: int = ask(context, Address(record.directory), "status")["processes"]["directory"]["pid"]
    finally:
        context.destroy(linger=0)
    return pid


def address_of(lane: str, served: Table, bench: Any) -> tuple[Address, int]:
    record = runtime.find(served.name)
    assert record is not None
    (server,) = bench._entry.servers
    name, _, far = lane.partition(" over ")
    if name == "directory":
        place = Address(record.remote, server.key) if far else Address(record.directory)
        return place, directory_pid(record)
    return server.address(name, remote=bool(far)), server.pid


def fuzz(sender: Socket, amount: int, examples: int, now_and_then: Callable[[], None]) -> None:
    """Send everything; ``now_and_then`` is called some fifty times, and well within the lease of whoever is slow."""
    called_s = 0.0

    def call() -> None:
        nonlocal called_s
        now_and_then()
        called_s = time.monotonic()

    for number, frames in enumerate(messages(amount)):
        sender.send(frames)
        if number % BATCH == 0:
            sender.drain()
        if number % max(amount // 50, 1) == 0 or time.monotonic() - called_s > OFTEN_S:
            call()

    @settings(max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @seed(5)
    @given(st.lists(values, max_size=12), st.lists(st.binary(max_size=40), max_size=3))
    def from_hypothesis(parts: list[Any], more: list[bytes]) -> None:
        try:
            header = msgspec.msgpack.encode(parts)
        except (OverflowError, ValueError):
            header = b"\xc1"
        sender.send([header, *more])
        sender.drain()
        nonlocal tried
        tried += 1
        if tried % 500 == 0 or time.monotonic() - called_s > OFTEN_S:
            call()

    tried = 0
    from_hypothesis()
    until = time.monotonic() + 5.0
    while sender.socket.poll(200) and time.monotonic() < until:
        sender.drain()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(("amount", "examples", "most_mb"), AMOUNTS)
def test_nonsense_executes_nothing_and_leaves_no_trace(
    lane: str, amount: int, examples: int, most_mb: float | None
) -> None:
    with ExitStack() as stack:
        served = stack.enter_context(table("fuzz", lease_s=30.0, network=NETWORK, one_server=True))
        for name in ("server", "client"):
            security.make(name)
        security.allow("client", str(security.folder() / "client.key"), "laser-operator")
        served.up()
        bench = stack.enter_context(open_bench(served.bench_file))
        stack.enter_context(bench.control("fuzz"))
        before = bench.snapshot()
        address, listener = address_of(lane, served, bench)
        state = bench.status()["main"]
        context: zmq.Context[Any] = stack.enter_context(zmq.Context())
        keys = security.load("client") if "tcp" in lane else None
        sender = Socket(context, address, zmq.XSUB if lane.startswith("stream") else zmq.DEALER, keys)
        stack.callback(sender.socket.close, 0)
        memory: list[float] = []

        def now_and_then() -> None:
            bench.renew()
            memory.append(resident_mb(listener))
            if lane.startswith("stream"):
                bench.camera.trigger()  # subscriptions are read when something is published

        fuzz(sender, amount, examples, now_and_then)
        bench.renew()
        assert not served.mark.read()[0]
        assert bench.snapshot() == before
        after = bench.status()["main"]
        assert (after["pid"], after["instance"], len(after["leases"])) == (state["pid"], state["instance"], 1)
        told(lane, amount + examples, sender, memory, most_mb, after["counts"] if "directory" not in lane else {})
        if not lane.startswith("stream"):
            assert sender.answers > 0.9 * amount


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("amount", "examples", "most_mb"), AMOUNTS)
def test_nonsense_does_not_move_the_world(amount: int, examples: int, most_mb: float | None) -> None:
    with ExitStack() as stack:
        served = stack.enter_context(table("unused"))
        process = stack.enter_context(up("prbm-sim"))
        bench = stack.enter_context(open_bench("prbm-sim"))
        stack.enter_context(bench.control("fuzz", lease_s=30.0))
        before, bench_time_s = bench.snapshot(), bench.time_s()
        (socket,) = (served.folder / "run").glob("*.world")
        context: zmq.Context[Any] = stack.enter_context(zmq.Context())
        sender = Socket(context, Address(f"ipc://{socket}"), zmq.DEALER)
        stack.callback(sender.socket.close, 0)
        memory: list[float] = []
        worlds = processes(process.pid)

        def now_and_then() -> None:
            bench.renew()
            memory.append(max(resident_mb(pid) for pid in worlds))

        fuzz(sender, amount, examples, now_and_then)
        assert (bench.snapshot(), bench.time_s()) == (before, bench_time_s)
        told("world", amount + examples, sender, memory, most_mb, {})
        assert sender.answers > 0.9 * amount


def told(
    lane: str, sent: int, sender: Socket, memory: list[float], most_mb: float | None, counts: dict[str, int]
) -> None:
    growth_mb = memory[-1] - memory[len(memory) // 4]
    refused = {what: counts[what] for what in counts if what != "handled"}
    print(f"\n{lane}: {sent} messages, {sender.answers} answers, {growth_mb:+.1f} MB, {refused or ''}")  # noqa: T201
    assert most_mb is None or growth_mb <= most_mb


def processes(supervisor: int) -> list[int]:
    """Processes that a supervisor started."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text()
    return [int(pid) for pid in children.split()]


@contextmanager
def up(bench: str) -> Iterator[subprocess.Popen[str]]:
    """A packaged bench, served from the folders that `table` has set."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labctl", "up", bench], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        assert "is up" in process.stdout.readline()
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)
