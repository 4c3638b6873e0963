"""The lease: exclusive control of a bench with a time-to-live that the control loop itself must renew.

When it lapses, `Watchdog`, a thread that does nothing else, brings every device to its safe state.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import LeaseError

log = logging.getLogger(__name__)

POLL_S = 0.01


@dataclass
class Lease:
    """Who controls the bench, and until when (monotonic ns)."""

    token: str
    holder: str
    ttl_s: float
    expires_ns: int


class LeaseBook:
    """At most one lease at a time. Time is the machine's monotonic clock, never bench time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._lapsed: dict[str, str] = {}
        self.internal_token = secrets.token_hex(16)

    def acquire(self, holder: str, ttl_s: float) -> str:
        """A new lease's token. LeaseError if somebody else holds a live one."""
        with self._lock:
            now = time.monotonic_ns()
            current = self._lease
            if current is not None and current.expires_ns > now:
                raise LeaseError(
                    f"the bench is controlled by {current.holder} (lease renewed within the last "
                    f"{current.ttl_s:g} s); wait until it ends or stop it"
                )
            token = secrets.token_hex(16)
            self._lease = Lease(token, holder, ttl_s, now + int(ttl_s * 1e9))
            return token

    def renew(self, token: str) -> None:
        """Start the time-to-live anew. LeaseError if the lease was lost."""
        with self._lock:
            self._must_hold(token)
            assert self._lease is not None
            self._lease.expires_ns = time.monotonic_ns() + int(self._lease.ttl_s * 1e9)

    def release(self, token: str) -> bool:
        """End a lease and say whether it was still held; releasing one that was lost is harmless."""
        with self._lock:
            held = self._lease is not None and self._lease.token == token
            if held:
                self._lease = None
            return held

    def require(self, token: str, what: str) -> None:
        """Raise LeaseError unless the caller may do ``what``, which needs a lease."""
        if token == self.internal_token:
            return
        with self._lock:
            if not token:
                raise LeaseError(f"{what} needs a lease: do it inside `with bench.control():`")
            self._must_hold(token)

    def allow(self, token: str, what: str) -> None:
        """Raise LeaseError if somebody else controls the bench, or the caller's lease was lost."""
        if token == self.internal_token:
            return
        with self._lock:
            if token:
                self._must_hold(token)
            elif self._lease is not None and self._lease.expires_ns > time.monotonic_ns():
                raise LeaseError(f"{what}: the bench is controlled by {self._lease.holder}; reading is allowed")

    def take_lapsed(self) -> Lease | None:
        """The lease that has just lapsed, once."""
        with self._lock:
            lease = self._lease
            if lease is None or lease.expires_ns > time.monotonic_ns():
                return None
            self._lease = None
            self._lapsed = {lease.token: lease.holder}
            return lease

    def status(self) -> dict[str, object] | None:
        """Holder and remaining time of the live lease."""
        with self._lock:
            if self._lease is None:
                return None
            remaining = (self._lease.expires_ns - time.monotonic_ns()) / 1e9
            return {"holder": self._lease.holder, "ttl_s": self._lease.ttl_s, "remaining_s": max(remaining, 0.0)}

    def _must_hold(self, token: str) -> None:
        lease = self._lease
        if lease is None or lease.token != token or lease.expires_ns <= time.monotonic_ns():
            raise LeaseError(
                "the lease was not renewed in time and is lost; emission was turned off. The control loop must reach "
                "the bench at least once per lease"
            )


class Watchdog:
    """Calls ``make_safe`` when a lease lapses. Does nothing else, so nothing else can delay it."""

    def __init__(self, book: LeaseBook, make_safe: Callable[[], None]) -> None:
        self._book = book
        self._make_safe = make_safe
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="labctl-watchdog", daemon=True)
        self.trips = 0

    def start(self) -> None:
        """Begin watching."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            lease = self._book.take_lapsed()
            if lease is not None:
                self.trips += 1
                self._make_safe()
                log.error("lease of %s lapsed after %g s: every device made safe", lease.holder, lease.ttl_s)
