"""Control loops that do not know yet that an interlock turned their light off: each is told once, at its next call.

Which server that call goes to does not matter. The server whose interlock acted knows who was told: the others ask it
before they tell, and it says so to them when it has told itself.
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
        self._notices: dict[str, tuple[str, str, str]] = {}
        self._told: set[tuple[str, str]] = set()
        self._forgotten_ns: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._notices)

    def add(self, tokens: Iterable[str], interlock: str, text: str, by: str = "") -> None:
        """Who has these leases is to be told, unless that was done already. by: the server whose interlock acted, ""
        for this one."""
        fresh = [token for token in tokens if (token, interlock) not in self._told]
        self._notices.update(dict.fromkeys(fresh, (interlock, text, by)))

    def raise_for(self, token: str, *, wait: bool = True) -> None:
        """Raise InterlockError if who has this lease is to be told. wait: for the other servers; not on control lanes,
        which would wait for one another. There the server that acted tells, and no other: leases are renewed at all."""
        if not wait and self._notices.get(token, ("", "", ""))[2]:
            return
        found = self._notices.pop(token, None) if token else None
        if found is not None:
            interlock, text, by = found
            if by and self._peers.ask(by, "noted", [token, interlock]) is False:
                self._told.add((token, interlock))
                return
            (self._peers.tell if wait else self._peers.tell_at_once)("noted", [token, interlock])
            self._told.add((token, interlock))
            raise InterlockError(text)

    def noted(self, token: str, interlock: str) -> bool:
        """Another server has told, or is about to; whether it was still to be done."""
        self._told.add((token, interlock))
        due = self._notices.get(token, ("", "", ""))[0] == interlock
        return due and self._notices.pop(token, None) is not None

    def is_past(self, interlock: str, at_ns: int) -> bool:
        """Whether what happened then (the machine's monotonic time) was forgotten before it was heard of here."""
        return at_ns < self._forgotten_ns.get(interlock, 0)

    def forget(self, interlocks: Collection[str]) -> None:
        """Of these nobody is to be told any more, and of the next time everybody is."""
        self._forgotten_ns.update(dict.fromkeys(interlocks, time.monotonic_ns()))
        self._notices = {token: told for token, told in self._notices.items() if told[0] not in interlocks}
        self._told = {told for told in self._told if told[1] not in interlocks}
