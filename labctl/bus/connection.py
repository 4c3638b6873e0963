"""The client's end of the bus: one request, one reply, never waiting for a server that is gone."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

from drivers.errors import BusError
from labctl.bus.messages import VERSION, Buffer, Request, decode_reply, encode, error_of, revive

START_WITHIN_S = 10.0
"""A request that has not begun by then is not executed any more."""

_BIG = 65536


class Connection:
    """A DEALER to one lane. Calls from several threads take turns.

    ``while_waiting`` is called, in the waiting thread, every ``patience_s`` while a reply is outstanding: the place
    where a control loop renews its lease and learns that the server died.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        patience_s: float = 0.5,
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.lease = ""
        self._while_waiting = while_waiting
        self._patience_ms = max(1, int(patience_s * 1000))
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._closing = False
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.sndtimeo = 2000
        self._socket.rcvtimeo = self._patience_ms
        self._socket.connect(endpoint)

    def close(self) -> None:
        """Disconnect; a reply still on its way is dropped, and whoever waits for it in another thread is told."""
        self._closing = True
        with self._lock:  # a socket must not be closed under a thread that is using it
            self._socket.close()

    def request(
        self, device: str, verb: str, name: str = "", arguments: Any = None, timeout_s: float | None = None
    ) -> Any:
        """Ask and wait. Raises the remote error, or BusError when the server does not answer.

        Without ``timeout_s`` a call may take as long as it takes, as long as the server shows signs of life.
        """
        with self._lock:
            if self._closing:
                raise BusError(f"{device or 'host'}.{name or verb}: the connection is closed")
            number = next(self._numbers)
            expires_ns = time.monotonic_ns() + int((timeout_s or START_WITHIN_S) * 1e9)
            frames = encode(Request(VERSION, number, device, verb, name, arguments, self.lease, expires_ns))
            try:
                self._socket.send_multipart(frames, copy=all(len(f) < _BIG for f in frames))
            except zmq.Again:
                raise BusError(
                    f"{device or 'host'}.{name or verb}: nobody listens on {self.endpoint}; "
                    "start the server with `labctl up`"
                ) from None
            reply = self._receive(number, f"{device or 'host'}.{name or verb}", timeout_s)
        if reply.failure is not None:
            raise error_of(reply.failure)
        return revive(reply.value)

    def _receive(self, number: int, what: str, timeout_s: float | None) -> Any:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                parts = self._socket.recv_multipart(copy=False)
            except zmq.Again:
                if self._closing:
                    raise BusError(f"{what}: the connection was closed while waiting for the answer") from None
                if deadline is not None and time.monotonic() > deadline:
                    raise BusError(f"{what}: no answer from {self.endpoint} within {timeout_s:g} s") from None
                if self._while_waiting is not None:
                    self._while_waiting()
                continue
            frames: list[Buffer] = [p.buffer for p in parts]
            reply = decode_reply(frames)
            if reply.number == number or (reply.number < 0 and reply.failure is not None):
                return reply  # a negative number answers a request of which not even the number could be read
            # else: the answer to a call that was interrupted here; nobody waits for it any more
