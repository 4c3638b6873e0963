"""Drawings for the page, as PNG: a run's plot, a calibration's values, the colours of pictures."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import ConfigurationError
from labctl.runfile.file import pictures_of
from labctl.store.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_drawing = threading.Lock()  # matplotlib is not made for several threads
_MOST_PANELS = 8
_LARGEST_PICTURE_BYTES = 64 << 20
_PNG = b"\x89PNG\r\n\x1a\n"
_RED = [(round(255 * k / 254), 0, 0) for k in range(255)]


def palettes() -> dict[str, list[tuple[int, int, int]]]:
    """Colours (red, green, blue) of the 255 levels, by name."""
    import matplotlib

    found = {"red": _RED, "gray": [(k, k, k) for k in range(255)]}
    for name in ("inferno", "viridis", "twilight"):
        colours = (255 * matplotlib.colormaps[name](np.linspace(0, 1, 255))[:, :3]).round().astype(int)
        found[name] = [(int(r), int(g), int(b)) for r, g, b in colours]
    return found


def run_file(out: Path, name: str) -> Path:
    """A run file of the folder by its name. ConfigurationError for anything else."""
    path = out / name
    if len(name) > 250 or Path(name).name != name or path.suffix != ".h5" or not path.is_file():
        raise ConfigurationError(f"there is no run {name!r:.100}")
    return path


def run_plot(path: Path) -> bytes:
    """The picture of `labctl runs plot`. ConfigurationError for a run with nothing to show."""
    from labctl.runs.data import RunData
    from labctl.runs.plot import picture

    return _png(lambda: picture(RunData(path), (), _MOST_PANELS)[0])


def run_picture(path: Path, name: str) -> bytes:
    """A picture that the run has drawn itself. ConfigurationError for a name that its file does not have, and for what
    is no picture: run files are not believed in what they name."""
    for one in pictures_of(path):
        if one.name == name:
            with one.open("rb") as file:
                png = file.read(_LARGEST_PICTURE_BYTES + 1)
            if not png.startswith(_PNG) or len(png) > _LARGEST_PICTURE_BYTES:
                raise ConfigurationError(f"{name!r:.100} of {path.name} is no PNG of at most 64 MiB")
            return png
    raise ConfigurationError(f"{path.name} has no picture {name!r:.100}")


def calibration_plot(calibration: Calibration) -> bytes:
    """Its values: numbers as text, lists as lines, tables as images. ConfigurationError if there are none."""
    return _png(lambda: _values(calibration))


def _values(calibration: Calibration) -> Figure:
    from matplotlib.figure import Figure

    shown = list(calibration.values.items())[:_MOST_PANELS]
    if not shown:
        raise ConfigurationError(f"{calibration.title} has no values to show")
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.8 * columns, 2.9 * rows), layout="constrained")
    for k, (name, measured) in enumerate(shown):
        axes = figure.add_subplot(rows, columns, k + 1)
        unit = "" if measured.unit == "1" else f" ({measured.unit})"
        axes.set_title(f"{name}{unit}", fontsize=9)
        values = np.abs(measured.value) if measured.value.dtype.kind == "c" else measured.value.astype(np.float64)
        if values.ndim > 2:
            values = values.reshape(-1, *values.shape[-2:])[0]
        if values.ndim == 2 and min(values.shape) > 1:
            figure.colorbar(axes.imshow(values, aspect="auto", interpolation="nearest"), ax=axes)
        elif values.size > 1:
            axes.plot(values.ravel(), ".-" if values.size < 60 else "-", lw=1)
        else:
            axes.set_axis_off()
            axes.text(
                0.5, 0.5, f"{float(values.reshape(-1)[0]):.6g}" if values.size else "none", ha="center", fontsize=14
            )
    return figure


def _png(draw: Callable[[], Figure]) -> bytes:
    with _drawing:
        into = io.BytesIO()
        draw().savefig(into, format="png", dpi=90)
        return into.getvalue()
