"""Picture of `domino.scaling`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def draw_scaling(path: Path, p: Any, v: Mapping[str, Any]) -> None:
    """Settling time and the cost of an update against N. p: parameters, v: values of `domino.scaling`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        settling, cost = figure.subplots(1, 2)
        n, t = np.array(v["nodes"], np.float64), np.array(v["settling_time"])
        settling.errorbar(n, t, v["settling_err"], fmt="o", capsize=2)
        middle, level = np.exp(np.log(n).mean()), np.exp(np.log(t).mean())
        settling.plot(n, level * (n / middle) ** v["exponent"], color="0.5", linewidth=0.9,
                      label=f"$N^{{{v['exponent']:.2f} \\pm {v['exponent_err']:.2f}}}$")  # fmt: skip
        settling.set(xscale="log", xlabel="nodes N", ylabel="time to settle", ylim=(0, None))
        settling.set_xticks(n, [f"{k:g}" for k in n])
        settling.minorticks_off()
        settling.legend(frameon=False)
        m = np.array(v["update_nodes"], np.float64)
        for name, label in (("update", "one start"), ("batched", "100 starts at once, each")):
            exponent = v[f"{name}_exponent"]
            cost.plot(m, v[f"{name}_us"], "o-", markersize=4, linewidth=0.9, label=f"{label}: $N^{{{exponent:.2f}}}$")
        cost.set(xscale="log", yscale="log", xlabel="nodes N", ylabel="coupling update W x (µs)")
        cost.set_xticks(m, [f"{k:g}" for k in m])
        cost.minorticks_off()
        cost.legend(frameon=False)
        figure.suptitle(
            f"{p.networks} networks of each size, density {p.density:g}, {p.starts} starts each; one core", fontsize=10
        )
        figure.savefig(path, dpi=120)
