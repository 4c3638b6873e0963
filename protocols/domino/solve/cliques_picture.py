"""Picture of ranked cliques."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from protocols.domino.problem.program import Program


def draw_cliques(path: Path, program: Program, v: Mapping[str, Any]) -> None:
    """Bars by rank, with names, and which nodes the first twenty have in common. v: values of `domino.cliques`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = v["cliques"][:20]
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(13, 1.6 + 0.34 * len(rows)), layout="constrained")
        bars, members = figure.subplots(1, 2, width_ratios=[1, 2.4], sharey=True)
        rank = np.arange(1, len(rows) + 1)
        value = [row[v["rank"]] for row in rows]
        bars.barh(rank, value, color="C0", height=0.7)
        for k, row in zip(rank, rows, strict=True):
            other = f"weight {row['weight']:.3g}" if v["rank"] == "q" else f"q {row['q']:.3g}"
            bars.text(0.02 * max(value), k, f"{len(row['nodes'])} nodes, {other}", va="center", fontsize=7,
                      color="white")  # fmt: skip
        bars.set(xlabel={"q": "q of problem (1)", "weight": "weight of all links"}[v["rank"]], ylabel="rank")
        bars.set_yticks(rank)
        nodes = sorted({k for row in rows for k in row["nodes"]}, key=lambda k: -sum(k in r["nodes"] for r in rows))
        column = {node: k for k, node in enumerate(nodes)}
        for k, row in zip(rank, rows, strict=True):
            at = [column[node] for node in row["nodes"]]
            members.plot([min(at), max(at)], [k, k], color="0.8", linewidth=0.8, zorder=1)
            members.scatter(at, [k] * len(at), s=22, color="C3", zorder=2)
        members.set_xticks(range(len(nodes)), [program.names[k][:24] for k in nodes], rotation=90,
                           fontsize=8 if len(nodes) <= 40 else 5)  # fmt: skip
        members.set(title="their nodes, those of most cliques first", xlim=(-1, len(nodes)))
        members.invert_yaxis()
        figure.suptitle(f"{program.origin}: {v['found']} cliques found in {v['searches']} searches", fontsize=10)
        figure.savefig(path, dpi=120)
