"""One socket, one thread: receives requests, answers each in turn, and stops when told."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any

import zmq

from drivers.errors import BusError, LabError
from labctl.bus.messages import MOST_FRAMES, ROLE_SHIFT, Buffer, Request
from labctl.bus.roles import LOCAL_USER, Caller, Role
from labctl.bus.security import Door, KeyPair
from labctl.bus.server_side import ServerSide
from labctl.bus.transport import listen

log = logging.getLogger(__name__)

Handler = Callable[[Request, Caller], Any]

ANONYMOUS = Caller("a client without a key", Role.OBSERVER)
"""Who reaches a bench by loopback tcp without keys: any user of this machine, who may look on."""
_REVOKED = Caller("a client whose key was revoked", Role.NOBODY)
_BIG = 1 << 16
_END_PATIENCE_S = 3.0
_LAST_ANSWER_MS = 500
"""How long the end of a process waits for a client to take the last answer: who asked for a stop, which ends the script
it interrupts, is to be told that it was done."""
_left_behind: list[zmq.Context[Any]] = []


def end_context(context: zmq.Context[Any]) -> None:
    """End a context and its sockets, unless a lane on it hangs: that would hang this thread, too."""
    if context not in _left_behind:
        context.destroy(linger=0)


class Lane:
    """A ROUTER whose requests are handled one after another by ``handler``.

    rules: what is executed at all. keys, door: for a tcp endpoint, the server's key pair and who is let in. anonymous:
    who clients are where nobody shows a key.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        handler: Handler,
        rules: ServerSide,
        *,
        keys: KeyPair | None = None,
        door: Door | None = None,
        anonymous: Caller = LOCAL_USER,
    ) -> None:
        self._context = context
        self.endpoint = endpoint
        self.rules = rules
        self._handler = handler
        self._keys = keys
        self._door = door
        self._anonymous = anonymous
        self._thread = threading.Thread(target=self._serve, name=f"labctl-{rules.name}", daemon=True)
        self._stopper = secrets.token_bytes(32)
        self._stop_endpoint = f"inproc://stop-{secrets.token_hex(16)}"
        self._socket: zmq.Socket[Any] | None = None

    def start(self) -> None:
        """Bind and serve. Raises BusError if the endpoint cannot be bound."""
        self._socket, self.endpoint = listen(self._context, self.endpoint, zmq.ROUTER, self._keys)
        self._socket.bind(self._stop_endpoint)
        self._thread.start()

    def stop(self) -> None:
        """Finish the request in hand, answer it and end the thread. Harmless if it never started."""
        if self._socket is None:
            self.rules.close()
            return
        hangs = False
        if self._thread.is_alive():
            # A message under a name that no client can guess: so the loop needs neither poller nor timeout.
            stopper = self._context.socket(zmq.DEALER)
            stopper.setsockopt(zmq.ROUTING_ID, self._stopper)
            stopper.connect(self._stop_endpoint)
            stopper.send(b"")
            self._thread.join(_END_PATIENCE_S)
            hangs = self._thread.is_alive()
            stopper.close(linger=0)
        if hangs:  # a socket must not be closed under a thread that will use it
            log.error("%s hangs in a call and is left behind", self.rules.name)
            _left_behind.append(self._context)
        else:
            self._socket.close(linger=_LAST_ANSWER_MS)
        self._socket = None
        self.rules.close()

    def _serve(self) -> None:
        socket = self._socket
        assert socket is not None
        receive = self._receive_local if self._door is None and not self.endpoint.startswith("tcp:") else self._receive
        rules, handler, stopper = self.rules, self._handler, self._stopper
        while True:
            try:
                sender, frames, caller = receive(socket)
            except zmq.ContextTerminated:
                return
            except zmq.ZMQError as error:
                log.error("%s: receiving failed (%s)", rules.name, error)
                continue
            if sender == stopper:
                return
            answer: list[Buffer]
            try:
                request = rules.receive(frames)
            except Exception as error:  # whatever somebody sent, the others are served on
                log.exception("%s: a message could not be taken in", rules.name)
                request = rules.unreadable(frames, error)
            if isinstance(request, Request):
                try:
                    if request.flags >> ROLE_SHIFT:
                        caller = caller.capped(request.flags >> ROLE_SHIFT)
                    if caller.role < Role.OBSERVER:
                        caller.must_be(Role.OBSERVER, "every request")
                    answer = rules.answer(request, handler(request, caller))
                except LabError as error:
                    answer = rules.failure(request, error)
                except Exception as error:
                    if not request.device:  # a device's own are logged with the device
                        log.exception("%s: %s failed", rules.name, request.verb)
                    answer = rules.failure(request, error)
            else:
                answer = request
            self._send(socket, sender, answer)
            del frames, request, answer  # they hold shared memory and large arrays

    def _send(self, socket: zmq.Socket[Any], sender: bytes, frames: list[Buffer]) -> None:
        try:
            socket.send(sender, zmq.SNDMORE)
            for frame in frames[:-1]:
                socket.send(frame, zmq.SNDMORE, len(frame) < _BIG)
            socket.send(frames[-1], 0, len(frames[-1]) < _BIG)
        except zmq.ZMQError as error:
            self.rules.undelivered()
            if error.errno != zmq.EHOSTUNREACH:
                log.warning("%s: an answer could not be delivered (%s)", self.rules.name, error)

    def _receive_local(self, socket: zmq.Socket[Any]) -> tuple[bytes, list[Buffer], Caller]:
        sender = socket.recv()
        frames: list[Buffer] = [socket.recv()]
        if socket.getsockopt(zmq.RCVMORE):
            self._receive_arrays(socket, frames)
        return sender, frames, LOCAL_USER

    def _receive(self, socket: zmq.Socket[Any]) -> tuple[bytes, list[Buffer], Caller]:
        first = socket.recv(copy=False)
        frames: list[Buffer] = [socket.recv()]
        if socket.getsockopt(zmq.RCVMORE):
            self._receive_arrays(socket, frames)
        return first.bytes, frames, self._caller(first)

    def _receive_arrays(self, socket: zmq.Socket[Any], frames: list[Buffer]) -> None:
        more = True
        while more:
            frame = socket.recv(copy=False)
            more = frame.more
            if len(frames) <= MOST_FRAMES:  # one too many is enough to refuse the message
                frames.append(frame.buffer)

    def _caller(self, first: zmq.Frame) -> Caller:
        if self._door is None:
            return self._anonymous
        try:
            key = first.get("User-Id")
        except zmq.ZMQError:
            return _REVOKED
        return (self._door.caller(key) if isinstance(key, str) else None) or _REVOKED


def start_all(lanes: list[Lane]) -> None:
    """Start lanes; if one cannot be bound, those that were started are stopped."""
    started: list[Lane] = []
    try:
        for lane in lanes:
            lane.start()
            started.append(lane)
    except (BusError, LabError):
        for lane in started:
            with contextlib.suppress(Exception):
                lane.stop()
        raise
