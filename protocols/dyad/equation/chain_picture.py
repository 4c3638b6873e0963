"""Picture of coupled dyads: their shares, correlations and how many are in state "1" together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import comb


def draw_chain(path: Path, p: Any, v: Mapping[str, Any]) -> None:
    """p1 of dyads and correlation of neighbours against the coupling, and the distribution of the number of ones.

    p: parameters of `dyad.chain`; v: its values.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    order = np.argsort(v["coupling"])
    coupling = np.array(v["coupling"])[order]
    p1, error = np.array(v["p1"])[order], np.array(v["p1_err"])[order]
    correlation = np.array(v["correlation"])[order]
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(12, 3.8), layout="constrained")
        shares, pairs, together = figure.subplots(1, 3)
        shown = np.unique(np.linspace(0, p.n - 1, min(p.n, 7)).round().astype(int))
        colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.9, len(shown)))
        for colour, k in zip(colours, shown, strict=True):
            style = {"color": colour, "marker": "o", "markersize": 3, "linewidth": 0.9}
            shares.errorbar(coupling, p1[:, k], error[:, k], capsize=1.5, label=f"dyad {k + 1}", **style)
            if k < p.n - 1:
                label = f"dyads {k + 1}, {k + 2}"
                pairs.errorbar(coupling, correlation[:, k], v["correlation_err"][0], capsize=1.5, label=label, **style)
        shares.axhline(0.5, color="0.6", linewidth=0.7, linestyle=":")
        pairs.axhline(0, color="0.6", linewidth=0.7, linestyle=":")
        shares.set(xlabel="coupling of neighbouring dyads", ylabel="share $p_1$")
        pairs.set(xlabel="coupling of neighbouring dyads", ylabel="correlation of states")
        low, high = shares.get_ylim()
        shares.set_ylim(min(low, 0.45), max(high, 0.55))
        shares.legend(frameon=False, fontsize=8)
        pairs.legend(frameon=False, fontsize=8)
        number = np.arange(p.n + 1)
        for k, colour in zip(dict.fromkeys((0, len(coupling) - 1)), ("C3", "C0"), strict=False):
            together.plot(number, np.array(v["ones"])[order][k], "o-", color=colour, markersize=3.5, linewidth=0.9,
                          label=f"coupling {coupling[k]:g}")  # fmt: skip
        together.plot(
            number, comb(p.n, number) / 2.0**p.n, "s--", color="0.5", markersize=3, linewidth=0.9, label="fair coins"
        )
        together.set(xlabel='dyads in state "1"', ylabel="share of condensations", ylim=(0, None))
        together.legend(frameon=False, fontsize=8)
        figure.suptitle(
            f"{p.geometry} of {p.n} dyads: J = {p.J:g}, γ = {p.gamma:g}, g = {p.g:.4g}, ξ = {p.xi:.4g}; {p.trials:,} "
            "condensations each",
            fontsize=9,
        )
        figure.savefig(path, dpi=120)
