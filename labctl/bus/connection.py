"""The client's end of the bus: requests and their answers, never waiting for a server that is gone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

from drivers.errors import BusError
from labctl.bus.client_side import SLOWEST_LINK_BYTES_PER_S, ClientSide, result_of
from labctl.bus.messages import Buffer, Reply, is_welcome
from labctl.bus.ring import Arena
from labctl.bus.security import KeyPair
from labctl.bus.transport import MOST_IN_FLIGHT, Address, connect

_BIG = 1 << 16
_SEND_PATIENCE_MS = 2000
_ASK_AGAIN_AFTER_S = 10.0
_LOST_AFTER_S = 60.0
"""An answer of which nothing was heard for so long will not come. Large ones take their time on slow links."""

WhileWaiting = Callable[[str, int], str | None]
"""Called with session and number while a reply is outstanding; may say where the request is (`Whereabouts`)."""


class Connection:
    """A DEALER to one lane. Calls from several threads take turns.

    ``while_waiting`` is called, in the waiting thread, every ``patience_s`` while a reply is outstanding: the place
    where a control loop renews its lease and learns that the server died. ``abandoned`` is told of requests whose
    answer nobody waits for any more, so that they can be cancelled.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        address: Address | str,
        patience_s: float = 0.5,
        while_waiting: WhileWaiting | None = None,
        *,
        arena: Arena | None = None,
        keys: KeyPair | None = None,
        abandoned: Callable[[str, int], None] | None = None,
    ) -> None:
        self.address = Address(address) if isinstance(address, str) else address
        self.endpoint = self.address.endpoint
        self._context = context
        self._keys = keys
        self._while_waiting = while_waiting
        self._abandoned = abandoned
        self._patience_ms = max(1, int(patience_s * 1000))
        self._lock = threading.RLock()
        self._closing = False
        self._answers: dict[int, Reply | BusError] = {}
        self.side = ClientSide(arena if self.address.endpoint.startswith("ipc:") else None, far=not self.address.local)
        self._socket = connect(context, self.address, zmq.DEALER, keys)
        self._socket.sndtimeo = _SEND_PATIENCE_MS
        self._socket.rcvtimeo = self._applied_patience_ms = self._patience_ms
        self._greeted = False
        self._overwritten = 0
        self.before_request: Callable[[], None] | None = None
        """Called before each request: where a control loop renews leases at other servers."""

    def set_patience(self, patience_s: float) -> None:
        """How often `while_waiting` is called."""
        self._patience_ms = max(1, int(patience_s * 1000))  # the socket is told by the thread that uses it

    def set_send_patience(self, patience_s: float) -> None:
        """How long to wait for somebody to listen."""
        with self._lock:
            self._socket.sndtimeo = max(1, int(patience_s * 1000))

    # --- the lease that goes with every request ---------------------------------------------------------------------

    @property
    def lease(self) -> str:
        """Token of the lease in whose name requests are made."""
        return self.side.lease

    @lease.setter
    def lease(self, token: str) -> None:
        self.side.lease = token

    def close(self) -> None:
        """Disconnect; a reply still on its way is dropped, and whoever waits for it in another thread is told."""
        self._closing = True
        with self._lock:  # a socket must not be closed under a thread that is using it
            if not self._socket.closed:
                self.side.close()
                self._socket.close()

    def say_goodbye(self) -> None:
        """Give back what shared memory of the server's is not in use, as far as it can be told without waiting."""
        self._closing = True
        if not self._lock.acquire(timeout=0.2):
            return  # another thread is calling; whatever it has is given back later
        try:
            if self._greeted and not self._socket.closed and self.side.shares_memory:
                _, frames = self.side.request("", "bye")
                with contextlib.suppress(zmq.ZMQError):
                    self._socket.send_multipart(frames, zmq.NOBLOCK)
                    self._socket.linger = 100
        except BusError:
            pass  # a forked process says nothing in its parent's name
        finally:
            self._lock.release()

    # --- requests ---------------------------------------------------------------------------------------------------

    def request(
        self, device: str, verb: str, name: str = "", arguments: Any = None, timeout_s: float | None = None
    ) -> Any:
        """Ask and wait. Raises the remote error, or BusError when the server does not answer.

        Without ``timeout_s`` a call may take as long as it takes, as long as the server shows signs of life.
        """
        if self.before_request is not None:
            self.before_request()
        with self._lock:
            number = self._send(device, verb, name, arguments, timeout_s)
            return result_of(self._wait(number, f"{device or 'server'}.{name or verb}", timeout_s))

    def submit(
        self, device: str, verb: str, name: str = "", arguments: Any = None, timeout_s: float | None = None
    ) -> Pending:
        """Ask without waiting; several requests may be under way, and are executed in this order."""
        if self.before_request is not None:
            self.before_request()
        with self._lock:
            if len(self.side.waiting) >= MOST_IN_FLIGHT:
                self._make_room()
            number = self._send(device, verb, name, arguments, timeout_s)
        return Pending(self, number, f"{device or 'server'}.{name or verb}", timeout_s)

    def _make_room(self) -> None:
        """Wait for the oldest answer and keep it: a server drops answers that nobody takes."""
        oldest = next(iter(self.side.waiting))
        answer: Reply | BusError
        try:
            answer = self._wait(oldest, "an earlier call", None)
        except BusError as error:
            answer = error
        self._answers[oldest] = answer

    def about(self) -> dict[str, Any]:
        """What the server said of itself when it was greeted."""
        with self._lock:
            self._greet(None)
            return self.side.about

    def adopt(self, greeted: Connection) -> None:
        """Be greeted as another connection to the same server was: its calls may be busy, its control lane never is."""
        with self._lock:
            self.side.adopt(greeted.side)
            self._greeted = True

    def forget_greeting(self) -> None:
        """Greet the server anew before the next request: it was started again."""
        with self._lock:
            self._greeted = False

    def _send(self, device: str, verb: str, name: str, arguments: Any, timeout_s: float | None) -> int:
        what = f"{device or 'server'}.{name or verb}"
        if self._closing:
            raise BusError(f"{what}: the connection is closed")
        if not self._greeted:
            self._greet(timeout_s)
        if self.side.reader.overwritten != self._overwritten:
            self._overwritten = self.side.reader.overwritten
            raise BusError(
                f"{self.endpoint}: an array in shared memory was overwritten while it was in use here; discard what "
                "was computed from the last frames"
            )
        number, frames = self.side.request(device, verb, name, arguments, timeout_s)
        try:
            self._send_frames(frames, what)
        except BaseException:
            self.side.not_sent(number)
            raise
        return number

    def _send_frames(self, frames: list[Buffer], what: str) -> None:
        try:
            if len(frames) == 1:
                self._socket.send(frames[0])
            else:
                self._socket.send_multipart(frames, copy=all(len(f) < _BIG for f in frames))
        except zmq.Again:
            raise BusError(
                f"{what}: nobody listens on {self.endpoint}: the server ended, hangs, or is being started again "
                "(`labctl status`, `labctl up`)"
                + ("; or it does not let this user's key in (`labctl keys allow`)" if self.address.server_key else "")
            ) from None

    def _greet(self, timeout_s: float | None) -> None:
        if self._greeted:
            return
        if self._closing:
            raise BusError(f"{self.endpoint}: the connection is closed")
        deadline = time.monotonic() + (timeout_s or 10.0)
        self._send_frames(self.side.hello(), "hello")
        while True:
            try:
                frames = self._receive()
            except zmq.Again:
                if self._closing or time.monotonic() > deadline:
                    raise BusError(f"no answer from {self.endpoint} to a greeting: the server hangs or ended") from None
                continue
            if not is_welcome(frames):
                self._take(frames)  # the answer to something asked before the server was greeted again
                continue
            self.side.welcome(frames)
            self._greeted = True
            if timeout_s is not None and time.monotonic() > deadline:  # what was asked for is too late by now
                raise BusError(f"no answer from {self.endpoint} within {timeout_s:g} s: the server was busy") from None
            return

    def _wait(self, number: int, what: str, timeout_s: float | None) -> Reply:
        answers = self._answers
        if self._applied_patience_ms != self._patience_ms:
            self._socket.rcvtimeo = self._applied_patience_ms = self._patience_ms
        missing: _Missing | None = None
        deadline = None
        try:
            while number not in answers:
                try:
                    self._take(self._receive())
                except zmq.Again:
                    if self._closing:
                        raise BusError(f"{what}: the connection was closed while waiting for the answer") from None
                    if timeout_s is not None:
                        deadline = deadline or time.monotonic() + timeout_s - self._patience_ms / 1000
                        if time.monotonic() > deadline:
                            raise BusError(f"{what}: no answer from {self.endpoint} within {timeout_s:g} s") from None
                    where = self._while_waiting(self.side.session, number) if self._while_waiting else None
                    missing = missing or _Missing(self.side.start_within_s)
                    self._look_for(number, what, missing, where)
        except BaseException:
            if self.side.waiting.pop(number, None) is not None and self._abandoned is not None and not self._closing:
                self._abandoned(self.side.session, number)
            raise
        answer = answers.pop(number)
        if isinstance(answer, BusError):
            raise answer
        return answer

    def _look_for(self, number: int, what: str, missing: _Missing, where: str | None) -> None:
        """Ask again, or give up, when a request or its answer was lost with a link. No number is executed twice."""
        for_s = missing.noted(where)
        frames = self.side.waiting.get(number, [])
        lost = missing.lost_after_s + sum(map(len, frames)) / SLOWEST_LINK_BYTES_PER_S
        if for_s > lost:
            told = "its answer was lost" if where == "done" else "it was not begun in time, or never came"
            raise BusError(f"{what}: {told}; {self.endpoint} answers otherwise. Ask again")
        lossy = where == "done" or (where == "unknown" and not self.address.local)
        if lossy and len(frames) == 1 and for_s > _ASK_AGAIN_AFTER_S and not missing.asked_again:
            missing.asked_again = True
            self._send_frames(frames, what)

    def _receive(self) -> list[Buffer]:
        socket = self._socket
        frames: list[Buffer] = [socket.recv()]
        if socket.getsockopt(zmq.RCVMORE):
            frames += [part.buffer for part in socket.recv_multipart(copy=False)]
        return frames

    def _take(self, frames: list[Buffer]) -> None:
        taken = self.side.take(frames)
        if taken is not None:  # else the answer to a call that was interrupted here; nobody waits for it any more
            self._answers[taken[0]] = taken[1]


class _Missing:
    """Since when a request has been where it should not stay: not come, or answered without an answer here."""

    def __init__(self, start_within_s: float) -> None:
        self._start_within_s = start_within_s
        self._where: str | None = None
        self._since = time.monotonic()
        self.asked_again = False

    @property
    def lost_after_s(self) -> float:
        return self._start_within_s + 1.0 if self._where == "unknown" else _LOST_AFTER_S

    def noted(self, where: str | None) -> float:
        """For how long (s) it has been there; 0 where it may stay."""
        if where != self._where:
            self._where, self._since = where, time.monotonic()
        return time.monotonic() - self._since if where in ("unknown", "done") else 0.0


class Pending:
    """A request under way."""

    def __init__(self, connection: Connection, number: int, what: str, timeout_s: float | None) -> None:
        self._connection = connection
        self._number = number
        self._what = what
        self._timeout_s = timeout_s

    def result(self) -> Any:
        """Wait for the answer, once. Raises as `Connection.request` does."""
        connection = self._connection
        with connection._lock:
            return result_of(connection._wait(self._number, self._what, self._timeout_s))
