"""Graphs as optimisers keep them: DIMACS, G-set, edge lists, matrices, networkx files; names are kept."""

from __future__ import annotations

import gzip
import json
import math
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labctl.client import ConfigurationError

FORMATS = (
    "DIMACS (e i j [w]; n i w), G-set (n m, then i j w), edge list (i j [w]), .json {edges, fields}, "
    ".npy/.npz/.csv symmetric matrix, .gml, .graphml; each also .gz"
)


@dataclass(frozen=True, eq=False)
class Graph:
    """names: of the n nodes. edges: (m, 2), each pair once. weights: (m,). node_weights: (n,), zero if none are given.

    Raises ConfigurationError for edges that are doubled, join a node to itself, or name nodes there are not.
    """

    names: tuple[str, ...]
    edges: NDArray[np.int64]
    weights: NDArray[np.float64]
    node_weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        n, edges = len(self.names), self.edges
        if not n:
            raise ConfigurationError("a graph without nodes")
        if len(edges) and not (edges.min() >= 0 and edges.max() < n):
            raise ConfigurationError(f"an edge to node {edges.max()}; there are {n}")
        own = edges[:, 0] == edges[:, 1]
        if own.any():
            raise ConfigurationError(f"node {self.names[edges[own][0, 0]]} is joined to itself")
        pairs, counts = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
        if len(counts) and counts.max() > 1:
            twice = " - ".join(self.names[k] for k in pairs[counts.argmax()])
            raise ConfigurationError(f"the edge {twice} is given {counts.max()} times")
        for what, values in (("edge", self.weights), ("node", self.node_weights)):
            if not np.isfinite(values).all():
                raise ConfigurationError(f"{what} weights contain {values[~np.isfinite(values)][0]}; allowed: numbers")

    @classmethod
    def of(cls, edges: NDArray[np.int64], weights: NDArray[np.float64], nodes: int) -> Graph:
        """Nodes by number; edges that join the same pair are added up."""
        pairs, which = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
        summed = np.bincount(which.ravel(), weights, len(pairs)).astype(np.float64)
        return cls(tuple(map(str, range(nodes))), pairs, summed, np.zeros(nodes))

    def __len__(self) -> int:
        return len(self.names)

    def matrix(self) -> Any:
        """Weights as a symmetric sparse array (n, n)."""
        i, j = self.edges.T
        both = (np.concatenate([self.weights, self.weights]), (np.concatenate([i, j]), np.concatenate([j, i])))
        return sparse.csr_array(both, shape=(len(self), len(self)))

    def colours(self) -> list[NDArray[np.int64]]:
        """Nodes in classes without edges inside: two where that is possible, else few (greedy, by saturation)."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(len(self)))
        graph.add_edges_from(self.edges[self.weights != 0].tolist())
        colour = np.empty(len(self), np.int64)
        if nx.is_bipartite(graph):
            for part in nx.connected_components(graph):
                for node, side in nx.bipartite.color(graph.subgraph(part)).items():
                    colour[node] = side
        else:
            for node, which in nx.greedy_color(graph, strategy="saturation_largest_first").items():
                colour[node] = which
        return [np.flatnonzero(colour == k) for k in range(int(colour.max()) + 1)]


def read_graph(path: str | Path) -> Graph:
    """A graph from a file, by its ending, or, for text, by what stands in it (`FORMATS`).

    Raises ConfigurationError naming the file, the line and what is allowed.
    """
    path = Path(path)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error})") from error
    ending = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    try:
        if ending in (".npy", ".npz", ".csv"):
            return _from_matrix(data, ending)
        if ending in (".gml", ".graphml"):
            return _from_networkx(data, ending)
        text = data.decode("utf-8")
        return _from_json(text) if ending == ".json" else _from_text(text)
    except (ConfigurationError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}. Formats: {FORMATS}") from None


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigurationError(f"{where}: weight {text!r}; allowed: a number")
    return value


def _from_text(text: str) -> Graph:
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, words) for number, words in lines if words and words[0][0] not in "#%"]
    # "c" begins a comment of DIMACS, and the name of a node elsewhere.
    told = [(number, words) for number, words in lines if words[0][0] != "c"]
    if told and told[0][1][0] == "p":
        return _from_dimacs(told)
    if not lines:
        raise ConfigurationError("no edges")
    if _is_head(lines[0][1], len(lines) - 1):
        return _numbered(int(lines[0][1][0]), lines[1:])
    names: dict[str, int] = {}
    edges, weights = [], []
    for number, words in lines:
        if not 2 <= len(words) <= 3:
            raise ConfigurationError(f"line {number}: {len(words)} words; allowed: i j [w]")
        edges.append([names.setdefault(word, len(names)) for word in words[:2]])
        weights.append(_number(words[2], f"line {number}") if len(words) == 3 else 1.0)
    return Graph(tuple(names), np.array(edges, np.int64), np.array(weights), np.zeros(len(names)))


def _is_head(words: list[str], lines: int) -> bool:
    """Of a G-set file: how many nodes, and edges, which are so many as lines follow, and no more than pairs."""
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return False
    nodes, edges = map(int, words)
    return edges == lines and edges <= nodes * (nodes - 1) // 2


def _from_dimacs(lines: list[tuple[int, list[str]]]) -> Graph:
    number, problem = lines[0]
    if len(problem) != 4 or not problem[2].isdigit() or int(problem[2]) < 1:
        raise ConfigurationError(f"line {number}: {' '.join(problem)!r}; allowed: p edge NODES EDGES")
    nodes = int(problem[2])
    node_weights = np.zeros(nodes)
    edges = []
    for number, words in lines[1:]:
        if words[0] == "e" and len(words) in (3, 4):
            edges.append((number, words[1:]))
        elif words[0] == "n" and len(words) == 3:
            node_weights[_node(words[1], nodes, number)] = _number(words[2], f"line {number}")
        else:
            raise ConfigurationError(f"line {number}: {' '.join(words)!r}; allowed: e i j [w], n i w")
    graph = _numbered(nodes, edges)
    return Graph(graph.names, graph.edges, graph.weights, node_weights)


def _numbered(nodes: int, lines: Iterable[tuple[int, list[str]]]) -> Graph:
    edges, weights = [], []
    for number, words in lines:
        if len(words) not in (2, 3):
            raise ConfigurationError(f"line {number}: {' '.join(words)!r}; allowed: i j [w]")
        edges.append([_node(word, nodes, number) for word in words[:2]])
        weights.append(_number(words[2], f"line {number}") if len(words) == 3 else 1.0)
    names = tuple(str(k + 1) for k in range(nodes))
    return Graph(names, np.array(edges, np.int64).reshape(-1, 2), np.array(weights, np.float64), np.zeros(nodes))


def _node(text: str, nodes: int, number: int) -> int:
    if not (text.isdigit() and 1 <= int(text) <= nodes):
        raise ConfigurationError(f"line {number}: node {text!r}; allowed: 1 to {nodes}")
    return int(text) - 1


def _from_json(text: str) -> Graph:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"not JSON ({error})") from None
    if not isinstance(found, dict) or "edges" not in found or set(found) - {"edges", "fields", "nodes"}:
        raise ConfigurationError("allowed: an object with edges [[i, j, w], ...], fields [h, ...] and nodes N, from 0")
    try:
        rows = [(int(e[0]), int(e[1]), float(e[2]) if len(e) > 2 else 1.0) for e in found["edges"]]
        fields = np.array(found.get("fields", []), np.float64)
        nodes = int(found.get("nodes", max([len(fields), *(1 + max(i, j) for i, j, _ in rows)])))
    except (TypeError, ValueError, IndexError) as error:
        raise ConfigurationError(f"edges, fields or nodes are not numbers ({error})") from None
    if len(fields) not in (0, nodes):
        raise ConfigurationError(f"{len(fields)} fields for {nodes} nodes")
    edges = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
    weights = np.array([row[2] for row in rows], np.float64)
    return Graph(tuple(map(str, range(nodes))), edges, weights, fields if len(fields) else np.zeros(nodes))


def _from_matrix(data: bytes, ending: str) -> Graph:
    import csv
    import io

    names: tuple[str, ...] | None = None
    try:
        if ending == ".csv":
            rows = [row for row in csv.reader(data.decode("utf-8-sig").splitlines()) if any(map(str.strip, row))]
            rows, names = _without_names(rows)
            short = next((k for k, row in enumerate(rows) if len(row) != len(rows[0])), None)
            if short is not None:
                raise ConfigurationError(f"row {short + 1} has {len(rows[short])} numbers, the first {len(rows[0])}")
            matrix = np.array(rows, np.float64)
        else:
            loaded = np.load(io.BytesIO(data), allow_pickle=False)
            if ending == ".npz":
                squares = [k for k in loaded.files if loaded[k].ndim == 2 and loaded[k].dtype.kind in "iuf"]
                if len(squares) != 1:
                    raise ConfigurationError(f"arrays {', '.join(loaded.files)}; allowed: one matrix, and names")
                names = tuple(map(str, loaded["names"])) if "names" in loaded.files else None
                loaded = loaded[squares[0]]
            if loaded.dtype.kind not in "biuf":
                raise ConfigurationError(f"an array of {loaded.dtype}; allowed: real numbers")
            matrix = np.asarray(loaded, np.float64)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"not a matrix ({error})") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, equal_nan=True):
        raise ConfigurationError(f"a matrix of shape {matrix.shape}; allowed: square and symmetric")
    if names is not None and len(names) != len(matrix):
        raise ConfigurationError(f"{len(names)} names for {len(matrix)} nodes")
    edges = np.argwhere(np.triu(matrix, 1))
    names = names or tuple(map(str, range(len(matrix))))
    return Graph(names, edges, matrix[edges[:, 0], edges[:, 1]], np.zeros(len(matrix)))


def _without_names(rows: list[list[str]]) -> tuple[list[list[str]], tuple[str, ...] | None]:
    """Rows of numbers, and the names in a head above them; these may stand beside the rows, too, with anything that is
    no number in the corner between."""
    if not rows:
        return rows, None
    head = [word.strip() for word in rows[0]]
    beside = not _is_number(head[0]) and [row[0].strip() for row in rows[1:]] == head[1:]
    if _is_number(head[-1]) and not beside:
        return rows, None
    names = tuple(head[1:] if beside else filter(None, head))
    return [row[len(row) - len(names) :] for row in rows[1:]], names


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _from_networkx(data: bytes, ending: str) -> Graph:
    import io

    import networkx as nx

    try:
        graph = nx.read_gml(io.BytesIO(data)) if ending == ".gml" else nx.read_graphml(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - whatever its parsers raise
        raise ConfigurationError(f"networkx cannot read it ({error})") from None
    nodes = {node: k for k, node in enumerate(graph)}
    edges = np.array([(nodes[i], nodes[j]) for i, j in graph.edges()], np.int64).reshape(-1, 2)
    told = [str(w) for _, _, w in graph.edges(data="weight", default=1.0)]
    weights = np.array([_number(w, f"edge {k + 1}") for k, w in enumerate(told)], np.float64)
    return Graph(tuple(map(str, nodes)), edges, weights, np.zeros(len(nodes)))
