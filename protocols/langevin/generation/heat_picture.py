"""The picture of heat: its distribution by image, beside the paper's mean and spread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.langevin.generation.denoising import Judged


def draw_heat(path: Path, found: Judged, heat: NDArray[Any], values: Mapping[str, Any]) -> None:
    """heat: (trajectories,), k_BT."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
        bins = np.linspace(heat.min(), heat.max(), 50)
        parts = [heat[found.nearest == k] for k in np.unique(found.nearest)]
        left.hist(parts, bins=bins, stacked=True, label=[f"like image {k}" for k in np.unique(found.nearest)])
        low, high = (values["heat_paper"] + s * values["heat_sd_paper"] for s in (-1, 1))
        left.axvspan(low, high, color="0.92", zorder=0, label="the paper's mean ± spread")
        left.axvline(values["heat_paper"], color="0.5", linewidth=0.9)
        left.set(xlabel=r"heat $Q = V(x(0)) - V(x(t_f))$ ($k_BT$)", ylabel="trajectories")
        left.legend(frameon=False, fontsize=8, loc="upper left")
        left.set_title(
            f"{values['heat']:.0f} ± {values['heat_err']:.0f}, spread {values['heat_sd']:.0f} ± "
            f"{values['heat_sd_err']:.0f}; amplitude {values['amplitude']:g}", fontsize=9,
        )  # fmt: skip
        names = ("ln_ratio", "half_heats", "force_term", "irreversibility")
        words = ("ln P₀/P̃", "-(Q₀ + Q)/2, Eq. (14)", "force term", "irreversibility")
        bars = right.barh(words[::-1], [values[name] for name in names][::-1], color="C0")
        right.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
        right.margins(x=0.2)
        right.axvline(0, color="k", linewidth=0.7)
        right.set(xlabel=r"mean of noising trajectories ($k_BT$)")
        right.set_title(f"untrained irreversibility: {values['irreversibility_untrained']:.0f}", fontsize=9)
        figure.savefig(path, dpi=120)
