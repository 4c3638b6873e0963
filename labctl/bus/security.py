"""Keys for tcp: CURVE key pairs in files, the list of clients that are let in, and the servers that are trusted.

Files lie in ``LABCTL_KEYS`` or ``~/.config/labctl/keys``: ``NAME.key`` (public), ``NAME.key_secret`` (mode 0600),
``allowed.toml`` (which clients a bench of this user lets in, with their roles), ``trusted.toml`` (which remote benches
this user believes). Formats of the key files are ZeroMQ's own certificates.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from drivers.errors import ConfigurationError
from labctl.bus.roles import ROLES, Caller

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_KEY = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
DOMAIN = "labctl"


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
    place = _own_folder()
    _check_name(name)
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
    """The key pair ``name``, None if there is none. ConfigurationError if others can read the secret."""
    path = folder() / f"{name}.key_secret"
    if not path.exists():
        return None
    if hasattr(os, "getuid") and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigurationError(f"{path} can be read by others: run `chmod 600 {path}`, and better make a new key")
    public, secret = _certificate(path)
    if secret is None:
        raise ConfigurationError(f"{path} holds no secret key; make one with `labctl keys make NAME`")
    return KeyPair(public, secret)


def names() -> list[str]:
    """Key pairs that this user has."""
    return sorted(path.name.removesuffix(".key_secret") for path in folder().glob("*.key_secret"))


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
    if Path(text).is_file():  # asked first: a path of 40 characters looks like a key
        return _certificate(Path(text))[0]
    if _KEY.fullmatch(text):
        return text
    raise ConfigurationError(f"{text!r} is neither a public key (40 characters) nor a file with one")


def _certificate(path: Path) -> tuple[str, str | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} is no key file: {error}") from None
    return public.decode(), secret.decode() if secret else None


# --- who is let in, whom to believe -------------------------------------------------------------------------------


def allow(name: str, key: str, role: str) -> None:
    """Let the owner of a public key in, as ``role``."""
    _check_name(name)
    if role not in ROLES:
        raise ConfigurationError(f"no role {role!r}; roles are {', '.join(ROLES)}")
    table = _read("allowed.toml")
    table[name] = {"key": public_key(key), "role": role}
    _write("allowed.toml", table)


def revoke(name: str) -> None:
    """Keep a client out from its next connection on. ConfigurationError if it was not let in."""
    table = _read("allowed.toml")
    if name not in table:
        raise ConfigurationError(f"no client {name!r} is allowed; allowed are {', '.join(table) or 'none'}")
    del table[name]
    _write("allowed.toml", table)


def allowed() -> dict[str, tuple[str, Caller]]:
    """Who is let in: name and role by public key, as ``{name: (key, caller)}``."""
    found = {}
    for name, entry in _read("allowed.toml").items():
        key, role = str(entry.get("key", "")), str(entry.get("role", "observer"))
        if not _KEY.fullmatch(key) or role not in ROLES:
            raise ConfigurationError(f"{folder() / 'allowed.toml'}: {name} needs key (40 characters) and a role of "
                                     f"{', '.join(ROLES)}")  # fmt: skip
        found[name] = (key, Caller(name, ROLES[role]))
    return found


def trust(name: str, address: str, key: str) -> None:
    """Believe the bench at ``address`` (tcp://HOST:PORT) if it proves this public key; call it ``name`` from now on."""
    _check_name(name)
    if not re.fullmatch(r"tcp://[^/]+:\d+", address):
        raise ConfigurationError(f"{address!r} is no address; write tcp://HOST:PORT")
    table = _read("trusted.toml")
    table[name] = {"address": address, "key": public_key(key)}
    _write("trusted.toml", table)


def trusted() -> Mapping[str, Mapping[str, str]]:
    """Remote benches that are believed: address and key by name."""
    return _read("trusted.toml")


def _read(file: str) -> dict[str, Any]:
    path = folder() / file
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if not all(isinstance(entry, dict) for entry in table.values()):
        raise ConfigurationError(f"{path}: every entry is a table [NAME]")
    return table


def _write(file: str, table: Mapping[str, Mapping[str, str]]) -> None:
    place = _own_folder()
    lines = []
    for name, entry in sorted(table.items()):
        lines += [f'["{name}"]', *(f"{key} = {_toml_text(str(value))}" for key, value in entry.items()), ""]
    fresh = place / f"{file}.{os.getpid()}"
    fresh.write_text("\n".join(lines), encoding="utf-8")
    fresh.chmod(0o600)
    fresh.replace(place / file)  # a reader sees the old list or the new one


def _toml_text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _own_folder() -> Path:
    place = folder()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the key folder {place} cannot be made: {error}; set LABCTL_KEYS") from None
    return place


def _check_name(name: str) -> None:
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
        self._callers: dict[str, Caller] = {}
        self.refused = 0
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
            return self._callers.get(public)

    def _refresh(self) -> None:
        path = folder() / "allowed.toml"
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            stamp = -1
        if stamp == self._stamp:
            return
        try:
            self._stamp = stamp
            self._callers = dict(allowed().values())
        except ConfigurationError as error:
            self._callers = {}  # a list that cannot be read lets nobody in
            log.error("%s; nobody is let in until it is mended", error)

    def close(self) -> None:
        """End the thread."""
        with contextlib.suppress(zmq.ZMQError):
            self._authenticator.stop()
