"""Pictures of spin images: training images beside generated ones along the iterations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_ROWS = 10
_COLUMNS = 8


def draw_generation(path: Path, training: NDArray[np.int8], history: NDArray[np.int8], title: str) -> None:
    """One row per generated image from the random start to the result, training images on the left.

    training: (n, pixels) spins. history: (images, iterations + 1, pixels) spins of square images. White is +1.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = min(_ROWS, len(history))
    moments = np.unique(np.linspace(0, history.shape[1] - 1, _COLUMNS).round().astype(int))
    side = round(float(np.sqrt(training.shape[1])))
    examples = training[np.linspace(0, len(training) - 1, 3 * rows).round().astype(int)].reshape(rows, 3, side, side)
    with mpl.rc_context({"font.size": 9}):
        width = 0.75 * (3 + 0.4 + len(moments)) + 0.2
        figure = Figure(figsize=(width, 0.75 * rows + 0.75))
        grid = figure.add_gridspec(
            rows, 4 + len(moments), width_ratios=[1, 1, 1, 0.4] + [1] * len(moments),
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
        figure.suptitle(f"{title}: training images | generated, by iteration", fontsize=10)
        figure.savefig(path, dpi=130)


def _show(axes, image: NDArray[np.int8], label: str, last: bool = False) -> None:  # type: ignore[no-untyped-def]
    axes.imshow(image, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_color("tab:orange" if last else "0.7")
        side.set_linewidth(1.6 if last else 0.6)
    if label:
        axes.set_title(label, fontsize=8, pad=3)
