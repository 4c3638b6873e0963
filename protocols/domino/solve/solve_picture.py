"""Picture of a solved network: amplitudes in time, the network at three moments, what other starts found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.domino.problem.program import Program

Array = NDArray[np.float64]

_SHOWN = 60
"""Nodes of a network picture, those with the largest shares on the way; more cannot be told apart."""


def draw_solve(path: Path, program: Program, times: Array, course: Array, v: Mapping[str, Any]) -> None:
    """times: (points,). course: (points, N) amplitudes of the best start. v: values of `domino.solve`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shares = course / course.sum(axis=1, keepdims=True)
    chosen = np.zeros(len(program), np.bool_)
    chosen[v["support"]] = True
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(12, 7), layout="constrained")
        grid = figure.add_gridspec(2, 6)
        amplitudes, others = figure.add_subplot(grid[0, :4]), figure.add_subplot(grid[0, 4:])
        amplitudes.plot(times, shares[:, ~chosen], color="0.7", linewidth=0.6)
        amplitudes.plot(times, shares[:, chosen], color="C3", linewidth=1.1)
        amplitudes.plot([], [], color="C3", label=f"dominant subnetwork ({chosen.sum()} nodes)")
        amplitudes.plot([], [], color="0.7", label="other nodes")
        amplitudes.set(xscale="log", xlabel="time t", ylabel="|ψ| / Σ|ψ|", title="amplitudes of the best start")
        amplitudes.legend(frameon=False, loc="upper left")
        ratios = np.asarray(v["ratios"])
        low = min(float(ratios.min()), 0.98)
        others.hist(ratios, bins=np.linspace(low, max(1.0, float(ratios.max())) + 1e-6, 41).tolist(), color="C0")
        others.set(
            xlabel="q / best known", ylabel="starts", title=f"{v['success']:.0%} of {v['starts']} starts succeed"
        )
        moments = [0, int(np.argmin(np.abs(times - 1.0))), len(times) - 1]
        graph, place = _layout(program, shares, chosen)
        for k, moment in enumerate(moments):
            _network(figure.add_subplot(grid[1, 2 * k : 2 * k + 2]), program, graph, place, shares[moment], chosen,
                     f"t = {times[moment]:.2g}")  # fmt: skip
        figure.suptitle(
            f"{program.origin}: N = {len(program)}, {v['edges']} links, q = {v['q']:.5g} (best known {v['q_best']:.5g})"
            + (f"; the {len(place)} largest nodes" if len(place) < len(program) else ""),
            fontsize=10,
        )
        figure.savefig(path, dpi=120)


def _layout(program: Program, shares: Array, chosen: NDArray[np.bool_]) -> tuple[Any, dict[int, Array]]:
    """A graph of the nodes that are shown, and where: the subnetwork in the middle, others around it."""
    import networkx as nx

    rank = np.argsort(-(shares.max(axis=0) + chosen))[:_SHOWN]
    graph = nx.Graph()
    graph.add_nodes_from(rank.tolist())
    i, j = np.nonzero(np.triu(program.W))
    shown = np.isin(i, rank) & np.isin(j, rank)
    graph.add_edges_from(zip(i[shown].tolist(), j[shown].tolist(), strict=True))
    inner, outer = [k for k in rank if chosen[k]], [k for k in rank if not chosen[k]]
    place: dict[int, Array] = {}
    for nodes, radius in ((inner, 0.42), (outer, 1.0)):
        for angle, k in zip(np.arange(len(nodes)) * 2 * np.pi / max(len(nodes), 1), nodes, strict=True):
            place[int(k)] = radius * np.array([np.cos(angle), np.sin(angle)])
    return graph, place


def _network(
    ax: Any, program: Program, graph: Any, place: dict[int, Array], share: Array, chosen: NDArray[np.bool_], title: str
) -> None:
    import networkx as nx

    inside = [(i, j) for i, j in graph.edges if chosen[i] and chosen[j]]
    nx.draw_networkx_edges(graph, place, ax=ax, width=0.3, alpha=0.15)
    nx.draw_networkx_edges(graph, place, edgelist=inside, ax=ax, width=1.2, edge_color="C3", alpha=0.6)
    top = share.max()
    nx.draw_networkx_nodes(
        graph, place, ax=ax, nodelist=list(place), node_size=[8 + 260 * share[k] / top for k in place],
        node_color=["C3" if chosen[k] else "0.6" for k in place],
    )  # fmt: skip
    if sum(chosen) <= 16:
        labels = {k: program.names[k] for k in place if chosen[k]}
        below = {k: place[k] - np.array([0, 0.17]) for k in labels}
        nx.draw_networkx_labels(
            graph,
            below,
            labels=labels,
            ax=ax,
            font_size=7,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
        )
    ax.set(title=title, aspect="equal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    ax.axis("off")
