"""Small pieces of Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; "" where there are no rows."""
    body = [f"| {' | '.join(cell(one) for one in row)} |" for row in rows]
    if not body:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body]) + "\n"


def cell(text: str) -> str:
    """Text in one line that does not end its cell."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|").strip()


def prose(text: str) -> str:
    """Text of a docstring or help as paragraphs: what Markdown would take for marks is escaped outside of backticks."""
    parts = re.split(r"(``.+?``|`[^`\n]+`)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>\[\]#$])", r"\\\1", part) for part in parts)


def doc(found: object) -> str:
    """The docstring, "" where there is none of its own."""
    return inspect.getdoc(found) or ""


def first_paragraph(text: str) -> str:
    """Up to the first empty line, in one line."""
    return re.sub(r"\s+", " ", text.split("\n\n")[0]).strip()
