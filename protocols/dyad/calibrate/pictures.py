"""Pictures of a lattice's calibration: p_1 before and after, the course of the search, drift followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.dyad.calibrate.balance import Balance
from protocols.dyad.calibrate.posterior import Counts

Array = NDArray[np.float64]


def draw_balance(
    path: Path, shape: tuple[int, int], before: Any, fresh: Array, balance: Balance, counts: Counts
) -> None:
    """p_1 over the lattice before and after, ratios asked for, and fresh p_1 against their intervals."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    _, ones, trials, _ = before
    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(9.6, 7.2), layout="constrained")
        (first, after), (course, spread) = figure.subplots(2, 2)
        for ax, p1, title in ((first, ones / trials, "before: all ratios 1"), (after, fresh, "after, counted afresh")):
            image = ax.imshow(p1.reshape(shape), vmin=0, vmax=1, cmap="RdBu_r", aspect="auto")
            ax.set(title=title, xlabel="column of dyads", ylabel="row")
            for axis in (ax.xaxis, ax.yaxis):
                axis.get_major_locator().set_params(integer=True)
            figure.colorbar(image, ax=ax, label="$p_1$")
        spent = np.cumsum(counts.trials, axis=1)
        course.plot(spent[0], (counts.x - balance.x[:, None]).T, color="C0", alpha=0.25, linewidth=0.7)
        course.set(
            xscale="log", xlabel="condensations of each dyad", ylabel="$\\ln r_\\gamma$ asked for, less the answer",
            title=f"{counts.x.shape[1]} batches",
        )  # fmt: skip
        order = np.argsort(balance.p1)
        low, high = balance.p1_interval
        place = np.arange(len(order))
        spread.vlines(place, low[order], high[order], color="0.75", label="stated 95 % interval")
        spread.plot(place, fresh[order], ".", color="C3", markersize=4, label="counted afresh")
        spread.axhspan(0.47, 0.53, color="C2", alpha=0.12, label="0.5 ± 0.03")
        spread.set(xlabel="dyads in order of expected $p_1$", ylabel="$p_1$", title="what was stated, what was found")
        top = max(float(high.max()), float(fresh.max()), 0.54)
        spread.set_ylim(min(float(low.min()), float(fresh.min()), 0.46) - 0.005, top + 0.45 * (top - 0.46))
        spread.legend(loc="upper left", fontsize=8, frameon=False)
        figure.savefig(path, dpi=110)


def draw_tracking(path: Path, tracked: dict[str, Any], p: Any) -> None:
    """Ratios and p_1 of all dyads from window to window."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    x, p1 = tracked["x"], tracked["p1"]
    minutes = np.arange(len(x)) * p.every / 60
    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(9.6, 3.6), layout="constrained")
        ratios, course = figure.subplots(1, 2)
        ratios.plot(minutes, 100 * (x - x[0]), color="C0", alpha=0.3, linewidth=0.8)
        ratios.set(xlabel="time on the table (min)", ylabel="change of $r_\\gamma$ (%)", title="ratios that are set")
        course.fill_between(
            minutes, *np.percentile(p1, [2.5, 97.5], axis=1), color="C0", alpha=0.25, label="95 % of the dyads"
        )
        course.plot(minutes, p1.mean(axis=1), color="C0", label="mean")
        noise = 1.96 * np.sqrt(0.25 / p.window)
        for level in (0.5 - noise, 0.5 + noise):
            course.axhline(level, color="0.4", linestyle=":", linewidth=0.9)
        course.set(
            xlabel="time on the table (min)", ylabel=f"$p_1$ of {p.window} condensations",
            title="kept at one half (dotted: chance alone)",
        )  # fmt: skip
        course.legend(fontsize=8, frameon=False)
        figure.savefig(path, dpi=110)


def draw_comparison(path: Path, search: Any, sweep: Any, same: float, precision: float) -> None:
    """Where both methods count, of some dyads, and how many trials either needs."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    found, plain = search.balance(), sweep.balance()
    order = np.argsort(found.x)
    some = order[np.linspace(0, len(order) - 1, min(5, len(order))).astype(int)]
    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(9.6, 3.6), layout="constrained")
        curves, cost = figure.subplots(1, 2, width_ratios=(2, 1))
        for k, d in enumerate(some):
            points = len(np.unique(sweep.counts.x[d]))
            ones, trials = (v[d].reshape(-1, points).sum(axis=0) for v in (sweep.counts.ones, sweep.counts.trials))
            curves.plot(sweep.counts.x[d, :points], ones / trials, "-", color=f"C{k}", alpha=0.5, linewidth=1)
            share = search.counts.ones[d] / search.counts.trials[d]
            size = 3 + 2 * np.log10(search.counts.trials[d])
            curves.scatter(search.counts.x[d], share, s=size**2 / 2, color=f"C{k}", alpha=0.6, linewidths=0)
            curves.axvline(found.x[d], color=f"C{k}", linewidth=0.7, linestyle=":")
        curves.set(
            xlabel="$\\ln r_\\gamma$ asked for", ylabel="share of states “1”",
            title="five dyads: lines the sweep, dots the search's batches",
        )  # fmt: skip
        values = [same, float(plain.trials.mean())]
        bars = cost.bar(["search", "sweep"], values, color=["C0", "0.6"], width=0.6)
        cost.bar_label(bars, [f"{v:,.0f}" for v in values], padding=2)
        cost.set(yscale="log", ylabel="condensations of each dyad", title=f"until $p_1$ is known to {precision:g}")
        cost.set_ylim(min(values) / 4, max(values) * 3)
        figure.savefig(path, dpi=110)
