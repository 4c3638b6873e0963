"""Picture of a chain that learns exclusive or, as Figs 3 and 6: loss, outputs, intensities, potential and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from protocols.nep.figure import sample_names
from protocols.nep.loop import Fields
from protocols.nep.network import Task
from simulators.physics.sheet.equation import Array


def draw_xor(path: Path, task: Task, costs: Array, fields: Fields, v: Mapping[str, Any]) -> None:
    """costs: before each update and at the end. fields: at the end. v: values of `nep.xor`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = sample_names(task)
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(12, 3.5), layout="constrained")
        loss, outputs, along, learnt = figure.subplots(1, 4, width_ratios=(1, 0.8, 1.2, 1.2))
        loss.plot(np.arange(len(costs)), np.maximum(costs, 1e-12), "o-", color="C0", markersize=3)
        if costs.max() > 2 * costs.min():
            loss.set_yscale("log")
        else:
            loss.ticklabel_format(axis="y", useOffset=False)
        loss.set(xlabel="epoch", ylabel="cost")
        wanted = task.wanted()[:, 0]
        k = np.arange(len(wanted))
        seen = np.reshape(v["outputs"], (len(wanted), -1))[:, 0]
        outputs.bar(k, seen, color="C2", width=0.6)
        outputs.plot(k, wanted, "_", color="k", markersize=18)
        outputs.set(xlabel="inputs", ylabel="|ψ|² at the output (bars), target", xticks=k, xticklabels=names)
        chain = fields.density.reshape(len(wanted), -1)
        nodes = np.arange(chain.shape[1])
        for name, density, colour in zip(names, chain, mpl.colormaps["viridis"](np.linspace(0, 0.9, len(names))),
                                         strict=True):  # fmt: skip
            along.plot(nodes, density, "o-", color=colour, markersize=3, linewidth=1, label=name)
        along.set(xlabel="node", ylabel="|ψ|²")
        along.legend(frameon=False, title="inputs", fontsize=8)
        V = np.array(v["V"])
        V = (V[..., 0] if V.ndim > len(task.V.shape) else V).ravel()
        learnt.step(nodes, V, where="mid", color="k")
        learnt.set(xlabel="node", ylabel="potential V")
        for place, weight in zip(task.network.inputs, v["w"], strict=True):
            size = weight if isinstance(weight, float) else weight[0]
            learnt.annotate(f"w = {size:.3f}", (place, V.max()), ha="center", va="bottom", color="C1", fontsize=8)
        learnt.margins(y=0.2)
        for ax in (loss, along, learnt):
            ax.xaxis.get_major_locator().set_params(integer=True)
        for ax in (along, learnt):
            for node in task.network.inputs:
                ax.axvline(node, color="C1", linewidth=6, alpha=0.15, zorder=0)
            for node in task.network.outputs:
                ax.axvline(node, color="C2", linewidth=6, alpha=0.15, zorder=0)
        figure.savefig(path, dpi=120)
