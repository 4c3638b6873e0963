"""A server's rules without sockets: who is answered at once, what is executed, and that nothing is executed twice.

Fed with frames, it says what to execute or which frames to send; lanes and tests wrap it alike.
"""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal

from drivers.errors import BusError, LeaseError
from labctl.bus.failures import failure_of
from labctl.bus.messages import (
    REPEATED,
    SHARED_MEMORY,
    VERSION,
    Buffer,
    Decoder,
    Encoder,
    Failure,
    Hello,
    Reply,
    Request,
    Welcome,
    decode_hello,
    number_in,
)
from labctl.bus.ring import Arena, Place, Reader
from labctl.bus.segments import Segment, machine, pid_namespace, process_alive

Whereabouts = Literal["unknown", "running", "done"]

_MOST_SESSIONS = 4096
_REPLIES_KEPT = 16
_REPLY_KEPT_BYTES = 4096
_MOST_CANCELLED = 4096
_MOST_GAPS = 1024


class Refusal(Enum):
    """Why a request is not executed."""

    CANCELLED = "was cancelled before its turn came and was not executed"
    EXPIRED = "expired before its turn came and was not executed: the server was busy with another call. Try again"
    REPEATED = "came twice; it was executed once, and its answer is not kept"


class _Session:
    """Which requests of a client were begun: all up to ``floor``, and some above it if others were lost on the way."""

    __slots__ = ("above", "floor", "replies", "running")

    def __init__(self) -> None:
        self.floor = 0
        self.above: set[int] = set()
        self.running = 0
        self.replies: OrderedDict[int, list[Buffer]] = OrderedDict()

    def began(self, number: int) -> bool:
        return number <= self.floor or number in self.above

    def begin(self, number: int) -> None:
        if number == self.floor + 1:
            self._rise(number)
        else:
            self.above.add(number)
            if len(self.above) > _MOST_GAPS:  # what is still missing so far below will not come any more
                lowest = min(self.above)
                self.above.discard(lowest)
                self._rise(lowest)

    def _rise(self, floor: int) -> None:
        """Up to here every number was begun, and up to the next that was not."""
        self.floor = floor
        while self.above and self.floor + 1 in self.above:
            self.floor += 1
            self.above.discard(self.floor)


class Sessions:
    """What a server remembers of its clients: which requests were begun, the last answers, and what was cancelled."""

    def __init__(self, instance: str = "") -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._cancelled: OrderedDict[tuple[str, int], None] = OrderedDict()
        self.instance = instance or secrets.token_hex(8)
        """Differs after every start of the server."""

    def begin(self, session: str, number: int, *, late: bool = False) -> list[Buffer] | Refusal | None:
        """None if the request may be executed now; else its remembered answer, or why it is refused.

        late: it has come after it expired.
        """
        with self._lock:
            if self._cancelled and (session, number) in self._cancelled:
                return Refusal.CANCELLED
            found = self._sessions.get(session)
            if found is None:
                found = self._sessions[session] = _Session()
                if len(self._sessions) > _MOST_SESSIONS:
                    self._sessions.popitem(last=False)
            else:
                self._sessions.move_to_end(session)
            if found.began(number):
                kept = found.replies.get(number)
                return kept if kept is not None else Refusal.REPEATED
            if late:
                return Refusal.EXPIRED
            found.begin(number)
            found.running = number
            return None

    def done(self, session: str, number: int, frames: list[Buffer] | None = None) -> None:
        """A request was answered; a small answer is kept for the case that it is asked for again."""
        found = self._sessions.get(session)
        if found is None:
            return
        found.running = 0
        if frames is not None and len(frames) == 1 and len(frames[0]) <= _REPLY_KEPT_BYTES:
            found.replies[number] = frames
            if len(found.replies) > _REPLIES_KEPT:
                found.replies.popitem(last=False)

    def cancel(self, session: str, number: int) -> Whereabouts:
        """Keep a request from being begun; says where it is now."""
        with self._lock:
            state = self._where(session, number)
            if state == "unknown":
                self._cancelled[session, number] = None
                if len(self._cancelled) > _MOST_CANCELLED:
                    self._cancelled.popitem(last=False)
            return state

    def whereabouts(self, session: str, number: int) -> Whereabouts:
        """Whether a request has not come (or waits), is being executed, or was answered."""
        with self._lock:
            return self._where(session, number)

    def _where(self, session: str, number: int) -> Whereabouts:
        found = self._sessions.get(session)
        if found is None or not found.began(number):
            return "unknown"
        return "running" if found.running == number else "done"


class ServerSide:
    """One lane's rules, as the server sees them: used by one thread.

    sessions: shared by all lanes of a server that execute. arena: shared memory, None for a lane that other hosts
    reach. expires: whether a request that comes too late is refused; an emergency stop never is.
    """

    def __init__(
        self,
        name: str,
        sessions: Sessions | None = None,
        arena: Arena | None = None,
        *,
        shares_memory: bool = False,
        writable: bool = False,
        expires: bool = True,
    ) -> None:
        self.name = name
        self.sessions = sessions or Sessions()
        self._arena = arena
        self._expires = expires
        self._encoder, self._plain = Encoder(arena if shares_memory else None), Encoder()
        self._reader = Reader(writable=writable) if shares_memory else None
        self._decoder = Decoder(self._reader)
        self._probe = _Probe() if shares_memory else None
        self._lent: list[int] = []
        self.counts = dict.fromkeys(
            ("handled", "failed", "refused", "malformed", "oversized", "expired", "repeated"), 0
        )

    def receive(self, frames: Sequence[Buffer]) -> Request | list[Buffer]:
        """A request to execute, or frames to answer at once."""
        self._lent = []
        try:
            request = self._decoder.request(frames)
        except BusError as error:
            hello = decode_hello(frames)
            if hello is not None:
                return self._welcome(hello)
            return self.unreadable(frames, error)
        if request.released and self._arena is not None:
            self._arena.give_back(request.released)
        late = self._expires and request.expires_ns and time.monotonic_ns() > request.expires_ns
        known = self.sessions.begin(request.session, request.number, late=bool(late))
        if known is None:
            return request
        if isinstance(known, list):
            self.counts["repeated"] += 1
            return known
        self.counts["expired" if known is Refusal.EXPIRED else "repeated"] += 1
        what = f"{request.device or 'server'}.{request.name or request.verb} {known.value}"
        if known is Refusal.REPEATED:
            # Not an error of the contract: whoever still waits for the first answer goes on waiting.
            return Encoder().encode(Reply(request.number, None, Failure(REPEATED, what, "")))
        return self._failure(request.number, BusError(what))

    def unreadable(self, frames: Sequence[Buffer], error: BaseException) -> list[Buffer]:
        """Frames that say why a message was not taken in."""
        self.counts["oversized" if str(error).startswith("oversized") else "malformed"] += 1
        failure = failure_of(error, "")  # where in the server it was found says nothing to who sent it
        return Encoder().encode(Reply(number_in(frames), None, failure))

    def answer(self, request: Request, value: Any) -> list[Buffer]:
        """Frames of the value a request returned."""
        if self._decoder.places and not all(map(self._reader_intact, self._decoder.places)):
            return self.failure(
                request,
                BusError(
                    f"{request.device}.{request.name}: an array was changed by its sender while it was in use; the "
                    "call was executed with what it held at some moment"
                ),
            )
        encoder = self._encoder if request.flags & SHARED_MEMORY else self._plain
        try:
            frames = encoder.encode(Reply(request.number, value), request.session)
        except BusError as error:
            return self.failure(request, error)
        self._lent = encoder.lent
        self.counts["handled"] += 1
        if self._lent:
            self.sessions.done(request.session, request.number)  # it names memory that will be given back
        else:
            self.sessions.done(request.session, request.number, frames)
        return frames

    def failure(self, request: Request, error: BaseException) -> list[Buffer]:
        """Frames of the error a request raised."""
        self.counts["refused" if isinstance(error, LeaseError) else "failed"] += 1
        frames = self._failure(request.number, error)
        self.sessions.done(request.session, request.number, frames)
        return frames

    def _reader_intact(self, place: Place) -> bool:
        return self._reader is not None and self._reader.intact(place)

    def undelivered(self) -> None:
        """The answer made last could not be sent: its memory is free again."""
        if self._arena is not None and self._lent:
            self._arena.give_back(self._lent)
        self._lent = []

    def _welcome(self, hello: Hello) -> list[Buffer]:
        fits = hello.lowest <= VERSION <= hello.highest
        about: dict[str, Any] = {
            "server": self.name,
            "instance": self.sessions.instance,
            "machine": machine(),
            "monotonic_ns": time.monotonic_ns(),
            "probe": self._probe.told if self._probe is not None else None,
        }
        if not fits:
            about = {"lowest": VERSION, "highest": VERSION}
        return Encoder().encode(Welcome("labctl", VERSION if fits else 0, about))

    def _failure(self, number: int, error: BaseException) -> list[Buffer]:
        trace = "".join(traceback.format_exception(error))
        return Encoder().encode(Reply(number, None, failure_of(error, trace[-20_000:])))

    def close(self) -> None:
        """Take the probe's name away."""
        if self._probe is not None:
            self._probe.segment.close()


class _Probe:
    """A few random bytes in shared memory: who can read them can share arrays with this process."""

    def __init__(self) -> None:
        self.segment = Segment(4096)
        nonce = secrets.token_bytes(16)
        self.segment.memory[:16] = nonce
        self.told = [self.segment.name, nonce.hex()]


def reclaim(arena: Arena) -> None:
    """Take back what was lent to clients whose processes are dead."""
    for session in arena.borrowers():
        pid, start, space, *_ = [*session.split("."), "", ""]
        here = space == str(pid_namespace())  # another container's processes cannot be seen from this one
        if here and pid.isdigit() and not process_alive(int(pid), start):
            arena.forget(session)
