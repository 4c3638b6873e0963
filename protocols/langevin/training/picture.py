"""The picture of a training: images that fade (Fig. 1), the fit, and receptive fields of hidden units (Fig. 2c)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.langevin.model import Trained
from protocols.langevin.training.training import Training
from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import Couplings, evolve

SHADES = "Blues"
"""Positive units blue, negative ones white, as in the paper."""
_TIMES = 6
_FIELDS = 16


def draw_training(path: Path, t: Training, trained: Trained, series: Mapping[str, NDArray[Any]], title: str) -> None:
    """Above: noising of the first image, and images. Below: gradient, and couplings of 16 hidden units."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 5.6), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=[1.0, 2.4])
        above, below = halves
        _noising(above, t)
        left, right = below.subfigures(1, 2, width_ratios=[1, 1.05])
        axes = left.subplots()
        fit = series["phase"] == 1
        axes.semilogy(np.arange(1, fit.sum() + 1), series["gap"][fit], "o-", markersize=3)
        axes.set(xlabel="iteration", ylabel="gradient, relative to the first")
        _fields(right, trained)
        figure.suptitle(
            f"{title}: {len(t.images)} images, {t.visible} visible and {t.p.hidden} hidden units", fontsize=10
        )
        figure.savefig(path, dpi=120)


def show(axes: Any, image: NDArray[Any], side: int, largest: float, shades: str = SHADES) -> Any:
    """One image without ticks."""
    shown = axes.imshow(image.reshape(side, side), cmap=shades, vmin=-largest, vmax=largest, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    return shown


def _noising(figure: Any, t: Training) -> None:
    p, n = t.p, len(t.units)
    steps = max(round(p.duration / p.dt), 1)
    none, b = Couplings.of(np.zeros((n, n))), t.drive[0]
    rest = evolve(
        np.zeros((1, n)), t.units, none, (b, b), max(round(0.5 / p.dt), 1), p.dt, noise_key(t.seed, "picture")
    )
    read = np.linspace(0, steps, _TIMES).round().astype(int)
    key = noise_key(t.seed, "picture", "fading")
    x = evolve(rest[0], t.units, none, (b, 0 * b), steps, p.dt, key, list(read))[:, 0, : t.visible]
    others = min(len(t.images), 5)
    row = figure.subplots(1, _TIMES + others)
    largest = float(np.quantile(np.abs(x), 0.99))
    for axes, image, k in zip(row, x, read, strict=False):
        show(axes, image, t.images.side, largest)
        axes.set_title(f"t = {k * p.dt:.2g}", fontsize=8)
    for axes, image, name in zip(row[_TIMES:], t.images.pixels, t.images.names, strict=False):
        show(axes, image, t.images.side, 2.0, "gray")
        axes.set_title(f"image {name}", fontsize=8)


def _fields(figure: Any, trained: Trained) -> None:
    v = trained.visible
    J = trained.J[v:, :v]
    if not J.any():
        return
    strongest = np.argsort(-np.abs(J).sum(axis=1), kind="stable")
    chosen = strongest[np.linspace(0, len(strongest) - 1, min(_FIELDS, len(strongest))).round().astype(int)]
    grid = np.atleast_1d(figure.subplots(4, 4)).ravel()
    largest = float(np.quantile(np.abs(J[chosen]), 0.995))
    for axes in grid:
        axes.set_axis_off()
    for axes, unit in zip(grid, chosen, strict=False):
        axes.set_axis_on()
        shown = show(axes, J[unit], trained.side, largest, "RdBu")
    figure.colorbar(shown, ax=list(grid), label="coupling to the display", shrink=0.8)
