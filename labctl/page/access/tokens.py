"""Tokens by which people sign in at the page. Their hashes lie beside the keys, in ``page-tokens.toml``.

A token is 192 random bits, so that its SHA-256 tells nothing and cannot be searched for; the token itself is shown
once, when it is made, and kept nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from drivers.errors import ConfigurationError
from labctl.bus import security
from labctl.bus.roles import ROLES, Role

FILE = "page-tokens.toml"
_BEGINNING = "labctl-page-"
_BYTES = 24
LONGEST_TOKEN = 200


@dataclass(frozen=True)
class Token:
    """Who has one, in which role, and until when (Unix time, s; None for no end). digest: its SHA-256."""

    name: str
    role: Role
    digest: str
    until: float | None = None

    @property
    def good(self) -> bool:
        """Whether its time is not over."""
        return self.until is None or time.time() < self.until


def make(name: str, role: str, for_s: float | None = None) -> str:
    """A new token for somebody, in the place of the one they had. ConfigurationError for a bad name or role."""
    security.check_name(name)
    if role not in ROLES or ROLES[role] == Role.OBSERVER:
        raise ConfigurationError(
            f"no token for role {role!r}: observers need none; roles are operator and laser-operator"
        )
    token = _BEGINNING + secrets.token_urlsafe(_BYTES)
    entry = {"role": role, "sha256": _digest(token)}
    if for_s is not None:
        entry["until"] = datetime.fromtimestamp(time.time() + for_s, UTC).isoformat(timespec="seconds")
    security.write_list(FILE, {**security.read_list(FILE), name: entry})
    return token


def revoke(name: str) -> None:
    """Whoever signed in with it is an observer from now on. ConfigurationError if there is none of that name."""
    table = security.read_list(FILE)
    if name not in table:
        raise ConfigurationError(f"no token of {name!r}; there are those of {', '.join(table) or 'nobody'}")
    del table[name]
    security.write_list(FILE, table)


def tokens() -> list[Token]:
    """All of them. ConfigurationError for a file that is none, or that others can write."""
    found = []
    for name, entry in security.read_list(FILE).items():
        role, digest, until = str(entry.get("role")), str(entry.get("sha256", "")), entry.get("until")
        try:
            end = None if until is None else datetime.fromisoformat(str(until)).timestamp()
        except ValueError:
            end = 0.0
        if role not in ROLES or len(digest) != 64 or end == 0.0:
            raise ConfigurationError(
                f"{security.folder() / FILE}: [{name}] needs role, sha256 and, if it ends, until; make it again with "
                f"`labctl tokens make {name} --role ROLE`"
            )
        found.append(Token(name, ROLES[role], digest, end))
    return found


class TokenBook:
    """The tokens as they are now: the file is read again when it changed, so revoking needs no restart."""

    def __init__(self) -> None:
        self._seen: tuple[int, int, int] | None = None
        self._tokens: list[Token] = []

    def of(self, token: str) -> Token | None:
        """Whose token a text is; None if nobody's, or its time is over."""
        digest = _digest(token[:LONGEST_TOKEN])
        found = None
        for one in self._now():  # all of them, so that the time taken does not tell how far it went
            if hmac.compare_digest(one.digest, digest):
                found = one
        return found if found is not None and found.good else None

    def has(self, token: Token) -> bool:
        """Whether it is still in the list."""
        return token in self._now()

    def role(self, token: Token) -> Role:
        """What who signed in with a token may do now."""
        still = any(one == token and one.good for one in self._now())
        return token.role if still else Role.OBSERVER

    def _now(self) -> list[Token]:
        try:
            status = os.stat(security.folder() / FILE)
        except OSError:
            self._seen, self._tokens = None, []
            return self._tokens
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._tokens = []  # a file that cannot be believed lets nobody in
            self._tokens = tokens()
            self._seen = seen
        return self._tokens


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
