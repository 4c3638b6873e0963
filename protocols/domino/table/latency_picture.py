"""Picture of `domino.latency`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def draw_latency(path: Path, v: Mapping[str, Any]) -> None:
    """Success against latency, a line for every noise of phases; and starts that were unlocked. v: of the figure."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        success, unlocked = figure.subplots(1, 2)
        apart = 0.012 * (max(v["latency"]) - min(v["latency"]) or 1)  # points that are alike are not to hide each other
        for k, phase in enumerate(v["phase_rad"]):
            x = np.array(v["latency"]) + apart * (k - (len(v["phase_rad"]) - 1) / 2)
            y = np.array(v["success"])[:, k]
            success.errorbar(x, y, np.array(v["success_err"])[:, k], fmt="o-", color=f"C{k}", capsize=2,
                             label=f"{phase:g} rad")  # fmt: skip
            unlocked.plot(x, np.array(v["unlocked"])[:, k] / v["starts"], "o-", color=f"C{k}",
                          label=f"{phase:g} rad")  # fmt: skip
        success.axhline(v["success_ideal"], color="0.5", linestyle="--", label="the equations")
        success.set(xlabel="latency (frames)", ylabel="success per start", ylim=(0, 1.02),
                    title=f"N = {v['nodes']}, {v['starts']} starts")  # fmt: skip
        success.legend(frameon=False, title="noise of phases")
        unlocked.set(xlabel="latency (frames)", ylabel="share of starts", ylim=(-0.02, 1.02),
                     title="unlocked: counted as failures")  # fmt: skip
        unlocked.legend(frameon=False)
        figure.savefig(path, dpi=120)
