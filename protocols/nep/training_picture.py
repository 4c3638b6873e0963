"""The picture of a training, drawn while it goes on: loss, accuracy, potential and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from protocols.nep.network import Task
from simulators.physics.sheet.equation import Array, Complex


def draw_training(path: Path, task: Task, V: Complex, w: Complex, curves: Mapping[str, Array]) -> None:
    """V (*shape), w (K,) as they are now; curves: cost and accuracy by epoch."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        with_gain = V.ndim == 2 and bool(V.imag.any())
        figure = Figure(figsize=(14 if with_gain else 12, 3.5), layout="constrained")
        axes = list(figure.subplots(1, 5 if with_gain else 4, width_ratios=(1, 1, 1.3, *(1.3,) * with_gain, 1.1)))
        loss, right, potential, weights = *axes[:3], axes[-1]
        epochs = 1 + np.arange(len(curves["cost"]))
        loss.plot(epochs, curves["cost"], ".-", markersize=3, linewidth=1)
        if len(epochs) and (curves["cost"] > 0).all():
            loss.set_yscale("log")
        loss.set(xlabel="epoch", ylabel="mean cost of a sample, before updates")
        right.plot(epochs, curves["accuracy"], ".-", markersize=3, linewidth=1, color="C2")
        right.set(xlabel="epoch", ylabel="share of samples that are right", ylim=(-0.02, 1.02))
        _potential(potential, figure, task, V)
        if with_gain:
            drawn = axes[3].imshow(V.imag, cmap="magma")
            figure.colorbar(drawn, ax=axes[3], shrink=0.8, label="Im V (gain)")
        k = np.arange(len(w))
        if task.network.sheet.shape.__len__() == 2 and len(w) > 12:
            image = np.full(task.network.sheet.shape, np.nan)
            image.flat[task.network.inputs] = w.real
            top = float(np.abs(w.real).max()) or 1.0
            drawn = weights.imshow(image, vmin=-top, vmax=top, cmap="RdBu_r")
            figure.colorbar(drawn, ax=weights, shrink=0.8, label="Re w")
        else:
            weights.bar(k - 0.2, w.real, 0.4, label="Re w")
            if w.imag.any():
                weights.bar(k + 0.2, w.imag, 0.4, label="Im w")
            weights.axhline(0, color="k", linewidth=0.6)
            weights.set(xlabel="input", ylabel="weight", xticks=k if len(k) < 13 else None)
            weights.legend(frameon=False, fontsize=8)
        figure.savefig(path, dpi=110)


def _potential(ax: Any, figure: Any, task: Task, V: Complex) -> None:
    if V.ndim == 2:
        drawn = ax.imshow(V.real, cmap="viridis")
        figure.colorbar(drawn, ax=ax, shrink=0.8, label="Re V")
        return
    nodes = np.arange(len(V))
    ax.step(nodes, V.real, where="mid", color="k", label="Re V")
    if V.imag.any():
        ax.step(nodes, V.imag, where="mid", color="C3", label="Im V (gain)")
    for node in task.network.inputs:
        ax.axvline(node, color="C1", linewidth=6, alpha=0.15, zorder=0)
    for node in task.network.outputs:
        ax.axvline(node, color="C2", linewidth=6, alpha=0.15, zorder=0)
    ax.set(xlabel="node", ylabel="potential V")
    ax.legend(frameon=False, fontsize=8)
