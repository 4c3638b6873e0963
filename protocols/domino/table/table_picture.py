"""Picture of starts on the table: beside the ideal loop, and how well the light was what was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from protocols.domino.table.solving import OnTable


def draw_table(path: Path, table: OnTable, v: Mapping[str, Any]) -> None:
    """v: values of `domino.solve` with loop=table."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(12, 3.6), layout="constrained")
        ratios, phases, errors = figure.subplots(1, 3)
        low = min(0.98, *(float(np.min(v[name])) for name in ("ratios", "ratios_ideal")))
        bins = np.linspace(low, 1 + 1e-6, 31).tolist()
        ratios.hist([v["ratios"], v["ratios_ideal"]], bins=bins, color=["C3", "0.6"],
                    label=[f"table: {v['success']:.0%} succeed", f"equations: {v['success_ideal']:.0%}"])  # fmt: skip
        ratios.set(xlabel="q / best known", ylabel="starts", title=f"{v['starts']} starts, {v['mode']}")
        ratios.legend(frameon=False, loc="upper left")
        locked = ~table.unlocked
        for some, color, words in ((locked, "C0", "locked"), (~locked, "C3", "unlocked")):
            phases.scatter(table.visibility[some], table.phase_rms[some], s=14, color=color,
                           label=f"{words}: {int(some.sum())}")  # fmt: skip
        phases.set(xlabel="visibility of fringes, relative", ylabel="phases off what was written (rad, rms)",
                   title="light of each start", ylim=(0, None))  # fmt: skip
        phases.locator_params(axis="x", nbins=5)
        phases.legend(frameon=False)
        rounds = np.asarray(v["coupling_error"])
        errors.semilogy(np.arange(len(rounds)), rounds, "o-", color="C0", label="couplings")
        errors.axhline(v["residual"], color="C2", label="W psi, mean of frames")
        errors.axhline(v["frame_noise"], color="C1", linestyle="--", label="W psi, noise of a frame")
        errors.set(xlabel="rounds in which couplings were mended", ylabel="rms error, relative",
                   title="setting up", xticks=range(len(rounds)))  # fmt: skip
        errors.legend(frameon=False)
        figure.savefig(path, dpi=120)
