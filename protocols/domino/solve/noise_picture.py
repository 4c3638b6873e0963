"""Picture of `domino.noise`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def draw_noise(path: Path, p: Any, v: Mapping[str, Any]) -> None:
    """Mean |dq|/q and success against the noise. p: parameters, v: values of `domino.noise`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    order = np.argsort(v["eta"])
    eta = np.array(v["eta"])[order]
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        off, success = figure.subplots(1, 2)
        colours = mpl.colormaps["viridis"](np.linspace(0.1, 0.9, len(p.density)))
        for colour, density, row in zip(colours, p.density, v["off_by_density"], strict=True):
            off.plot(eta, 100 * np.array(row)[order], "o-", color=colour, markersize=3, linewidth=0.8,
                     label=f"density {density:g}")  # fmt: skip
        off.errorbar(eta, 100 * np.array(v["off"])[order], 100 * np.array(v["off_err"])[order], fmt="ks-",
                     markersize=4, capsize=2, label="all")  # fmt: skip
        off.set(xscale="log", xlabel="noise η of couplings", ylabel="mean |Δq|/q (%)", ylim=(0, None))
        off.legend(frameon=False)
        success.errorbar(eta, np.array(v["success"])[order], np.array(v["success_err"])[order], fmt="o-", markersize=4,
                         capsize=2, label="with noise")  # fmt: skip
        success.axhline(v["success_still"], color="0.5", linestyle=":", label="without")
        success.set(xscale="log", xlabel="noise η of couplings", ylabel="success per start", ylim=(0, None))
        success.legend(frameon=False)
        for ax in (off, success):
            ax.set_xticks(eta, [f"{e:g}" for e in eta])
            ax.minorticks_off()
        figure.suptitle(
            f"{v['networks']} networks of {p.nodes} nodes, {p.starts} starts each, γ = {p.gamma:g}", fontsize=10
        )
        figure.savefig(path, dpi=120)
