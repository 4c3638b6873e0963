"""The picture of denoising: trajectories from noise (Fig. 2a), 25 outcomes (Fig. 2b), heat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.langevin.generation.denoising import judged
from protocols.langevin.model import Trained
from protocols.langevin.training.picture import show

_ROWS = 3
_SHOWN = 25
_MOST_TIMES = 6


def draw_generation(path: Path, trained: Trained, x: NDArray[np.float32], heat: NDArray[Any], title: str) -> None:
    """x: (trajectories, times, visible units); heat: (trajectories,), k_BT."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(11.5, 4.6), layout="constrained")
        parts: Any = figure.subfigures(1, 3, width_ratios=[1.35, 1.0, 0.85])
        left, middle, right = parts
        largest = float(np.quantile(np.abs(x[:, -1]), 0.99))
        _trajectories(left, trained, x, largest)
        grid = middle.subplots(5, 5)
        for axes in grid.ravel():
            axes.set_axis_off()
        for axes, image in zip(grid.ravel(), x[:_SHOWN, -1], strict=False):
            axes.set_axis_on()
            show(axes, image, trained.side, largest)
        middle.suptitle("outcomes", fontsize=9)
        axes = right.subplots()
        axes.hist(heat, bins=min(40, max(5, len(heat) // 8)), color="C0")
        axes.axvline(float(np.mean(heat)), color="k", linewidth=0.9, linestyle="--")
        axes.set(xlabel=r"heat $Q$ ($k_BT$)", ylabel="trajectories")
        figure.suptitle(f"{title}: {trained.visible} + {len(trained.b) - trained.visible} units, {len(x)} trajectories",
                        fontsize=10)  # fmt: skip
        figure.savefig(path, dpi=120)


def _trajectories(figure: Any, trained: Trained, x: NDArray[np.float32], largest: float) -> None:
    """One of each of the first images that came out, if there are so many."""
    nearest = judged(x[:, -1], trained.images).nearest
    _, first = np.unique(nearest, return_index=True)
    chosen = list(first[:_ROWS]) + [k for k in range(len(x)) if k not in first][: max(0, _ROWS - len(first))]
    which = np.unique(np.linspace(0, x.shape[1] - 1, min(_MOST_TIMES, x.shape[1])).round().astype(int))
    grid = np.atleast_2d(figure.subplots(len(chosen), len(which)))
    for row, k in zip(grid, chosen, strict=True):
        for axes, j in zip(row, which, strict=True):
            show(axes, x[k, j], trained.side, largest)
            if k == chosen[0]:
                time = trained.duration * j / max(x.shape[1] - 1, 1)
                axes.set_title(f"t = {time:.2g}", fontsize=8)
