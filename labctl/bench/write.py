"""Bench files written by a program: the tables of one that was read, with some keys changed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from drivers.errors import ConfigurationError
from labctl.bench.config import BenchConfig
from labctl.bench.sources import read_sources

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def bench_text(config: BenchConfig, changes: Mapping[str, object], heading: str) -> str:
    """A whole bench file: ``config`` with its overlay and overrides, and ``changes`` by dotted key, as TOML.

    Values are those TOML has; a key whose value is None is left out. heading: a comment on top, any lines.
    """
    data = read_sources(config.path, {**config.overrides, **changes}, (config.text, config.overlay_text)).data
    comment = "".join(f"# {line}\n" if line else "#\n" for line in heading.splitlines())
    return comment + "\n" + toml(data)


def toml(data: Mapping[str, Any]) -> str:
    """Nested tables as TOML. ConfigurationError for a value that TOML has not."""
    lines: list[str] = []
    _table(data, (), lines)
    return "\n".join(lines).strip("\n") + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping) and value is not None}
    below = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    if path and (plain or not below):
        lines += ["", f"[{'.'.join(map(_key, path))}]"]
    lines += [f"{_key(key)} = {_value(value, (*path, key))}" for key, value in plain.items()]
    for key, value in below.items():
        _table(value, (*path, key), lines)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)


def _value(value: Any, path: tuple[str, ...]) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case list() | tuple():
            return f"[{', '.join(_value(item, path) for item in value)}]"
        case Mapping():
            return "{ " + ", ".join(f"{_key(k)} = {_value(v, path)}" for k, v in value.items()) + " }"
    raise ConfigurationError(f"{'.'.join(path)} = {value!r} cannot be written in a bench file: {type(value).__name__}")


def _text(text: str) -> str:
    # JSON's strings are TOML's, but for the character that JSON lets stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
