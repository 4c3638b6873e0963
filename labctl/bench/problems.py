"""Problems of a bench file: where each one is, what was found and what is allowed, all reported at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drivers.errors import ConfigurationError
from labctl.registry import suggestion

KeyPath = tuple[str | int, ...]
"""A place in the file: table names, keys, and the index where there is an array."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    file: the bench file, its overlay, or ``--set KEY``. line: counted from 1, None where there is none. key:
    dotted, empty when the whole file is meant. allowed: empty when `found` says everything.
    """

    file: str
    line: int | None
    key: str
    found: str
    allowed: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f"{self.key}: " if self.key and place != f"--set {self.key}" else ""
        text = f"{place}: {key}{self.found}" + (f"; allowed: {self.allowed}" if self.allowed else "")
        # One line each, and printable whatever the file or the shell put into it.
        return "".join(c if c.isprintable() else _escaped(c) for c in " ".join(text.split()))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class BenchFileError(ConfigurationError):
    """A bench file cannot be used; ``problems`` lists everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True)
class Finding:
    """A problem before it is located: the path of the key instead of file and line."""

    path: KeyPath
    found: str
    allowed: str = ""


def unknown_key(path: KeyPath, allowed: Iterable[str]) -> Finding:
    """The finding for a key that nothing reads, with the nearest one that exists."""
    keys = sorted(set(allowed))
    return Finding(path, f"unknown key{suggestion(str(path[-1]), keys)}", ", ".join(keys) or "no keys here")


def show(value: object) -> str:
    """``value`` as the bench file writes it, shortened."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list" if len(value) > 5 else f"[{', '.join(show(item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 60 else value[:57] + "...", ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def show_key(path: KeyPath) -> str:
    """Dotted form of a path; parts that TOML would quote are quoted, array indices stand in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part.replace("-", "").replace("_", "").isalnum() and part.isascii()
        text += ("." if text else "") + (part if bare else json.dumps(part, ensure_ascii=False))
    return text
