"""Threads that stand ready to make lasers safe: a server that is out of memory can start none any more.

Python's ``Thread.start`` waits for ever for a thread that finds no memory to begin with.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable

_MOST_THREADS = 16
"""At one device, besides the one that stands ready: an instrument that hangs for hours is asked again and again."""


class Hand:
    """A thread that does one thing whenever it is told. To tell it, and to wait for it, needs no memory."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        """act: must raise nothing."""
        self._act = act
        self._free = threading.Lock()
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._hangs = False
        self._ended = False
        threading.Thread(target=self._serve, name=f"labctl-safe-{name}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._go.acquire()
            if self._ended:
                return
            try:
                self._act()
            finally:
                self._done.release()

    def begin(self) -> bool:
        """Let it act; `wait` must follow. False if it is at it for somebody else, or has hung since."""
        if not self._free.acquire(blocking=False):
            return False
        if self._hangs and not self._done.acquire(blocking=False):
            self._free.release()
            return False
        self._hangs = False
        self._go.release()
        return True

    def wait(self, timeout_s: float) -> bool:
        """Whether it is done in that time."""
        self._hangs = not self._done.acquire(timeout=max(timeout_s, 0.0))
        hangs = self._hangs
        self._free.release()
        return not hangs

    def end(self) -> None:
        """Unless it hangs, end the thread."""
        if self._free.acquire(blocking=False) and not self._hangs:
            self._ended = True
            self._go.release()


class Rescue:
    """Acts on several devices at once, each in a thread of its own: an instrument that hangs must not keep the others
    in the light."""

    def __init__(self, act: Callable[[str], None]) -> None:
        """act: on a device, by name; must raise nothing."""
        self._act = act
        self._hands: dict[str, Hand] = {}
        self._more: dict[str, list[threading.Thread]] = {}

    def stand_ready(self, names: Iterable[str]) -> None:
        """For devices that are going to emit: what it takes to act on them is there from now on."""
        for name in names:
            if name not in self._hands:
                self._hands[name] = Hand(name, functools.partial(self._act, name))

    def act(self, names: Iterable[str], within_s: float) -> list[str]:
        """Those on which it was not done in that time."""
        begun: list[tuple[str, Hand]] = []
        threads: list[tuple[str, threading.Thread]] = []
        hanging: list[str] = []
        for name in names:
            hand = self._hands.get(name)
            if hand is not None and hand.begin():
                begun.append((name, hand))
                continue
            try:
                more = self._more[name] = [thread for thread in self._more.get(name, ()) if thread.is_alive()]
                if len(more) >= _MOST_THREADS:
                    hanging.append(name)
                    continue
                thread = threading.Thread(target=self._act, args=(name,), daemon=True)
                thread.start()
                more.append(thread)
                threads.append((name, thread))
            except (RuntimeError, MemoryError):  # the system has no more threads: then one after another
                self._act(name)
        until = time.monotonic() + within_s
        late = hanging + [name for name, hand in begun if not hand.wait(until - time.monotonic())]
        for name, thread in threads:
            thread.join(max(until - time.monotonic(), 0.0))
            if thread.is_alive():
                late.append(name)
        return late

    def end(self) -> None:
        """The threads that stand ready."""
        for hand in self._hands.values():
            hand.end()
