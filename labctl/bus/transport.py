"""Sockets for endpoints: inproc within a process, ipc on a host, tcp with CURVE between hosts. One interface."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from drivers.errors import BusError, ConfigurationError
from labctl.bus.security import KeyPair

LARGEST_FRAME_BYTES = 1 << 30
"""A peer that sends a larger one is cut off: no message needs it, and it must not fill the memory."""

_WAITING_MESSAGES = 256

MOST_IN_FLIGHT = _WAITING_MESSAGES // 2 - 1
"""Requests of one client under way. ZeroMQ reports what was taken from a queue in halves of it only, so that with more
the server may find the queue of their answers full, and drop one, before the client could have read any."""


@dataclass(frozen=True)
class Address:
    """Where a lane is found: its endpoint and, on tcp, the public key of its server."""

    endpoint: str
    server_key: str = ""

    @property
    def local(self) -> bool:
        """Whether both ends are of one user on one host."""
        return not self.endpoint.startswith("tcp:")


def is_loopback(endpoint: str) -> bool:
    """Whether a tcp endpoint can be reached from this machine only."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(
    context: zmq.Context[Any],
    endpoint: str,
    kind: int,
    keys: KeyPair | None = None,
    *,
    largest_bytes: int = LARGEST_FRAME_BYTES,
    waiting_messages: int = _WAITING_MESSAGES,
) -> tuple[Any, str]:
    """A bound socket and the endpoint it really has (a tcp port 0 is chosen by the system).

    largest_bytes: of a frame from a peer. waiting_messages: for each peer and direction; more are dropped or wait.

    Raises ConfigurationError for an address that other machines reach, without keys; BusError if it cannot be bound.
    """
    tcp = endpoint.startswith("tcp:")
    if tcp and keys is None and not is_loopback(endpoint):
        raise ConfigurationError(
            f"{endpoint} can be reached from other machines and there are no keys: anybody could command the lasers. "
            "Make keys with `labctl keys make`, or listen on 127.0.0.1"
        )
    socket = context.socket(kind)
    try:
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, largest_bytes)
        socket.setsockopt(zmq.RCVHWM, _WAITING_MESSAGES)
        socket.setsockopt(zmq.SNDHWM, waiting_messages)
        if kind == zmq.ROUTER:
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
            socket.sndtimeo = 0  # a client that does not read its answers loses them, and keeps nobody waiting
        if tcp and keys is not None:
            socket.curve_server = True
            socket.curve_secretkey = keys.secret.encode()
            socket.curve_publickey = keys.public.encode()
            socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
        if tcp:
            _prepare_tcp(socket, endpoint)
        _bind(socket, endpoint)
        return socket, socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
    except zmq.ZMQError as error:
        socket.close()
        cure = "; another program has this port: choose another `port` in [network]" if tcp else ""
        raise BusError(f"cannot listen on {endpoint}: {error}{cure}") from error


def _bind(socket: Any, endpoint: str) -> None:
    if not endpoint.startswith("ipc:"):
        socket.bind(endpoint)
        return
    # The folder is closed to others; the socket is too, from its first moment.
    before = os.umask(0o177)
    try:
        socket.bind(endpoint)
    finally:
        os.umask(before)
    path = Path(endpoint.removeprefix("ipc://"))
    with contextlib.suppress(OSError):
        if stat.S_IMODE(path.stat().st_mode) != 0o600:
            path.chmod(0o600)


def connect(
    context: zmq.Context[Any],
    address: Address,
    kind: int,
    keys: KeyPair | None = None,
    *,
    waiting_messages: int = 1000,
) -> Any:
    """A connected socket. ConfigurationError if the server needs keys and this user has none.

    waiting_messages: that wait here to be received; a publisher drops more.
    """
    if address.server_key and keys is None:
        raise ConfigurationError(
            f"{address.endpoint} needs a key: make one with `labctl keys make NAME` and have it allowed there"
        )
    socket = context.socket(kind)
    try:
        socket.linger = 0
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_FRAME_BYTES)
        socket.setsockopt(zmq.RCVHWM, waiting_messages)  # counts for connections made after it only
        if kind == zmq.DEALER:
            socket.setsockopt(zmq.IMMEDIATE, 1)  # else "laser on" waits in a queue for a server that is gone
        if address.server_key and keys is not None:
            socket.curve_serverkey = address.server_key.encode()
            socket.curve_publickey = keys.public.encode()
            socket.curve_secretkey = keys.secret.encode()
        if not address.local:
            _prepare_tcp(socket, address.endpoint)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        socket.connect(address.endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise BusError(f"cannot reach {address.endpoint}: {error}") from None
    return socket


def _prepare_tcp(socket: Any, endpoint: str) -> None:
    if "[" in endpoint:
        socket.setsockopt(zmq.IPV6, 1)
    # A link that was cut is noticed in the end; a lease does not wait for that, and a heartbeat waits behind the frames
    # that a slow link is still carrying.
    socket.setsockopt(zmq.HEARTBEAT_IVL, 5_000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 60_000)
    socket.setsockopt(zmq.HEARTBEAT_TTL, 60_000)
