"""Pictures of digits on cells: curves, confusion and patterns (Figs 4, 5 and 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.nep.images.trainings import Curves

Array = NDArray[np.float64]


def draw_mnist(path: Path, seen: Curves, V: Array, w: Array, values: Mapping[str, Any], title: str) -> None:
    """Confusion and curves above; weights and potentials (cells, nodes) of the first seed below."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(11, 6.6), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=[1.45, 1.0])
        above, below = halves
        confusion, accuracy, cost = above.subplots(1, 3, width_ratios=[1.15, 1, 1])
        _confusion(above, confusion, np.asarray(values["confusion"], np.float64))
        curve(accuracy, seen, "train_accuracy", "training images, on the way", "C0")
        curve(accuracy, seen, "accuracy", "test images", "C1")
        for name, style in (("linear", "--"), ("rank1", ":"), ("rank2", "-.")):
            if values[name] is not None:
                accuracy.axhline(100 * values[name], color="0.4", linewidth=0.9, linestyle=style, label=_WORDS[name])
        accuracy.set(xlabel="epoch", ylabel="accuracy (%)")
        low = min(80.0, 100 * float(seen.series["accuracy"][:, 1:].min(initial=0.8)) - 2)
        accuracy.set_ylim(max(0.0, low), 100)
        accuracy.legend(frameon=False, fontsize=8, loc="lower right")
        curve(cost, seen, "cost", "training images", "C0", 1.0)
        cost.set(xlabel="epoch", ylabel="cross entropy")
        cost.set_ylim(0, None)
        _patterns(below, w, V)
        figure.suptitle(f"{title}: {100 * values['accuracy']:.2f} ± {100 * values['accuracy_err']:.2f} %", fontsize=10)
        figure.savefig(path, dpi=130)


_WORDS = {"linear": "linear network", "rank1": "quadratic, rank 1", "rank2": "quadratic, rank 2"}


def curve(axes: Any, seen: Curves, name: str, label: str, colour: str, scale: float = 100.0) -> None:
    """Mean over seeds against epochs, and their range."""
    values = scale * np.asarray(seen.series[name], np.float64)
    epochs = seen.series["epoch"][0]
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.plot(epochs, values.mean(axis=0), "o-", markersize=3, linewidth=1, color=colour, label=label)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)


def _confusion(figure: Any, axes: Any, counts: Array) -> None:
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for row in range(len(share)):
        for column in range(len(share)):
            if share[row, column] >= 0.5:
                colour = "white" if share[row, column] > 60 else "black"
                axes.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel="answer", ylabel="digit", xticks=range(10), yticks=range(10))
    figure.colorbar(shown, ax=axes, label="% of the digit's test images", shrink=0.85)


def _patterns(figure: Any, w: Array, V: Array) -> None:
    side = math.isqrt(w.shape[1])
    grid = figure.subplots(2, len(w))
    for row, (values, name, colours) in enumerate(((w, "w", "RdBu_r"), (V, "V", "viridis"))):
        # far pixels have weights that would hide all others
        largest = float(np.quantile(np.abs(values), 0.98)) or 1.0
        low, high = (-largest, largest) if name == "w" else (float(values.min()), float(values.max()) + 1e-9)
        for cell, axes in enumerate(grid[row]):
            image = values[cell].reshape(side, side)
            shown = axes.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(str(cell), fontsize=9)
        grid[row][0].set_ylabel("weights w" if name == "w" else "potential V")
        figure.colorbar(shown, ax=list(grid[row]), label=name)


def draw_small(path: Path, named: Mapping[str, Curves], values: Mapping[str, Any], title: str) -> None:
    """Accuracies and costs of several kinds of training against epochs (Fig. 7)."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        accuracy, cost = figure.subplots(1, 2)
        for k, (name, seen) in enumerate(named.items()):
            label = name.replace("literal_", "by the paper's words, ")
            curve(accuracy, seen, "accuracy", label, f"C{k}")
            curve(cost, seen, "cost", label, f"C{k}", 1.0)
        accuracy.axhline(100 * values["linear"], color="0.4", linewidth=0.9, linestyle="--")
        accuracy.annotate("linear network", (1, 100 * values["linear"] + 1), fontsize=8, color="0.4")
        accuracy.set(xlabel="epoch", ylabel="accuracy on test images (%)", ylim=(0, 100))
        cost.set(xlabel="epoch", ylabel="cross entropy of training images", ylim=(0, None))
        cost.legend(frameon=False, fontsize=8, loc="center right")
        figure.suptitle(title, fontsize=10)
        figure.savefig(path, dpi=130)


def draw_nonlinearity(path: Path, fit: tuple[Array, Array] | None, values: Mapping[str, Any], title: str) -> None:
    """Accuracy against g<rho>/gamma, with the polynomial that the optimum is taken from (Fig. 5). fit: x, y of it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        accuracy, error = (100 * np.asarray(values[name]) for name in ("accuracy", "accuracy_err"))
        axes.errorbar(values["g_rho_over_gamma"], accuracy, error, fmt="o", capsize=2, label="cells")
        if fit is not None:
            axes.plot(fit[0], 100 * fit[1], color="C1", linestyle="--", linewidth=1, label="polynomial of third order")
            axes.axvspan(values["optimum_low"], values["optimum_high"], color="C1", alpha=0.15, linewidth=0)
            axes.axvline(values["optimum"], color="C1", linewidth=0.9, label=f"optimum {values['optimum']:.2g}")
        axes.axhline(100 * values["linear"], color="C0", linestyle="--", linewidth=0.9, label="linear network")
        axes.set(xlabel=r"$g\langle\rho\rangle/\gamma$", ylabel="accuracy on test images (%)")
        axes.legend(frameon=False, fontsize=8)
        axes.set_title(title, fontsize=9)
        figure.savefig(path, dpi=130)
