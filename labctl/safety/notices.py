"""Control loops that do not know yet that an interlock turned their light off: each is told once, at its next call.

Which server that call goes to does not matter: the one that has told says so to the others.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from drivers.errors import InterlockError
from labctl.safety.peers import Peers


class Notices:
    """What is to be told, by the token of the lease; of one server."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._notices: dict[str, tuple[str, str]] = {}
        self._told: set[tuple[str, str]] = set()
        self._forgotten_ns: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._notices)

    def add(self, tokens: Iterable[str], interlock: str, text: str) -> None:
        """Who has these leases is to be told, unless that was done already."""
        fresh = [token for token in tokens if (token, interlock) not in self._told]
        self._notices.update(dict.fromkeys(fresh, (interlock, text)))

    def raise_for(self, token: str, *, wait: bool = True) -> None:
        """Raise InterlockError if who has this lease is to be told. wait: until the other servers know; not on control
        lanes, which would wait for one another."""
        found = self._notices.pop(token, None) if token else None
        if found is not None:
            interlock, text = found
            (self._peers.tell if wait else self._peers.tell_at_once)("noted", [token, interlock])
            self._told.add((token, interlock))
            raise InterlockError(text)

    def noted(self, token: str, interlock: str) -> None:
        """Another server has told."""
        self._told.add((token, interlock))
        if self._notices.get(token, ("", ""))[0] == interlock:
            del self._notices[token]

    def is_past(self, interlock: str, at_ns: int) -> bool:
        """Whether what happened then (the machine's monotonic time) was forgotten before it was heard of here."""
        return at_ns < self._forgotten_ns.get(interlock, 0)

    def forget(self, interlocks: Collection[str]) -> None:
        """Of these nobody is to be told any more, and of the next time everybody is."""
        self._forgotten_ns.update(dict.fromkeys(interlocks, time.monotonic_ns()))
        self._notices = {token: told for token, told in self._notices.items() if told[0] not in interlocks}
        self._told = {told for told in self._told if told[1] not in interlocks}
