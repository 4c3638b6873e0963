"""Couplings with their signs, and where the XY flow brings them to rest."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import ConfigurationError, Parameters
from protocols.graphs import Graph, read_graph
from simulators.physics.domino.xy import Rest, energy, lowest, to_rest

Array = NDArray[np.float64]

MOST_SEARCHED = 20
"""Nodes up to which energies are compared with a search from every two-valued state."""
USUAL = (1.0, 4.5)
"""Couplings of a node, as the root of their squares' sum (mean over nodes), that flows settle with: weaker ones take
long, and of stronger ones densities swing for long."""
SAME = 1e-4


class XYParameters(Parameters):
    """Which couplings, and how pumping is adjusted."""

    graph: Path | None = Field(None, description="graph file with signed weights J; null: random +-1")
    nodes: int = Field(20, ge=2, le=2000, description="of a random graph")
    density: float = Field(1.0, gt=0, le=1, description="links of all pairs, of a random graph")
    runs: int = Field(20, ge=1, le=10**5)
    epsilon: float = Field(2.0, gt=0, le=10, description="rate of the pumping's feedback; slow ones settle more rarely")
    rho_th: float = Field(1.0, gt=0, le=100, description="density that all condensates are brought to")
    amplitude: float = Field(1e-3, gt=0, le=10, description="|psi| to begin with, phases at random")
    longest: float = Field(
        1000.0, gt=0, le=1e7, description="time after which a run ends unsettled, in 1/coupling_unit"
    )


def couplings(p: XYParameters, rng: np.random.Generator) -> tuple[Array, tuple[str, ...]]:
    """J (N, N) and names. Raises ConfigurationError for a graph without links."""
    if p.graph is not None:
        graph: Graph = read_graph(p.graph)
        J = np.asarray(graph.matrix().toarray(), np.float64)
        if not J.any():
            raise ConfigurationError(f"{p.graph}: no links; phases need some to see one another")
        return J, graph.names
    upper = np.triu(rng.choice([-1.0, 1.0], (p.nodes, p.nodes)) * (rng.random((p.nodes, p.nodes)) < p.density), 1)
    if not upper.any():
        raise ConfigurationError(f"density={p.density:g} of {p.nodes} nodes drew no link; choose a larger one")
    return upper + upper.T, tuple(map(str, range(p.nodes)))


def coupling_unit(J: Array) -> float:
    """What couplings J (N, N), not all 0, are divided by before they run: 1, or the power of two that brings those of
    a node to 1.6 to 3.2 where they are not `USUAL`. The energy's minima do not depend on it."""
    strength = float(np.linalg.norm(J)) / math.sqrt(len(J))
    return 1.0 if USUAL[0] <= strength <= USUAL[1] else 2.0 ** math.floor(math.log2(strength / 1.6))


def settled(J: Array, runs: int, p: XYParameters, rng: np.random.Generator) -> Rest:
    """So many runs from noise, of J in its unit; gamma is what holds the fields at rest with J as it is."""
    unit = coupling_unit(J)
    psi = p.amplitude * np.exp(2j * np.pi * rng.random((runs, len(J))))
    rest = to_rest(J / unit, psi, p.epsilon, p.rho_th, longest=p.longest)
    density = np.abs(rest.psi) ** 2
    return rest if unit == 1 else replace(rest, gamma=density + unit * (rest.gamma - density))


def summary(J: Array, rest: Rest, p: XYParameters, rng: np.random.Generator) -> dict[str, Any]:
    """Values that `domino.xy` and `domino.correlations` share, of the run with the lowest energy among the settled."""
    found = energy(J, rest.phases)
    order = np.where(rest.settled, found, np.inf) if rest.settled.any() else found
    best = int(order.argmin())
    density = np.abs(rest.psi) ** 2
    total = rest.gamma[best].sum()
    values: dict[str, Any] = {
        "nodes": len(J),
        "links": int(np.count_nonzero(np.triu(J))),
        "energy": float(found[best]),
        "phases": rest.phases[best],
        "gamma": rest.gamma[best],
        "coupling_unit": coupling_unit(J),
        "density_spread": float(np.ptp(density[best])),
        "balance": float(total - len(J) * p.rho_th - 2 * found[best]),
        "energies": found,
        "settled": float(rest.settled.mean()),
        "time": float(np.median(rest.time)),
        "energy_searched": None,
        "success": None,
    }
    if len(J) <= MOST_SEARCHED:
        lower, _ = lowest(J, 200, rng)
        lower = min(lower, float(found.min()))
        values["energy_searched"] = lower
        values["success"] = float(np.mean(rest.settled & (found <= lower + SAME * abs(lower))))
    return values
