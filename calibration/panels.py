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

    width, height = 4.5 * columns, 3.0 * rows  # inches, as the margins
    drawing = Drawing(figsize=(width, height))
    # Layouts that fit themselves draw everything several times.
    drawing.subplots_adjust(0.8 / width, 0.54 / height, 1 - 0.18 / width, 1 - 0.3 / height, wspace=0.22, hspace=0.28)
    yield drawing.subplots(rows, columns, sharex=sharex)
    for axes in drawing.axes:
        axes.minorticks_off()
    drawing.savefig(path, dpi=80)
