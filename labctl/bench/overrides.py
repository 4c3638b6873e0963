"""Assignments from the command line, ``--set world.slm.stuck=true``, read into typed values."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drivers.errors import ConfigurationError

_KEY = re.compile(r"[^\s.=]+(?:\.[^\s.=]+)*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|nan)")
_COMMA_OUTSIDE_QUOTES = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "none": None}


def parse_assignments(assignments: Iterable[str]) -> dict[str, object]:
    """Dotted keys and typed values of ``KEY=VALUE`` texts; the last one wins where a key is repeated.

    ``true``/``false`` become bool, ``null``/``none`` None, numbers int or float, comma-separated values a
    list (a trailing comma makes a list of one), everything else stays text (``5.2 mm``, ``on``). Double
    quotes keep a value as text: ``name="12"``. Raises ConfigurationError if a text is not an assignment.
    """
    found: dict[str, object] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        key = key.strip()
        if not equals or not _KEY.fullmatch(key):
            what = "has no '='" if not equals else f"has no usable key before '=' ({key!r})"
            raise ConfigurationError(f"{assignment!r} {what}; write KEY=VALUE, for example world.slm.stuck=true")
        found[key] = _value(value.strip(), assignment)
    return found


def _value(text: str, assignment: str) -> object:
    bracketed = len(text) >= 2 and text[0] == "[" and text[-1] == "]"
    items = [item.strip() for item in _COMMA_OUTSIDE_QUOTES.split(text[1:-1] if bracketed else text)]
    if len(items) == 1 and not bracketed:
        return _scalar(text)
    if items[-1] == "":
        items.pop()
    if "" in items or not (items or bracketed):
        raise ConfigurationError(
            f"{assignment!r} has an empty place in its list; write for example temperatures=0.5,1,2"
        )
    return [_scalar(item) for item in items]


def _scalar(text: str) -> object:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def spelt(key: str, value: object) -> str | None:
    """The assignment that `parse_assignments` reads as ``{key: value}``; None for what no assignment can say."""
    text = _spelt_list(value) if isinstance(value, (list, tuple)) else _spelt_scalar(value)
    if text is None:
        return None
    assignment = f"{key}={text}"
    wanted = list(value) if isinstance(value, tuple) else value
    try:
        # By what is read, not by rules a second time; repr tells 1 from 1.0 and true, and nan is itself.
        return assignment if repr(parse_assignments([assignment])) == repr({key: wanted}) else None
    except ConfigurationError:
        return None


def _spelt_list(values: list[object] | tuple[object, ...]) -> str | None:
    items = [_spelt_scalar(value, within=True) for value in values]
    if None in items:
        return None
    text = ",".join(item for item in items if item is not None)
    return f"[{text}]" if len(items) < 2 else text


def _spelt_scalar(value: object, *, within: bool = False) -> str | None:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        return None
    plain = _scalar(value) == value and value == value.strip() and not (within and not value)
    return value if plain and not (value[:1] == "[" or "," in value) else f'"{value}"'
