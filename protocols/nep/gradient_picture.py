"""Picture of a gradient beside the exact one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from protocols.nep.network import Task


def draw_gradient(path: Path, task: Task, v: Mapping[str, Any]) -> None:
    """-dC/dV by node and -dC/dw by input; v: values of `nep.gradient`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    dV, exact = np.array(v["dV"]), np.array(v["dV_exact"])
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9.5, 3.6), layout="constrained")
        potential, weights = figure.subplots(1, 2, width_ratios=(2, 1))
        if dV.ndim == 1:
            nodes = np.arange(len(dV))
            potential.bar(nodes - 0.2, dV, 0.4, label=v["method"])
            potential.bar(nodes + 0.2, exact, 0.4, color="0.6", label="exact")
            potential.set(xlabel="node", ylabel="-dC/dV")
            potential.axhline(0, color="k", linewidth=0.6)
            potential.legend(frameon=False)
        else:
            top = max(float(np.abs(dV).max()), 1e-15)
            image = potential.imshow(dV, vmin=-top, vmax=top, cmap="RdBu_r")
            figure.colorbar(image, ax=potential, label="-dC/dV", shrink=0.8)
        k = np.arange(len(v["dw"]))
        weights.bar(k - 0.2, v["dw"], 0.4)
        weights.bar(k + 0.2, v["dw_exact"], 0.4, color="0.6")
        weights.axhline(0, color="k", linewidth=0.6)
        few = len(k) <= 12
        weights.set(ylabel="-dC/dw", xlabel="input", xticks=k if few else None)
        if few:
            weights.set_xticklabels([f"node {n}" for n in task.network.inputs])
        figure.suptitle(
            f"{v['method']}, β = {v['beta']:g}, {v['nudge']}, {v['sides']}-sided: cosine V {v['cosine_V']:.4f}, "
            f"w {v['cosine_w']:.4f}", fontsize=9,
        )  # fmt: skip
        figure.savefig(path, dpi=120)
