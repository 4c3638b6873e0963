"""Pictures of diffusion: images on their way to noise, the schedule as measured, and what models generate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from protocols.dyad.diffusion.generated import Generated
from protocols.dyad.diffusion.schedule import Schedule, StepsMeasured

FloatArray = npt.NDArray[np.float64]

_STRIPS = 4
_COLUMNS = 9
_GRID = 8
_INK = {"cmap": "gray_r", "vmin": -1.5, "vmax": 1.5, "interpolation": "nearest"}


def draw_forward(
    path: Path,
    light: FloatArray,
    digital: FloatArray,
    schedule: Schedule,
    measured: StepsMeasured,
    beside: StepsMeasured,
    size: int,
) -> None:
    """Strips of some images (steps + 1, n, pixels) by light and digitally; variance and factor of every step."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10.5, 7.6), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(1.25, 1))
        chosen = np.unique(np.rint(np.linspace(0, len(schedule), min(_COLUMNS, len(schedule) + 1))).astype(int))
        axes = parts[0].subplots(2, 1)
        for ax, chain, title in ((axes[0], light, "by light"), (axes[1], digital, "digital noise")):
            ax.imshow(_tiled(chain[chosen, :_STRIPS].swapaxes(0, 1), size), **_INK)
            ax.set_xticks((np.arange(len(chosen)) + 0.5) * (size + 1) - 1, [f"{t}" for t in chosen])
            ax.set_yticks([])
            ax.tick_params(length=0)
            ax.set_title(title, fontsize=9.5)
            for side in ax.spines.values():
                side.set_visible(False)
        axes[1].set_xlabel("step t")
        _draw_steps(parts[1].subplots(1, 2), schedule, measured, beside)
        figure.savefig(path, dpi=120)


def draw_generated(path: Path, real: FloatArray, found: Generated, size: int) -> None:
    """Real images, and those of a model trained on either process; the models' losses."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(11.5, 3.4), layout="constrained")
        axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.1))
        shown = (
            (real, f"real (held out: {found.held_out.value:.2f} ± {found.held_out.error:.2f})"),
            (found.light, f"trained by light: {found.distance.value:.2f} ± {found.distance.error:.2f}"),
            (found.digital, f"digital noise: {found.distance_digital.value:.2f} ± {found.distance_digital.error:.2f}"),
        )
        for ax, (images, title) in zip(axes, shown, strict=False):
            rows = images[: _GRID * _GRID].reshape(_GRID, _GRID, -1)
            ax.imshow(_tiled(rows, size), **_INK)
            ax.set(xticks=[], yticks=[])
            ax.set_title(title, fontsize=9)
        for losses, colour, label in ((found.losses, "C0", "by light"), (found.losses_digital, "0.5", "digital")):
            for k, one in enumerate(losses):
                axes[3].plot(np.arange(1, len(one) + 1), one, color=colour, linewidth=1, label=None if k else label)
        axes[3].set(xlabel="epoch", ylabel="error of predicted noise", yscale="log")
        axes[3].legend(frameon=False)
        figure.savefig(path, dpi=120)


def _tiled(images: FloatArray, size: int) -> FloatArray:
    """Images (rows, columns, pixels) side by side, a line of nothing between them."""
    rows, columns, _ = images.shape
    tiles = np.full((rows, size + 1, columns, size + 1), np.nan)
    tiles[:, :size, :, :size] = images.reshape(rows, columns, size, size).transpose(0, 2, 1, 3)
    return tiles.reshape(rows * (size + 1), columns * (size + 1))[:-1, :-1]


def _draw_steps(axes: Any, schedule: Schedule, measured: StepsMeasured, beside: StepsMeasured) -> None:
    t = np.arange(1, len(schedule) + 1)
    wanted = (schedule.betas, np.sqrt(1 - schedule.betas))
    for ax, name, aim, label in zip(
        axes, ("variance", "signal"), wanted, ("variance added / β", r"factor of the image / $\sqrt{1-β}$"), strict=True
    ):
        for found, colour, shift, what in ((beside, "0.55", 0.12, "digital"), (measured, "C0", -0.12, "by light")):
            value, error = getattr(found, name) / aim, getattr(found, f"{name}_err") / aim
            ax.errorbar(t + shift, value, error, fmt="o", markersize=3.5, color=colour, linewidth=1, label=what)
        ax.axhline(1.0, color="k", linewidth=0.8)
        ax.set(xlabel="step t", ylabel=label)
        ax.legend(frameon=False, fontsize=8)
