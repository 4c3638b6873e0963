"""Browsers that have signed in. A session lives in this process only: its end signs everybody out."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.errors import ConfigurationError, LeaseError
from labctl.bus.roles import Role
from labctl.page.access.tokens import Token, TokenBook

log = logging.getLogger(__name__)

LONGEST_S = 12 * 3600.0
_MOST = 256
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_FORGOTTEN_AFTER_S = 600.0


class SignInRefused(LeaseError):
    """The token is nobody's, or the next try comes too early (``wait_s`` > 0)."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(eq=False)
class Session:
    """Somebody at a browser: an observer, or who has shown a token. ended: called when it ends, whatever ends it."""

    book: TokenBook = field(repr=False)
    token: Token | None = None
    until: float = 0.0
    over: bool = False
    ended: list[Callable[[], None]] = field(default_factory=list, repr=False)

    @property
    def role(self) -> Role:
        """What they may do now: a token that was revoked, or is over, counts no more."""
        if self.token is None or self.over or time.monotonic() > self.until:
            return Role.OBSERVER
        try:
            return self.book.role(self.token)
        except ConfigurationError as error:
            log.error("%s", error)
            return Role.OBSERVER

    @property
    def revoked(self) -> bool:
        """Whether the token was taken back, or replaced; not if only its time, or this session, is over."""
        try:
            return self.token is not None and not self.book.has(self.token)
        except ConfigurationError:  # who may write that list is not known, and what it said before counts no more
            return True

    @property
    def name(self) -> str:
        """Whose token it was; "" of an observer."""
        return self.token.name if self.token is not None and self.role > Role.OBSERVER else ""

    def must_be(self, role: Role, what: str) -> None:
        """LeaseError for who may not do ``what``."""
        if self.role < role:
            raise LeaseError(f"{what} is for {role.label}s: sign in with a {role.label}'s token")


class Sessions:
    """Signs people in, slowly for who shows wrong tokens."""

    def __init__(self, book: TokenBook | None = None) -> None:
        self.book = book or TokenBook()
        self.observer = Session(self.book)
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def sign_in(self, token: str, address: str) -> str:
        """The secret for the browser's cookie. SignInRefused for a wrong token, and for who tries again too soon."""
        failures, last = self._failed.get(address, (0, 0.0))
        now = time.monotonic()
        if now - last > _FORGOTTEN_AFTER_S:
            failures = 0
        wait_s = last + _wait_s(failures) - now if failures else 0.0
        if wait_s > 0:  # not even looked at: who tries many learns nothing meanwhile, were one of them right
            raise SignInRefused(f"wrong tokens came from there; try again in {wait_s:.0f} s", wait_s)
        found = self.book.of(token)
        if found is None:
            self._failed[address] = (failures + 1, now)
            self._failed.move_to_end(address)
            if len(self._failed) > _MOST:
                self._failed.popitem(last=False)
            log.warning("page: a wrong token from %s (%d in a row)", address, failures + 1)
            raise SignInRefused("this token is nobody's, or its time is over; `labctl tokens make` makes one")
        self._failed.pop(address, None)
        secret = secrets.token_urlsafe(32)
        self._sessions[secret] = Session(self.book, found, now + LONGEST_S)
        if len(self._sessions) > _MOST:
            _, oldest = self._sessions.popitem(last=False)
            _end(oldest)
        log.info("page: %s signed in as %s", found.name, found.role.label)
        return secret

    def find(self, secret: str | None) -> Session:
        """The session of a cookie; an observer's without one, or with an old one."""
        found = self._sessions.get(secret or "")
        if found is None:
            return self.observer
        if time.monotonic() > found.until:
            self.sign_out(secret)
            return self.observer
        return found

    def sign_out(self, secret: str | None) -> None:
        """End a session, and what it holds."""
        found = self._sessions.pop(secret or "", None)
        if found is not None:
            _end(found)

    def end(self) -> None:
        """End all of them."""
        for secret in list(self._sessions):
            self.sign_out(secret)


def _wait_s(failures: int) -> float:
    return min(_FIRST_WAIT_S * 2.0 ** (failures - 1), _LONGEST_WAIT_S)


def _end(session: Session) -> None:
    session.over = True
    for act in session.ended:
        act()
