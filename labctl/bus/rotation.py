"""Keys changed for new ones while benches are up and clients work: for an overlap both are good, then the old is not.

Of a person's pair: `begin` makes the new one beside the old, `accept` on each bench's machine lets both in, `finish`
has the new one shown and the old one forgotten. Of a bench's pair: `begin`, then every client is told of the new public
key, by hand (`believe`) and by the bench itself; `finish` and a restart have the bench prove it, and each client that
has seen it proved forgets the old one.
"""

from __future__ import annotations

import contextlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.bus import security
from labctl.bus.security import ALLOWED, TRUSTED, next_name, public_key, read_list, write_list

OVERLAP_S = 7 * 86400.0
LONGEST_OVERLAP_S = 366 * 86400.0


def begin(name: str) -> str:
    """The public key of the pair that is to take the place of ``name``; made beside it, unless it is there already.

    ConfigurationError if there is no pair ``name``.
    """
    security.check_name(name)
    if security.load(name) is None:
        own = ", ".join(security.names()) or "none"
        raise ConfigurationError(f"there is no key pair {name!r} in {security.folder()}; there are {own}")
    return coming(name) or public_key(str(security.make_pair(next_name(name))))


def coming(name: str) -> str:
    """The public key that a pair will have; "" while none is being changed. ConfigurationError if it is spoilt."""
    found = security.load(next_name(name))
    return found.public if found is not None else ""


def finish(name: str) -> str:
    """The new pair takes the old one's place, whose secret is gone then; returns its public key.

    Called again after it was interrupted, it does the rest. ConfigurationError if no pair ``name`` is being changed.
    """
    secret, public = _files(next_name(name))
    if not secret.exists() and not public.exists():
        raise ConfigurationError(f"the key pair {name!r} is not being changed; begin with `labctl keys rotate {name}`")
    if secret.exists():
        coming(name)  # what is spoilt takes nobody's place
    for new, old in zip((secret, public), _files(name), strict=True):  # the secret's file holds both
        with contextlib.suppress(FileNotFoundError):
            os.replace(new, old)
    found = security.load(name)
    if found is None:
        raise ConfigurationError(f"the new pair of {name!r} has no secret; make one with `labctl keys make NAME`")
    return found.public


def is_changing(name: str) -> bool:
    """Whether a pair of this user has another beside it."""
    return any(path.exists() for path in _files(next_name(name)))


def _files(name: str) -> tuple[Path, Path]:
    return security.folder() / f"{name}.key_secret", security.folder() / f"{name}.key"


# --- who is let in ------------------------------------------------------------------------------------------------


def accept(name: str, key: str, overlap_s: float = OVERLAP_S) -> datetime:
    """Let a client in with a new key, and with its old one until the time that is returned. Benches that are up follow.

    ConfigurationError if the client is not let in, has this key already, or is being given another.
    """
    if not 0 < overlap_s <= LONGEST_OVERLAP_S:
        raise ConfigurationError(f"an overlap of {overlap_s:g} s; more than 0 and at most a year is allowed")
    new = public_key(key)
    table = read_list(ALLOWED)
    old = {one.caller.name: one for one in security.admitted() if one.until is None}.get(name)
    if old is None:
        known = ", ".join(table) or "none"
        raise ConfigurationError(f"no client {name!r} is allowed; allowed are {known}. Use `labctl keys allow`")
    if new == old.key:
        raise ConfigurationError(f"{name} is let in with this key already")
    if _old_is_good(name):
        raise ConfigurationError(
            f"{name} is being given a new key already, until {table[name]['until']}; end that first with `labctl keys "
            f"rotate {name} --finish`"
        )
    until = datetime.fromtimestamp(time.time() + overlap_s, UTC).replace(microsecond=0)
    table[name] = {"key": new, "role": table[name].get("role", "observer"), "old": old.key, "until": until.isoformat()}
    write_list(ALLOWED, table)
    return until


def _old_is_good(name: str) -> bool:
    return any(one.caller.name == name and one.until is not None and not one.over for one in security.admitted())


def drop_old(name: str) -> bool:
    """Let a client in no longer with the key that it had before; whether there was one."""
    table = read_list(ALLOWED)
    entry = table.get(name, {})
    if "old" not in entry:
        return False
    table[name] = {key: value for key, value in entry.items() if key not in ("old", "until")}
    write_list(ALLOWED, table)
    return True


# --- whom to believe ----------------------------------------------------------------------------------------------


def believe(name: str, key: str) -> None:
    """Believe a bench that is trusted if it proves this key, too. ConfigurationError if it is not trusted."""
    table = read_list(TRUSTED)
    if name not in security.trusted():
        known = ", ".join(table) or "none"
        raise ConfigurationError(f"no bench {name!r} is trusted; trusted are {known}. Use `labctl keys trust`")
    new = public_key(key)
    if new != table[name]["key"]:
        table[name] = {**table[name], "next": new}
        write_list(TRUSTED, table)


def proved(name: str, key: str) -> None:
    """The bench has proved this key: if it is the new one, the old one is believed no longer."""
    table = read_list(TRUSTED)
    if name in table and table[name].get("next") == key:
        table[name] = {"address": table[name]["address"], "key": key}
        write_list(TRUSTED, table)
