"""Arguments and answers as they are kept: the bus's own encoding, with what is secret left out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from labctl.bus.messages import Failure, Reply, Request, decode_reply, encode

_SECRET_ARGUMENTS = frozenset(
    ("renew", "renew-where", "cancel", "freeze", "thaw", "bye", "record", "tripped", "noted", "look")
)
"""Arguments that name leases or sessions, which nobody may guess, or that are a whole frozen table."""
_LEFT_OUT_ANSWERS = frozenset(("ping", "renew-where", "freeze", "thaw", "record"))
_PERSONAL = frozenset(("token", "holder", "run"))


def kept_arguments(request: Request) -> Any:
    """A request's arguments without leases' tokens, names of sessions, and what differs from one run to the next."""
    if request.verb in _SECRET_ARGUMENTS and not request.device:
        return None
    if request.verb == "acquire" and isinstance(request.arguments, Mapping):
        return {key: value for key, value in request.arguments.items() if key not in _PERSONAL}
    return request.arguments


def kept_answer(request: Request, value: Any) -> Any:
    """What is kept of a value."""
    return None if request.verb in _LEFT_OUT_ANSWERS and not request.device else value


def packed(value: Any, failure: Failure | None = None) -> tuple[bytes, list[bytes]]:
    """Header, and the bytes of every array, copied. Raises BusError for what cannot cross the bus."""
    header, *arrays = encode(Reply(0, value, failure))
    return bytes(header), [bytes(array) for array in arrays]


def unpacked(header: bytes, arrays: Sequence[bytes]) -> Reply:
    """The inverse; arrays are read-only views."""
    return decode_reply([header, *arrays])


def digest(data: bytes) -> bytes:
    """By which an array's bytes are found again: 16 bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()
