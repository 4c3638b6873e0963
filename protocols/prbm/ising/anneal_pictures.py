"""Pictures of annealing: values along the cooling, and the best state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.prbm.ising.problems import Problem

_MOST_DRAWN = 400


def draw_annealing(
    path: Path,
    problem: Problem,
    lattice: bool,
    schedule: NDArray[np.float64],
    course: NDArray[np.float64],
    best_known: float,
    state: NDArray[np.int8],
) -> None:
    """course: values (sweeps, chains). state: (N,) spins of the best chain."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9.5, 4.3), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
        sweeps = np.arange(1, len(course) + 1)
        left.plot(sweeps, course, color="C0", alpha=0.35, linewidth=0.8)
        left.plot([], [], color="C0", label=f"{course.shape[1]} chains")
        left.axhline(best_known, color="k", linestyle="--", linewidth=1, label="best known")
        name = {"ground-state": "energy", "max-cut": "weight cut", "partition": "weight cut (balanced states)"}
        left.set(xlabel="sweep", ylabel=name[problem.kind])
        cooling = left.twinx()
        cooling.plot(sweeps, schedule, color="C3", linewidth=1)
        cooling.set_yscale("log")
        cooling.set_ylabel("temperature", color="C3")
        left.plot([], [], color="C3", linewidth=1, label="temperature")
        left.legend(frameon=False, fontsize=8, loc="center right")
        if lattice:
            side = round(len(state) ** 0.5)
            right.imshow(state.reshape(side, side), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            right.set(xticks=[], yticks=[])
        else:
            _draw_graph(right, problem, state)
        right.set_title("best state")
        figure.savefig(path, dpi=120)


def _draw_graph(ax: Any, problem: Problem, state: NDArray[np.int8]) -> None:
    import networkx as nx

    graph = problem.graph
    ax.set_axis_off()
    if len(graph) > _MOST_DRAWN:
        ax.text(0.5, 0.5, f"{len(graph)} nodes: too many to draw", ha="center", transform=ax.transAxes)
        return
    drawn = nx.Graph()
    drawn.add_nodes_from(range(len(graph)))
    drawn.add_edges_from(graph.edges.tolist())
    place = nx.spring_layout(drawn, seed=1)
    cut = state[graph.edges[:, 0]] != state[graph.edges[:, 1]]
    for edges, style in ((graph.edges[~cut], {"edge_color": "0.75"}), (graph.edges[cut], {"edge_color": "C1"})):
        nx.draw_networkx_edges(drawn, place, edgelist=edges.tolist(), ax=ax, width=0.7, **style)
    colours = ["C0" if s > 0 else "w" for s in state]
    size = 60 if len(graph) <= 100 else 15
    nx.draw_networkx_nodes(drawn, place, node_color=colours, edgecolors="k", linewidths=0.6, node_size=size, ax=ax)
    if len(graph) <= 30:
        names = dict(enumerate(graph.names))
        nx.draw_networkx_labels(drawn, {k: (x, y + 0.07) for k, (x, y) in place.items()}, names, font_size=7, ax=ax)
