"""A run in one picture: what its steps saved, what it kept, numbers of its results; a panel for each, by its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError
from labctl.registry import suggestion
from labctl.runs.data import RunData
from labctl.runs.units import unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 16
_MOST_LINES = 8
_LEAST_SIDE = 4
_MOST_POINTS = 2_000
"""Steps of a long run: those between are left out of its lines."""
_COLUMNS = 4


@dataclass(frozen=True)
class _Panel:
    name: str
    values: NDArray[Any]
    over_steps: bool
    note: str = ""


def draw(run: RunData, path: Path, only: Sequence[str] = ()) -> list[str]:
    """Write the picture of a run (PNG); the names for which there was no room.

    only: names as ``steps/visible``, ``data/W``, ``results/r``, or without the part before the stroke.
    ConfigurationError for a name that is not there, a run with nothing to show, and if ``path`` cannot be written.
    """
    figure, left = picture(run, only)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise ConfigurationError(f"cannot write the picture {path}: {error}; choose another --to") from None
    return left


def picture(run: RunData, only: Sequence[str] = (), most: int = MOST_PANELS) -> tuple[Figure, list[str]]:
    """The picture, and the names for which there was no room."""
    from matplotlib.figure import Figure

    panels = _chosen(_panels(run), only)
    if not panels:
        raise ConfigurationError(f"{run.name} has nothing to show: neither steps nor arrays of numbers")
    shown = panels[:most]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.8 * rows + 0.5), layout="constrained")
    figure.suptitle(f"{run.name}: seed {run.told['seed']}, {run.status}", fontsize=10)
    for k, panel in enumerate(shown):
        _draw(figure, figure.add_subplot(rows, columns, k + 1), panel)
    return figure, [panel.name for panel in panels[most:]]


def _panels(run: RunData) -> list[_Panel]:
    found = []
    with run.reading() as arrays:
        for name, series in arrays.series.items():
            if arrays.steps and series.dtype.kind in "biufc":
                found.append(_series(name, series, arrays.steps))
        for name, array in arrays.data.items():
            if array.dtype.kind in "biufc" and array.size:
                found.append(_kept(f"data/{name}", array))
    for name, value in run.results.items():
        if isinstance(value, list):
            try:
                value = np.asarray(value)
            except ValueError:  # lists of several lengths
                continue
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.size > 1:
            found.append(_kept(f"results/{name}", value))
    return found


def _series(name: str, series: Any, steps: int) -> _Panel:
    """Pictures: that of the last step; else all steps."""
    if is_picture(series.shape[1:]):
        last = np.asarray(series[steps - 1])
        return _Panel(f"steps/{name}", _first(last), False, f", step {steps - 1}")
    every = -(-steps // _MOST_POINTS)
    values = np.asarray(series[:steps:every])
    return _Panel(f"steps/{name}", values.reshape(len(values), -1), True, f", every {every}th" if every > 1 else "")


def _kept(name: str, array: Any) -> _Panel:
    values = np.asarray(array[()])
    return _Panel(name, _first(values) if values.ndim > 2 else values, False)


def is_picture(shape: Sequence[int]) -> bool:
    """Whether the last two axes are rows and columns of something to look at."""
    return len(shape) >= 2 and min(shape[-2:]) >= _LEAST_SIDE


def _first(values: NDArray[Any]) -> NDArray[Any]:
    """The last two axes, at the beginning of those before."""
    first: NDArray[Any] = values.reshape(-1, *values.shape[-2:])[0]
    return first


def _chosen(panels: list[_Panel], only: Sequence[str]) -> list[_Panel]:
    names = [panel.name for panel in panels]
    chosen: list[_Panel] = []
    for given in only:
        fitting = [panel for panel in panels if given in (panel.name, panel.name.partition("/")[2])]
        if not fitting:
            raise ConfigurationError(
                f"--only {given}: the run has nothing of that name to show{_meant(given, names)}; it has "
                f"{', '.join(names) or 'nothing'}"
            )
        chosen += fitting
    return chosen if only else panels


def _meant(given: str, names: list[str]) -> str:
    return suggestion(given, names) or suggestion(given, [name.partition("/")[2] for name in names])


def _draw(figure: Figure, axes: Axes, panel: _Panel) -> None:
    values = np.abs(panel.values) if panel.values.dtype.kind == "c" else panel.values.astype(np.float64)
    unit = unit_of(panel.name)
    magnitude = "|·| of " if panel.values.dtype.kind == "c" else ""
    axes.set_title(f"{magnitude}{panel.name}{panel.note}{f' ({unit})' if unit else ''}", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.yaxis.get_offset_text().set_fontsize(7)
    if panel.over_steps and values.shape[1] <= _MOST_LINES:
        dense = len(values) > 60
        axes.plot(values, "-" if dense else ".-", lw=0.9, ms=4)
        axes.set_xlabel("step" if not panel.note else "step shown", fontsize=7)
    elif values.ndim == 2 and min(values.shape) > 1:
        _image(figure, axes, values, panel.over_steps)
    else:
        axes.plot(values.ravel(), "-" if values.size > 60 else ".-", lw=0.9, ms=4)
        axes.set_xlabel("index", fontsize=7)


def _image(figure: Figure, axes: Axes, values: NDArray[np.float64], over_steps: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    sound = values[np.isfinite(values)]
    signed = bool(sound.size) and sound.min() < 0 < sound.max()
    bound = float(np.abs(sound).max()) if signed else None
    # A picture keeps its proportions; steps by numbers fill the panel.
    shown = axes.imshow(
        values.T if over_steps else values,
        aspect="auto" if over_steps or max(values.shape) > 3 * min(values.shape) else "equal",
        cmap="RdBu_r" if signed else "viridis",
        vmin=None if bound is None else -bound,
        vmax=bound,
        interpolation="nearest",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    figure.colorbar(shown, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)
    axes.set_xlabel("step" if over_steps else "column", fontsize=7)
    axes.set_ylabel("index" if over_steps else "row", fontsize=7)
