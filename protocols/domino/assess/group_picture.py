"""The picture of `domino.group`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw_group(path: Path, values: Mapping[str, Any]) -> None:
    """For each network: the optima by rank, with the group's, and what solvers reached. values: of `domino.group`."""
    rows = values["networks"]
    figure = Figure(figsize=(12, 3.9 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(3, 2))
    for (optima, solvers), row in zip(axes, rows, strict=True):
        listed = [{"names": row["best"], "q": row["q_best"]}, *row["next"]]
        names = [_short(one["names"]) for one in listed] + [f"the group (rank {row['group']['rank_q']})"]
        q = [one["q"] for one in listed] + [row["group"]["q"]]
        optima.barh(range(len(q)), q, color=["C3", *["C0"] * len(row["next"]), "C1"])
        optima.set_yticks(range(len(q)), names, fontsize=7)
        optima.invert_yaxis()
        optima.set(xlabel="q of problem (1)", title=row["origin"])
        optima.title.set_fontsize(9)
        kinds = [f"{s['kind']}: {s['hits']} of {s['starts']}" for s in row["solvers"]]
        places = range(len(kinds))
        solvers.barh(places, [s["best_ratio"] for s in row["solvers"]], color="0.75", label="best start")
        solvers.plot([s["median_ratio"] for s in row["solvers"]], places, "ko", label="median start")
        solvers.set_yticks(places, kinds, fontsize=8)
        solvers.invert_yaxis()
        solvers.axvline(1, color="C3", lw=1)
        solvers.set(xlabel="q / best", xlim=(0, 1.05), title="starts that find the best")
        solvers.legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=130)


def _short(names: list[str]) -> str:
    text = "-".join(names)
    return text if len(text) <= 60 else f"{text[:57]}…"
