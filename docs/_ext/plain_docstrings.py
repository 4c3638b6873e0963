"""Docstrings as they are written here, ready for reStructuredText.

Sections (Parameters, Raises, …) list ``name: text``; bars are absolute values and not substitutions.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_RULE = re.compile(r"-{3,}\s*")
_ENTRY = re.compile(r"(?P<names>\w[\w.]*(?:, \w[\w.]*)*): (?P<text>.*)")
_LITERAL = re.compile(r"(``.+?``|`[^`]+`)")


def plain(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Rewrite ``lines`` in place."""
    out: list[str] = []
    in_section = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if _RULE.fullmatch(line) and out:
            continue
        if _RULE.fullmatch(following):
            in_section = True
            out += ["", f"**{line.strip()}**", ""]
            continue
        entry = _ENTRY.fullmatch(line) if in_section else None
        if entry is not None:
            names = ", ".join(f"``{one}``" for one in entry["names"].split(", "))
            out.append(f"- {names}: {_escaped(entry['text'])}")
        elif in_section and line.startswith(" "):
            out.append(f"  {_escaped(line.strip())}")
        else:
            out.append(_escaped(line))
    lines[:] = out


def _escaped(text: str) -> str:
    text = re.sub(r"(?<=\w)`(?=\w)", "`\\ ", text)  # the plural of a name: `calibration`s
    parts = _LITERAL.split(text)
    return "".join(part if part.startswith("`") else re.sub(r"([|*_])(?=\S)", r"\\\1", part) for part in parts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", plain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
