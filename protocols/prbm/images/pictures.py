"""Pictures of spin images: generated ones along the iterations, and damaged ones until they are restored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.prbm.images.damage import Damage

_ROWS = 10
_COLUMNS = 8
_DARK_BLUE, _LIGHT_BLUE = (0.05, 0.15, 0.45), (0.55, 0.75, 1.0)
_DARK_RED, _LIGHT_RED = (0.5, 0.0, 0.0), (1.0, 0.55, 0.5)


def draw_generation(
    path: Path,
    training: NDArray[np.int8],
    history: NDArray[np.int8],
    title: str,
    exact: NDArray[np.int8] | None = None,
) -> None:
    """One row per generated image from the random start to the result, training images on the left.

    training: (n, pixels) spins. history: (images, iterations + 1, pixels) spins of square images. exact: (images,
    pixels), what arithmetic makes of the same random numbers, on the right. White is +1.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = min(_ROWS, len(history))
    moments = np.unique(np.linspace(0, history.shape[1] - 1, _COLUMNS).round().astype(int))
    side = round(float(np.sqrt(training.shape[1])))
    examples = training[np.linspace(0, len(training) - 1, 3 * rows).round().astype(int)].reshape(rows, 3, side, side)
    with mpl.rc_context({"font.size": 9}):
        widths = [1, 1, 1, 0.4] + [1] * len(moments) + ([] if exact is None else [0.4, 1])
        figure = Figure(figsize=(0.75 * sum(widths) + 0.2, 0.75 * rows + 0.75))
        grid = figure.add_gridspec(
            rows, len(widths), width_ratios=widths,
            left=0.02, right=0.98, bottom=0.02, top=1 - 0.7 / (0.75 * rows + 0.75), wspace=0.08, hspace=0.08,
        )  # fmt: skip
        for row in range(rows):
            for column in range(3):
                _show(
                    figure.add_subplot(grid[row, column]),
                    examples[row, column],
                    "real" if row == 0 and column == 1 else "",
                )
            for column, moment in enumerate(moments):
                label = ("start" if moment == 0 else f"{moment}") if row == 0 else ""
                image = history[row, moment].reshape(side, side)
                _show(figure.add_subplot(grid[row, 4 + column]), image, label, last=moment == moments[-1])
            if exact is not None:
                image = exact[row].reshape(side, side)
                _show(figure.add_subplot(grid[row, len(widths) - 1]), image, "exact" if row == 0 else "")
        beside = "" if exact is None else " | in exact arithmetic"
        figure.suptitle(f"{title}: training images | generated, by iteration{beside}", fontsize=10)
        figure.savefig(path, dpi=130)


def draw_restoration(
    path: Path,
    truth: NDArray[np.int8],
    damage: Damage,
    history: NDArray[np.int8],
    results: Mapping[str, NDArray[np.int8]],
    title: str,
) -> None:
    """One row per image: truth, damaged, iterations, and the results by name.

    truth, results: (images, pixels); the first result is that of the iterations. history: (images, iterations + 1,
    pixels). White is +1. Damaged pixels are tinted blue; pixels of the results that are wrong are red.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = min(_ROWS, len(truth))
    side = round(float(np.sqrt(truth.shape[1])))
    moments = np.unique(np.linspace(1, history.shape[1] - 1, _COLUMNS - 1).round().astype(int))
    first, *_ = results
    labels = ["truth", "damaged", *(f"{k}" for k in moments), *results]
    widths: list[float] = []
    for label in labels:
        widths += [0.3, 1.0] if label in ("damaged", first) else [1.0]
    columns = np.flatnonzero(np.array(widths) == 1.0)
    with mpl.rc_context({"font.size": 9}):
        width = 0.75 * sum(widths) + 0.2
        height = 0.75 * rows + 1.05
        figure = Figure(figsize=(width, height))
        grid = figure.add_gridspec(
            rows, len(widths), width_ratios=widths,
            left=0.02, right=0.98, bottom=0.3 / height, top=1 - 0.7 / height, wspace=0.08, hspace=0.08,
        )  # fmt: skip
        for row in range(rows):
            nowhere = np.zeros_like(damage.damaged[row])
            pictures = [
                _tinted(truth[row], nowhere, nowhere),
                _tinted(damage.shown[row], damage.damaged[row], nowhere),
                *(_tinted(history[row, k], damage.damaged[row], nowhere) for k in moments),
                *(_tinted(image[row], nowhere, image[row] != truth[row]) for image in results.values()),
            ]
            for column, picture, label in zip(columns, pictures, labels, strict=True):
                axes = figure.add_subplot(grid[row, int(column)])
                _show(axes, picture.reshape(side, side, 3), label if row == 0 else "", last=label == first)
        figure.suptitle(title, fontsize=10)
        legend = "numbers: iteration    blue: damaged pixels    red: wrong pixels"
        figure.text(0.5, 0.1 / height, legend, ha="center", fontsize=8)
        figure.savefig(path, dpi=130)


def _tinted(image: NDArray[np.int8], damaged: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Spins (pixels,) in gray, those marked in colour: (pixels, 3)."""
    gray = np.repeat((image[:, None] + 1) / 2.0, 3, axis=1)
    for marked, dark, light in ((damaged, _DARK_BLUE, _LIGHT_BLUE), (wrong, _DARK_RED, _LIGHT_RED)):
        gray[marked] = np.where(image[marked, None] > 0, light, dark)
    return gray


def _show(axes, image: NDArray[Any], label: str, last: bool = False) -> None:  # type: ignore[no-untyped-def]
    """image: spins (rows, columns), or colours (rows, columns, 3) of 0 to 1."""
    axes.imshow(image, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_color("tab:orange" if last else "0.7")
        side.set_linewidth(1.6 if last else 0.6)
    if label:
        axes.set_title(label, fontsize=8, pad=3)
