"""The wire format, without sockets: a typed msgpack header, then raw array frames (docs/wire-protocol.md).

Frame 0 is a `Request`, a `Reply` or, once per connection, a `Hello` or `Welcome`. Arrays inside its values are replaced
by where they are: in a frame that follows, or in shared memory of the host, so they are neither copied nor encoded.
Nothing executable is ever decoded.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from drivers.errors import BusError
from labctl.bus.ring import SMALLEST_SHARED_BYTES, Arena, OverwrittenError, Place, Reader

VERSION = 2
"""The version this module writes and reads."""

_ARRAY, _SHARED = 1, 2
_DTYPES = frozenset("biuf")
_DTYPE_TEXT = re.compile(r"[<>|](b1|[iu][1248]|f2|f4|f8|f16)")
LARGEST_ARRAY_BYTES = 1 << 30
LARGEST_HEADER_BYTES = 1 << 22
MOST_FRAMES = 64

REPEATED = "Repeated"
"""Type of the failure that tells of a request that came twice and whose answer is not kept."""

UNREADABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError, IndexError)
"""What decoding of arbitrary bytes may raise."""

DELEGATED, SHARED_MEMORY, ROLE_SHIFT = 1, 2, 4
"""Flags of a request: it does not renew its lease, as it is made for another client or not by the control loop; its
sender can map this host's memory; bits 4 and up, the highest role it may be executed in, 0 for that of its sender."""


class Request(msgspec.Struct, array_like=True, frozen=True):
    """One thing asked of a server. ``expires_ns`` is on the server's monotonic clock; later it is not executed.

    session and number: who asks, and which of its requests this is; no number is executed twice. released: shared
    memory that the sender has done with. sent_ns: when it was sent, on the server's clock, for a lease is renewed from
    then on, however long the request waits; 0 for when it is received.
    """

    version: int
    session: str
    number: int
    device: str
    verb: str
    name: str
    arguments: Any
    lease: str
    expires_ns: int
    flags: int = 0
    released: list[int] = []
    sent_ns: int = 0

    def __repr__(self) -> str:
        """Without lease and session, which nobody may learn from a log, and without data."""
        return f"<request {self.number}: {self.verb} {self.device or 'server'}.{self.name}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("number", self.number), ("verb", self.verb), ("device", self.device), ("name", self.name)]


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """An error on its way back: its type's name, message and the server's traceback."""

    error_type: str
    message: str
    traceback: str


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """The answer to request ``number``: a value, or a failure."""

    number: int
    value: Any = None
    failure: Failure | None = None


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """First message of a connection, in a form that no version changes: which versions the client speaks."""

    magic: Literal["labctl"]
    lowest: int
    highest: int
    about: dict[str, Any]


class Welcome(msgspec.Struct, array_like=True, frozen=True):
    """Answer to `Hello`, in a form that no version changes: the version to speak, 0 if there is none in common."""

    magic: Literal["labctl"]
    version: int
    about: dict[str, Any]


class _ArrayPlace(msgspec.Struct, array_like=True, frozen=True):
    frame: int
    dtype: str
    shape: list[int]


class _SharedPlace(msgspec.Struct, array_like=True, frozen=True):
    segment: str
    offset: int
    slot: int
    sequence: int
    lent: int
    dtype: str
    shape: list[int]


Buffer = bytes | memoryview
Message = Request | Reply | Hello | Welcome


class Encoder:
    """Turns messages into frames. One per thread: it remembers the message in hand.

    arena: this process's shared memory, or None where the peer cannot map it. Arrays that lie in it are sent as their
    place, other large ones are copied into it once.
    """

    def __init__(self, arena: Arena | None = None) -> None:
        self._arena = arena
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._hook)
        self._frames: list[Buffer] = []
        self._borrower: str | None = None
        self._shared = False
        self.lent: list[int] = []
        """Slots lent with the message encoded last."""

    def encode(self, message: Message, borrower: str | None = None) -> list[Buffer]:
        """Frames of a message; array frames are views of the arrays, not copies.

        borrower: who is to give back shared memory; None keeps every array out of it. BusError for what cannot cross.
        """
        self._frames = [b""]
        self._borrower = borrower
        self.lent = []
        try:
            self._frames[0] = self._encoder.encode(message)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            self.take_back()
            raise BusError(f"cannot encode {message!r:.200}: {error}") from None
        except BusError:
            self.take_back()
            raise
        return self._frames

    def encode_for_all(self, message: Message) -> list[Buffer]:
        """Frames of a message whose shared memory nobody gives back: readers copy at once and check."""
        self._shared = True
        try:
            return self.encode(message)
        finally:
            self._shared = False

    def take_back(self) -> None:
        """The message encoded last was not sent."""
        if self._arena is not None and self.lent:
            self._arena.give_back(self.lent)
        self.lent = []

    def _hook(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, np.integer):
            return int(value)
        if isinstance(value, np.floating):
            return float(value)
        raise BusError(
            f"a {type(value).__name__} cannot cross the bus; use numbers, text, lists, arrays or contract values"
        )

    def _array(self, value: NDArray[Any]) -> msgspec.msgpack.Ext:
        if value.nbytes > LARGEST_ARRAY_BYTES or len(self._frames) >= MOST_FRAMES:
            raise BusError(
                f"an array of {value.nbytes} bytes, the {len(self._frames)}th of its message, cannot cross the bus; at "
                f"most {LARGEST_ARRAY_BYTES} bytes and {MOST_FRAMES - 1} arrays can. Send it in parts"
            )
        if value.dtype.kind not in _DTYPES:
            raise BusError(f"an array of dtype {value.dtype} cannot cross the bus; use numbers or booleans")
        flat = value if value.flags.c_contiguous else np.ascontiguousarray(value)
        dtype, shape = value.dtype.str, list(value.shape)
        if self._arena is not None and value.nbytes >= SMALLEST_SHARED_BYTES:
            place = self._in_shared_memory(flat)
            if place is not None:
                if place.lent:
                    self.lent.append(place.lent)
                shared = _SharedPlace(place.segment, place.offset, place.slot, place.sequence, place.lent, dtype, shape)
                return msgspec.msgpack.Ext(_SHARED, msgspec.msgpack.encode(shared))
        self._frames.append(flat.data.cast("B") if flat.size else b"")
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(_ArrayPlace(len(self._frames) - 1, dtype, shape)))

    def _in_shared_memory(self, flat: NDArray[Any]) -> Place | None:
        assert self._arena is not None
        if self._shared:
            return self._arena.show(flat)
        if self._borrower is None:
            return None
        place = self._arena.lend(flat, self._borrower)
        if place is None:
            anchor = self._arena.take(flat.nbytes)
            if anchor is not None:
                anchor.view(flat.dtype).reshape(flat.shape)[...] = flat
                place = self._arena.lend(anchor, self._borrower)
        return place


class Decoder:
    """Turns frames into messages. One per thread: it remembers the frames in hand.

    reader: maps the peer's shared memory; None where none may be named, as from another host. copies: arrays in shared
    memory are copied and checked at once, as nobody waits for their readers.
    """

    def __init__(self, reader: Reader | None = None, *, copies: bool = False) -> None:
        self._reader = reader
        self._copies = copies
        self._frames: Sequence[Buffer] = ()
        self.places: list[Place] = []
        """Where the shared arrays of the message decoded last lie."""
        self._request = msgspec.msgpack.Decoder(Request, ext_hook=self._hook)
        self._reply = msgspec.msgpack.Decoder(Reply, ext_hook=self._hook)

    def request(self, frames: Sequence[Buffer]) -> Request:
        """Raises BusError on anything that is not a request of this version."""
        request: Request = self._decode(frames, self._request)
        if request.version != VERSION:
            raise BusError(f"the client speaks version {request.version} of the wire format, this server {VERSION}")
        return request

    def reply(self, frames: Sequence[Buffer]) -> Reply:
        """Raises BusError on anything that is not a reply."""
        reply: Reply = self._decode(frames, self._reply)
        return reply

    def _decode(self, frames: Sequence[Buffer], decoder: msgspec.msgpack.Decoder[Any]) -> Any:
        if not 1 <= len(frames) <= MOST_FRAMES:
            raise BusError(f"malformed message: {len(frames)} frames; 1 to {MOST_FRAMES} are allowed")
        if len(frames[0]) > LARGEST_HEADER_BYTES:
            raise BusError(
                f"oversized message: a header of {len(frames[0])} bytes; {LARGEST_HEADER_BYTES} are allowed, send "
                "large data as arrays"
            )
        self._frames = frames
        if self.places:
            self.places = []
        try:
            return decoder.decode(frames[0])
        except OverwrittenError as error:
            raise BusError(f"{error}: the answer was lost, ask again") from None
        except UNREADABLE as error:
            raise BusError(f"malformed message: {error}") from None
        finally:
            self._frames = ()

    def _hook(self, code: int, data: memoryview) -> Any:
        if code == _ARRAY:
            return self._inline(msgspec.msgpack.decode(data, type=_ArrayPlace))
        if code == _SHARED:
            return self._shared(msgspec.msgpack.decode(data, type=_SharedPlace))
        raise BusError(f"malformed message: unknown extension {code}")

    def _inline(self, place: _ArrayPlace) -> NDArray[Any]:
        if not 1 <= place.frame < len(self._frames):
            raise BusError("malformed message: an array without its frame")
        dtype, size = _checked(place.dtype, place.shape)
        buffer = self._frames[place.frame]
        if size != len(buffer):
            raise BusError("malformed message: an array does not match its frame")
        array = np.frombuffer(buffer, dtype).reshape(place.shape)
        array.flags.writeable = False  # within one process the sender may hold the same memory
        return array

    def _shared(self, place: _SharedPlace) -> NDArray[Any]:
        if self._reader is None:
            raise BusError("malformed message: shared memory named where none can be")
        dtype, size = _checked(place.dtype, place.shape)
        where = Place(place.segment, place.offset, place.slot, place.sequence, place.lent)
        if self._copies:
            return self._reader.copy(where, dtype, place.shape, size)
        self.places.append(where)
        return self._reader.array(where, dtype, place.shape, size)


def _checked(dtype_text: str, shape: list[int]) -> tuple[np.dtype[Any], int]:
    """dtype and size in bytes of an array that a message describes."""
    if len(dtype_text) > 4 or not _DTYPE_TEXT.fullmatch(dtype_text):  # numpy would evaluate stranger texts
        raise BusError(f"malformed message: an array of dtype {dtype_text!r:.20}")
    dtype = np.dtype(dtype_text)
    if len(shape) > 32 or min(shape, default=0) < 0:
        raise BusError(f"malformed message: an array of shape {shape!r:.80}")
    size = math.prod(shape) * dtype.itemsize
    if size > LARGEST_ARRAY_BYTES:
        raise BusError(f"oversized message: an array of {size} bytes; {LARGEST_ARRAY_BYTES} are allowed")
    return dtype, size


_hello_decoder = msgspec.msgpack.Decoder(Hello)
_welcome_decoder = msgspec.msgpack.Decoder(Welcome)


def decode_hello(frames: Sequence[Buffer]) -> Hello | None:
    """The first message of a connection; None if it is something else."""
    try:
        return _hello_decoder.decode(frames[0]) if len(frames) == 1 and len(frames[0]) < 4096 else None
    except UNREADABLE:
        return None


def decode_welcome(frames: Sequence[Buffer]) -> Welcome:
    """Raises BusError on anything that is no answer to `Hello`."""
    try:
        return _welcome_decoder.decode(frames[0])
    except UNREADABLE as error:
        raise BusError(f"the other end does not speak labctl's protocol: {error}") from None


def is_welcome(frames: Sequence[Buffer]) -> bool:
    """Whether this is an answer to `Hello`."""
    with contextlib.suppress(BusError):
        decode_welcome(frames)
        return True
    return False


def number_in(frames: Sequence[Buffer]) -> int:
    """Number of a request that cannot be read as a whole, so that its sender can be told; -1 if not even that."""
    try:
        parts = msgspec.msgpack.decode(frames[0], type=list, ext_hook=lambda code, data: None)
    except UNREADABLE:
        return -1
    fits = len(parts) > 2 and isinstance(parts[2], int) and 0 < parts[2] < 1 << 63
    return parts[2] if fits else -1


# --- plain forms, for one message at a time -----------------------------------------------------------------------


def encode(message: Message) -> list[Buffer]:
    """Frames of one message, every array in a frame of its own."""
    return Encoder().encode(message)


def decode_request(frames: Sequence[Buffer]) -> Request:
    """Raises BusError on anything that is not a request of this version."""
    return Decoder().request(frames)


def decode_reply(frames: Sequence[Buffer]) -> Reply:
    """Raises BusError on anything that is not a reply."""
    return Decoder().reply(frames)
