"""Reports of one HTML file: one look for all, pictures inside, nothing else needed to read them."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from drivers.errors import ConfigurationError

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 64em; padding: 0 1em; color: #222; }
h2 { margin-top: 1.8em; border-bottom: 1px solid #ccc; } table { border-collapse: collapse; margin: .6em 0; }
td, th { padding: .15em .9em .15em 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { color: #666; font-weight: 600; white-space: nowrap; } td.n { font-variant-numeric: tabular-nums; }
img { max-width: 100%; } pre { background: #f5f5f5; padding: .8em; overflow-x: auto; font-size: 85%; }
code { font-size: 90%; color: #555; }
"""


def document(title: str, body: str, style: str = "") -> str:
    """A whole page. title: plain text. body: HTML. style: rules of its own, after those of all reports."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>\n{body}</body></html>\n"
    )


def inlined(png: bytes, name: str) -> str:
    """A picture as a paragraph. name: what stands in its place where it cannot be seen."""
    return f'<p><img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>\n'


def write(path: Path, page: str, option: str) -> None:
    """Write a page. ConfigurationError, which names the ``option`` to change, if ``path`` cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write the report {path}: {error}; choose another {option}") from None
