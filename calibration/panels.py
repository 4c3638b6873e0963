"""Pictures of a calibration: a few panels with fixed margins, which are quick to draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def panels(path: Path, rows: int = 2, columns: int = 2, sharex: bool = False) -> Iterator[Any]:
    """Axes (rows, columns) to draw in; the picture is written to ``path`` at the end of the block."""
    from matplotlib.figure import Figure as Drawing

    width, height = 4.8 * columns, 3.1 * rows  # inches, as the margins
    drawing = Drawing(figsize=(width, height))
    # Layouts that fit themselves draw everything several times.
    drawing.subplots_adjust(0.95 / width, 0.54 / height, 1 - 0.2 / width, 1 - 0.34 / height, wspace=0.32, hspace=0.42)
    yield drawing.subplots(rows, columns, sharex=sharex)
    for axes in drawing.axes:
        axes.minorticks_off()
    drawing.savefig(path, dpi=80)
