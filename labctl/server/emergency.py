"""The emergency stop from any terminal: straight to the emergency lane of every server, past everything else."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import zmq

from drivers.errors import BusError, ConfigurationError, LabError
from labctl.bus import security
from labctl.bus.connection import Connection
from labctl.bus.messages import Request
from labctl.bus.roles import Caller
from labctl.bus.security import KeyPair
from labctl.bus.segments import process_start
from labctl.bus.server_side import ServerSide
from labctl.bus.together import this_user, together
from labctl.bus.transport import Address
from labctl.server import runtime
from labctl.server.directory import find_remote
from labctl.server.lane import Lane

if TYPE_CHECKING:  # what a stop need not wait for
    from labctl.bench.config import BenchConfig
    from labctl.server.host import Host

log = logging.getLogger(__name__)


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
                for server in self._host.servers.values():
                    server.refresh_emission()
                return {name: server.status() for name, server in self._host.servers.items()}
            case "interlocks" | "arm" | "disarm" | "acknowledge":  # of the server that the request names
                return self._host.servers[request.name].handle_interlocks(request, caller)
        raise BusError(f"unknown verb {request.verb!r} on the emergency lane; it knows stop, safe and status")


@contextlib.contextmanager
def within_script(config: BenchConfig, host: Host, context: zmq.Context[Any]) -> Iterator[None]:
    """Lets `labctl stop` and `labctl status` reach a bench that is served within this process."""
    try:
        base = runtime.base_endpoint(config.name)
    except BusError as error:
        log.warning("`labctl stop` will not reach this script: %s", error)
        yield
        return
    endpoint = runtime.local_endpoint(base, f"-{time.monotonic_ns() % 10**9}.stop")
    lane = ScriptLane(context, endpoint, host)
    entry = runtime.HostEntry(
        bench=config.name,
        pid=os.getpid(),
        fingerprint=config.fingerprint,
        bench_file=str(config.path),
        started_utc_ns=time.time_ns(),
        kind="script",
        emergency={"script": endpoint},
        process_start=process_start(os.getpid()),
    )
    lane.start()
    try:
        runtime.announce(entry)
        yield
    finally:
        lane.stop()
        if os.getpid() == entry.pid:  # a forked child has nothing to withdraw
            runtime.withdraw(entry)


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

    def stop(address: Address) -> float:
        connection = Connection(context, address, patience_s=0.05, keys=keys)
        try:
            connection.request("", verb, arguments=why, timeout_s=2.0)
            return time.monotonic() - begun
        finally:
            connection.close()

    told = together({name: functools.partial(stop, address) for name, address in addresses.items()})
    return {name: str(result) if isinstance(result, LabError) else result for name, result in told.items()}


def _stop_near(context: zmq.Context[Any], host: runtime.HostEntry, reason: str) -> dict[str, dict[str, float | str]]:
    local = {name: Address(endpoint) for name, endpoint in host.emergency.items()}
    return {f"{host.bench} (pid {host.pid})": stop_everything(context, local, this_user(reason))}


def _stop_far(context: zmq.Context[Any], bench: str | None, at: str, reason: str) -> dict[str, dict[str, float | str]]:
    keys = security.own_keys()
    entry = find_remote(context, at, keys)
    if bench is not None and entry.bench != bench:
        return {}
    addresses = {s.name: s.address("stop", remote=True) for s in entry.servers}
    return {f"{entry.bench} at {at}": stop_everything(context, addresses, this_user(reason), keys)}


def stop_benches(
    bench: str | None = None, at: str | None = None, reason: str = ""
) -> dict[str, dict[str, float | str]]:
    """Emergency stop of every bench of this user, or of one: every device safe, now, and nobody in control any more.

    Benches that are up on this host and those within scripts, and the one on another machine that the environment's
    ``LABCTL_AT`` names; with ``at`` only that one. reason: what the interrupted experiments are told.

    Returns, by bench and server, the time it took (s), or what was wrong. Raises ConfigurationError if no bench is up.
    """
    context: zmq.Context[Any] = zmq.Context()
    stops: dict[str, Callable[[], dict[str, dict[str, float | str]]]] = {}
    try:
        # What is near straight by the sockets named in the runtime folder: a directory that hangs is not asked.
        for host in runtime.all_hosts() if at is None else []:
            if bench is None or host.bench == bench:
                stops[f"{host.bench} (pid {host.pid})"] = functools.partial(_stop_near, context, host, reason)
        far = at or os.environ.get("LABCTL_AT") or None
        if far is not None:
            stops[f"the bench at {far}"] = functools.partial(_stop_far, context, bench, far, reason)
        # All at once: one that hangs must not keep another one in the light.
        told = together(stops)
    finally:
        context.destroy(linger=0)
    results: dict[str, dict[str, float | str]] = {}
    for name, result in told.items():  # what was stopped near is told though the far one cannot be found
        results |= {name: {"directory": str(result)}} if isinstance(result, LabError) else result
    if not results:
        raise ConfigurationError(f"no bench {bench!r} is up" if bench else "no bench is up; nothing was stopped")
    return results
