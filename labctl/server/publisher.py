"""Streams: what devices measure, for whoever listens, whole or reduced here, with numbers that tell what was lost.

A topic names a device and a reduction, so each reduction is worked out once and only while somebody subscribes to it.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from drivers.contract import Frame, FrameStack, Reading, SequenceResult
from labctl.bus.messages import UNREADABLE, Encoder, Reply
from labctl.bus.ring import Arena
from labctl.bus.security import KeyPair
from labctl.bus.stream import LONGEST_TOPIC, Reduction, parse_topic
from labctl.bus.transport import listen

log = logging.getLogger(__name__)

_PUBLISHED = (Frame, FrameStack, Reading, SequenceResult)
_WAITING_MESSAGES = 8
"""Frames that wait for a slow subscriber; more are dropped, and its stream says so."""
_MOST_TOPICS = 256


class Publisher:
    """The stream lane of a device server. `publish` is called by one thread at a time, as devices are."""

    def __init__(self, context: zmq.Context[Any], name: str, place: Any, arena: Arena) -> None:
        self._context = context
        self._name = name
        self._place = place
        self._arena = arena
        self._sockets: list[tuple[Any, Encoder]] = []
        self._topics: list[dict[bytes, tuple[str, Reduction]]] = []
        self._numbers: dict[tuple[int, bytes], int] = {}
        self.refused = 0

    def start(self) -> None:
        """Bind. Raises BusError if an endpoint cannot be bound."""
        place = self._place
        local = self._listen(place.local["stream"], None)
        sockets = [(local, Encoder(self._arena if place.local["stream"].startswith("ipc:") else None))]
        self._sockets = sockets
        if "stream" in place.remote:
            sockets.append((self._listen(place.remote["stream"], place.keys), Encoder()))
        self._topics = [{} for _ in sockets]

    def _listen(self, endpoint: str, keys: KeyPair | None) -> Any:
        socket, _ = listen(
            self._context,
            endpoint,
            zmq.XPUB,
            keys,
            largest_bytes=2 * LONGEST_TOPIC,  # subscriptions are short
            waiting_messages=_WAITING_MESSAGES,
        )
        return socket

    def stop(self) -> None:
        """Stop publishing."""
        for socket, _ in self._sockets:
            socket.close(linger=0)
        self._sockets = []

    def publish(self, device: str, value: Any) -> None:
        """Tell subscribers of a device what it measured. Never fails and never waits."""
        if not isinstance(value, _PUBLISHED) or not self._sockets:
            return
        for lane, ((socket, encoder), topics) in enumerate(zip(self._sockets, self._topics, strict=True)):
            self._read_subscriptions(socket, topics)
            for topic, (of_device, reduction) in topics.items():
                if of_device != device:
                    continue
                number = self._numbers[lane, topic] = self._numbers.get((lane, topic), 0) + 1
                try:
                    frames = encoder.encode_for_all(Reply(number, reduced(value, reduction)))
                    # Small enough to copy, or in shared memory: zmq may hold inline arrays until they are sent.
                    socket.send_multipart([topic, *frames], zmq.NOBLOCK)
                except Exception:  # a subscriber's wish must not end the measurement
                    log.exception("%s: could not publish %s", self._name, topic.decode())

    def _read_subscriptions(self, socket: Any, topics: dict[bytes, tuple[str, Reduction]]) -> None:
        with contextlib.suppress(zmq.Again):
            while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                message = socket.recv(zmq.NOBLOCK)
                if len(message) < 2 or len(message) > LONGEST_TOPIC or message[0] not in (0, 1):
                    self.refused += 1
                    continue
                topic = message[1:]
                if message[0] == 0:
                    topics.pop(topic, None)
                    continue
                try:
                    if len(topics) >= _MOST_TOPICS:
                        raise ValueError(f"{len(topics)} different streams are subscribed to already")
                    topics[topic] = parse_topic(topic)
                except UNREADABLE as error:
                    self.refused += 1
                    log.warning("%s: a subscription was refused: %s", self._name, error)


def reduced(value: Any, reduction: Reduction) -> Any:
    """A measured value as a subscriber wants it: whole, without its images, or with them summed or binned."""
    if reduction.kind == "whole":
        return value
    if isinstance(value, SequenceResult):  # its signal is reduced already
        images = value.frames
        binned = _binned(images, reduction.bin) if images is not None and reduction.kind == "bin" else None
        return msgspec.structs.replace(value, frames=binned)
    data = getattr(value, "data", None)
    if data is None:
        return value
    if reduction.kind == "nothing":
        return msgspec.structs.replace(value, data=np.empty((0,) * data.ndim, data.dtype))
    if reduction.kind == "bin":
        return msgspec.structs.replace(value, data=_binned(data, reduction.bin))
    sums = [
        data[..., r : r + rows, c : c + columns].sum(axis=(-2, -1), dtype=np.float64)
        for r, c, rows, columns in reduction.windows
    ]
    return msgspec.structs.replace(value, data=np.stack([np.atleast_1d(s) for s in sums], axis=-1))


def _binned(data: NDArray[Any], n: int) -> NDArray[np.float32]:
    """Mean of n x n pixels; a remainder at the edge is left out."""
    rows, columns = (data.shape[-2] // n) * n, (data.shape[-1] // n) * n
    cut = data[..., :rows, :columns]
    tiles = cut.reshape(*data.shape[:-2], rows // n, n, columns // n, n)
    binned: NDArray[np.float32] = tiles.mean(axis=(-3, -1), dtype=np.float32)
    return binned
