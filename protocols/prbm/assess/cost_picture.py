"""Picture of `prbm.cost`: time and energy of a sample by number of spins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from protocols.prbm.assess.cost_model import Machine, TableTiming, project
from protocols.prbm.assess.cost_parameters import CostParameters
from protocols.prbm.assess.cpu_speed import HalfSweepTime

_PANEL_SPINS = 958


def draw(
    path: Path,
    values: dict[str, Any],
    p: CostParameters,
    timing: TableTiming,
    bands: int,
    machine: Machine,
    chain: HalfSweepTime,
    batch: HalfSweepTime,
) -> None:
    """Of the table, the processor and the machine to come; a sample is 2 x iterations half sweeps."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    half_sweeps = 2 * p.iterations
    n = np.geomspace(50, p.largest, 500).round().astype(int)
    with mpl.rc_context({"font.size": 9}):
        figure = Canvas(figsize=(11.4, 5.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        come = [project(int(k), p.flips, machine) for k in n]
        table_s = np.array([timing.half_sweep_s(int(k), p.flips, bands) for k in n])
        fits = n <= _PANEL_SPINS
        chain_s, batch_s = (np.array([f(float(k)) for k in n]) for f in (chain, batch))
        measured = n <= values["cpu"][-1]["n"]
        for ax, scale in ((left, 1.0), (right, p.cpu_w)):
            ax.plot(n[measured], half_sweeps * scale * chain_s[measured], color="k", label="this processor, one chain")
            ax.plot(n[~measured], half_sweeps * scale * chain_s[~measured], color="k", linestyle=":")
            ax.plot(n[measured], half_sweeps * scale * batch_s[measured], color="0.55",
                    label=f"per chain, {p.batch} together")  # fmt: skip
            ax.plot(n[~measured], half_sweeps * scale * batch_s[~measured], color="0.55", linestyle=":")
            for key, colour in (("chain_s", "k"), ("batch_s", "0.55")):
                ax.plot([r["n"] for r in values["cpu"]], [half_sweeps * scale * r[key] for r in values["cpu"]], "o",
                        color=colour, markersize=4)  # fmt: skip
        for ax, scale, value in ((left, 1.0, values["bench_s"]), (right, values["electric_w"], values["electric_j"])):
            ax.plot(n[fits], half_sweeps * scale * table_s[fits], color="C3", label="this table today")
            ax.plot(p.N, value, "s", color="C3", markersize=6)
        light = np.array([c.light_s for c in come])
        drawn = light + np.array([c.electronics_s for c in come])
        left.plot(n, half_sweeps * light, color="C0", label=f"{p.modulator_hz / 1e9:g} GHz modulators, light alone")
        left.plot(n, half_sweeps * drawn, color="C0", linestyle="--", label="… with spins drawn by this processor")
        left.plot(n, half_sweeps * np.array([c.seconds for c in come]), color="C1",
                  label=f"… and no more light than {p.source_w:g} W")  # fmt: skip
        right.plot(n, half_sweeps * np.array([c.modulators_j for c in come]), color="C0", label="to come: modulators")
        right.plot(n, half_sweeps * np.array([c.laser_j for c in come]), color="C1", label="to come: laser")
        right.plot(n, half_sweeps * np.array([c.detected_j for c in come]), color="C1", linestyle="--",
                   label="… as light, detected")  # fmt: skip
        apart = [project(int(k), "per-band", machine) for k in n]
        right.plot(n, half_sweeps * np.array([c.electric_j for c in apart]), color="C2", linewidth=1,
                   label="both, with a detector for each band")  # fmt: skip
        for ax, what in ((left, "time for a sample (s)"), (right, "energy for a sample (J)")):
            ax.set(xscale="log", yscale="log", xlabel="spins of each layer", ylabel=what)
            ax.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12))
            ax.grid(color="0.92")
        figure.suptitle(
            f"A sample of {p.iterations} iterations, {p.flips.capitalize()} flips; dots measured, dotted extrapolated; "
            f"local fields of {p.field_rms:g} T rms to ±{p.field_error:g} T",
            fontsize=9.5,
        )
        figure.savefig(path, dpi=120)
