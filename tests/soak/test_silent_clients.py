"""A client that is killed, stopped, busy or cut off: emission is off when its lease has run out."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from clients import EMITTER, client, end, heard, say, start

from benchmarks.table import Table, table
from labctl.bus import security
from labctl.client import open_bench
from labctl.ledger.link import Link, link
from labctl.server import runtime

LEASE_S = 0.5
SOAK_BOUND_S = LEASE_S + 0.05
BUSY_MACHINE_S = LEASE_S + 3.0
TRIALS = [  # once each is a row of the ledger, and so tried by `make test`
    pytest.param(2, BUSY_MACHINE_S, id="few", marks=pytest.mark.soak),
    pytest.param(20, SOAK_BOUND_S, id="all", marks=pytest.mark.soak),
]
NETWORK = '\n[network]\nlisten = "127.0.0.1"\nadvertise = "127.0.0.2"\nport = 0\n'


@dataclass
class Scene:
    """A bench, and the link to it if the client is far."""

    served: Table
    link: Link | None = None
    at: str = ""


def kill(scene: Scene) -> Iterator[float]:
    while True:
        with client(EMITTER, scene.served.bench_file) as emitter:
            heard(emitter)
            say(emitter, "renew")
            heard(emitter)
            _let_it_run(scene)
            begun_ns = time.monotonic_ns()
            emitter.kill()
            yield seconds_until_dark(scene, begun_ns)


def stop(scene: Scene) -> Iterator[float]:
    with client(EMITTER, scene.served.bench_file) as emitter:
        heard(emitter)
        while True:
            say(emitter, "renew")
            heard(emitter)
            _let_it_run(scene)
            begun_ns = time.monotonic_ns()
            emitter.send_signal(signal.SIGSTOP)
            delay_s = seconds_until_dark(scene, begun_ns)
            emitter.send_signal(signal.SIGCONT)
            assert heard(emitter) == ["lost", "LeaseError"]
            yield delay_s


def hang(scene: Scene) -> Iterator[float]:
    with client(EMITTER, scene.served.bench_file) as emitter:
        heard(emitter)
        while True:
            say(emitter, "hang")
            heard(emitter)
            word, begun_ns = heard(emitter)
            assert word == "hanging"
            yield seconds_until_dark(scene, int(begun_ns))
            assert heard(emitter) == ["lost", "LeaseError"]


def cut(scene: Scene) -> Iterator[float]:
    assert scene.link is not None
    while True:
        emitter = start(EMITTER, scene.served.bench_file, SOAK_AT=scene.at)
        try:
            heard(emitter)
            say(emitter, "renew")
            heard(emitter)
            _let_it_run(scene)
            begun_ns = time.monotonic_ns()
            scene.link.up = False
            yield seconds_until_dark(scene, begun_ns)
            assert heard(emitter)[0] == "lost"
        finally:
            end(emitter)
            scene.link.up = True


def _let_it_run(scene: Scene) -> None:
    time.sleep(0.1)
    assert scene.served.mark.read()[0]


def seconds_until_dark(scene: Scene, begun_ns: int) -> float:
    deadline = time.monotonic() + 30.0
    while scene.served.mark.read()[0]:
        assert time.monotonic() < deadline, "the light stayed on"
        time.sleep(0.005)
    return (scene.served.mark.read()[1] - begun_ns) / 1e9


@contextmanager
def scene(far: bool) -> Iterator[Scene]:
    with ExitStack() as stack:
        served = stack.enter_context(table("soak", lease_s=LEASE_S, network=NETWORK if far else ""))
        if not far:
            served.up()
            yield Scene(served)
            return
        for name in ("server", "client"):
            security.make(name)
        security.allow("client", str(security.folder() / "client.key"), "laser-operator")
        served.up()
        record = runtime.find(served.name)
        assert record is not None
        with open_bench(served.bench_file) as bench:
            remote = [e for server in bench._entry.servers for e in server.remote.values()]
        ports = [int(endpoint.rpartition(":")[2]) for endpoint in [record.remote, *remote]]
        cable = stack.enter_context(link("127.0.0.2", "127.0.0.1", ports))
        security.trust("far", record.remote, str(security.folder() / "server.key"))
        yield Scene(served, cable, "far")


@pytest.mark.parametrize("silence", [kill, stop, hang, cut], ids=lambda s: s.__name__)
@pytest.mark.parametrize(("trials", "bound_s"), TRIALS)
def test_emission_is_off_when_the_client_has_been_silent_for_a_lease(
    silence: Callable[[Scene], Iterator[float]], trials: int, bound_s: float
) -> None:
    with scene(far=silence is cut) as made:
        going = silence(made)
        delays_s = [next(going) for _ in range(trials)]
        going.close()  # type: ignore[attr-defined]
    print(f"\n{silence.__name__}: {trials} trials, worst {1000 * (max(delays_s) - LEASE_S):.1f} ms after the lease")  # noqa: T201
    assert min(delays_s) > LEASE_S - 0.2  # the last renewal came up to some milliseconds before
    assert max(delays_s) <= bound_s, delays_s
