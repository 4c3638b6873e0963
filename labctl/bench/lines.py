"""Line numbers of the keys of a TOML text, for messages. `tomllib` parses; this only locates, and never
fails."""

from __future__ import annotations

import re
import tomllib

from labctl.bench.problems import KeyPath

_STRING = (
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)+")
_KEY_PART = re.compile(r'[ \t]*("(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+)[ \t]*', re.DOTALL)
_VALUE_TOKEN = re.compile(rf"(?:{_STRING})|#[^\n]*|.", re.DOTALL)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line (from 1) of every table header and key of ``text``, by path.

    The index of an array of tables is part of the path: ``("bodies", 0, "mass")``. Keys inside an
    inline table or a multi-line array have no entry; `line_of` answers the line of what holds them.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    array_lengths: dict[KeyPath, int] = {}
    position, line = 0, 1
    while position < len(text):
        start = position
        if space := _SPACE.match(text, position):
            position = space.end()
        elif text[position] == "[":
            double = text.startswith("[[", position)
            parts, position = _key(text, position + (2 if double else 1))
            table = _resolve(parts, array_lengths, new_element=double)
            _record(lines, table, line)
            lines[table] = line
            position = _line_end(text, position)
        else:
            parts, position = _key(text, position)
            _record(lines, (*table, *parts), line)
            position = _value_end(text, position)
        line += text.count("\n", start, position)
    return lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Line of ``path``, or of the nearest table or key that holds it; None if the text has none of them."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _key(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """Parts of the dotted key at ``position``, and where it ends."""
    parts: list[str] = []
    while part := _KEY_PART.match(text, position):
        parts.append(_unquoted(part.group(1)))
        position = part.end()
        if not text.startswith(".", position):
            break
        position += 1
    return tuple(parts), position


def _unquoted(part: str) -> str:
    if part[0] not in "\"'":
        return part
    try:
        return str(tomllib.loads(f"key = {part}")["key"])
    except tomllib.TOMLDecodeError:
        return part


def _resolve(parts: tuple[str, ...], array_lengths: dict[KeyPath, int], *, new_element: bool) -> KeyPath:
    """Path of a table header: each array of tables on the way means its latest element."""
    path: KeyPath = ()
    for index, part in enumerate(parts):
        path = (*path, part)
        if new_element and index == len(parts) - 1:
            array_lengths[path] = array_lengths.get(path, 0) + 1
        if path in array_lengths:
            path = (*path, array_lengths[path] - 1)
    return path


def _record(lines: dict[KeyPath, int], path: KeyPath, line: int) -> None:
    # The tables that a dotted key or header opens on the way get the line where they are first seen.
    for length in range(1, len(path) + 1):
        lines.setdefault(path[:length], line)


def _value_end(text: str, position: int) -> int:
    """Where the value after ``position`` ends: the first line end outside strings and brackets."""
    depth = 0
    while token := _VALUE_TOKEN.match(text, position):
        character = token.group()
        if character == "\n" and depth <= 0:
            return position
        depth += (character in ("[", "{")) - (character in ("]", "}"))
        position = token.end()
    return len(text)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
