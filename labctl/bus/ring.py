"""Arrays that cross between processes of one host without a copy: rings of slots in shared memory.

The writer takes a free slot, writes in place and sends only where it is. A slot that was lent to a reader is free again
when the reader gives it back (credit), never by being overtaken. Every slot has a sequence number that changes before
it is written again: readers compare it before and after use, so a torn array is noticed whatever goes wrong.
"""

from __future__ import annotations

import functools
import itertools
import math
import mmap
import secrets
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labctl.bus.segments import Attachments, Segment

SMALLEST_SHARED_BYTES = 1 << 16
"""Smaller arrays travel inside the message: that is faster."""

_PAGE = 4096
_RING_BYTES = 96 << 20
_FEWEST_SLOTS, _MOST_SLOTS = 3, 8
_MOST_ARENA_BYTES = 2 << 30
_lend_numbers = itertools.count(secrets.randbits(48) + 1)
"""Never those of another process, or of this server before it was started again: they outlive it in its clients."""


@dataclass(frozen=True)
class Place:
    """Where an array lies. lent: number under which the reader gives it back, 0 if it need not."""

    segment: str
    offset: int
    slot: int
    sequence: int
    lent: int


@dataclass
class _Slot:
    index: int
    used_here: bool = False
    lent: set[int] = field(default_factory=set)
    _watched: Any = None

    @property
    def free(self) -> bool:
        return not self.used_here and not self.lent

    def watch(self, anchor: NDArray[np.uint8]) -> None:
        """Note when the array that this process has in the slot, and every view of it, is gone."""
        # A callback may run at any moment, even while this thread holds the arena's lock: a plain store needs none.
        self._watched = weakref.ref(anchor, self._left)

    def _left(self, reference: object) -> None:
        self.used_here = False


class Ring:
    """Slots of one size in one segment."""

    def __init__(self, slot_bytes: int, slots: int) -> None:
        self.slot_bytes = -(-slot_bytes // _PAGE) * _PAGE
        self.size_bytes = _PAGE + slots * self.slot_bytes
        self.segment = Segment(self.size_bytes)
        self._sequences = np.frombuffer(self.segment.memory, np.uint64, slots)
        whole = np.frombuffer(self.segment.memory, np.uint8)
        self.address = int(whole.ctypes.data)
        self.slots = [_Slot(k) for k in range(slots)]
        self._next = 0

    def take(self, size_bytes: int) -> NDArray[np.uint8] | None:
        """``size_bytes`` of a free slot, or None if every slot is in use."""
        n = len(self.slots)
        for k in range(n):
            slot = self.slots[(self._next + k) % n]
            if slot.free:
                self._next = (slot.index + 1) % n
                slot.used_here = True
                self._sequences[slot.index] += np.uint64(1)  # first: from now on a late reader notices
                anchor = np.frombuffer(self.segment.memory, np.uint8, size_bytes, _PAGE + slot.index * self.slot_bytes)
                slot.watch(anchor)
                return anchor
        return None

    def slot_at(self, address: int) -> _Slot | None:
        """The slot that holds an address, if any."""
        offset = address - self.address - _PAGE
        return self.slots[offset // self.slot_bytes] if 0 <= offset < len(self.slots) * self.slot_bytes else None

    def sequence(self, slot: int) -> int:
        """Of the slot's present content."""
        return int(self._sequences[slot])


class Arena:
    """A process's rings, made as arrays of new sizes are asked for. Safe to use from several threads."""

    def __init__(self) -> None:
        self._rings: list[Ring] = []
        self._lent: dict[int, tuple[_Slot, str]] = {}
        self._lock = threading.RLock()
        self.refused = 0
        """Arrays that found no free slot, or no memory, and were made or sent the slow way."""

    def array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """A fresh array, in a slot if one is free, else in ordinary memory."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        anchor = self.take(size) if size >= SMALLEST_SHARED_BYTES else None
        return np.empty(shape, kind) if anchor is None else anchor.view(kind).reshape(shape)

    def take(self, size_bytes: int) -> NDArray[np.uint8] | None:
        """Bytes of a free slot; None if all fitting slots are in use or memory has run out."""
        with self._lock:
            fitting = [r for r in self._rings if size_bytes <= r.slot_bytes <= max(4 * size_bytes, 1 << 20)]
            for ring in fitting:
                taken = ring.take(size_bytes)
                if taken is not None:
                    return taken
            made = self._make(size_bytes) if not fitting else None
            taken = made.take(size_bytes) if made is not None else None
            if taken is None:
                self.refused += 1
            return taken

    def _make(self, size_bytes: int) -> Ring | None:
        slots = max(_FEWEST_SLOTS, min(_MOST_SLOTS, _RING_BYTES // size_bytes))
        if self._size_bytes() + slots * size_bytes > _MOST_ARENA_BYTES:
            self._drop_idle()
        if self._size_bytes() + slots * size_bytes > _MOST_ARENA_BYTES:
            return None
        try:
            ring = Ring(size_bytes, slots)
        except OSError:
            self._drop_idle()  # for the next time: memory is short
            return None
        self._rings.append(ring)
        return ring

    def _size_bytes(self) -> int:
        return sum(ring.size_bytes for ring in self._rings)

    def _drop_idle(self) -> None:
        """Give up rings of which nobody has a slot."""
        idle = [ring for ring in self._rings if all(slot.free for slot in ring.slots)]
        for ring in idle:
            ring.segment.close()
            self._rings.remove(ring)

    def holds(self, array: NDArray[Any]) -> bool:
        """Whether an array lies in this arena, so that its place can be sent."""
        address = int(array.__array_interface__["data"][0])
        return bool(array.flags.c_contiguous) and any(ring.slot_at(address) for ring in self._rings)

    def lend(self, array: NDArray[Any], borrower: str) -> Place | None:
        """Where a contiguous array of this arena lies, lent to ``borrower``; None if it is not of this arena."""
        return self._place(array, borrower)

    def show(self, array: NDArray[Any]) -> Place | None:
        """Like `lend` for readers who copy at once and check: nobody waits for them."""
        return self._place(array, None)

    def _place(self, array: NDArray[Any], borrower: str | None) -> Place | None:
        if not self._rings:
            return None
        address = int(array.__array_interface__["data"][0])
        with self._lock:
            for ring in self._rings:
                slot = ring.slot_at(address)
                if slot is not None:
                    number = 0
                    if borrower is not None:
                        number = next(_lend_numbers)
                        slot.lent.add(number)
                        self._lent[number] = (slot, borrower)
                    offset = address - ring.address
                    return Place(ring.segment.name, offset, slot.index, ring.sequence(slot.index), number)
        return None

    def give_back(self, numbers: list[int]) -> None:
        """Slots that a reader has done with. Unknown numbers change nothing."""
        with self._lock:
            for number in numbers:
                found = self._lent.pop(number, None)
                if found is not None:
                    found[0].lent.discard(number)

    def forget(self, borrower: str) -> None:
        """Everything that was lent to a reader who is gone."""
        with self._lock:
            self.give_back([n for n, (_, who) in self._lent.items() if who == borrower])

    def borrowers(self) -> set[str]:
        """Who holds slots."""
        with self._lock:
            return {who for _, who in self._lent.values()}

    def close(self) -> None:
        """Take the segments' names away."""
        with self._lock:
            for ring in self._rings:
                ring.segment.close()
            self._rings.clear()
            self._lent.clear()


class Reader:
    """The other side: arrays made of places in other processes' rings, given back when the last of them is gone."""

    def __init__(self, give_back: Callable[[int], None] | None = None, *, writable: bool = False) -> None:
        self._attachments = Attachments(writable=writable)
        self._give_back = give_back
        self._writable = writable
        self._borrowed: dict[int, tuple[weakref.ref[Any], Place]] = {}
        self.overwritten = 0
        """Arrays whose slot was written again while they were in use; each was, or is, an error somewhere."""

    def array(self, place: Place, dtype: np.dtype[Any], shape: list[int], size_bytes: int) -> NDArray[Any]:
        """The array itself, not a copy. Raises ValueError if the place is not within its segment."""
        memory = self._attachments.memory(place.segment)
        self._check_place(memory, place, size_bytes)
        anchor = np.frombuffer(memory, np.uint8, size_bytes, place.offset)
        if self._sequence(memory, place.slot) != place.sequence:
            self.overwritten += 1
            self._done(place)
            raise OverwrittenError(place)
        if place.lent:
            done = functools.partial(self._finish, memory, place)
            self._borrowed[id(anchor)] = weakref.ref(anchor, functools.partial(done, id(anchor))), place
        array = anchor.view(dtype).reshape(shape)
        if not self._writable:
            array.flags.writeable = False
        return array

    def copy(self, place: Place, dtype: np.dtype[Any], shape: list[int], size_bytes: int) -> NDArray[Any]:
        """A copy, checked before and after; OverwrittenError if the writer came first."""
        memory = self._attachments.memory(place.segment)
        array = self.array(place, dtype, shape, size_bytes).copy()
        if self._sequence(memory, place.slot) != place.sequence:
            self.overwritten += 1
            raise OverwrittenError(place)
        return array

    def intact(self, place: Place) -> bool:
        """Whether the slot still holds what it held when the place was sent."""
        return self._sequence(self._attachments.memory(place.segment), place.slot) == place.sequence

    def intact_array(self, array: NDArray[Any]) -> bool:
        """Whether a borrowed array, or a view of one, still holds what was sent; True for any other array."""
        anchor: Any = array
        while isinstance(anchor, np.ndarray):
            found = self._borrowed.get(id(anchor))
            if found is not None and found[0]() is anchor:
                return self.intact(found[1])
            anchor = anchor.base
        return True

    def _finish(self, memory: mmap.mmap, place: Place, anchor: int, reference: object) -> None:
        self._borrowed.pop(anchor, None)
        if self._sequence(memory, place.slot) != place.sequence:
            self.overwritten += 1
        self._done(place)

    def _done(self, place: Place) -> None:
        if self._give_back is not None and place.lent:
            self._give_back(place.lent)

    def _sequence(self, memory: mmap.mmap, slot: int) -> int:
        return int.from_bytes(memory[8 * slot : 8 * slot + 8], "little")

    def _check_place(self, memory: mmap.mmap, place: Place, size_bytes: int) -> None:
        if not (0 <= place.slot < _PAGE // 8 and _PAGE <= place.offset <= len(memory) - size_bytes):
            raise ValueError(f"a place outside its shared memory: {place}")


class OverwrittenError(Exception):
    """A slot was written again before, or while, it was read."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"shared memory {place.segment}, slot {place.slot} was written again before it was read")
