"""Pictures of sampled Ising models: averages against temperature beside exact ones, and spins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.prbm.ising.chain_statistics import Averages
from protocols.prbm.ising.parameters import IsingParameters
from simulators.physics.ising import (
    CRITICAL_TEMPERATURE,
    enumerated,
    exact_averages,
    kaufman,
    onsager_energy,
    spontaneous_magnetisation,
    torus_bonds,
)

_LABELS = {
    "E": "energy per spin E (J)",
    "m": "magnetisation ⟨|m|⟩",
    "C": "heat capacity per spin C",
    "chi": "susceptibility χ",
    "U4": "Binder cumulant U₄",
}


def draw_ising(
    path: Path,
    p: IsingParameters,
    found: Mapping[int, list[Averages]],
    exact: Mapping[int, list[dict[str, float]]],
    spins: Mapping[int, NDArray[np.int8] | None],
    values: Mapping[str, Any],
) -> None:
    """Five averages with error bars, and spins of the largest lattice at three temperatures.

    found, exact: by side (0 for a graph), one for each of the temperatures. spins: (temperatures, N).
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    order = np.argsort(p.T)
    T = np.array(p.T)[order]
    lattice = p.graph is None
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(11, 6.4), layout="constrained")
        grid = figure.add_gridspec(2, 3)
        axes = [figure.add_subplot(grid[k // 3, k % 3]) for k in range(5)]
        for colour, (key, rows) in enumerate(found.items()):
            label = f"L = {key}" if lattice else f"{p.graph.stem if p.graph else ''}"
            for ax, (q, name) in zip(axes, _LABELS.items(), strict=True):
                y = np.array([getattr(a, q) for a in rows])[order]
                error = np.array([getattr(a, f"{q}_err") for a in rows])[order]
                ax.errorbar(
                    T, y, error, fmt="o", markersize=3.5, color=f"C{colour}", capsize=2, linewidth=1, label=label
                )
                ax.set(xlabel="temperature T (J)", ylabel=name)
                known = [e.get(q) for e in exact[key]]
                if lattice:
                    curve_t, curve = _curve(key, q, T)
                    if curve is not None:
                        ax.plot(curve_t, curve, color=f"C{colour}", linewidth=1)
                elif all(k is not None for k in known):
                    ax.plot(T, np.array(known)[order], "x", color="k", markersize=5, label="exact")
        if lattice:
            _infinite(axes, T)
        axes[0].legend(frameon=False, fontsize=8)
        if "T_c" in values:
            axes[4].set_title(f"crossing at T = {values['T_c']:.3f} ± {values['T_c_err']:.3f}", fontsize=9)
        for ax in axes[1:]:
            ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        _spins(figure, grid[1, 2], max(found), spins[max(found)], p, order)
        how = "light" if p.sampler == "photonic" else "arithmetic"
        kind = "chains in equilibrium" if np.all(values["equilibrated"]) else "chains, some not in equilibrium"
        if p.mode == "paper":
            kind = f"{p.plan[0]} samples of {p.plan[1]} iterations from random starts"
        figure.suptitle(f"Ising model sampled by {how}: {kind}; bars are standard errors", fontsize=10)
        figure.savefig(path, dpi=120)


def _curve(side: int, quantity: str, T: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Exact values of the finite lattice between the temperatures; None where they are not known."""
    fine = np.linspace(T.min(), T.max(), 80) if len(T) > 1 else T
    if side <= 4:
        bonds = torus_bonds(side)
        states = enumerated(bonds, np.ones(len(bonds)), np.zeros(side**2))
        return fine, np.array([exact_averages(*states, side**2, t)[quantity] for t in fine])
    if quantity in ("E", "C"):
        return fine, np.array([kaufman(side, t)[0 if quantity == "E" else 1] for t in fine])
    return fine, None


def _infinite(axes: list[Any], T: NDArray[np.float64]) -> None:
    fine = np.linspace(T.min(), T.max(), 400) if len(T) > 1 else T
    dashes = {"color": "0.5", "linewidth": 1, "linestyle": "--"}
    axes[0].plot(fine, [onsager_energy(t) for t in fine], label="infinite lattice", **dashes)
    axes[1].plot(fine, [spontaneous_magnetisation(t) for t in fine], **dashes)
    if T.min() < CRITICAL_TEMPERATURE < T.max():
        for ax in axes:
            ax.axvline(CRITICAL_TEMPERATURE, color="0.7", linewidth=0.8, linestyle=":")


def _spins(figure: Any, place: Any, side: int, spins: NDArray[np.int8] | None, p: Any, order: NDArray[Any]) -> None:
    if not side or spins is None:
        return
    shown = np.unique([order[0], order[len(order) // 2], order[-1]])
    shown = shown[np.argsort(np.array(p.T)[shown])]
    inner = place.subgridspec(1, len(shown), wspace=0.1)
    for k, which in enumerate(shown):
        ax = figure.add_subplot(inner[0, k])
        ax.imshow(spins[which].reshape(side, side), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"L = {side}\nT = {p.T[which]:g}", fontsize=8)
