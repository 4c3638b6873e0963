"""The emergency stop from any terminal: straight to the emergency lane of every server, past everything else."""

from __future__ import annotations

import getpass
import os
import socket
import time
from typing import Any, Literal

import zmq

from drivers.errors import BusError, ConfigurationError, LabError
from labctl.bus import security
from labctl.bus.connection import Connection
from labctl.bus.messages import Request
from labctl.bus.protocol import ServerSide
from labctl.bus.roles import Caller
from labctl.bus.security import KeyPair
from labctl.bus.transport import Address
from labctl.server import runtime
from labctl.server.directory import find_remote
from labctl.server.host import Host
from labctl.server.lane import Lane


class ScriptLane(Lane):
    """The emergency lane of a bench that is served within a script."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, host: Host) -> None:
        super().__init__(context, endpoint, self._handle_stop, ServerSide("script.stop"))
        self._host = host

    def _handle_stop(self, request: Request, caller: Caller) -> Any:
        match request.verb:
            case "stop":
                return self._host.emergency(f"emergency stop by {request.arguments!s:.200}: every device was made safe")
            case "safe":
                return self._host.make_safe()
            case "status":
                return {name: server.status() for name, server in self._host.servers.items()}
        raise BusError(f"unknown verb {request.verb!r} on the emergency lane; it knows stop, safe and status")


def this_user(reason: str = "") -> str:
    """Who stops a bench, and why."""
    return f"{getpass.getuser()}@{socket.gethostname()}{f' ({reason})' if reason else ''}"


def stop_everything(
    context: zmq.Context[Any],
    addresses: dict[str, Address],
    why: str,
    keys: KeyPair | None = None,
    verb: Literal["stop", "revoke"] = "stop",
) -> dict[str, float | str]:
    """Emergency stop at every address at once; by name the time it took (s), or what was wrong.

    why: with "stop" who does it, with "revoke" the whole sentence that holders of leases are told.
    """
    begun = time.monotonic()
    results: dict[str, float | str] = {}
    connections = {}
    pending = {}
    for name, address in addresses.items():
        try:
            connections[name] = Connection(context, address, patience_s=0.05, keys=keys)
            pending[name] = connections[name].submit("", verb, arguments=why, timeout_s=2.0)
        except LabError as error:
            results[name] = str(error)
    for name, sent in pending.items():
        try:
            sent.result()
            results[name] = time.monotonic() - begun
        except LabError as error:
            results[name] = str(error)
    for connection in connections.values():
        connection.close()
    return results


def stop_benches(
    bench: str | None = None, at: str | None = None, reason: str = ""
) -> dict[str, dict[str, float | str]]:
    """Emergency stop of every bench of this user, or of one: every device safe, now, and nobody in control any more.

    Benches that are up on this host and those within scripts, and the one on another machine that the environment's
    ``LABCTL_AT`` names; with ``at`` only that one. reason: what the interrupted experiments are told.

    Returns, by bench and server, the time it took (s), or what was wrong. Raises ConfigurationError if no bench is up.
    """
    context: zmq.Context[Any] = zmq.Context()
    results: dict[str, dict[str, float | str]] = {}
    try:
        # First what is near, straight to the sockets named in the runtime folder: a directory that hangs is not asked.
        for host in runtime.all_hosts() if at is None else []:
            if bench is None or host.bench == bench:
                local = {name: Address(endpoint) for name, endpoint in host.emergency.items()}
                results[f"{host.bench} (pid {host.pid})"] = stop_everything(context, local, this_user(reason))
        far = at or os.environ.get("LABCTL_AT") or None
        if far is not None:
            keys = security.own_keys()
            record = find_remote(context, far, keys)
            if bench is None or record.bench == bench:
                addresses = {s.name: s.address("stop", remote=True) for s in record.servers}
                results[f"{record.bench} at {far}"] = stop_everything(context, addresses, this_user(reason), keys)
    finally:
        context.destroy(linger=0)
    if not results:
        raise ConfigurationError(f"no bench {bench!r} is up" if bench else "no bench is up; nothing was stopped")
    return results
