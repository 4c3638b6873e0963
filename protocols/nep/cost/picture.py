"""The picture of `nep.cost`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_WORDS = {
    "settling": "sheet alone\n(settling)",
    "modulator": "bench with\nfast modulator",
    "table": "table with\npanels",
    "cpu": "this processor,\none core",
    "rk4": "the same, by\nRunge-Kutta",
}


def draw_cost(path: Path, v: Mapping[str, Any]) -> None:
    """Time and energy of a training. v: values of `nep.cost`."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    times, energies = figure.subplots(1, 2)
    modes = list(v["training_s"])
    seconds = [*v["training_s"].values(), v["cpu_s"], v["rk4_s"]]
    places, colours = range(len(modes) + 2), [*(f"C{k}" for k in range(len(modes))), "0.2", "0.6"]
    times.barh(places, seconds, color=colours)
    times.set(xlabel="time of the training (s)", xscale="log")
    names = [_WORDS[name] for name in (*modes, "cpu", "rk4")]
    times.set_yticks(places, names)
    for place, value in zip(places, seconds, strict=True):
        times.annotate(f" {value:.2g} s", (value, place), va="center", fontsize=8)
    per_s = v["cpu_j"] / v["cpu_s"]
    joules = [*v["electric_j"].values(), v["cpu_j"], v["rk4_s"] * per_s]
    energies.barh(places, joules, color=colours)
    energies.plot(list(v["light_j"].values()), places[: len(modes)], "k|", markersize=14, label="of which light")
    energies.set(xlabel="electric energy of the training (J), by stated assumptions", xscale="log")
    energies.set_yticks(places, names)
    for place, value in zip(places, joules, strict=True):
        energies.annotate(f" {value:.2g} J", (value, place), va="center", fontsize=8)
    energies.legend(frameon=False, fontsize=8)
    for axes in (times, energies):
        axes.invert_yaxis()
        axes.margins(x=0.25)
    figure.suptitle(f"{v['samples']} images, {v['epochs']} epochs, ten 15x15 cells", fontsize=10)
    figure.savefig(path, dpi=130)
