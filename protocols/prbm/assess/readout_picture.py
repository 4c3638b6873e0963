"""Picture of `prbm.readout`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_LOOKS = {"camera": ("C0", "o"), "photodetector": ("C1", "x")}


def draw(path: Path, values: dict[str, Any], kinds: Sequence[str], repeats: int) -> None:
    """Fields of each readout against exact ones, their difference, and the scatter of each."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    exact = values["L_exact"]
    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(11.4, 3.8), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 1.15, 1))
        span = [exact.min(), exact.max()]
        left.plot(span, span, color="0.7", linewidth=1)
        for kind in kinds:
            colour, mark = _LOOKS[kind]
            label = f"{kind}: r = {values[f'r_{kind}']:.4f}, slope {values[f'slope_{kind}']:.3f}"
            fill = "none" if mark == "o" else "full"
            left.plot(exact, values[f"L_{kind}"], mark, color=colour, markersize=4, fillstyle=fill, label=label)
        left.set(xlabel="exact local field L", ylabel="measured by light")
        left.set_title(f"{len(exact)} fields, mean of {repeats}")
        left.legend(frameon=False, fontsize=7.5)
        _differences(middle, values, kinds, repeats)
        _scatters(right, values, kinds)
        figure.savefig(path, dpi=120)


def _differences(ax: Any, values: dict[str, Any], kinds: Sequence[str], repeats: int) -> None:
    exact = values["L_exact"]
    if len(kinds) < 2:
        kind = kinds[0]
        colour, mark = _LOOKS[kind]
        ax.plot(exact, values[f"L_{kind}"] - exact, mark, color=colour, markersize=4)
        ax.set(xlabel="exact local field L", ylabel=f"{kind} less exact", title="error of the mean")
        ax.axhline(0, color="0.7", linewidth=1)
        return
    apart = values["L_photodetector"] - values["L_camera"]
    sigma = np.hypot(values["sigma_measured_camera"], values["sigma_measured_photodetector"]) / np.sqrt(repeats)
    ax.errorbar(exact, apart, yerr=sigma, fmt=".", color="C2", markersize=4, elinewidth=0.6, ecolor="0.75")
    ax.plot([], [], color="0.75", label="±1σ by scatter")
    ax.axhline(0, color="0.4", linewidth=1)
    ends = np.array([exact.min(), exact.max()])
    common = np.polynomial.Polynomial.fit(exact, apart, 1)
    ax.plot(ends, common(ends), color="C2", linewidth=1, linestyle="--", label="common to all fields")
    chance = values["agreement_p"]
    ax.set(
        xlabel="exact local field L",
        ylabel="photodetector less camera",
        title=f"difference {values['difference_rms']:.2g} rms, expected {values['difference_expected']:.2g}"
        + (f" (p = {chance:.2f})" if chance is not None else ""),
    )
    ax.legend(frameon=False, fontsize=7.5)


def _scatters(ax: Any, values: dict[str, Any], kinds: Sequence[str]) -> None:
    highest = 0.0
    for k, kind in enumerate(kinds):
        colour, _ = _LOOKS[kind]
        measured, predicted = values[f"sigma_measured_{kind}"], values[f"sigma_predicted_{kind}"]
        ax.bar(k, measured, 0.5, color=colour, alpha=0.75)
        if predicted is not None:
            ax.plot([k - 0.32, k + 0.32], [predicted] * 2, color="k", linewidth=1.5)
            highest = max(highest, predicted)
        highest = max(highest, measured)
        top = max(measured, predicted or 0.0)
        text = f"{values[f'bench_s_{kind}']:.1f} s a half sweep\n{1e3 * values[f'exposure_s_{kind}']:.1f} ms a pattern"
        if values[f"electrons_{kind}"] is not None:
            text += f"\n{values[f'electrons_{kind}']:.2g} electrons"
        ax.text(k, top + 0.04 * highest, text, ha="center", va="bottom", fontsize=7.5)
    if any(values[f"sigma_predicted_{kind}"] is not None for kind in kinds):
        ax.plot([], [], color="k", linewidth=1.5, label="predicted")
        ax.legend(frameon=False, fontsize=7.5, loc="upper right")
    ax.set_xticks(range(len(kinds)), kinds)
    ax.set(ylabel="scatter of one measurement of L", title="noise", xlim=(-0.6, len(kinds) - 0.4))
    if highest > 0:
        ax.set_ylim(0, 1.45 * highest)
