"""The bus's rules without sockets: who speaks which version, which request is executed, and that none is twice.

`ClientSide` and `ServerSide` are fed frames and say which frames to send. Threads, asyncio and tests wrap them alike.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import msgspec

from drivers.errors import BusError, LeaseError
from labctl.bus.messages import (
    DELEGATED,
    ROLE_SHIFT,
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
    decode_welcome,
    error_of,
    failure_of,
    is_welcome,
    number_in,
    revive,
)
from labctl.bus.ring import Arena, Place, Reader
from labctl.bus.segments import Attachments, Segment, pid_namespace, process_alive, process_start

START_WITHIN_S = 10.0
"""A request that has not begun by then is not executed any more."""

Whereabouts = Literal["unknown", "running", "done"]

_MOST_SESSIONS = 4096
_REPLIES_KEPT = 16
_REPLY_KEPT_BYTES = 4096
_MOST_CANCELLED = 4096
_MOST_GAPS = 1024


def machine() -> str:
    """This machine since it was started: clocks agree, and memory can be shared, within one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import platform

        return platform.node()


class ClientSide:
    """One connection's rules, as the client sees them. Not for several threads at once.

    arena: shared memory for what is sent; None keeps every array inside the messages. far: messages cross a network,
    which takes its time.
    """

    def __init__(self, arena: Arena | None = None, *, far: bool = False) -> None:
        pid = os.getpid()
        self.session = f"{pid}.{process_start(pid)}.{pid_namespace()}.{secrets.token_hex(8)}"
        self.lease = ""
        self.delegated = False
        """Whether requests are made for another client, whose lease they do not renew."""
        self.renewing_thread = 0
        """The one whose requests renew the lease, 0 for any: a helper thread must not do so for a loop that hangs."""
        self.role_cap = 0
        self.start_within_s = START_WITHIN_S
        self.about: dict[str, Any] = {}
        self.reader = Reader(self._give_back)
        self.waiting: dict[int, list[Buffer]] = {}
        """Requests whose answers are waited for, in the order in which they were sent."""
        self._closed = False
        self._pid = pid
        self._far = far
        self._arena = arena
        self._shares = self._mappable = False
        self._number = 0
        self._clock_offset_ns = 0
        self._released: list[int] = []
        self._told_released: list[int] = []
        self._lent: dict[int, list[int]] = {}
        self._encoder = Encoder()
        self._decoder = Decoder()

    @property
    def shares_memory(self) -> bool:
        """Whether arrays go by shared memory, as found at the greeting."""
        return self._shares

    # --- opening ----------------------------------------------------------------------------------------------------

    def hello(self) -> list[Buffer]:
        """The first message of the connection."""
        self._hello_ns = time.monotonic_ns()
        return list(Encoder().encode(Hello("labctl", VERSION, VERSION, {"client": self.session})))

    def welcome(self, frames: Sequence[Buffer]) -> None:
        """What the server answered. BusError if there is no version in common."""
        answer = decode_welcome(frames)
        if answer.version != VERSION:
            raise BusError(
                f"this labctl speaks version {VERSION} of the wire format, the server "
                f"{answer.about.get('lowest')} to {answer.about.get('highest')}; update the older of the two"
            )
        middle_ns = (self._hello_ns + time.monotonic_ns()) // 2
        same = answer.about.get("machine") == machine()
        self._clock_offset_ns = 0 if same else int(answer.about.get("monotonic_ns", middle_ns)) - middle_ns
        self._mappable = same and self._can_map(answer.about.get("probe"))
        self._greeted(answer.about)

    def adopt(self, other: ClientSide) -> None:
        """Take over what another connection to the same server was told, instead of greeting it again."""
        self._clock_offset_ns = other._clock_offset_ns
        self._mappable = other._mappable
        self._greeted(other.about)

    def _greeted(self, about: dict[str, Any]) -> None:
        if self.about and about.get("instance") != self.about.get("instance"):
            # A server that was started again answers none of what its predecessor was asked, and lent nothing.
            self._settle_all()
            self._released = []
        self.about = about
        self._shares = self._arena is not None and self._mappable
        self._encoder = Encoder(self._arena if self._shares else None)
        self._decoder = Decoder(self.reader if self._shares else None)

    def _can_map(self, probe: Any) -> bool:
        if not (isinstance(probe, list) and len(probe) == 2):
            return False
        try:
            return bool(Attachments().memory(str(probe[0]))[:16].hex() == probe[1])
        except (BusError, OSError, ValueError):
            return False  # another user, or another container: arrays go inside the messages

    # --- requests ---------------------------------------------------------------------------------------------------

    def request(
        self, device: str, verb: str, name: str = "", arguments: Any = None, timeout_s: float | None = None
    ) -> tuple[int, list[Buffer]]:
        """Number and frames of a request that must begin within ``timeout_s`` (``start_within_s`` unless given)."""
        if os.getpid() != self._pid:
            raise BusError(
                f"{device or 'server'}.{name or verb}: this bench was opened in another process, from which this one "
                "was forked; open it here"
            )
        self._number += 1
        sent_ns = time.monotonic_ns() + self._clock_offset_ns
        expires_ns = sent_ns + int((timeout_s or self.start_within_s) * 1e9)
        delegated = self.delegated or (self.renewing_thread and threading.get_ident() != self.renewing_thread)
        flags = (DELEGATED if delegated else 0) | (SHARED_MEMORY if self._shares else 0) | self.role_cap << ROLE_SHIFT
        self._told_released = released = self._released
        self._released = []
        if _late and self.about:
            released += _late.pop(self.about["instance"], [])
        request = Request(
            VERSION, self.session, self._number, device, verb, name, arguments, self.lease, expires_ns, flags, released,
            sent_ns,
        )  # fmt: skip
        try:
            frames = self._encoder.encode(request, self.session)
            if self._far and len(frames) > 1:  # what takes long to arrive is not late
                allowed_ns = expires_ns + int(sum(map(len, frames)) / _SLOWEST_LINK_BYTES_PER_S * 1e9)
                frames = self._encoder.encode(msgspec.structs.replace(request, expires_ns=allowed_ns), self.session)
        except BusError:
            self._released += released
            raise
        if self._encoder.lent:
            self._lent[self._number] = self._encoder.lent
        self.waiting[self._number] = frames
        return self._number, frames

    def not_sent(self, number: int) -> None:
        """Request ``number``, the last one made, never left."""
        self.waiting.pop(number, None)
        self.settled(number)
        self._released += self._told_released
        self._told_released = []

    def take(self, frames: Sequence[Buffer]) -> tuple[int, Reply | BusError] | None:
        """Which request is answered by these frames, and how; None if nobody waits for what they say."""
        try:
            reply = self._decoder.reply(frames)
        except BusError as error:
            if is_welcome(frames):
                return None  # to a greeting that was given up before
            # An answer that cannot be read is the one to the oldest request: answers come in order.
            number = next(iter(self.waiting), 0)
            answer: Reply | BusError = error
        else:
            number, answer = reply.number, reply
            if reply.failure is not None and reply.failure.error_type == REPEATED:
                return None  # the answer itself is still on its way
            if number < 0 and reply.failure is not None:  # the server could not even read the request's number
                number = next(iter(self.waiting), 0)
        self.settled(number)
        return (number, answer) if self.waiting.pop(number, None) is not None else None

    def settled(self, number: int) -> None:
        """Request ``number`` needs its shared memory no more: it was answered or never sent."""
        lent = self._lent.pop(number, None)
        if lent and self._arena is not None:
            self._arena.give_back(lent)

    def close(self) -> None:
        """Nothing will be answered any more. Arrays that are still in use are given back by a later connection."""
        self._settle_all()
        self._closed = True

    def _settle_all(self) -> None:
        for number in list(self._lent):
            self.settled(number)

    def _give_back(self, lent: int) -> None:
        if self._closed and self.about:
            _late.setdefault(self.about["instance"], []).append(lent)
        else:
            self._released.append(lent)


_late: dict[str, list[int]] = {}
"""Shared memory given up after its connection was closed, by the instance of the server that lent it."""

_SLOWEST_LINK_BYTES_PER_S = 1e6


def result_of(reply: Reply) -> Any:
    """The value of a reply, or the remote error raised here."""
    if reply.failure is not None:
        raise error_of(reply.failure)
    return revive(reply.value)


REPEATED = "Repeated"
"""Type of the failure that tells of a request that came twice and whose answer is not kept."""


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
            self.floor = number
            while self.above and self.floor + 1 in self.above:
                self.floor += 1
                self.above.discard(self.floor)
        else:
            self.above.add(number)
            if len(self.above) > _MOST_GAPS:  # what is still missing so far below will not come any more
                self.floor = min(self.above)
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


__all__ = [
    "START_WITHIN_S",
    "ClientSide",
    "Failure",
    "ServerSide",
    "Sessions",
    "Whereabouts",
    "machine",
    "reclaim",
    "result_of",
]
