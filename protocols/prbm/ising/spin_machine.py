"""An Ising machine of any couplings and fields as layers for the table: sparse encoding, in classes of one colour.

Spins of one colour do not see one another, so they are drawn together, given the others; on the square lattice the
colours are the two sublattices (arXiv 2508.20472). Copies of the machine, at the same or other temperatures, fill up
the bands that one machine leaves dark.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.graphs import Graph
from protocols.prbm.light.layers import Layer
from protocols.prbm.light.sampling import ExactSampler
from simulators.physics.ising import energies, torus_bonds

FloatArray = NDArray[np.float64]


def torus(side: int) -> Graph:
    """The periodic square lattice with J = 1, each bond once."""
    bonds = torus_bonds(side)
    return Graph.of(bonds, np.ones(len(bonds)), side * side)


class SpinMachine:
    """H = -sum J_ij s_i s_j - sum h_i s_i over a graph's edges and nodes, in copies (temperatures, chains)."""

    def __init__(self, graph: Graph, temperatures: FloatArray, chains: int) -> None:
        self.graph = graph
        self.shape = (len(temperatures), chains, len(graph))
        self._colours = graph.colours()
        copies = len(temperatures) * chains
        self.layers: dict[str, Layer] = {}
        self._outputs: dict[str, NDArray[np.int64]] = {}
        for k, members in enumerate(self._colours):
            layer = Layer.sparse(graph.matrix(), graph.node_weights, members)
            self.layers[f"colour {k}"] = layer.repeated(copies)
            first = len(graph) * np.arange(copies)[:, None]
            self._outputs[f"colour {k}"] = (first + members).ravel()
        self.set_temperatures(temperatures)

    def set_temperatures(self, temperatures: FloatArray) -> dict[str, FloatArray]:
        """Other temperatures for the copies; what a sampler's ``temperature`` then is."""
        self.temperatures = np.asarray(temperatures, np.float64)
        chains = self.shape[1]
        self.temperature = {
            f"colour {k}": np.repeat(self.temperatures, chains * len(members))
            for k, members in enumerate(self._colours)
        }
        return self.temperature

    @property
    def colours(self) -> int:
        """Layers in one sweep."""
        return len(self._colours)

    @property
    def quantum(self) -> float:
        """Energy of turning the most strongly coupled spin of a satisfied machine."""
        bound = np.abs(self.graph.matrix()).sum(axis=1) + np.abs(self.graph.node_weights)
        return 2.0 * float(bound.max())

    def start(self, ordered: bool, rng: np.random.Generator) -> NDArray[np.int8]:
        """Spins (temperatures, chains, N): all +1, or at random."""
        if ordered:
            return np.ones(self.shape, np.int8)
        return rng.choice(np.array([-1, 1], np.int8), self.shape)

    def sweep(self, sampler: ExactSampler, spins: NDArray[np.int8], rng: np.random.Generator) -> None:
        """Draw every spin once, colour by colour, in place."""
        flat = spins.reshape(-1)
        for name, outputs in self._outputs.items():
            flat[outputs] = sampler.sample(name, flat, rng)

    def energy(self, spins: NDArray[np.int8]) -> FloatArray:
        """H (temperatures, chains)."""
        return energies(self.graph.edges, self.graph.weights, self.graph.node_weights, spins)
