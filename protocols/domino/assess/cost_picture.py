"""The picture of `domino.cost`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from protocols.domino.assess.cost_model import MODES

_WORDS = {
    "optoelectronic": "optoelectronic: a frame for every step",
    "shot": "shot: a frame for every window",
    "injection": "injection: a frame for every window",
    "read": "optics lock by themselves, a frame for every answer",
    "optical": "optics alone (Supp. D)",
}


def draw_cost(path: Path, v: Mapping[str, Any]) -> None:
    """Time and energy of a solution against the number of nodes. v: values of `domino.cost`."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    times, energies = figure.subplots(1, 2)
    nodes = np.array(v["nodes"])

    def line(axes: Any, numbers: Any, style: str, colour: str, label: str = "_") -> None:
        """Names that begin so stay out of the legend."""
        axes.loglog(nodes, [np.nan if x is None else x for x in numbers], style, color=colour, label=label)

    for k, mode in enumerate(MODES):
        line(times, v["solution_s"][mode], "o-", f"C{k}", _WORDS[mode])
        line(energies, v["electric_j"][mode], "o-", f"C{k}", _WORDS[mode])
        line(energies, v["light_j"][mode], "^:", f"C{k}")
    line(times, v["cpu_s"], "s-", "k", "this processor, one core")
    line(times, v["exact_s"], "x--", "0.5", "exact search, proved or at its limit")
    line(energies, v["cpu_j"], "s-", "k", "this processor, one core")
    line(energies, v["counted_j"], "s:", "0.5", "links alone, electronic (Supp. D)")
    energies.plot([], [], "^:", color="0.3", label="light of the pump")
    times.set(ylabel="time of a solution (s)", title="time")
    energies.set(ylabel="energy of a solution (J)", title="electric energy, by stated assumptions")
    for axes in (times, energies):
        axes.set_xlabel("nodes")
        axes.set_xticks(nodes, [str(n) for n in nodes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    handles: dict[str, Any] = {}
    for axes in (times, energies):
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=8, frameon=False)
    figure.savefig(path, dpi=150)
