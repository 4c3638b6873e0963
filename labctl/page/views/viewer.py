"""The picture of a camera or SLM: a canvas that the browser fills by itself (`static/page.js`)."""

from __future__ import annotations

import itertools
import json
from html import escape

from nicegui import ui

_numbers = itertools.count(1)
_SIGNS = """<div class="level"><div><i></i></div><span class="dim"></span></div><div class="alarm" role="status"></div>
<canvas class="histogram" width="256" height="90" role="img" aria-label="Histogram of counts, logarithmic"></canvas>"""


def viewer(device: str, what: str, palette: str, *, region: bool = False, stretch: bool = True) -> str:
    """Make one where the caller is; its id. region: one can be drawn. stretch: colours from darkest to brightest."""
    name = f"viewer-{next(_numbers)}"
    over = '<canvas class="over" aria-label="Draw a region of interest here"></canvas>' if region else ""
    signs = _SIGNS if region else ""
    words = escape(what)
    ui.html(
        f'<div id="{name}" class="viewer"><div class="stage"><canvas class="picture" role="img" aria-label="{words}">'
        f'</canvas>{over}</div><div class="words" role="status">waiting for a picture …</div>'
        f'<div class="legend dim"></div>{signs}</div>',
        sanitize=False,
    ).classes("w-full")
    options = json.dumps({"palette": palette, "region": region, "stretch": stretch})
    ui.run_javascript(f"labctl.view({json.dumps(name)}, {json.dumps(device)}, {options})")
    return name


def tell(name: str, call: str) -> None:
    """Have the browser call a method of a viewer."""
    ui.run_javascript(f"labctl.viewers[{json.dumps(name)}]?.{call}")
