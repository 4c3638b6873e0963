"""Where a guard learns what is seen of watched devices: from the observer beside it, or from that of another server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from drivers.errors import LabError
from labctl.bus.connection import Connection
from labctl.safety.observer import WANTED_FOR_S, Observer
from labctl.safety.rules import Seen

log = logging.getLogger(__name__)

Key = tuple[str, str]
_ASK_EVERY_S = 0.05
_ANSWER_WITHIN_S = 0.5
_VIRTUAL_ANSWER_WITHIN_S = 10.0


class Source(Protocol):
    """What is seen, by interlock and device."""

    def want(self) -> None:
        """There is light, or there is to be: devices are to be asked."""

    def refresh(self) -> None:
        """Before light: have what is old asked for anew, under the lock of the server that has the emitter."""

    def ask_again(self) -> None:
        """The same, without that lock."""

    def seen(self, key: Key) -> Seen:
        """What is known now."""
        ...

    def forget(self, interlocks: Iterable[str]) -> None:
        """Somebody acknowledged these."""


class Local:
    """The observer of the same server."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def want(self) -> None:
        """As `Source`."""
        self._observer.want()

    def refresh(self) -> None:
        """As `Source`."""
        self._observer.ask_due()

    def ask_again(self) -> None:
        """As `Source`."""
        self._observer.want()
        self._observer.ask_between_calls()

    def seen(self, key: Key) -> Seen:
        """As `Source`."""
        return self._observer.seen(key)

    def forget(self, interlocks: Iterable[str]) -> None:
        """As `Source`."""
        self._observer.forget(interlocks)


class Remote:
    """The observer of another server of the bench. It says what it sees; a thread asks, to know that it still does.

    In virtual time it is asked by whoever looks.
    """

    def __init__(self, server: str, connection: Connection, *, virtual: bool) -> None:
        self._server = server
        self._connection = connection
        self._virtual = virtual
        self._known: dict[Key, Seen] = {}
        self._trouble = ""
        self._wanted_until = 0.0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name=f"labctl-lookout-{server}", daemon=True)

    def start(self) -> None:
        """Begin to ask, when it is wanted."""
        if not self._virtual:
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2 * _ANSWER_WITHIN_S)
        self._connection.close()

    def want(self) -> None:
        """As `Source`."""
        was, self._wanted_until = self._wanted_until, time.monotonic() + WANTED_FOR_S
        if was < time.monotonic():
            self._wake.set()

    def refresh(self) -> None:
        """As `Source`; in real time devices are asked by the other server as soon as it is free."""
        self.want()
        self._ask("fresh" if self._virtual else "wanted")

    def ask_again(self) -> None:
        """As `Source`."""
        self.refresh()

    def learn(self) -> None:
        """In virtual time: what the other server has seen so far, without that it asks a device."""
        self._ask("wanted")

    def seen(self, key: Key) -> Seen:
        """As `Source`."""
        found = self._known.get(key, Seen())
        return msgspec.structs.replace(found, trouble=self._trouble) if self._trouble else found

    def forget(self, interlocks: Iterable[str]) -> None:
        """As `Source`."""
        self._ask("forget", list(interlocks))

    def take(self, told: list[Any]) -> None:
        """What the other server has seen, asked for or not."""
        self._known = {(name, device): msgspec.convert(seen, Seen) for name, device, seen in told}
        self._trouble = ""

    def _ask(self, how: str, interlocks: Iterable[str] = ()) -> None:
        within_s = _VIRTUAL_ANSWER_WITHIN_S if self._virtual else _ANSWER_WITHIN_S
        try:
            self.take(self._connection.request("", "observed", how, list(interlocks), within_s))
        except (LabError, msgspec.ValidationError) as error:
            if not self._trouble:
                log.warning("server %s does not tell what it sees: %s", self._server, error)
            self._trouble = f"server {self._server} does not tell: {error!s:.200}"

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            if time.monotonic() > self._wanted_until:
                self._wake.wait()
                self._wake.clear()
                continue
            self._ask("wanted")
            self._stop.wait(_ASK_EVERY_S)
