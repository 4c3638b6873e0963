"""The directory: which device servers a bench has, where they are, how they are. It carries no data and no commands.

Servers keep their own leases and tell the directory of them with every heartbeat, so control goes on if it dies.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import zmq

from drivers.errors import BusError, ConfigurationError, LabError
from labctl.bus import rotation, security
from labctl.bus.connection import Connection
from labctl.bus.entries import BenchEntry, ServerEntry, entry_from, to_wire
from labctl.bus.messages import Request
from labctl.bus.roles import LOCAL_USER, Caller
from labctl.bus.server_side import ServerSide
from labctl.bus.transport import Address, connect
from labctl.server import runtime
from labctl.server.arguments import taken_apart
from labctl.server.lane import Lane, start_all

log = logging.getLogger(__name__)

HEARTBEAT_S = 0.5
_PROOF_PATIENCE_MS = 5000


class Directory:
    """Answers clients (``bench``, ``status``) and listens to servers and supervisor (``heartbeat``)."""

    def __init__(
        self,
        bench: BenchEntry,
        context: zmq.Context[Any],
        endpoint: str,
        remote_endpoint: str = "",
        keys: security.KeyPair | None = None,
        door: security.Door | None = None,
        next_key: Callable[[], str] = lambda: "",
    ) -> None:
        """next_key: says which public key the bench will have, if its pair is being changed."""
        self._bench = bench
        self._next_key = next_key
        # Known before they are heard of: a directory that was started again must not tell of half a bench.
        self._servers: dict[str, ServerEntry] = {server.name: server for server in bench.servers}
        self._states: dict[str, Any] = {}
        self._heard_ns: dict[str, int] = {}
        self._lock = threading.Lock()
        self._lanes = [Lane(context, endpoint, self._handle, ServerSide("directory"))]
        if remote_endpoint:
            rules = ServerSide("directory.tcp")
            self._lanes.append(Lane(context, remote_endpoint, self._handle_remote, rules, keys=keys, door=door))

    def start(self) -> None:
        """Listen."""
        start_all(self._lanes)

    def stop(self) -> None:
        """Stop listening."""
        for lane in self._lanes:
            lane.stop()

    def _handle(self, request: Request, caller: Caller) -> Any:
        if request.verb == "heartbeat" and caller is LOCAL_USER:
            return self._heartbeat(request.arguments)
        return self._answer(request)

    def _handle_remote(self, request: Request, caller: Caller) -> Any:
        return self._answer(request)  # who is a server is known on this host only

    def _answer(self, request: Request) -> Any:
        match request.verb:
            case "bench":
                next_key = self._next_key()
                with self._lock:
                    servers = list(self._servers.values())
                return to_wire(msgspec.structs.replace(self._bench, servers=servers, next_key=next_key))
            case "status":
                return self._status()
        raise BusError(f"unknown verb {request.verb!r:.80} for the directory; it knows bench and status")

    def _heartbeat(self, told: Any) -> None:
        with taken_apart("heartbeat"):  # msgspec's errors are ValueErrors
            name, state = str(told["name"]), told["state"]
            entry = None if told.get("record") is None else msgspec.convert(told["record"], ServerEntry)
        with self._lock:
            if entry is not None:
                self._servers[name] = entry
            self._states[name] = state
            self._heard_ns[name] = time.monotonic_ns()

    def _status(self) -> dict[str, Any]:
        now = time.monotonic_ns()
        with self._lock:
            return {
                "bench": self._bench.bench,
                "fingerprint": self._bench.fingerprint,
                "pid": self._bench.supervisor_pid,
                "up_s": (time.time_ns() - self._bench.started_utc_ns) / 1e9,
                "processes": self._states.get("supervisor", {}),
                "servers": {
                    name: {**self._states[name], "heard_s": (now - self._heard_ns[name]) / 1e9}
                    for name in self._servers
                    if name in self._states
                },
            }


class Heart:
    """Tells the directory twice a second that a process lives and how it is."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, name: str, tell: Any, entry: Any = None) -> None:
        self._connection = Connection(context, endpoint, patience_s=0.2)
        self._connection.set_send_patience(0.2)
        self._name = name
        self._tell = tell
        self._entry = entry
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="labctl-heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._connection.close()

    def beat(self, timeout_s: float = 1.0) -> None:
        """Once. BusError if the directory does not answer."""
        told = {"name": self._name, "state": self._tell(), "record": to_wire(self._entry()) if self._entry else None}
        self._connection.request("", "heartbeat", arguments=told, timeout_s=timeout_s)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self.beat()
            except LabError:
                continue  # the directory is being started again; the supervisor says so


# --- the client's side --------------------------------------------------------------------------------------------


def find_up(context: zmq.Context[Any], bench: str) -> BenchEntry | None:
    """The bench of a running `labctl up` on this host, None if there is none. BusError if it does not answer."""
    found = runtime.find(bench)
    if found is None:
        return None
    found = runtime.wait_until_ready(found)
    return entry_from(ask(context, Address(found.directory), "bench"))


def find_remote(context: zmq.Context[Any], name: str, keys: security.KeyPair | None) -> BenchEntry:
    """The bench that ``trusted.toml`` knows as ``name``. It may tell of a key that it is going to have: the log says
    how to believe that one."""
    entry = entry_from(ask(context, trusted_address(name), "bench", keys))
    known = security.trusted().get(name, {})
    if entry.next_key and known and entry.next_key not in known.values():
        log.warning(
            "the bench at %s gets another key. Ask whoever keeps it whether it is this one, and say: labctl keys trust "
            "%s --next '%s'", name, name, entry.next_key,
        )  # fmt: skip
    return entry


def trusted_address(name: str) -> Address:
    """Where a trusted bench is, with the key that it proves. A bare tcp address of this host is one too.

    Waits for the bench only while its key is being changed, to see which of two it proves. ConfigurationError if it is
    not known.
    """
    if name.startswith("tcp://"):
        return Address(name)
    trusted = security.trusted()
    if name not in trusted:
        raise ConfigurationError(
            f"no bench {name!r} is trusted; trusted are {', '.join(trusted) or 'none'}. Tell its address and key with "
            "`labctl keys trust NAME --at tcp://HOST:PORT --key KEY`"
        )
    entry = trusted[name]
    keys = [entry["key"], *([entry["next"]] if "next" in entry else [])]
    proved = keys[0] if len(keys) == 1 else _proved(entry["address"], keys)
    if proved != keys[0]:
        rotation.proved(name, proved)
    return Address(entry["address"], proved)


def _proved(endpoint: str, keys: Sequence[str]) -> str:
    """Which of its keys the bench at an address proves; the first if it proves none in time."""
    context: zmq.Context[Any] = zmq.Context()
    try:
        own, poller = security.own_keys(), zmq.Poller()
        sockets = {connect(context, Address(endpoint, key), zmq.DEALER, own): key for key in keys}
        for socket in sockets:
            poller.register(socket, zmq.POLLOUT)  # it can take something once the keys are proved
        found = poller.poll(_PROOF_PATIENCE_MS)
        return sockets[found[0][0]] if found else keys[0]
    finally:
        context.destroy(linger=0)


def ask(context: zmq.Context[Any], address: Address, verb: str, keys: security.KeyPair | None = None) -> Any:
    """Ask a directory for its bench or status, with some patience: it may just be starting again."""
    connection = Connection(context, address, patience_s=0.2, keys=keys)
    try:
        connection.set_send_patience(5.0)
        return connection.request("", verb, timeout_s=10.0)
    finally:
        connection.close()
