"""Picture of the phase diagram: the bounds of asymmetric dyads as surfaces and as maps (Fig. 1a)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.condensates.dyads import pitchfork_bound


def draw_diagram(path: Path, p: Any, bound: NDArray[np.float64]) -> None:
    """Surfaces and cuts over g and |J|, where there are several of both; curves otherwise.

    p: parameters of `dyad.phase-diagram`. bound: (gamma, J, g).
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        if min(len(p.J), len(p.g)) > 1:
            figure = Figure(figsize=(11, 4.3), layout="constrained")
            grid = figure.add_gridspec(1, 2, width_ratios=[1.25, 1])
            _surfaces(figure.add_subplot(grid[0, 0], projection="3d"), p, bound)
            _cuts(figure.add_subplot(grid[0, 1]), p, bound)
        else:
            figure = Figure(figsize=(5.4, 4), layout="constrained")
            _curves(figure.subplots(), p, bound)
        figure.savefig(path, dpi=120)


def _surfaces(ax: Any, p: Any, bound: NDArray[np.float64]) -> None:
    from matplotlib.patches import Patch

    J, g = np.meshgrid(np.abs(p.J), p.g, indexing="ij")
    for k in range(len(p.gamma)):
        ax.plot_surface(g, J, np.log10(bound[k]), color=f"C{k}", alpha=0.55, linewidth=0, rcount=60, ccount=60)
    decades = np.arange(math.floor(np.log10(np.nanmin(bound))), math.ceil(np.log10(np.nanmax(bound))) + 1)
    ax.set_zticks(decades, [f"{10.0**d:g}" for d in decades])
    ax.set(xlabel="g", ylabel="|J|", zlabel="upper bound of ξ")
    ax.set_title("asymmetric dyads exist below the surfaces", fontsize=9)
    ax.view_init(22, -128)
    # Three-dimensional axes leave margins that their labels do not fill.
    ax.set_box_aspect((1, 1, 0.8), zoom=1.0)
    handles = [Patch(color=f"C{k}", alpha=0.55, label=f"γ = {gamma:g}") for k, gamma in enumerate(p.gamma)]
    ax.legend(handles=handles, frameon=False, loc="upper left")


def _cuts(ax: Any, p: Any, bound: NDArray[np.float64]) -> None:
    order = np.argsort(np.abs(p.J))
    J = np.abs(p.J)[order]
    shown = np.unique(np.linspace(0, len(p.g) - 1, 4).round().astype(int)[1:])
    for k, gamma in enumerate(p.gamma):
        for line, i in zip((":", "--", "-"), shown, strict=False):
            ax.plot(J, pitchfork_bound(gamma, p.g[i], J), color=f"C{k}", linestyle=line, linewidth=1)
            ax.plot(J[::4], bound[k, order, i][::4], "o", color=f"C{k}", markersize=2.5)
    names = ", ".join(f"{p.g[i]:.3g}" for i in shown)
    ax.set(xlabel="|J|", ylabel="upper bound of ξ", yscale="log")
    ax.set_title(f"found (dots), closed form (lines); g = {names} (dotted to full)", fontsize=9)


def _curves(ax: Any, p: Any, bound: NDArray[np.float64]) -> None:
    along, name = (p.g, "g") if len(p.g) > 1 else (p.J, "J")
    if max(len(p.g), len(p.J)) == 1:
        along, name = p.gamma, "γ"
        ax.plot(along, bound.ravel(), "o", color="C0", label="found")
        ax.plot(along, pitchfork_bound(np.array(p.gamma), p.g[0], p.J[0]), "-", color="C0", label="closed form")
    else:
        for k, gamma in enumerate(p.gamma):
            every = max(1, len(along) // 25)
            found = bound[k].ravel()[::every]
            ax.plot(along[::every], found, "o", color=f"C{k}", markersize=3.5, label=f"γ = {gamma:g}")
            closed = pitchfork_bound(gamma, np.array(p.g), np.array(p.J))
            ax.plot(along, closed, "-", color=f"C{k}", linewidth=1)
    ax.set(xlabel=name, ylabel="upper bound of ξ")
    ax.set_title("found (dots) and closed form (lines)", fontsize=9)
    ax.legend(frameon=False)
