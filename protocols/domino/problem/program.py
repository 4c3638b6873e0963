"""Which program is solved, and on which network: read from a file, of a data set, or drawn."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from labctl.client import ConfigurationError, Parameters
from protocols.domino.problem.networks import clique_network, uniform_network
from protocols.graphs import Graph, read_graph

Array = NDArray[np.float64]

DATA_VARIABLE = "LABCTL_DATA"
"""Environment variable naming a folder that holds ``cliques/`` and ``tr_network/``."""

_PROGRAMS = {
    "edge": "maximise x'Wx on the simplex, W = |weights of edges|; weights of nodes are ignored",
    "unit": "maximise x'Wx on the simplex, W = 1 for every edge (Motzkin and Straus: the largest clique); "
    "all weights are ignored",
    "node": "maximise x'Ax on the simplex, A = 1 for every edge and 1 - 1/w on the diagonal: the clique of most node "
    "weight w; weights of edges are ignored",
}


class NetworkParameters(Parameters):
    """A graph from a file, or a network that is drawn."""

    graph: Path | None = Field(None, description="graph file (DIMACS, edge list, matrix, …), here or in LABCTL_DATA")
    network: Literal["cliques", "uniform", "k562"] | None = Field(
        None,
        description="without a graph: linked cliques (Supp. A, the default), links at random (I.2), or the regulators "
        "of K562 in LABCTL_DATA",
    )
    nodes: int | None = Field(None, ge=2, le=5000, description="of a network that is drawn (50)")
    density: float | None = Field(None, gt=0, le=1, description="links of all pairs, of a network that is drawn (0.5)")
    weights: Literal["edge", "unit", "node"] = Field(
        "edge", description="what counts: |weights of links|, links alone, or weights of nodes"
    )

    @model_validator(mode="after")
    def _one_network(self) -> NetworkParameters:
        if self.graph is not None and self.network is not None:
            raise ValueError("graph and network: give one of them")
        if (self.graph is not None or self.network == "k562") and (self.nodes, self.density) != (None, None):
            raise ValueError("nodes and density are of networks that are drawn; leave them out with a graph or k562")
        return self


@dataclass(frozen=True, eq=False)
class Program:
    """W: (N, N) weights, not negative, no diagonal. J: (N, N) couplings with their signs. names: of nodes. solves: the
    program in words. origin: of the network. node_weights: (N,), of the program of weighted nodes."""

    W: Array
    J: Array
    names: tuple[str, ...]
    solves: str
    origin: str
    node_weights: Array | None = None

    def __len__(self) -> int:
        return len(self.W)

    @property
    def edges(self) -> int:
        """Links that count."""
        return int(np.count_nonzero(np.triu(self.W)))

    def named(self, nodes: NDArray[np.integer]) -> list[str]:
        """Names of some nodes."""
        return [self.names[k] for k in nodes]


def program(p: NetworkParameters, rng: np.random.Generator) -> Program:
    """What parameters ask for. rng: of networks that are drawn.

    Raises ConfigurationError for files that are not there or cannot be read, and networks without links.
    """
    if p.graph is not None:
        path = _found(p.graph)
        graph, origin = read_graph(path), path.name
    elif p.network == "k562":
        graph, origin = k562(), "K562: edges of the glasso graph, weights Jaccard"
    else:
        nodes, density = p.nodes or 50, p.density or 0.5
        draw = uniform_network if p.network == "uniform" else clique_network
        graph = _graph(draw(nodes, density, rng), tuple(map(str, range(nodes))))
        origin = f"{p.network or 'cliques'}, density {density:g}"
    J = np.asarray(graph.matrix().toarray(), np.float64)
    W = np.abs(J)
    if p.weights != "edge":
        W = (W > 0).astype(np.float64)
    if not W.any():
        raise ConfigurationError(f"{origin}: no links; a dominant subnetwork needs some")
    solves = _PROGRAMS[p.weights]
    if p.weights == "edge" and (J < 0).any():
        solves += f"; {int((J < 0).sum() // 2)} couplings are negative, and count as |J|"
    if p.weights != "node":
        return Program(W, J, graph.names, solves, origin)
    light = np.flatnonzero(graph.node_weights < 1)
    if len(light):
        raise ConfigurationError(
            f"{origin}: node {graph.names[light[0]]} has weight {graph.node_weights[light[0]]:g}; weights=node needs 1 "
            "or more of every node (DIMACS: n i w)"
        )
    return Program(W, J, graph.names, solves, origin, graph.node_weights)


def k562() -> Graph:
    """Transcription regulators of K562 (Yi et al. 2021): edges of the glasso graph, weighted by Jaccard similarity."""
    path = _data() / "tr_network" / "K562_TR_386.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            names, similar, linked = (file[key] for key in ("names", "jaccard", "glasso"))
    except (OSError, KeyError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error})") from None
    W = np.where(linked > 0, similar, 0).astype(np.float64)
    np.fill_diagonal(W, 0)
    return _graph(np.maximum(W, W.T), tuple(map(str, names)))


def _graph(W: Array, names: tuple[str, ...]) -> Graph:
    edges = np.argwhere(np.triu(W, 1))
    return Graph(names, edges, W[edges[:, 0], edges[:, 1]], np.zeros(len(W)))


def _data() -> Path:
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        raise ConfigurationError(f"network=k562 is read from the folder of data: set {DATA_VARIABLE} to it")
    return Path(folder)


def _found(path: Path) -> Path:
    """As given, or, by its name, of the benchmark's graphs."""
    folder = os.environ.get(DATA_VARIABLE)
    if path.exists() or path.is_absolute() or not folder:
        return path
    for place in (Path(folder), Path(folder, "cliques", "weighted")):
        for name in (path, Path(f"{path}.clq.gz")):
            if (place / name).is_file():
                return place / name
    return path
