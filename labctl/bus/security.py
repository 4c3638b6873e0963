"""Keys for tcp: CURVE key pairs in files, the list of clients that are let in, and the servers that are trusted.

Files lie in ``LABCTL_KEYS`` or ``~/.config/labctl/keys``: ``NAME.key`` (public), ``NAME.key_secret`` (mode 0600),
``allowed.toml`` (which clients a bench of this user lets in, with their roles), ``trusted.toml`` (which remote benches
this user believes). Formats of the key files are ZeroMQ's own certificates. How keys are changed for new ones is in
`labctl.bus.rotation`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import stat
import threading
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import zmq
import zmq.auth

from drivers.errors import ConfigurationError
from labctl.bus.roles import ROLES, Caller
from labctl.private import open_to_others, private_folder, write_private

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_KEY = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_NEXT = "+next"  # no name has a +
_LARGEST_LIST_BYTES = 1 << 20


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, both as 40 characters of Z85."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair({self.public!r})"  # a secret must not end up in a log


def folder() -> Path:
    """Where keys lie; not made here."""
    named = os.environ.get("LABCTL_KEYS")
    config = os.environ.get("XDG_CONFIG_HOME")
    return Path(named) if named else (Path(config) if config else Path.home() / ".config") / "labctl" / "keys"


def make(name: str) -> Path:
    """A new key pair ``name``; returns the public file. ConfigurationError if it exists: keys are not overwritten."""
    check_name(name)
    return make_pair(name)


def make_pair(name: str) -> Path:
    """The same for a name that nobody chose."""
    place = _own_folder()
    public = place / f"{name}.key"
    if public.exists() or (place / f"{name}.key_secret").exists():
        raise ConfigurationError(f"{public} exists and is kept; choose another name, or remove both files yourself")
    before = os.umask(0o077)
    try:
        zmq.auth.create_certificates(place, name)
    finally:
        os.umask(before)
    return public


def load(name: str) -> KeyPair | None:
    """The key pair ``name``, None if there is none. ConfigurationError if others can read the secret, or could put
    another in its place."""
    path = folder() / f"{name}.key_secret"
    if not path.exists():
        return None
    _own_folder()
    if hasattr(os, "getuid") and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigurationError(f"{path} can be read by others: run `chmod 600 {path}`, and better make a new key")
    public, secret = _certificate(path)
    if secret is None:
        raise ConfigurationError(f"{path} holds no secret key; make one with `labctl keys make NAME`")
    return KeyPair(public, secret)


def names() -> list[str]:
    """Key pairs that this user has."""
    found = (path.name.removesuffix(".key_secret") for path in folder().glob("*.key_secret"))
    return sorted(name for name in found if not name.endswith(_NEXT))


def next_name(name: str) -> str:
    """The pair that takes the place of ``name`` one day, while keys are changed."""
    return f"{name}{_NEXT}"


def own_keys() -> KeyPair | None:
    """The key pair this user shows to other machines: ``LABCTL_KEY`` names it, else it is the only one
    besides ``server``.

    None if there is none. ConfigurationError if there are several and none is named.
    """
    named = os.environ.get("LABCTL_KEY")
    if named:
        found = load(named)
        if found is None:
            known = ", ".join(names()) or "none"
            raise ConfigurationError(f"LABCTL_KEY = {named!r}: no such key in {folder()}; there are {known}")
        return found
    mine = names()
    if len(mine) > 1:
        mine = [name for name in mine if name != "server"]  # a bench's own, made on the machine it runs on
    if len(mine) > 1:
        raise ConfigurationError(f"there are keys {', '.join(mine)}; say which to show with LABCTL_KEY=NAME")
    return load(mine[0]) if mine else None


def public_key(text: str) -> str:
    """A public key given as itself or as the path of a ``.key`` file."""
    with contextlib.suppress(OSError, ValueError):  # too long for a path, or with a zero in it
        if Path(text).is_file():  # asked first: a path of 40 characters looks like a key
            return _certificate(Path(text))[0]
    if _KEY.fullmatch(text):
        return text
    raise ConfigurationError(f"{text!r} is neither a public key (40 characters) nor a file with one")


def _certificate(path: Path) -> tuple[str, str | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
        found = public.decode(), secret.decode() if secret else None
    except (OSError, ValueError, LookupError) as error:
        raise ConfigurationError(f"{path} is no key file: {error}") from None
    if not all(key is None or _KEY.fullmatch(key) for key in found):
        raise ConfigurationError(f"{path} is no key file: its keys are not 40 characters of Z85")
    return found


# --- who is let in, whom to believe -------------------------------------------------------------------------------


def allow(name: str, key: str, role: str) -> None:
    """Let the owner of a public key in, as ``role``."""
    check_name(name)
    if role not in ROLES:
        raise ConfigurationError(f"no role {role!r}; roles are {', '.join(ROLES)}")
    key = public_key(key)
    table = read_list(ALLOWED)
    before = table.get(name, {})
    # Another role leaves a change of keys that is under way as it is; another key ends it.
    kept = before if before.get("key") == key else {}
    table[name] = {**kept, "key": key, "role": role}
    write_list(ALLOWED, table)


def revoke(name: str) -> None:
    """Keep a client out, with all its keys, from its next request on. ConfigurationError if it was not let in."""
    table = read_list(ALLOWED)
    if name not in table:
        raise ConfigurationError(f"no client {name!r} is allowed; allowed are {', '.join(table) or 'none'}")
    del table[name]
    write_list(ALLOWED, table)


@dataclass(frozen=True)
class Admitted:
    """A key that is let in, and whose it is. until: Unix time (s) from which on it is not; None for no end."""

    key: str
    caller: Caller
    until: float | None = None

    @property
    def over(self) -> bool:
        """Whether its time is over."""
        return self.until is not None and time.time() >= self.until


def admitted() -> list[Admitted]:
    """Every key that is let in: one for each client, and the one before while keys are changed."""
    found = []
    for name, entry in read_list(ALLOWED).items():
        key, role = str(entry.get("key", "")), str(entry.get("role", "observer"))
        old, until = str(entry.get("old", "")), _time(entry.get("until"))
        if not _KEY.fullmatch(key) or role not in ROLES or (old and not (_KEY.fullmatch(old) and until is not None)):
            raise ConfigurationError(
                f"{folder() / ALLOWED}: {name} needs key (40 characters) and a role of {', '.join(ROLES)}; old, if it "
                "is there, is a key and needs a time, until"
            )
        caller = Caller(name, ROLES[role])
        found.append(Admitted(key, caller))
        if old:
            found.append(Admitted(old, caller, until))
    return found


def allowed() -> dict[str, tuple[str, Caller]]:
    """Who is let in: name and role by public key, as ``{name: (key, caller)}``. Without keys that end soon."""
    return {one.caller.name: (one.key, one.caller) for one in admitted() if one.until is None}


def _time(value: object) -> float | None:
    """Unix time of a text in ISO 8601 with a time zone, or of TOML's own; None of anything else."""
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else value
        return when.timestamp() if isinstance(when, datetime) and when.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def trust(name: str, address: str, key: str) -> None:
    """Believe the bench at ``address`` (tcp://HOST:PORT) if it proves this public key; call it ``name`` from now on."""
    check_name(name)
    found = re.fullmatch(r"tcp://[A-Za-z0-9._%:\[\]-]+:(\d{1,5})", address)
    if found is None or not 0 < int(found[1]) < 1 << 16:
        raise ConfigurationError(f"{address!r} is no address; write tcp://HOST:PORT, with a port of 1 to 65535")
    table = read_list(TRUSTED)
    table[name] = {"address": address, "key": public_key(key)}
    write_list(TRUSTED, table)


def trusted() -> Mapping[str, Mapping[str, str]]:
    """Remote benches that are believed, by name: address, key, and while keys are changed the ``next`` one."""
    table = read_list(TRUSTED)
    for name, entry in table.items():
        keys = [entry.get("key"), *([entry["next"]] if "next" in entry else [])]
        if not isinstance(entry.get("address"), str) or not all(isinstance(k, str) and _KEY.fullmatch(k) for k in keys):
            raise ConfigurationError(f"{folder() / TRUSTED}: {name} needs address (tcp://HOST:PORT) and key; say "
                                     "`labctl keys trust` again")  # fmt: skip
    return table


ALLOWED, TRUSTED = "allowed.toml", "trusted.toml"


def read_list(file: str) -> dict[str, Any]:
    """`ALLOWED` or `TRUSTED`, empty if it is not there. ConfigurationError if it is none, or others can write it."""
    path = folder() / file
    if not path.exists():
        return {}
    try:
        _own_folder()
        wrong = open_to_others(path)
        if wrong:
            raise ConfigurationError(f"{path} is not believed: {wrong}; look through it, then `chmod 600 {path}`")
        if path.stat().st_size > _LARGEST_LIST_BYTES:
            raise ConfigurationError(f"{path} is larger than {_LARGEST_LIST_BYTES} bytes, and no list of keys")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # TOML's and UTF-8's errors are ValueErrors
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if not all(isinstance(entry, dict) for entry in table.values()):
        raise ConfigurationError(f"{path}: every entry is a table [NAME]")
    return table


def write_list(file: str, table: Mapping[str, Mapping[str, object]]) -> None:
    """Put a list in the place of the one before: a reader sees the old one or the new one."""
    path = _own_folder() / file
    lines = []
    for name, entry in sorted(table.items()):
        told = (f"{_toml_text(key)} = {_toml_text(str(value))}" for key, value in entry.items())
        lines += [f"[{_toml_text(name)}]", *told, ""]
    try:
        write_private(path, "\n".join(lines).encode())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error}; make room there, or set LABCTL_KEYS") from None


def _toml_text(value: str) -> str:
    """A text of TOML, which escapes as JSON does."""
    return json.dumps(value, ensure_ascii=True)


def _own_folder() -> Path:
    cure = "take the rights to write from others, or set LABCTL_KEYS to a folder of your own"
    return private_folder(folder(), "key folder", cure, closed=False)


def check_name(name: str) -> None:
    """ConfigurationError unless it can be the name of a key."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r:.80} is no name for a key: letters, digits and _ . @ - are allowed")


# --- the door -----------------------------------------------------------------------------------------------------


class Door:
    """Lets clients with allowed keys in, and tells who they are. One for all tcp sockets of a context.

    The list is read again when it changed, so `labctl keys allow` and `revoke` need no restart.
    """

    def __init__(self, context: zmq.Context[Any]) -> None:
        self._lock = threading.Lock()
        self._stamp: float | None = None
        self._admitted: dict[str, Admitted] = {}
        self.refused = 0
        from zmq.auth.thread import ThreadAuthenticator  # a twentieth of a second, for asyncio: only on tcp with keys

        self._authenticator = ThreadAuthenticator(context, log=logging.getLogger("labctl.zap"))
        # Its own log line per connection says nothing of names or roles; ours do.
        logging.getLogger("labctl.zap").setLevel(logging.CRITICAL)
        self._authenticator.start()
        self._authenticator.configure_curve_callback("*", self)

    def callback(self, domain: str, key: bytes) -> bool:
        """Called for every new connection; its caller is let in if the list says so."""
        text = key.decode("ascii", "replace")
        caller = self.caller(text)
        if caller is None:
            self.refused += 1
            log.warning("refused a client with the unknown key %s", text)
            return False
        log.info("let %s in (%s)", caller.name, caller.role.label)
        return True

    def caller(self, public: str) -> Caller | None:
        """Who owns a key, or None for somebody who is not, or no longer, let in."""
        with self._lock:
            self._refresh()
            found = self._admitted.get(public)
            return None if found is None or found.over else found.caller

    def _refresh(self) -> None:
        path = folder() / ALLOWED
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            stamp = -1
        if stamp == self._stamp:
            return
        try:
            self._stamp = stamp
            self._admitted = {one.key: one for one in admitted()}
        except ConfigurationError as error:
            self._admitted = {}  # a list that cannot be read lets nobody in
            log.error("%s; nobody is let in until it is mended", error)

    def close(self) -> None:
        """End the thread."""
        with contextlib.suppress(zmq.ZMQError):
            self._authenticator.stop()
