"""Picture of `dyad.sense`, mode detect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from protocols.dyad.sensing.decision import threshold
from protocols.dyad.sensing.detection import Judged
from protocols.dyad.sensing.parameters import SenseParameters


def draw_detection(path: Path, values: dict[str, Any], j: Judged, p: SenseParameters) -> None:
    """Detections against strength, |z| with and without the probe, the lattice's answer."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(12.2, 4.0), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 1.15, 1))
        _detections(left, values, p)
        _exceeded(middle, values, j, p)
        _lattice(figure, right, values, j, p)
        figure.suptitle(
            f"{p.repeats} decisions each; false alarm {p.false_alarm:g} for a lattice of {j.z.shape[3]} dyads, "
            f"measured {values['false_alarm_measured'][-1]:.3f} ± {values['false_alarm_err'][-1]:.3f} "
            f"with {p.trials[-1]} condensations",
            fontsize=9.5,
        )
        figure.savefig(path, dpi=120)


def _detections(ax: Any, values: dict[str, Any], p: SenseParameters) -> None:
    dg = np.array(values["dg"])
    for k, trials in enumerate(p.trials):
        colour = f"C{k}"
        share, error = (np.array(values[name])[:, k] for name in ("detection", "detection_err"))
        ax.errorbar(dg, share, error, fmt="o", color=colour, markersize=4, capsize=2, label=f"{trials}")
        ax.plot(values["curve_dg"], np.asarray(values["curve"])[:, k], color=colour, linewidth=1)
    ax.axhline(p.false_alarm, color="0.6", linewidth=0.8, linestyle=":")
    ax.set(xlabel="change of g of one condensate", ylabel="share of alarms", xscale="log", ylim=(-0.03, 1.05))
    ax.set_xticks(dg, [f"{v:.2g}" for v in dg])
    ax.minorticks_off()
    ax.set_title("lattice: dots measured, lines predicted", fontsize=9)
    ax.legend(title="condensations", frameon=False, fontsize=8, loc="upper left")


def _exceeded(ax: Any, values: dict[str, Any], j: Judged, p: SenseParameters) -> None:
    """Share of dyads whose |z| exceeds a bound: what may be chosen, and what it costs."""
    bounds = np.linspace(0, 8, 161)
    still = np.abs(np.delete(j.z[:, :, -1], j.target, axis=2)).ravel()
    ax.plot(bounds, (still[:, None] > bounds).mean(axis=0), color="0.3", linewidth=1.4, label="undisturbed")
    from scipy.special import ndtr

    ax.plot(bounds, 2 * ndtr(-bounds), color="0.3", linewidth=0.8, linestyle="--", label="normal")
    for k, dg in enumerate(values["dg"]):
        mine = np.abs(j.z[:, k + 1, -1, j.target])
        ax.step(bounds, (mine[:, None] > bounds).mean(axis=0), color=f"C{k}", linewidth=1.1, label=f"Δg = {dg:.2g}")
    for bound, style, text in (
        (threshold(p.dyad_false_alarm), ":", f"bound of a dyad ({p.dyad_false_alarm:g})"),
        (threshold(p.false_alarm, j.z.shape[3]), "-.", f"of the lattice ({p.false_alarm:g})"),
    ):
        ax.axvline(bound, color="0.5", linewidth=0.9, linestyle=style, label=text)
    ax.set(xlabel="bound of |z|", ylabel="share beyond it", yscale="log", ylim=(1e-4, 1.6), xlim=(0, 8))
    ax.set_title(f"one dyad, {p.trials[-1]} condensations", fontsize=9)
    ax.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=7, loc="lower right")


def _lattice(figure: Any, ax: Any, values: dict[str, Any], j: Judged, p: SenseParameters) -> None:
    """The mean change over all blocks of the strongest probe."""
    z = j.z[:, -1, -1].mean(axis=0).reshape(values["shape"])
    top = float(np.abs(z).max())
    shown = ax.imshow(z, cmap="RdBu_r", vmin=-top, vmax=top)
    row, column = values["target"]
    ax.plot([column], [row], "s", markersize=14, fillstyle="none", color="k", markeredgewidth=0.9)
    ax.set(xlabel="dyad, column", ylabel="row")
    ax.set_xticks(range(z.shape[1]))
    ax.set_yticks(range(z.shape[0]))
    ax.set_title(f"mean z, probe of {1e3 * p.probe_w[-1]:g} mW", fontsize=9)
    figure.colorbar(shown, ax=ax, shrink=0.8)
