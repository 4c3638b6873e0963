"""Picture of how far measured updates point where the exact gradient does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def draw_check(path: Path, v: Mapping[str, Any]) -> None:
    """Median cosines against loss, detuning, nudge and noise; v: values of `nep.gradient-check`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(13, 3.6), layout="constrained")
        by_gamma, by_detuning, by_beta, by_noise = figure.subplots(1, 4)
        for name, label, style in (
            ("nep_band", "NEP, V in [0, 0.1]", "o-"),
            ("nep_detuned", "NEP, V in [0.5, 1]", "s-"),
            ("nep_band_w", "NEP, V in [0, 0.1], w alone", "o:"),
            ("conjugate_band", "phase-conjugate, V in [0, 0.1]", "^-"),
        ):
            by_gamma.semilogx(v["gammas"], v[name], style, markersize=4, linewidth=1, label=label)
        by_gamma.set(xlabel="loss γ", ylabel="median cosine with the exact gradient")
        order = np.argsort(v["detunings"])
        for name, label, style in (("nep", "NEP", "o-"), ("conjugate", "phase-conjugate", "^-")):
            y = np.array(v[f"{name}_by_detuning"])[order]
            by_detuning.plot(np.array(v["detunings"])[order], y, style, markersize=4, linewidth=1, label=label)
        by_detuning.set(xlabel="mean potential V (band: -2 to 0)", ylabel="median cosine with the exact gradient")
        for name, label, style in (("one_sided", "one-sided", "o-"), ("symmetric", "symmetric", "s-")):
            by_beta.loglog(v["betas"], v[f"{name}_error"], style, markersize=4, linewidth=1, label=label)
            by_noise.semilogx(v["noises"], v[f"{name}_noisy"], style, markersize=4, linewidth=1, label=label)
        by_beta.set(xlabel="nudge β", ylabel="relative error of the contrast's direction")
        by_noise.set(xlabel="noise of |ψ|², Re ψ, Im ψ", ylabel="median cosine with the noiseless direction")
        for ax in (by_gamma, by_detuning, by_noise):
            ax.axhline(0, color="0.6", linewidth=0.7)
            ax.set_ylim(-1.05, 1.05)
        for ax in (by_gamma, by_detuning, by_beta, by_noise):
            ax.legend(frameon=False, fontsize=7)
        figure.savefig(path, dpi=120)


def draw_measured(path: Path, v: Mapping[str, Any]) -> None:
    """Cosines and signal to noise of a loop's updates against the nudge."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(8.5, 3.6), layout="constrained")
        cosines, signal = figure.subplots(1, 2)
        for sides, style in ((1, "o--"), (2, "s-")):
            name = "one-sided" if sides == 1 else "symmetric"
            for what, colour in (("V", "C0"), ("w", "C1")):
                y = v[f"cosine_{what}_{sides}"]
                cosines.semilogx(v["betas"], y, style, color=colour, markersize=4, linewidth=1, label=f"{what}, {name}")
            snr = [x if x else np.nan for x in v[f"snr_{sides}"]]
            signal.loglog(v["betas"], snr, style, color="C2", markersize=4, linewidth=1, label=name)
        cosines.set(xlabel="nudge β", ylabel="cosine with the exact gradient", ylim=(-1.05, 1.05))
        cosines.axhline(0, color="0.6", linewidth=0.7)
        signal.set(xlabel="nudge β", ylabel="signal to noise of the contrast")
        for ax in (cosines, signal):
            ax.legend(frameon=False, fontsize=8)
        figure.savefig(path, dpi=120)
