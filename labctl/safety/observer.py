"""Who looks at the watched devices of one server: at what calls bring, in passing, and at devices that are free.

A device is asked only while no call is being served. In real time a thread asks, as long as somebody wants to know; in
virtual time, where nothing may depend on the machine's time, devices are asked after a call, when bench time says so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from drivers.contract import Device
from drivers.errors import LabError
from labctl.safety.rules import Seen
from labctl.safety.watches import LaserWatch, Passed, Watch

log = logging.getLogger(__name__)

WANTED_FOR_S = 1.0
"""Who wants to know says so again within this time."""
_LOCK_PATIENCE_S = 0.05
_VIRTUAL_LOCK_PATIENCE_S = 5.0
_LEAST_PAUSE_S = 0.005


class Observer:
    """The watches of one server, by interlock and device.

    lock: the server's, held while a call is served. now_ns: bench time. parts: what composites are made of, by name.
    tell: called after a device was asked, in real time.
    """

    def __init__(
        self,
        name: str,
        watches: Mapping[tuple[str, str], Watch],
        devices: Mapping[str, Device],
        parts: Mapping[str, set[str]],
        lock: threading.Lock,
        now_ns: Callable[[], int],
        *,
        virtual: bool,
        tell: Callable[[], None],
    ) -> None:
        self.watches = dict(watches)
        self._devices = devices
        self._parts = parts
        self._lock = lock
        self._now_ns = now_ns
        self._virtual = virtual
        self._tell = tell
        self._routes: dict[str, list[Watch]] = {}
        self._wanted_until = 0.0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name=f"labctl-observer-{name}", daemon=True)

    def start(self) -> None:
        """Begin to look, if there is anything to ask for."""
        if not self._virtual and any(watch.asks for watch in self.watches.values()):
            self._thread.start()

    def stop(self) -> None:
        """End; a device that hangs is not waited for."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    # --- in passing -------------------------------------------------------------------------------------------------

    def routes(self, device: str) -> list[Watch]:
        """Watches that are told of a device's calls: its own, and those of the parts of a composite."""
        found = self._routes.get(device)
        if found is None:
            of = {device, *self._parts.get(device, ())}
            found = self._routes[device] = [watch for watch in self.watches.values() if watch.device in of]
        return found

    def passed(self, call: Passed) -> bool:
        """A call was served, under the lock; whether it said something about a rule."""
        routes = self.routes(call.device)
        if not routes:
            return False
        now_ns = self._now_ns()
        said = [watch.passed(call, now_ns) for watch in routes]
        return any(said)

    def failed(self, device: str, error: BaseException) -> None:
        """A call to a device failed."""
        for watch in self.routes(device):
            watch.failed(f"{type(error).__name__}: {error!s:.200}")

    def told(self, device: str, name: str, value: Any) -> None:
        """A laser is being told something."""
        for watch in self.watches.values():
            if isinstance(watch, LaserWatch) and watch.device == device:
                watch.told(name, value, self._now_ns())

    def begin(self, devices: Mapping[str, dict[str, Any]]) -> None:
        """A session begins on these devices, with their settings of the bench file."""
        self._routes.clear()  # composites are known only when everything is built
        for watch in self.watches.values():
            if watch.device in devices:
                watch.begin(devices[watch.device])

    def thawed(self) -> None:
        """A table goes on from a frozen one."""
        for watch in self.watches.values():
            watch.thawed()

    # --- on demand --------------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether somebody does."""
        return time.monotonic() <= self._wanted_until

    def want(self) -> None:
        """Somebody has light on, or wants to have."""
        was = self._wanted_until
        self._wanted_until = time.monotonic() + WANTED_FOR_S
        if was < time.monotonic():
            self._wake.set()

    def hurry(self) -> None:
        """Light has just come on, or changed: ask every device at the next opportunity."""
        for watch in self.watches.values():
            watch.hurried = True
        self._wake.set()

    def seen(self, key: tuple[str, str]) -> Seen:
        """What is known now, by interlock and device."""
        watch = self.watches[key]
        return watch.seen if watch.asks else Seen(max(self._now_ns(), 1), watch.seen.value, watch.seen.count)

    def report(self) -> list[tuple[str, str, Seen]]:
        """The same of all, with interlock and device."""
        return [(*key, self.seen(key)) for key in self.watches]

    def forget(self, interlocks: Iterable[str]) -> None:
        """Somebody acknowledged these."""
        for (interlock, _), watch in self.watches.items():
            if interlock in interlocks:
                watch.forget()
        self._wake.set()

    def ask_due(self) -> None:
        """Ask every device of which nothing is known any more, or soon will not be; under the lock."""
        for watch in self.watches.values():
            if watch.asks and self._due_in_ns(watch) <= 0:
                self._ask(watch)

    def ask_between_calls(self) -> None:
        """The same, once no call is being served."""
        patience_s = _VIRTUAL_LOCK_PATIENCE_S if self._virtual else _LOCK_PATIENCE_S
        if self._lock.acquire(timeout=patience_s):
            try:
                self.ask_due()
            finally:
                self._lock.release()

    def _due_in_ns(self, watch: Watch) -> float:
        if watch.hurried or not watch.seen.at_ns:
            return 0.0
        # In virtual time, where every reading takes its time of the experiment's, only as often as it must be.
        every_s = watch.within_s / 2 if self._virtual else min(watch.every_s, watch.within_s / 2)
        return watch.seen.at_ns + every_s * 1e9 - self._now_ns()

    def _ask(self, watch: Watch) -> None:
        device = self._devices.get(watch.device)
        if device is None:
            return watch.failed("it is not open yet")
        watch.hurried = False
        try:
            watch.ask(device, self._now_ns)
        except LabError as error:
            watch.failed(f"{type(error).__name__}: {error!s:.200}")
        except Exception as error:  # a driver's own fault must not end the looking
            log.exception("%s could not be asked", watch.device, extra={"device": watch.device})
            watch.failed(f"{type(error).__name__}: {error!s:.200}")
        return None

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            if time.monotonic() > self._wanted_until:
                self._wake.wait()
                self._wake.clear()
                continue
            watches = [watch for watch in self.watches.values() if watch.asks]
            for watch in watches:
                if self._due_in_ns(watch) <= 0 and self._lock.acquire(timeout=_LOCK_PATIENCE_S):
                    try:
                        self._ask(watch)
                    finally:
                        self._lock.release()
                    self._tell()
            next_ns = min(self._due_in_ns(watch) for watch in watches)
            # Woken where something is due sooner than it was; a moment's pause leaves the lock to calls.
            if self._stop.wait(_LEAST_PAUSE_S):
                return
            self._wake.wait(max(next_ns / 1e9 - _LEAST_PAUSE_S, 0.0))
            self._wake.clear()
