"""Pictures of bits: what they look like, how fair the dyads are, and what the tests found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.dyad.noise.battery import Verdict
from protocols.dyad.noise.entropy.estimate import MinEntropy

_SHOWN = 100
_LEAST_P = 1e-12
_NAMES = {
    "before": "raw, before calibration",
    "debiased_before": "debiased, before calibration",
    "raw": "raw, calibrated",
    "debiased": "debiased, calibrated",
}
_COLOURS = {"before": "C3", "debiased_before": "C4", "raw": "C1", "debiased": "C0"}


def draw_bits(
    path: Path,
    raw: dict[str, NDArray[np.bool_]],
    debiased: NDArray[np.uint8],
    entropies: dict[str, MinEntropy],
    verdicts: dict[str, Verdict],
) -> None:
    """Bits as black and white, p1 of every dyad, min-entropy by estimate, and p-values by test where there are any."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 8.5}):
        figure = Figure(figsize=(11, 7.4), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.25))
        above, below = parts
        shown = {
            "before calibration": raw["before"][:_SHOWN],
            "calibrated": raw["after"][:_SHOWN],
            "debiased, in lines of 100": debiased[: _SHOWN * _SHOWN].reshape(-1, _SHOWN),
        }
        axes = above.subplots(1, 4, width_ratios=(1, 1, 1, 1.5))
        for ax, (title, bits) in zip(axes, shown.items(), strict=False):
            ax.imshow(bits, cmap="gray_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            ax.set_title(title, fontsize=9)
            if title.startswith("debiased"):
                ax.set_xticks([])
                ax.set_yticks([])
            else:
                ax.set(xlabel="dyad", ylabel="condensation")
        _draw_fairness(axes[3], raw)
        _draw_tests(below.subplots(1, 2, width_ratios=(1, 1.5)), entropies, verdicts)
        figure.savefig(path, dpi=120)


def _draw_fairness(ax: Any, raw: dict[str, NDArray[np.bool_]]) -> None:
    for name, stage, colour in (("before calibration", "before", "C3"), ("calibrated", "after", "C0")):
        p1 = np.sort(raw[stage].mean(axis=0))
        ax.plot(np.arange(1, len(p1) + 1), p1, ".", color=colour, markersize=3.5, label=name)
    ax.axhline(0.5, color="0.6", linewidth=0.8)
    ax.set(xlabel="dyads, sorted", ylabel="$p_1$", ylim=(-0.03, 1.03))
    ax.legend(frameon=False, loc="upper left")


def _draw_tests(axes: Any, entropies: dict[str, MinEntropy], verdicts: dict[str, Verdict]) -> None:
    left, right = axes
    names = list(next(iter(entropies.values())).estimates)
    rows = np.arange(len(names))
    for stage in (name for name in _NAMES if name in entropies):
        found = [entropies[stage].estimates[name] for name in names]
        left.plot([np.nan if v is None else v for v in found], rows, "o", color=_COLOURS[stage], markersize=4)
    left.set_yticks(rows, [name.replace("-", " ") for name in names])
    left.invert_yaxis()
    left.set(xlabel="min-entropy, bits a bit (SP 800-90B)", xlim=(-0.03, 1.03))
    left.grid(axis="y", color="0.9")
    if not verdicts:
        right.set_axis_off()
        return
    tests = list(next(iter(verdicts.values())).p_values)
    for stage in (name for name in _NAMES if name in verdicts):
        p = [verdicts[stage].p_values[name] for name in tests]
        at = [np.nan if v is None else max(v, _LEAST_P) for v in p]
        right.plot(at, np.arange(len(tests)), "o", color=_COLOURS[stage], markersize=4, label=_NAMES[stage])
    threshold = verdicts["debiased"].threshold
    right.axvline(threshold, color="0.4", linewidth=0.9, linestyle="--")
    right.set_xscale("log")
    right.set_xlim(_LEAST_P / 3, 3)
    right.set_yticks(np.arange(len(tests)), [name.replace("_", " ") for name in tests])
    right.invert_yaxis()
    right.set_xlabel(f"p-value (SP 800-22), {_LEAST_P:g} at least; a test fails left of the line")
    right.grid(axis="y", color="0.9")
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
