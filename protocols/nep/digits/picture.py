"""The picture of digits learnt in situ: who takes which digit for which, curves, and what the table was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulators.physics.sheet.equation import Array

_NAMES = {"": "in situ, by light", "_ideal": "by the equation"}
_COLOURS = {"": "C1", "_ideal": "C0"}


def draw_digits(path: Path, digits: Sequence[int], w: Array, V: Array, values: Mapping[str, Any], last: str) -> None:
    """Confusions and curves above; weights and potential (cells, side, side) of the last training below."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        told = [suffix for suffix in _NAMES if f"accuracy{suffix}" in values]
        figure = Figure(figsize=(3.0 * len(told) + 6.4, 6.4), layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=[1.25, 1.0])
        axes = halves[0].subplots(1, len(told) + 2, width_ratios=[1.1] * len(told) + [1, 1])
        for ax, suffix in zip(axes, told, strict=False):
            _confusion(ax, digits, values, suffix)
        cost, right = axes[len(told) :]
        for suffix in told:
            style = {"color": _COLOURS[suffix], "label": _NAMES[suffix]}
            epochs = 1 + np.arange(len(values[f"costs{suffix}"]))
            cost.plot(epochs, values[f"costs{suffix}"], "o-", markersize=3, linewidth=1, **style)
            right.plot(epochs, 100 * np.array(values[f"train_accuracies{suffix}"]), "o-", markersize=3, linewidth=1,
                       **style)  # fmt: skip
            right.errorbar(
                epochs[-1] + 0.6, 100 * values[f"accuracy{suffix}"], 100 * values[f"accuracy{suffix}_err"], fmt="s",
                markersize=4, capsize=3, color=_COLOURS[suffix], label=f"test, {_NAMES[suffix]}",
            )  # fmt: skip
        cost.set(xlabel="epoch", ylabel="mean cross entropy of a training image")
        cost.set_ylim(bottom=0)
        cost.legend(frameon=False, fontsize=8)
        right.set(xlabel="epoch", ylabel="right (%), before updates")
        right.set_ylim(top=100)
        right.legend(frameon=False, fontsize=8, loc="lower right")
        for ax in (cost, right):
            ax.xaxis.get_major_locator().set_params(integer=True)
        _patterns(halves[1], digits, w, V, last)
        figure.savefig(path, dpi=110)


def _confusion(ax: Any, digits: Sequence[int], values: Mapping[str, Any], suffix: str) -> None:
    counts = np.asarray(values[f"confusion{suffix}"], np.float64)
    share = 100 * counts / (values["test_images"] / len(digits))
    ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(share.shape):
        if share[row, column] >= 0.5:
            colour = "white" if share[row, column] > 60 else "black"
            ax.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", fontsize=8, color=colour)
    at = range(len(digits))
    ax.set(xlabel="answer", ylabel="digit, % of its test images", xticks=at, yticks=at)
    ax.set_xticklabels([str(d) for d in digits])
    ax.set_yticklabels([str(d) for d in digits])
    accuracy, error = 100 * values[f"accuracy{suffix}"], 100 * values[f"accuracy{suffix}_err"]
    ax.set_title(f"{_NAMES[suffix]}: {accuracy:.1f} ± {error:.1f} %", fontsize=9)


def _patterns(figure: Any, digits: Sequence[int], w: Array, V: Array, last: str) -> None:
    grid = figure.subplots(2, len(digits), squeeze=False)
    shown = "potential V\nas the table shows it" if last == "table" else "potential V"
    span = float(np.abs(w).max()) or 1.0
    rows = ((w, "weights w", "RdBu_r", -span, span), (V, shown, "viridis", float(V.min()), float(V.max()) + 1e-9))
    for row, (values, name, colours, low, high) in zip(grid, rows, strict=True):
        for cell, ax in enumerate(row):
            drawn = ax.imshow(values[cell], cmap=colours, vmin=low, vmax=high, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            if values is w:
                ax.set_title(f"cell of {digits[cell]}", fontsize=9)
        row[0].set_ylabel(name)
        figure.colorbar(drawn, ax=list(row))
