"""The texts a bench comes from, base file, overlay and ``--set`` assignments, and which of them said what."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.bench.lines import key_lines, line_of
from labctl.bench.problems import BenchFileError, Finding, KeyPath, Problem, show, show_key

_LARGEST_FILE = 4_000_000
_AT_LINE = re.compile(r"\(at (?:line (\d+), column \d+|end of document)\)")


@dataclass(frozen=True)
class Source:
    """One TOML file: its name in messages, its text and what it parses to."""

    name: str
    text: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]


@dataclass
class Sources:
    """Base, overlay (if any) and overrides, merged in this order into ``data``."""

    base: Source
    overlay: Source | None
    overrides: Mapping[str, object]
    data: dict[str, Any] = field(init=False)
    problems: list[Problem] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.data = _merged(self.base.data, self.overlay.data if self.overlay else {})
        for key, value in self.overrides.items():
            self._override(key, value)

    def located(self, finding: Finding) -> Problem:
        """``finding`` with the source that said it; of a missing key, the source that opened its table."""
        path = finding.path
        key = show_key(path)
        best, depth = None, 0
        for source in (self.base, self.overlay):
            reached = _depth(source.data, path) if source else 0
            # At equal depth the overlay counted if it has the whole path; else the base is the place to mend.
            if source and (reached > depth or (reached == depth == len(path) and reached > 0)):
                best, depth = source, reached
        for override in reversed(list(self.overrides)):
            shared = _shared(tuple(override.split(".")), path)
            # It set the value, or something that holds it, or opened the table in which a key is missing.
            if shared > depth or shared == override.count(".") + 1:
                return Problem(f"--set {override}", None, key, finding.found, finding.allowed)
        best = best or self.base
        return Problem(best.name, line_of(best.lines, path), key, finding.found, finding.allowed)

    def in_order(self, problems: list[Problem]) -> list[Problem]:
        """In the order in which somebody mends them: base file by line, overlay by line, overrides."""
        files = [self.base.name, *([self.overlay.name] if self.overlay else [])]
        rank = {name: place for place, name in enumerate(files)}
        return sorted(problems, key=lambda p: (rank.get(p.file, len(files)), p.line or 0))

    def _override(self, key: str, value: object) -> None:
        *parents, last = key.split(".")
        if "" in (*parents, last):
            self.problems.append(
                Problem(f"--set {key}", None, "", "not a dotted key", "for example world.slm.stuck=true")
            )
            return
        table = self.data
        for index, part in enumerate(parents):
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                inner = ".".join(parents[: index + 1])
                self.problems.append(Problem(f"--set {key}", None, "", f"{inner} is {show(table)}, not a table"))
                return
        table[last] = value


def read_sources(path: Path, overrides: Mapping[str, object], texts: tuple[str, str] | None = None) -> Sources:
    """Read and parse ``path`` and the overlay beside it; raise BenchFileError if either cannot be.

    texts: what file and overlay held at an earlier time, to be taken instead.
    """
    problems: list[Problem] = []
    overlay_path = path.parent / f"{path.stem}.local.toml"
    if texts is not None:
        base = _parsed(shown_path(path), texts[0], problems)
        overlay = _parsed(shown_path(overlay_path), texts[1], problems) if texts[1] else None
    else:
        base = _read(path, problems)
        overlay = _read(overlay_path, problems) if is_there(overlay_path) else None
    if base is not None and not base.data:
        problems.append(Problem(base.name, None, "", "the file is empty", "[bench] and [devices.NAME] tables"))
    if problems or base is None:
        raise BenchFileError(problems)
    return Sources(base, overlay, overrides)


def _read(path: Path, problems: list[Problem]) -> Source | None:
    name = shown_path(path)
    text = _text(path, name, problems)
    return None if text is None else _parsed(name, text, problems)


def _parsed(name: str, text: str, problems: list[Problem]) -> Source | None:
    try:
        return Source(name, text, tomllib.loads(text), key_lines(text))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _AT_LINE.search(message)
        line = (int(place[1]) if place[1] else max(1, len(text.splitlines()))) if place else None
        reason = _AT_LINE.sub("", message).strip()
        problems.append(Problem(name, line, "", f"not valid TOML ({reason})", 'KEY = VALUE, text in "quotes"'))
    except RecursionError:
        problems.append(Problem(name, None, "", "brackets are nested too deeply", "a few levels"))
    except ValueError as error:  # tomllib lets int() complain of a number with thousands of digits
        problems.append(Problem(name, None, "", f"not valid TOML ({error})"))
    return None


def _text(path: Path, name: str, problems: list[Problem]) -> str | None:
    try:
        if path.is_dir():
            problems.append(Problem(name, None, "", "a directory", "a bench file (.toml)"))
        elif not path.is_file():
            found = "no such file" if not path.exists() else "not a regular file"
            problems.append(Problem(name, None, "", found, "a bench file (.toml)"))
        elif path.stat().st_size > _LARGEST_FILE:
            problems.append(Problem(name, None, "", "too large for a bench file", f"{_LARGEST_FILE} bytes"))
        else:
            # utf-8-sig: some editors begin a file with a byte-order mark, which TOML does not know.
            return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(Problem(name, line, "", f"not UTF-8 text (byte {error.start})", "a text file saved as UTF-8"))
    except (OSError, ValueError) as error:
        problems.append(Problem(name, None, "", f"cannot be read ({error})", "a readable bench file"))
    return None


def is_there(path: Path) -> bool:
    """Whether something has this name; no for a name that nothing can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def shown_path(path: Path) -> str:
    """``path`` relative to the working directory where it lies below it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``base`` with ``over`` laid over it: tables are merged, everything else is replaced."""
    result: dict[str, Any] = {
        key: _merged(value, {}) if isinstance(value, dict) else value for key, value in base.items()
    }
    for key, value in over.items():
        below = result.get(key)
        merge = isinstance(value, dict)
        result[key] = _merged(below if isinstance(below, dict) else {}, value) if merge else value
    return result


def _depth(data: object, path: KeyPath) -> int:
    """How many parts of ``path`` exist in ``data``."""
    for depth, part in enumerate(path):
        inside = isinstance(data, dict) and part in data
        if isinstance(data, list) and isinstance(part, int):
            inside = part < len(data)
        if not inside:
            return depth
        data = data[part]  # type: ignore[index]
    return len(path)


def _shared(first: KeyPath, second: KeyPath) -> int:
    """Length of the common beginning."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
