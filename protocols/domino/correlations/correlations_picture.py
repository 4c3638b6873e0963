"""Picture of phases on a network: nodes coloured by phase, links by sign, the strongest pairs without a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def draw_phases(
    path: Path, J: NDArray[np.float64], names: Sequence[str], v: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]]
) -> None:
    """The network as in Fig. 4 (solid: J > 0, dashed: J < 0), beside ranked pairs or, without any,
    energies of all runs.

    v: values of `domino.xy`.
    """
    import matplotlib as mpl
    import networkx as nx
    from matplotlib.figure import Figure

    graph = nx.from_numpy_array(J)
    place = nx.kamada_kawai_layout(graph, weight=None) if len(J) <= 60 else nx.spring_layout(graph, seed=0, weight=None)
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(12, 6), layout="constrained")
        network, beside = figure.subplots(1, 2, width_ratios=[1.4, 1])
        width = 1.0 if len(J) <= 60 else 0.3
        for sign, style in ((1, "solid"), (-1, "dashed")):
            chosen = [(i, j) for i, j, w in graph.edges(data="weight") if w * sign > 0]
            nx.draw_networkx_edges(graph, place, chosen, ax=network, style=style, width=width, edge_color="0.55")
        phases = np.asarray(v["phases"]) % (2 * np.pi)
        nodes = nx.draw_networkx_nodes(
            graph, place, ax=network, node_color=phases, cmap=mpl.colormaps["twilight"], vmin=0, vmax=2 * np.pi,
            node_size=320 if len(J) <= 60 else 40, edgecolors="0.2", linewidths=0.6,
        )  # fmt: skip
        if len(J) <= 60:
            nx.draw_networkx_labels(
                graph, place, dict(enumerate(names)), ax=network, font_size=7,
                bbox={"facecolor": "white", "alpha": 0.6, "linewidth": 0, "pad": 0.8},
            )  # fmt: skip
        network.axis("off")
        network.set_title("solid: J > 0, dashed: J < 0")
        bar = figure.colorbar(nodes, ax=network, shrink=0.8, label="phase θ", location="left")
        bar.set_ticks([0, np.pi, 2 * np.pi], labels=["0", "π", "2π"])
        if pairs:
            rank = np.arange(len(pairs))
            strength = [pair["correlation"] for pair in pairs]
            beside.barh(rank, strength, xerr=[pair["spread"] for pair in pairs],
                        color=["C0" if c > 0 else "C3" for c in strength], height=0.7)  # fmt: skip
            beside.set_yticks(rank, [f"{pair['a']} – {pair['b']}" for pair in pairs], fontsize=7)
            beside.invert_yaxis()
            beside.axvline(0, color="0.4", linewidth=0.7)
            beside.set(xlabel="cos(θ_a - θ_b)", xlim=(-1.1, 1.1), title="pairs without a link")
        else:
            lowest = min(v["energies"]) if v["energy_searched"] is None else v["energy_searched"]
            above = 100 * (np.sort(v["energies"]) - lowest) / abs(lowest)
            beside.plot(np.arange(1, len(above) + 1), above, "o", markersize=3)
            beside.set(xlabel="run, by energy", ylabel="energy above the lowest known (%)", title="energies at rest",
                       ylim=(-0.2, max(1.0, 1.1 * above.max())), xlim=(0, len(above) + 1))  # fmt: skip
        figure.suptitle(
            f"{v['nodes']} condensates, {v['links']} links: E = {v['energy']:.5g}, densities within "
            f"{v['density_spread']:.1e}", fontsize=10,
        )  # fmt: skip
        figure.savefig(path, dpi=120)
