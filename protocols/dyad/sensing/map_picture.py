"""Picture of `dyad.sense`, mode map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from protocols.dyad.sensing.parameters import SenseParameters


def draw_map(path: Path, values: dict[str, Any], p: SenseParameters) -> None:
    """The sample's places with what stands out, and the distribution that it stands out of."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    places, change = np.asarray(values["place_px"]), 100 * np.asarray(values["dg_rel"])
    certain, suspected = (np.asarray(values[name], bool) for name in ("certain", "suspected"))
    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(12.0, 5.0), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.9, 1))
        top = float(np.abs(change).max())
        size = min(60.0, max(3.0, 2.0e4 / len(places)))
        shown = left.scatter(
            places[:, 1], places[:, 0], c=change, s=size, marker="s", cmap="RdBu_r", vmin=-top, vmax=top, linewidths=0
        )
        marks = (
            (suspected & ~certain, "^", "0.35", f"suspected: {p.dyad_false_alarm:g} of normal places"),
            (certain, "o", "k", f"defect: false alarm {p.false_alarm:g} for the map"),
        )
        for some, marker, colour, label in marks:
            left.plot(
                places[some, 1], places[some, 0], marker, fillstyle="none", color=colour, markersize=9,
                markeredgewidth=0.9, linestyle="none", label=f"{int(some.sum())} {label}",
            )  # fmt: skip
        left.set(xlabel="camera column (px)", ylabel="camera row (px)", aspect="equal")
        left.invert_yaxis()
        left.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)
        figure.colorbar(shown, ax=left, label="change of g, or as if (%)", shrink=0.8)
        bins = np.linspace(-top, top, 41)
        right.hist(change, bins, color="C0", alpha=0.7, label="places")
        # What is estimated of normal places is a little less spread than they are.
        known = 100 * np.sqrt(np.maximum(values["spread"] ** 2 - np.asarray(values["dg_rel_err"]) ** 2, 1e-12))
        x = np.linspace(-top, top, 300)
        bell = np.exp(-0.5 * (x[:, None] / known) ** 2) / (np.sqrt(2 * np.pi) * known)
        right.plot(x, bell.sum(axis=1) * (bins[1] - bins[0]), color="C3", linewidth=1.2, label="normal sample")
        right.set(xlabel="change of g, or as if (%)", ylabel="places", yscale="log")
        right.set_ylim(0.5, None)
        right.legend(frameon=False, fontsize=8)
        right.set_title(
            f"±{100 * values['spread']:.1f} % from place to place; ±{100 * values['measured_sd']:.1f} % by counting",
            fontsize=9,
        )
        figure.suptitle(
            f"{values['places']} places from {values['differences']} differences, "
            f"{values['trials']:.0f} condensations of each dyad",
            fontsize=9.5,
        )
        figure.savefig(path, dpi=120)
