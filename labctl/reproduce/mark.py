"""A value beside the published one as a small drawing: the band that is allowed, and ours with its error bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDTH, _HEIGHT = 150, 26
_SHOWN = 1.6
"""Half of the axis, in units of what is allowed; a point beyond it is drawn at its end, as an arrow."""


def mark(row: Mapping[str, Any]) -> str:
    """An SVG of a row of `labctl.reproduce.entries`; "" where there is nothing published to stand beside.

    The line in the middle is the published value, with its standard error if it has one; gray is what is allowed.
    """
    if row["difference"] is None:
        return ""
    ours, theirs, allowed = row["uncertainty"] or 0.0, row["published_uncertainty"] or 0.0, row["tolerance"]
    scale: float = allowed or max(abs(row["difference"]), 4 * ours, 4 * theirs)
    if not scale:
        scale = 1.0
    middle = _WIDTH / 2

    def at(value: float) -> float:
        return middle + max(-1.0, min(1.0, value / scale / _SHOWN)) * (middle - 8)

    y = _HEIGHT / 2
    difference = row["difference"]
    parts = []
    if allowed:
        parts.append(_box(at(-allowed), at(allowed), 3, _HEIGHT - 6, "#e3ebe3"))
    if theirs:
        parts.append(_box(at(-theirs), at(theirs), 6, _HEIGHT - 12, "#b9c4d6"))
    parts.append(_line(middle, 2, middle, _HEIGHT - 2, "#30507a"))
    colour = {True: "#17692c", False: "#b3261e", None: "#555"}[row["ok"]]
    if abs(difference) > _SHOWN * scale:
        tip = at(difference)
        back = tip - 7 if difference > 0 else tip + 7
        parts.append(f'<path d="M{back:.1f} {y - 5} L{tip:.1f} {y} L{back:.1f} {y + 5} Z" fill="{colour}"/>')
    else:
        if ours:
            parts.append(_line(at(difference - ours), y, at(difference + ours), y, colour))
        parts.append(f'<circle cx="{at(difference):.1f}" cy="{y}" r="3.2" fill="{colour}"/>')
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="ours beside the published value">{"".join(parts)}</svg>'
    )


def _box(x0: float, x1: float, y: float, height: float, colour: str) -> str:
    return f'<rect x="{x0:.1f}" y="{y}" width="{max(x1 - x0, 1):.1f}" height="{height}" fill="{colour}"/>'


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0}" x2="{x1:.1f}" y2="{y1}" stroke="{colour}" stroke-width="1.6"/>'
