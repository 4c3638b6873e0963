"""The picture of `dyad.cost`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from protocols.dyad.assess.cost_model import SCHEMES, Today
from protocols.dyad.assess.cost_parameters import CostParameters

_WORDS = {"camera": "to come, read by a camera", "diodes": "to come, a pair of diodes each", "light": "pulses alone"}


def draw(path: Path, values: Mapping[str, Any], today: Today, p: CostParameters) -> None:
    """Bits a second, and joules a bit, against the number of dyads."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    rate, energy = figure.subplots(1, 2)
    for scheme in SCHEMES:
        rows = [row for row in values["projection"] if row["scheme"] == scheme]
        n = np.array([row["n"] for row in rows])
        line = "--" if scheme == "light" else "-"
        rate.loglog(n, [row["bits_per_s"] for row in rows], line, label=_WORDS[scheme])
        energy.loglog(n, [row["j_per_bit"] for row in rows], line, label=_WORDS[scheme])
    for axes, here, cpu in (
        (rate, values["bits_per_s"], values["cpu_bits_per_s"]),
        (energy, values["j_per_bit"], values["cpu_j_per_bit"]),
    ):
        axes.loglog([today.n], [here], "ko", label="this table")
        axes.axhline(cpu, color="0.5", ls=":", label="this processor, one thread")
        axes.set_xlabel("dyads")
        axes.grid(alpha=0.3)
    energy.loglog([today.n], [values["light_j_per_bit"]], "k^", mfc="none", label="light of this table's pump")
    rate.set(ylabel="random bits per second", title="rate")
    energy.set(ylabel="energy of a random bit (J)", title="electric energy, by stated assumptions")
    energy.legend(fontsize=8, loc="best")
    figure.savefig(path, dpi=150)
