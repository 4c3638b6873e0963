"""One server's part of a record: requests and answers are copied as they come, packed and written by another thread.

Nothing that goes wrong here reaches a call: then the recording ends, with the reason, and the session goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from drivers.contract import Frame, FrameStack, Reading, SequenceResult
from drivers.errors import BusError, ConfigurationError
from labctl.bus.failures import failure_of
from labctl.bus.messages import Request
from labctl.bus.segments import process_alive
from labctl.record import wire
from labctl.record.blocks import MAGIC, ArrayPlace, Entry, Head, append, packed

log = logging.getLogger(__name__)

_BLOCK_BYTES = 8 << 20
_FEWEST_BLOCKS = 16
_BLOCK_AGE_S = 0.5
_MOST_WAITING_BYTES = 256 << 20
_PATIENCE_S = 5.0
_LOOK_EVERY_S = 1.0
_END_PATIENCE_S = 30.0
_ROOM_FOR_THE_END = 1 << 12
_PUBLISHED = (Frame, FrameStack, Reading, SequenceResult)

_Packed = tuple[bytes, list[bytes]]
_Item = tuple[tuple[Any, ...], _Packed, _Packed, tuple[Any, ...]]


class Recording:
    """Appends to a record that exists. about: what is told of the server once. asker: pid and start time of the process
    that asked for it, without which it ends. most_bytes: of the whole file."""

    def __init__(
        self,
        path: Path,
        server: str,
        about: dict[str, Any],
        *,
        most_bytes: int,
        asker: tuple[int, str],
        time_ns: Callable[[], int],
    ) -> None:
        self.path = path
        self.ended = ""
        """Why nothing more is written; "" while something is."""
        self.entries = 0
        self._server = server
        self._most_bytes = most_bytes
        # What does not fit in at the end is lost as a whole block.
        self._full_block_bytes = min(_BLOCK_BYTES, most_bytes // _FEWEST_BLOCKS)
        self._asker = asker
        self._time_ns = time_ns
        self._handle = _opened(path)
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._closing = False
        self._changed = threading.Condition()
        self._sessions: dict[str, int] = {}
        self._written: set[bytes] = set()
        self._block: list[Entry] = []
        self._arrays: dict[bytes, bytes] = {}
        self._block_bytes = 0
        self._block_begun = 0.0
        self._write(Head(server, about=about), [])
        self._thread = threading.Thread(target=self._work, name=f"labctl-record-{server}", daemon=True)
        self._thread.start()

    # --- in the threads that serve ----------------------------------------------------------------------------------

    def through(self, lane: str, serve: Callable[[], Any], request: Request) -> Any:
        """Serve a request, and keep it with its answer. Whatever fails in keeping ends the record, and the request is
        served all the same: it may be an emergency stop."""
        if self.ended:
            return serve()
        begun_ns, started_ns = self._time_ns(), time.monotonic_ns()
        # First: whoever serves it may write where the arguments lie, or keep them and change them later.
        asked = self._packed(lambda: wire.packed(wire.kept_arguments(request)))
        try:
            value = serve()
        except BaseException as error:
            failure = failure_of(error, "")
            answer = self._packed(lambda: wire.packed(None, failure))
            self._keep(lane, request, asked, answer, begun_ns, started_ns, published=False)
            raise
        answer = self._packed(lambda: wire.packed(wire.kept_answer(request, value)))
        published = isinstance(value, _PUBLISHED)
        self._keep(lane, request, asked, answer, begun_ns, started_ns, published=published)
        return value

    def _packed(self, pack: Callable[[], _Packed]) -> _Packed:
        try:
            try:
                return pack()
            except BusError as error:  # it cannot cross the bus either, and that is the answer
                return wire.packed(None, failure_of(error, ""))
        except Exception as error:  # noqa: BLE001 - memory, as a rule
            self._end(f"{type(error).__name__}: {error}")
            return b"", []

    def _keep(
        self, lane: str, request: Request, asked: _Packed, answer: _Packed, begun_ns: int, started_ns: int,
        *, published: bool,
    ) -> None:  # fmt: skip
        took_ns = time.monotonic_ns() - started_ns
        size = sum(len(header) + sum(map(len, arrays)) for header, arrays in (asked, answer))
        with self._changed:
            deadline = time.monotonic() + _PATIENCE_S
            # A call waits for the disk, rather than be left out; an emergency stop waits for nothing.
            while lane == "calls" and self._waiting_bytes > _MOST_WAITING_BYTES and not self.ended:
                if not self._changed.wait(deadline - time.monotonic()):
                    self._end(f"the disk was slower than the bench for {_PATIENCE_S:g} s")
            if self.ended or self._closing:
                return
            session = self._sessions.setdefault(request.session, len(self._sessions))
            acquires = request.verb == "acquire" and not request.device and isinstance(request.arguments, Mapping)
            run = request.arguments.get("run", "") if acquires else ""
            self.entries += 1
            first = (self.entries, lane, session, request.device, request.verb, request.name or str(run))
            last = (begun_ns, self._time_ns(), time.time_ns(), took_ns, published)
            self._waiting.append((first, asked, answer, last))
            self._waiting_bytes += size
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_END_PATIENCE_S)

    def status(self) -> dict[str, Any]:
        """For people."""
        return {"file": str(self.path), "entries": self.entries, "waiting_bytes": self._waiting_bytes,
                "ended": self.ended}  # fmt: skip

    # --- in its own thread ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        looked = time.monotonic()
        try:
            while not self.ended:
                with self._changed:
                    if not self._waiting and not self._closing:
                        self._changed.wait(_BLOCK_AGE_S / 2)
                    item = self._waiting.popleft() if self._waiting else None
                    done = self._closing and item is None
                if item is not None:
                    self._add(item)
                if self._block and (done or self._block_bytes > self._full_block_bytes or self._old):
                    self._flush()
                if done:
                    return
                if time.monotonic() - looked > _LOOK_EVERY_S:
                    looked = time.monotonic()
                    if not process_alive(*self._asker):
                        self._flush()
                        self._end("whoever asked for it is gone")
        except Exception as error:
            log.exception("recording to %s failed", self.path)
            self._end(f"{type(error).__name__}: {error}")
        finally:
            self._tell_end()
            os.close(self._handle)

    def _tell_end(self) -> None:
        with contextlib.suppress(OSError):  # a disk that is full
            append(self._handle, packed(Head(self._server, ended=self.ended or "closed"), []), self._most_bytes)

    @property
    def _old(self) -> bool:
        return time.monotonic() - self._block_begun > _BLOCK_AGE_S

    def _add(self, item: _Item) -> None:
        first, (asked, asked_arrays), (answer, answer_arrays), last = item
        if not self._block:
            self._block_begun = time.monotonic()
        told = [asked, self._placed(asked_arrays), answer, self._placed(answer_arrays)]
        self._block.append(Entry(*first, *told, *last))
        size = len(asked) + len(answer)
        self._block_bytes += size
        with self._changed:
            self._waiting_bytes -= size + sum(map(len, asked_arrays)) + sum(map(len, answer_arrays))
            self._changed.notify_all()

    def _placed(self, arrays: list[bytes]) -> list[bytes]:
        digests = [wire.digest(data) for data in arrays]
        for name, data in zip(digests, arrays, strict=True):
            if name not in self._written:  # what was written once is named from then on
                self._written.add(name)
                self._arrays[name] = data
                self._block_bytes += len(data)
        return digests

    def _flush(self) -> None:
        places, at = [], 0
        for name, data in self._arrays.items():
            places.append(ArrayPlace(name, at, len(data)))
            at += len(data)
        self._write(Head(self._server, self._block, places), list(self._arrays.values()))
        self._block, self._arrays, self._block_bytes = [], {}, 0

    def _write(self, head: Head, arrays: list[bytes]) -> None:
        if self.ended:
            return
        try:
            if not append(self._handle, packed(head, arrays), self._most_bytes - _ROOM_FOR_THE_END):
                self._end(f"the record is full: {self._most_bytes} bytes are allowed (--most)")
        except OSError as error:
            self._end(f"{self.path} cannot be written: {error}")

    def _end(self, why: str) -> None:
        """Nothing more is kept; what was is sound."""
        with self._changed:
            if self.ended:
                return
            self.ended = why
            self._waiting.clear()
            self._waiting_bytes = 0
            self._changed.notify_all()
        log.warning("recording ended: %s", why)


def _opened(path: Path) -> int:
    """A record that somebody began, for appending. ConfigurationError for any other file."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written as a record: {error}") from None
    if os.pread(handle, len(MAGIC), 0) != MAGIC:
        os.close(handle)
        raise ConfigurationError(f"{path} is not a record; begin one with `labctl record`")
    return handle
