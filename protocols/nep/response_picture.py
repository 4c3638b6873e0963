"""Pictures of steady states: intensities and phases along a chain, or as maps of a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from protocols.nep.figure import sample_names
from protocols.nep.loop import Fields
from protocols.nep.network import Task

_MAPS = 8


def draw_response(path: Path, task: Task, fields: Fields) -> None:
    """|psi|^2 and arg psi of each sample, and the potential."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        if len(task.network.sheet.shape) == 1:
            figure = Figure(figsize=(10, 3.6), layout="constrained")
            _chain(figure.subplots(1, 3), task, fields)
        else:
            rows, columns = task.network.sheet.shape
            shown = min(_MAPS, len(fields.psi))
            wide = columns > 3 * rows
            figure = Figure(figsize=(9, 1.3 * shown + 0.6) if wide else (2.2 * shown + 1, 4.4), layout="constrained")
            axes = figure.subplots(*((shown, 2) if wide else (2, shown)), squeeze=False)
            _maps(axes if wide else axes.T, figure, task, fields, shown)
        figure.savefig(path, dpi=120)


def _chain(axes: Any, task: Task, fields: Fields) -> None:
    network = task.network
    nodes = np.arange(network.sheet.shape[0])
    intensity, phase, potential = axes
    for k, name in list(enumerate(sample_names(task)))[:_MAPS]:
        style = {"color": f"C{k}", "marker": "o", "markersize": 3.5, "linewidth": 1.0, "label": name}
        intensity.plot(nodes, fields.density[k], **style)
        lit = np.abs(fields.psi[k]) > 1e-9
        phase.plot(nodes[lit], np.angle(fields.psi[k][lit]) / np.pi, **style)
    for ax in (intensity, phase, potential):
        for k in network.inputs:
            ax.axvline(k, color="C1", linewidth=6, alpha=0.15, zorder=0)
        for k in network.outputs:
            ax.axvline(k, color="C2", linewidth=6, alpha=0.15, zorder=0)
        ax.set(xlabel="node (orange: inputs, green: outputs)")
    intensity.set(ylabel="|ψ|²", ylim=(0, None))
    phase.set(ylabel="arg ψ / π", ylim=(-1.05, 1.05))
    potential.step(nodes, task.V.real, where="mid", color="k", label="Re V")
    if task.V.imag.any():
        potential.step(nodes, task.V.imag, where="mid", color="C3", label="Im V (gain)")
    potential.set(ylabel="potential V")
    potential.legend(frameon=False)
    intensity.legend(frameon=False, title="sample")


def _maps(axes: Any, figure: Any, task: Task, fields: Fields, shown: int) -> None:
    names = sample_names(task)
    top = max(float(fields.density[:shown].max()), 1e-12)
    for k in range(shown):
        intensity, phase = axes[k]
        image = intensity.imshow(fields.density[k], vmin=0, vmax=top, cmap="inferno")
        turned = phase.imshow(np.angle(fields.psi[k]) / np.pi, vmin=-1, vmax=1, cmap="twilight")
        intensity.set_title(f"sample {names[k]}", fontsize=8)
        for flat, colour in ((task.network.inputs, "C0"), (task.network.outputs, "C2")):
            if len(flat) <= 60:
                rows, columns = np.unravel_index(flat, task.network.sheet.shape)
                intensity.plot(columns, rows, "o", fillstyle="none", color=colour, markersize=5)
        for ax in (intensity, phase):
            ax.set(xticks=[], yticks=[])
    figure.colorbar(image, ax=axes[:, 0].tolist(), label="|ψ|²", shrink=0.8)
    figure.colorbar(turned, ax=axes[:, 1].tolist(), label="arg ψ / π", shrink=0.8)
