"""Streams as a subscriber sees them: values as they are measured, and how many were lost before each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import zmq

from drivers.contract import ROI
from drivers.errors import BusError, LimitError
from labctl.bus.messages import Buffer, Decoder
from labctl.bus.ring import Reader
from labctl.bus.security import KeyPair
from labctl.bus.transport import Address, connect
from labctl.bus.values import revive

LONGEST_TOPIC = 1024
_WAITING_MESSAGES = 8


class Reduction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a subscriber wants of every image. windows: (row, column, rows, columns); bin: pixels along each side."""

    kind: Literal["whole", "nothing", "windows", "bin"] = "whole"
    windows: tuple[tuple[int, int, int, int], ...] = ()
    bin: int = 1


def make_topic(device: str, reduction: Reduction) -> bytes:
    """A topic: the device's name, a zero byte, the reduction in JSON. LimitError if there are too many windows."""
    topic = device.encode() + b"\0" + msgspec.json.encode(reduction)
    if len(topic) > LONGEST_TOPIC - 1:
        raise LimitError(f"stream of {device}: {len(reduction.windows)} windows are more than one stream takes")
    return topic


def parse_topic(topic: bytes) -> tuple[str, Reduction]:
    """Device and reduction. Raises ValueError or msgspec.MsgspecError for what is no topic."""
    device, _, text = topic.partition(b"\0")
    reduction = msgspec.json.decode(text, type=Reduction)
    if not 1 <= reduction.bin <= 1024 or any(v < 0 for w in reduction.windows for v in w):
        raise ValueError("a reduction out of range")
    if reduction.kind == "windows" and not reduction.windows:
        raise ValueError("no windows")
    return device.decode(), reduction


def reduction_of(windows: Sequence[ROI] | None, bin: int, images: bool) -> Reduction:
    """From what a caller says."""
    if windows:
        return Reduction("windows", tuple((w.row, w.column, w.rows, w.columns) for w in windows))
    if bin > 1:
        return Reduction("bin", bin=bin)
    return Reduction("whole" if images else "nothing")


@dataclass(frozen=True)
class Item:
    """One measured value. number counts what the device measured since somebody listened; lost: how many of them, just
    before this one, did not arrive here."""

    value: Any
    number: int
    lost: int


class Numbering:
    """Finds what was lost from the numbers of what came."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._spoilt = 0

    def lost_before(self, number: int) -> int:
        """How many were lost between the last one and this."""
        # A number that falls back is a server that was started again: what it lost nobody knows.
        lost = max(number - self._last - 1, 0) if self._last is not None and number > self._last else 0
        lost, self._spoilt = lost + self._spoilt, 0
        self._last = number
        return lost

    def spoilt(self, number: int) -> None:
        """A value came, but its image was overwritten before it could be copied."""
        lost = self.lost_before(number)
        self._spoilt = lost + 1


def open_item(frames: Sequence[Buffer], decoder: Decoder, numbering: Numbering) -> Item | None:
    """The item in the frames after the topic; None if its image was lost on the way."""
    try:
        reply = decoder.reply(frames)
    except BusError as error:
        if "written again" not in str(error):
            raise
        numbering.spoilt(_number_in(frames))
        return None
    return Item(revive(reply.value), reply.number, numbering.lost_before(reply.number))


def _number_in(frames: Sequence[Buffer]) -> int:
    raw = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw, msgspec.Raw])
    with contextlib.suppress(msgspec.MsgspecError):
        return raw.decode(frames[0])[0]
    return 0


class Stream:
    """What a device measures, from now on. Iterate over it; `close` it, or use it as a context manager.

    Images on the same host are copied once out of shared memory and checked; if they come faster than they are taken,
    some are lost, never torn, and the next `Item` says how many.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        address: Address,
        device: str,
        reduction: Reduction,
        keys: KeyPair | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self._what = f"stream of {device}"
        self._timeout_s = timeout_s
        topic = make_topic(device, reduction)  # first: a socket left open would keep the context from ending
        self._socket = connect(context, address, zmq.SUB, keys, waiting_messages=_WAITING_MESSAGES)
        self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        self._socket.rcvtimeo = 200
        self._decoder = Decoder(Reader() if address.endpoint.startswith("ipc:") else None, copies=True)
        self._numbering = Numbering()
        self.lost = 0
        """Everything lost so far."""

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self.next()
            yield item

    def next(self) -> Item:
        """The next item. BusError when none came within the timeout, or the stream was closed."""
        while True:
            item = open_item(self._receive()[1:], self._decoder, self._numbering)
            if item is not None:
                self.lost += item.lost
                return item

    def latest(self) -> Item:
        """The newest item, for who cannot look at all of them; those passed over count among its ``lost``.

        Errors as `next`.
        """
        while True:
            frames = self._receive()
            with contextlib.suppress(zmq.Again):
                while True:
                    frames = self._socket.recv_multipart(zmq.NOBLOCK)
            item = open_item(frames[1:], self._decoder, self._numbering)
            if item is not None:
                self.lost += item.lost
                return item

    def _receive(self) -> list[bytes]:
        """Frames of the next message, with its topic."""
        deadline = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            if self._socket.closed:
                raise BusError(f"{self._what}: closed")
            try:
                message: list[bytes] = self._socket.recv_multipart()
            except zmq.Again:
                if deadline is not None and time.monotonic() > deadline:
                    raise BusError(f"{self._what}: nothing was measured within {self._timeout_s:g} s") from None
            else:
                return message

    def close(self) -> None:
        """Unsubscribe."""
        self._socket.close(linger=0)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
