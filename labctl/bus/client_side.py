"""A client's rules without sockets: greeting, numbers, expiry, which answer belongs to what, memory lent and borrowed.

Fed with frames, it says which frames to send; threads, asyncio and tests wrap it alike.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from drivers.errors import BusError
from labctl.bus.failures import error_of
from labctl.bus.messages import (
    DELEGATED,
    REPEATED,
    ROLE_SHIFT,
    SHARED_MEMORY,
    VERSION,
    Buffer,
    Decoder,
    Encoder,
    Hello,
    Reply,
    Request,
    decode_welcome,
    is_welcome,
)
from labctl.bus.ring import Arena, Reader
from labctl.bus.segments import Attachments, machine, pid_namespace, process_start
from labctl.bus.values import revive

START_WITHIN_S = 10.0
"""A request that has not begun by then is not executed any more."""

SLOWEST_LINK_BYTES_PER_S = 1e6
"""What crosses a network slower than this may be taken for lost."""

_highest_role = 0

_late: dict[str, list[int]] = {}
"""Shared memory given up after its connection was closed, by the instance of the server that lent it."""


def cap_roles(role: int) -> None:
    """From now on nothing that this process asks for is executed in more than this role (number of a
    `labctl.bus.roles.Role`): it works for somebody who may do no more. Only ever lowered."""
    global _highest_role
    _highest_role = _lower(_highest_role, role)


def _lower(one: int, other: int) -> int:
    """The lower of two caps, of which 0 is none."""
    return min(one, other) if one and other else one or other


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
        cap = _lower(self.role_cap, _highest_role)
        flags = (DELEGATED if delegated else 0) | (SHARED_MEMORY if self._shares else 0) | cap << ROLE_SHIFT
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
                allowed_ns = expires_ns + int(sum(map(len, frames)) / SLOWEST_LINK_BYTES_PER_S * 1e9)
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


def result_of(reply: Reply) -> Any:
    """The value of a reply, or the remote error raised here."""
    if reply.failure is not None:
        raise error_of(reply.failure)
    return revive(reply.value)
