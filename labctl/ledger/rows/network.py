"""A bench that is reached from another machine: cables, keys, and too many questions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from labctl.bus import security
from labctl.bus.transport import Address
from labctl.ledger.benches import EMULATED, SIMULATED
from labctl.ledger.child import Child
from labctl.ledger.link import Link, link
from labctl.ledger.rail import BOTH_BY_LEASE, BY_LEASE, EMULATED_LEASE_S, LEASE_S, Rail, standing, until
from labctl.ledger.row import Bench, Row, Trial
from labctl.server import runtime
from labctl.server.directory import ask

_NEAR, _FAR = "127.0.0.1", "127.0.0.2"
_NETWORK = f"""
[network]
listen = "{_NEAR}"
advertise = "{_FAR}"
port = 0
"""
AT_ONCE_S = 0.1


class _FarRail(Rail):
    """Reached by tcp with keys, through a cable that can be cut: two addresses of this machine stand for two."""

    cable: Link

    def set_up(self) -> None:
        """With the cable in its place, and the operator let in."""
        was = runtime.find(self.name)
        super().set_up()
        security.allow("operator", str(security.folder() / "operator.key"), "laser-operator")
        record = runtime.find(self.name)
        assert record is not None
        if was is None or was.pid != record.pid:
            security.trust("far", record.remote, str(security.folder() / "server.key"))
            self.lay(self._ports(record.directory, record.remote))
        self.cable.up = True

    def _ports(self, directory: str, remote: str) -> list[int]:
        context: zmq.Context[Any] = zmq.Context()
        try:
            told = ask(context, Address(directory), "bench")
        finally:
            context.destroy(linger=0)
        endpoints = [remote, *(e for server in told["servers"] for e in server["remote"].values())]
        return [int(endpoint.rpartition(":")[2]) for endpoint in endpoints]

    def lay(self, ports: list[int]) -> None:
        """A new cable."""
        self._links.close()
        self.cable = self._links.enter_context(link(_FAR, _NEAR, ports))

    @property
    def _links(self) -> contextlib.ExitStack:
        stack: contextlib.ExitStack = self.__dict__.setdefault("_stack", contextlib.ExitStack())
        return stack


@contextlib.contextmanager
def _stage(folder: Path, name: str, devices: str, lease_s: float) -> Iterator[_FarRail]:
    for name in ("server", "operator", "observer"):
        if not (security.folder() / f"{name}.key").exists():  # of an earlier stage
            security.make(name)
    security.allow("observer", str(security.folder() / "observer.key"), "observer")
    rail = _FarRail(folder, name, devices, _NETWORK, lease_s)
    rail.environment |= {"LABCTL_KEY": "operator"}
    with contextlib.closing(rail._links), standing(rail) as stood:
        yield stood


def _cut(rail: _FarRail, trial: Trial) -> float:
    with rail.operator("pump", at="far") as operator:
        time.sleep(trial.dice.uniform(0, 0.1))
        begun_ns = time.monotonic_ns()
        rail.cable.up = False
        dark_s = rail.dark_after_s(begun_ns)
        told = operator.heard()
        assert told.get("error") in ("BusError", "LeaseError"), f"the operator was told {told}"
        rail.cable.up = True
    return dark_s


def _partition(rail: _FarRail, trial: Trial) -> float:
    """Nothing passes for longer than any time-out; when it does again, the same operator goes on."""
    with rail.operator("pump", at="far") as operator:
        time.sleep(trial.dice.uniform(0, 0.1))
        begun_ns = time.monotonic_ns()
        rail.cable.up = False
        dark_s = rail.dark_after_s(begun_ns)
        assert "error" in operator.heard(), "the operator was told nothing"
        time.sleep(trial.dice.uniform(0, 2.0))
        rail.cable.up = True
        until(lambda: "on" in operator.asked("on pump"), otherwise="the operator cannot go on")
    return dark_s


def _revoked(rail: _FarRail, trial: Trial) -> float:
    with rail.operator("pump", at="far") as operator:
        begun_ns = time.monotonic_ns()
        security.revoke("operator")
        dark_s = rail.dark_after_s(begun_ns)
        told = operator.heard()
        assert "error" in told, f"the operator was told {told}"
    return dark_s


def _flooded(rail: _FarRail, trial: Trial) -> float:
    """Whoever may only look cannot keep others from work, nor from the emergency stop."""
    flood = Child("labctl.ledger.flood", str(rail.bench_file), "far", _NEAR, environment={"LABCTL_KEY": "observer"})
    try:
        assert "flooding" in flood.heard()
        with rail.operator("pump", at="far") as operator:
            time.sleep(2 * rail.lease_s)
            assert rail.witness.lit() == ["pump_emission"], "the operator lost control"
            with rail.bench() as bench:
                begun_ns = time.monotonic_ns()
                bench.stop("a trial of the ledger")
                dark_s = rail.dark_after_s(begun_ns)
            until(lambda: operator.heard().get("error") == "LeaseError")
    finally:
        flood.kill()
    return dark_s


def _benches(bound_s: float, emulated_bound_s: float) -> tuple[Bench, Bench]:
    return Bench("simulated", _SIMULATED, bound_s), Bench("emulated", _EMULATED, emulated_bound_s)


_SIMULATED = partial(_stage, name="ledger-far", devices=SIMULATED, lease_s=LEASE_S)
_EMULATED = partial(_stage, name="ledger-far-emulated", devices=EMULATED, lease_s=EMULATED_LEASE_S)
ROWS = [
    Row("client disconnected", BY_LEASE, "emission off; the client is told that nobody answers",
        _benches(*BOTH_BY_LEASE), _cut),
    Row("network partition between hosts", BY_LEASE, "emission off; the operator goes on when it is over",
        _benches(*BOTH_BY_LEASE), _partition),
    Row("key revoked while in control", BY_LEASE, "requests are refused; emission off", _benches(*BOTH_BY_LEASE),
        _revoked),
    Row("flood of requests from an observer", "no fault: then an emergency stop", "the control loop goes on; an "
        "emergency stop acts at once", _benches(AT_ONCE_S, AT_ONCE_S), _flooded),
]  # fmt: skip
