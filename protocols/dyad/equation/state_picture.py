"""Picture of a dyad that comes to rest, and of its states against xi."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from protocols.dyad.equation.figure import time_step
from simulators.physics.condensates.asymmetric_dyads import asymmetric_branch
from simulators.physics.condensates.dyads import symmetric_state
from simulators.physics.condensates.equation import evolve, seeds


def draw_states(path: Path, p: Any, v: Mapping[str, Any]) -> None:
    """Left: |psi| of the sites in time, from noise. Right: amplitudes at rest of equal sites against xi.

    p: parameters of `dyad.steady-state`; v: its values.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9.5, 3.9), layout="constrained")
        in_time, against_xi = figure.subplots(1, 2)
        _in_time(in_time, p, v)
        _against_xi(against_xi, p, v)
        figure.savefig(path, dpi=120)


def _in_time(ax: Any, p: Any, v: Mapping[str, Any]) -> None:
    rng = np.random.default_rng(0)
    dt = time_step(p.gamma * max(1.0, p.r_gamma), p.g * max(1.0, p.r_g), p.xi, p.J, 0.02)
    gamma, g = np.array([p.gamma, p.r_gamma * p.gamma]), np.array([p.g, p.r_g * p.g])
    # Long enough to leave the symmetric state, which may be slow.
    span = min(max(12 / abs(v["growth_rate"]), 40.0), 400.0) if v["growth_rate"] else 60.0
    times = np.linspace(0, span, 321)
    psi = seeds(1, 2, 0.01, rng)
    sizes = [np.abs(psi[0])]
    for _ in times[1:]:
        psi = evolve(psi, gamma, g, p.xi, p.J, times[1], dt)
        sizes.append(np.abs(psi[0]))
    for site, size in enumerate(np.array(sizes).T):
        ax.plot(times, size, color=f"C{site}", linewidth=1.2, label=f"condensate {site + 1}")
    for level, name in ((v["a"], "a"), (v["b"], "b"))[: 2 if v["a"] != v["b"] else 1]:
        if level is None:
            continue
        ax.axhline(level, color="k", linewidth=0.7, linestyle="--", zorder=0)
        ax.annotate(name, (1.01, level), xycoords=("axes fraction", "data"), va="center")
    ax.set(xlabel="time t", ylabel="amplitude |ψ|", xlim=(0, span), ylim=(0, None))
    rest = "it does not come to rest" if v["oscillates"] else "the state at rest (dashed)"
    ax.set_title(f"a dyad that grows from noise; {rest}", fontsize=9)
    ax.legend(frameon=False, loc="lower right")


def _against_xi(ax: Any, p: Any, v: Mapping[str, Any]) -> None:
    bound = v["xi_c"]
    top = 1.3 * max(bound, p.xi) if bound > 0 else 2 * p.xi
    bottom = min(0.75 * (v["xi_lower"] or 0.3 * bound), 0.8 * p.xi) if bound > 0 else 0.3 * p.xi
    if bound > bottom:
        branch = asymmetric_branch(p.gamma, p.g, p.J, bottom)
        xi = np.array([x for x, _ in branch])
        stable = np.array([state.stable for _, state in branch])
        for name in ("a", "b"):
            size = np.array([getattr(state, name) for _, state in branch])
            _stable_and_not(ax, xi, size, stable, "C2", "asymmetric")
    even = np.linspace(bottom, top, 200)
    if v["rho_0"] is not None:
        size = np.array([symmetric_state(p.gamma, p.g, float(x), p.J).a for x in even])
        _stable_and_not(ax, even, size, even > bound, "0.4", "symmetric")
    for level in {v["a"], v["b"]} - {None}:
        ax.plot(p.xi, level, "o", color="k", markersize=5, fillstyle="none")
    ax.set(xlabel="relative nonlinearity ξ", ylabel="amplitude |ψ| at rest", xlim=(bottom, top), ylim=(0, None))
    ax.set_title("states of equal sites (dotted: unstable) and this figure's (circles)", fontsize=9)
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        ax.legend(unique.values(), unique.keys(), frameon=False, loc="upper right")


def _stable_and_not(ax: Any, x: Any, y: Any, stable: Any, colour: str, name: str) -> None:
    ax.plot(x, y, color=colour, linewidth=1.2, linestyle=":")
    ax.plot(np.where(stable, x, np.nan), y, color=colour, linewidth=1.5, label=name)
