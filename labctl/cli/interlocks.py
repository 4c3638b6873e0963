"""`labctl arm`, `disarm` and `ack`: of benches that are up on this host, within scripts, or on another machine."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import zmq

from drivers.errors import ConfigurationError
from labctl.bus import security
from labctl.bus.connection import Connection
from labctl.bus.entries import BenchEntry, entry_from
from labctl.bus.security import KeyPair
from labctl.bus.together import this_user
from labctl.bus.transport import Address
from labctl.cli.times import seconds_of
from labctl.safety import desk
from labctl.server import runtime
from labctl.server.directory import ask, find_remote


def arm(bench: str | None, devices: list[str], for_: str | None, as_json: bool, at: str | None) -> int:
    """Arm emitters of a bench, and say until when."""
    for_s = None if for_ is None else seconds_of("--for", for_)
    with _controls(bench, at) as (name, controls):
        done = desk.arm(controls, devices, for_s, this_user())
    if as_json:
        print(json.dumps({"bench": name, "armed": done}))  # noqa: T201
    for device, told in done.items() if not as_json else ():
        print(f"{name}: {device} is armed, {_until(told['until_utc'])}")  # noqa: T201
    return 0


def disarm(bench: str | None, devices: list[str], as_json: bool, at: str | None) -> int:
    """Disarm emitters of a bench; their light goes off."""
    with _controls(bench, at) as (name, controls):
        done = desk.disarm(controls, devices, this_user())
    if as_json:
        print(json.dumps({"bench": name, "disarmed": done}))  # noqa: T201
    else:
        print(f"{name}: {', '.join(done) or 'nothing'} was armed, and is no more")  # noqa: T201
    return 0


def acknowledge(bench: str | None, interlock: str, reason: str, new_sample: bool, as_json: bool, at: str | None) -> int:
    """Acknowledge what is tripped."""
    with _controls(bench, at) as (name, controls):
        done = desk.acknowledge(controls, interlock, reason, this_user(), new_sample=new_sample)
    if as_json:
        print(json.dumps({"bench": name, "acknowledged": done}))  # noqa: T201
    else:
        told = f"{', '.join(done)} acknowledged" if done else "nothing was tripped"
        print(f"{name}: {told}{'; doses count from 0' if new_sample else ''}")  # noqa: T201
    return 0


def _until(utc: float | None) -> str:
    if utc is None:
        return "until it is disarmed or the bench is taken down"
    return f"until {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(utc))} UTC"


class _OfScript:
    """A server of a bench within a script, reached through the script's one lane."""

    def __init__(self, connection: Connection, server: str) -> None:
        self._connection = connection
        self._server = server

    def request(
        self, device: str, verb: str, name: str = "", arguments: Any = None, timeout_s: float | None = None
    ) -> Any:
        """As `Connection.request`."""
        return self._connection.request(device, verb, self._server, arguments, timeout_s)


@contextlib.contextmanager
def _controls(bench: str | None, at: str | None) -> Iterator[tuple[str, desk.Controls]]:
    """The control lanes of the one bench that is meant, with its name. ConfigurationError if it is not the only one."""
    context: zmq.Context[Any] = zmq.Context()
    connections: list[Connection] = []

    def connection(address: Address | str, keys: KeyPair | None = None) -> Connection:
        connections.append(Connection(context, address, patience_s=0.2, keys=keys))
        return connections[-1]

    def of(entry: BenchEntry, keys: KeyPair | None = None, *, remote: bool = False) -> desk.Controls:
        return {s.name: connection(s.address("control", remote=remote), keys) for s in entry.servers}

    try:
        far = at or os.environ.get("LABCTL_AT") or None
        if far is not None:
            keys = security.own_keys()
            there = find_remote(context, far, keys)
            if bench is not None and bench != there.bench:
                raise ConfigurationError(f"the bench at {far} is {there.bench}, not {bench}")
            yield there.bench, of(there, keys, remote=True)
            return
        host = _only([h for h in runtime.all_hosts() if bench in (None, h.bench)], bench)
        if host.kind == "up":
            told = ask(context, Address(runtime.wait_until_ready(host).directory), "bench")
            yield host.bench, of(entry_from(told))
        else:
            script = connection(host.emergency["script"])
            servers = script.request("", "status", timeout_s=5.0)
            yield host.bench, {server: _OfScript(script, server) for server in servers}
    finally:
        for made in connections:
            made.close()
        context.destroy(linger=0)


def _only(hosts: list[runtime.HostEntry], bench: str | None) -> runtime.HostEntry:
    if not hosts:
        found = f"no bench {bench!r} is up" if bench else "no bench is up"
        raise ConfigurationError(f"{found}; start it with `labctl up {bench or 'BENCH'}`")
    if len(hosts) > 1:
        which = ", ".join(f"{h.bench} (pid {h.pid})" for h in hosts)
        raise ConfigurationError(f"several benches are up: {which}; name one that is up once")
    return hosts[0]
