"""Leases: exclusive control of some devices with a time-to-live that the control loop itself must renew.

Every device server keeps the leases of its own devices, so nothing but the server's own clock decides when the light
goes off. When a lease lapses, `Watchdog`, a thread that does nothing else, brings its devices to their safe state.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from drivers.errors import LeaseError

log = logging.getLogger(__name__)

LONGEST_LEASE_S = 60.0
_LOST_REMEMBERED = 256
_UNKNOWN = "this server does not know it (it was started again since, or the lease was given back)"


@dataclass
class Lease:
    """Who controls which devices, and until when (monotonic ns). run: the run it is taken for, if any."""

    token: str = field(repr=False)
    holder: str
    run: str
    devices: frozenset[str]
    ttl_s: float
    expires_ns: int

    @property
    def live(self) -> bool:
        """Whether it has not expired."""
        return self.expires_ns > time.monotonic_ns()


class LeaseBook:
    """At most one live lease per device. Time is the machine's monotonic clock, never bench time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self._of_device: dict[str, Lease] = {}
        self._lost: OrderedDict[str, str] = OrderedDict()
        self.changed = threading.Event()
        """Set when a lease is granted: the watchdog has something to watch."""

    def acquire(self, token: str, holder: str, run: str, devices: Iterable[str], ttl_s: float) -> None:
        """Grant the lease that ``token`` stands for. LeaseError if somebody else holds one of the devices."""
        wanted = frozenset(devices)
        if not 0 < ttl_s <= LONGEST_LEASE_S:
            raise LeaseError(f"a lease of {ttl_s:g} s; more than 0 and at most {LONGEST_LEASE_S:g} s are granted")
        with self._lock:
            for device in sorted(wanted):
                other = self._of_device.get(device)
                if other is not None and other.token != token and other.live:
                    raise LeaseError(f"{device}: {_controlled_by(other)}; wait until it ends or stop it")
            if token in self._lost:
                raise LeaseError(f"this lease was lost: {self._lost[token]}; take control again")
            lease = Lease(token, holder, run, wanted, ttl_s, time.monotonic_ns() + int(ttl_s * 1e9))
            self._forget(token)
            self._leases[token] = lease
            self._of_device.update(dict.fromkeys(wanted, lease))
        self.changed.set()

    def start(self, token: str, ttl_s: float) -> None:
        """Let a lease that was granted to begin with live for ``ttl_s`` from now. LeaseError if it was given back."""
        with self._lock:
            lease = self._held(token)
            lease.ttl_s = ttl_s
            lease.expires_ns = time.monotonic_ns() + int(ttl_s * 1e9)
        self.changed.set()

    def must_be_free(self, devices: Iterable[str]) -> None:
        """LeaseError if somebody holds one of the devices."""
        with self._lock:
            for device in devices:
                other = self._of_device.get(device)
                if other is not None and other.live:
                    raise LeaseError(f"{device}: {_controlled_by(other)}; wait until it ends or stop it")

    def renew(self, token: str, sent_ns: int = 0) -> None:
        """Start the time-to-live anew, from when this was asked for (monotonic ns, 0 for now). LeaseError if it was
        lost.

        A request may have waited behind others, and its sender may have died since.
        """
        with self._lock:
            lease = self._held(token)
            now = time.monotonic_ns()
            from_ns = min(sent_ns, now) if sent_ns else now
            lease.expires_ns = max(lease.expires_ns, from_ns + int(lease.ttl_s * 1e9))

    def release(self, token: str) -> Lease | None:
        """End a lease and give it back if it was still held; releasing one that was lost is harmless."""
        with self._lock:
            return self._forget(token)

    def holder(self, token: str) -> Lease | None:
        """The live lease of a token."""
        lease = self._leases.get(token)
        return lease if lease is not None and lease.live else None

    def leases_on(self, devices: Iterable[str]) -> list[Lease]:
        """Live leases on any of these devices."""
        with self._lock:
            found = {lease.token: lease for d in devices if (lease := self._of_device.get(d)) is not None}
        return [lease for lease in found.values() if lease.live]

    def devices_of(self, token: str) -> frozenset[str]:
        """Devices that a token's lease is on; none if it is not live."""
        lease = self.holder(token)
        return lease.devices if lease is not None else frozenset()

    def require(self, token: str, device: str, what: str) -> None:
        """Raise LeaseError unless the caller holds a lease on the device; ``what`` it wants to do needs one."""
        if not token:
            raise LeaseError(
                f"{what} needs a lease: do it inside `with bench.control():` (Bluesky: lab.controlled(PLAN), LECO: "
                "take_control before)"
            )
        with self._lock:
            if device not in self._held(token).devices:
                raise LeaseError(f"{what}: the caller's lease is not on {device}; name it in `control(devices=…)`")

    def allow(self, token: str, device: str, what: str) -> None:
        """Raise LeaseError if somebody else controls the device, or the caller's lease was lost."""
        with self._lock:
            lease = self._held(token) if token else None
            if lease is not None and device in lease.devices:
                return
            other = self._of_device.get(device)
            if other is not None and other.live:
                raise LeaseError(f"{what}: {_controlled_by(other)}; reading is allowed")

    def take_lapsed(self) -> list[Lease]:
        """Leases that have just lapsed, each once."""
        with self._lock:
            lapsed = [lease for lease in self._leases.values() if not lease.live]
            for lease in lapsed:
                self._lose(
                    lease.token,
                    f"it was not renewed within {lease.ttl_s:g} s, and its devices were made safe. The control loop "
                    "must reach the bench at least once per lease; on a machine that is busy with other work give it "
                    "longer, such as --set bench.lease='20 s'",
                )
            return lapsed

    def revoke(self, reason: str) -> list[Lease]:
        """End every lease for a reason that its holder is told at the next call."""
        with self._lock:
            revoked = list(self._leases.values())
            for lease in revoked:
                self._lose(lease.token, reason)
            return revoked

    def next_expiry_ns(self) -> int | None:
        """When the first of the leases will lapse unless it is renewed."""
        with self._lock:
            return min((lease.expires_ns for lease in self._leases.values()), default=None)

    def status(self) -> list[dict[str, object]]:
        """Every live lease: holder, run, devices, remaining time."""
        now = time.monotonic_ns()
        with self._lock:
            return [
                {
                    "holder": lease.holder,
                    "run": lease.run,
                    "devices": sorted(lease.devices),
                    "ttl_s": lease.ttl_s,
                    "remaining_s": max((lease.expires_ns - now) / 1e9, 0.0),
                }
                for lease in self._leases.values()
            ]

    def _held(self, token: str) -> Lease:
        lease = self._leases.get(token)
        if lease is None or not lease.live:
            reason = self._lost.get(token)
            if reason is None and lease is not None:
                reason = "it was not renewed in time, and its devices are made safe"
            raise LeaseError(f"the lease is lost: {reason or _UNKNOWN}")
        return lease

    def _lose(self, token: str, reason: str) -> None:
        self._lost[token] = reason  # what may want memory comes first
        self._forget(token)
        if len(self._lost) > _LOST_REMEMBERED:
            self._lost.popitem(last=False)

    def _forget(self, token: str) -> Lease | None:
        lease = self._leases.pop(token, None)
        if lease is not None:
            for device in lease.devices:
                if self._of_device.get(device) is lease:
                    del self._of_device[device]
        return lease


def _controlled_by(lease: Lease) -> str:
    return f"controlled by {lease.holder} (lease renewed within the last {lease.ttl_s:g} s)"


class Watchdog:
    """Calls ``make_safe`` with the devices of a lease that lapses. Does nothing else, so nothing else delays it."""

    def __init__(self, book: LeaseBook, make_safe: Callable[[Iterable[str]], None]) -> None:
        self._book = book
        self._make_safe = make_safe
        self._stop = False
        self._unsafe: list[Lease] = []
        self._thread = threading.Thread(target=self._watch, name="labctl-watchdog", daemon=True)
        self.trips = 0

    def start(self) -> None:
        """Begin watching."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop = True
        self._book.changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop:
            try:
                if self._unsafe or self._one_lapsed():
                    self._act()
            except Exception:  # whatever happens, the next lease is watched
                with contextlib.suppress(Exception):  # even to say so may take more memory than there is
                    log.exception("the watchdog failed once and goes on")
                time.sleep(0.01)

    def _one_lapsed(self) -> bool:
        """Whether a lease has; else after a wait, in which that or anything else may have happened."""
        expiry_ns = self._book.next_expiry_ns()
        if expiry_ns is None:
            self._book.changed.wait()
            self._book.changed.clear()
            return False
        # A renewal only moves the expiry further away, so sleeping until the old one misses nothing.
        remaining_s = (expiry_ns - time.monotonic_ns()) / 1e9
        if remaining_s > 0:
            self._book.changed.wait(remaining_s)
            self._book.changed.clear()
        return remaining_s <= 0

    def _act(self) -> None:
        lapsed = self._unsafe = self._unsafe or self._book.take_lapsed()
        if lapsed:
            self._make_safe({device for lease in lapsed for device in lease.devices})
        self._unsafe = []  # not before: where that failed, it is done again
        self.trips += len(lapsed)
        for lease in lapsed:
            told = "lease of %s lapsed after %g s: its devices were made safe"
            log.error(told, lease.holder, lease.ttl_s, extra={"run": lease.run})
