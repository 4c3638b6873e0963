"""What lets others use a bench through this process: in which role, and who has control, for as long as that one is
heard of.

Directors of LECO and people at a web page know neither keys nor leases. So everybody who comes through a gate has one
role, which the device servers hold to; and who wants control asks for it and keeps it by calling: each request renews
it, and so does the wait for what was asked. Who is silent for longer than the lease, or dies, loses control, and the
devices are made safe; so they are when this process dies.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator

from drivers.errors import LabError, LeaseError
from labctl.bench.client import Bench
from labctl.bus.roles import Role

log = logging.getLogger(__name__)


class Gate:
    """free: the bench for whoever has no control. held: the same, opened anew, for who has. via: by which road they
    come, such as "leco"; their leases and the log say so."""

    def __init__(self, free: Bench, held: Bench, role: Role, via: str) -> None:
        self.role = role
        self.ended = ""
        """Why control ended, if it was not given back."""
        self._via = via
        self._free = free
        self._held = held
        for bench in (free, held):
            for server in bench.servers.values():
                server.cap_role(role)
        self._changed = threading.Condition()
        self._holder = ""
        self._lease_s = 0.0
        self._heard_s = 0.0
        self._busy = 0
        self._ending = False
        self._thread: threading.Thread | None = None

    @property
    def holder(self) -> str:
        """Name of who has control through this gate; "" for none."""
        return self._holder

    @contextlib.contextmanager
    def turn(self, sender: str) -> Iterator[Bench]:
        """The bench as ``sender`` may use it, who meanwhile, having control, keeps it."""
        mine = self._heard(sender, 1)
        try:
            yield self._held if mine else self._free
        finally:
            if mine:
                self._heard(sender, -1)

    def _heard(self, sender: str, busy: int) -> bool:
        with self._changed:
            if not sender or sender != self._holder:
                return False
            self._busy += busy
            self._heard_s = time.monotonic()
            self._changed.notify_all()
            return True

    def take(self, sender: str, lease_s: float, devices: Iterable[str] | None = None) -> None:
        """Control of the whole bench, or of some devices; nothing for who has it. Errors as `Bench.control`."""
        with self._changed:
            if self._holder:
                if self._holder != sender:
                    raise LeaseError(f"{self._holder} has control through this gate; wait until it is given back")
                return
            if self._thread is not None and self._thread.is_alive():
                raise LeaseError("control is just being given back; ask again")
            failed: list[BaseException] = []
            granted = threading.Event()
            self._ending, self._busy, self._heard_s, self._lease_s = False, 0, time.monotonic(), lease_s
            self.ended = ""
            wanted = None if devices is None else tuple(devices)
            self._thread = threading.Thread(
                target=self._hold,
                args=(sender, wanted, granted, failed),
                name=f"labctl-{self._via}-control",
                daemon=True,
            )
            self._thread.start()
        granted.wait()
        if failed:
            raise failed[0]

    def _hold(
        self, sender: str, devices: tuple[str, ...] | None, granted: threading.Event, failed: list[BaseException]
    ) -> None:
        """The thread that has control: it renews when its holder was heard of, and while that waits for an answer."""
        try:
            with self._held.control(f"{self._via} {sender}", devices, lease_s=self._lease_s):
                with self._changed:
                    self._holder = sender
                    self._heard_s = time.monotonic()
                granted.set()
                self._renew_while_heard()
        except LabError as error:
            if not granted.is_set():
                failed.append(error)
            else:
                self.ended = str(error)
                log.warning("control of %s ended: %s", sender, error)
        finally:
            with self._changed:
                self._holder = ""
            granted.set()

    def _renew_while_heard(self) -> None:
        renewed_s = 0.0
        while True:
            with self._changed:
                self._changed.wait(self._held.patience_s)
                now = time.monotonic()
                silent = not self._busy and now - self._heard_s > self._lease_s
                if silent:
                    self.ended = f"{self._holder} was not heard of for {self._lease_s:g} s"
                if self._ending or silent:
                    return  # leaving makes the devices safe
                due = self._busy > 0 or self._heard_s > renewed_s
            if due:
                renewed_s = now
                self._held.renew()

    def give_back(self, sender: str) -> None:
        """Devices are made safe and control is free. LeaseError if ``sender`` has none."""
        if not sender or sender != self._holder:
            raise LeaseError(f"{sender} has no control through this gate; {self._holder or 'nobody'} has")
        self._end()

    def close(self) -> None:
        """Whoever has control loses it, in order."""
        self._end()

    def _end(self) -> None:
        thread = self._thread
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    @property
    def free(self) -> Bench:
        """The bench without control."""
        return self._free
