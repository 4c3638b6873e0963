"""Lengths of time that options take: how long a key, a token or armed light lasts."""

from __future__ import annotations

from drivers.errors import ConfigurationError
from drivers.quantity import parse_quantity


def seconds_of(option: str, text: str) -> float:
    """The length of time that was given to an option, in s. Raises ConfigurationError if it is none, or not above 0."""
    try:
        seconds = parse_quantity(text, "s")
    except ValueError as error:
        raise ConfigurationError(f"{option} {text}: {error}") from None
    if not seconds > 0:
        raise ConfigurationError(f"{option} {text}: it must be longer than 0 s; write for example 8h or '20 min'")
    return seconds
