"""`domino.cliques`: cliques ranked by weight, by removing the nodes of each that is found (arXiv 2405.17296)."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.domino.arithmetic import Arithmetic, with_picture
from protocols.domino.ideal import IdealLoop, weight_unit
from protocols.domino.problem.program import NetworkParameters, Program, program
from protocols.domino.solve.cliques_picture import draw_cliques
from simulators.physics.domino.quadratic import best_on, maximum
from simulators.physics.domino.support_values import climbed, worth

Array = NDArray[np.float64]
Nodes = tuple[int, ...]


class CliquesParameters(NetworkParameters):
    """How many, ranked by what."""

    count: int = Field(10, ge=1, le=10000, description="cliques to list")
    starts: int = Field(50, ge=1, le=10**5, description="of each search")
    gamma: float = Field(0.5, ge=0, le=100, allow_inf_nan=False)
    spread: float = Field(16.0, gt=0, le=1000, description="starts are U[0, 1]^spread, so that they end differently")
    duration: float = Field(4.0, gt=0, le=1e4, description="of a start, before it is read out")
    rank: Literal["q", "weight"] = Field("q", description="by problem (1), or by the weight of all links")
    polish: bool = Field(True, description="a local search from each support")
    merge: float | None = Field(
        None, gt=0, description="nodes joined by more than this are merged first: near-duplicates are one"
    )
    searches: int = Field(60, ge=1, le=10**6, description="networks that are searched at most")


@dataclass(frozen=True)
class Clique:
    """Nodes, q of problem (1) on them, weight of all their links."""

    nodes: Nodes
    q: float
    weight: float


class Cliques(Arithmetic):
    """Cliques of a network, distinct and ranked.

    gamma and duration are in units of the largest weight (`weight_unit` of domino.solve).

    The best of the network is found; then, with each of its nodes removed in turn, the best of what is left, and so on
    with the best that is known next. Values: `cliques`, rows {names, nodes, q, weight}; `searches` that were run;
    `certified`, whether the first is the proved optimum of problem (1) (null where the search ran out of time);
    `merged`, groups of names that were taken for one node.
    """

    Parameters = CliquesParameters

    def prepare(self, parameters: CliquesParameters, record: Recorder) -> None:
        """Read or draw the network, merge near-duplicates."""
        if parameters.weights == "node":
            raise ConfigurationError("weights=node: domino.cliques ranks by links; choose edge or unit")
        found = program(parameters, np.random.default_rng(record.seed))
        self.program, self.merged = (found, []) if parameters.merge is None else merged(found, parameters.merge)
        record.console.done(f"{self.program.origin}: {len(self.program)} nodes, {self.program.edges} links")

    def run(self, bench: Bench, parameters: CliquesParameters, record: Recorder) -> dict[str, Any]:
        """Search and remove, the most promising network first."""
        p, W = parameters, self.program.W
        A = W / weight_unit(W)
        found: dict[Nodes, Clique] = {}
        waiting: list[tuple[float, Nodes]] = [(-np.inf, ())]
        seen: set[Nodes] = {()}
        searches = 0
        for step in record.steps(p.searches, "searching, with nodes removed"):
            if not waiting:
                step.save(q=0.0, removed=0)
                continue
            _, removed = heapq.heappop(waiting)
            left = np.setdiff1d(np.arange(len(W)), removed)
            here = strongest(A[np.ix_(left, left)], p, record.rng)
            searches += 1
            for nodes in here:
                clique = measured(W, tuple(int(left[k]) for k in nodes))
                found.setdefault(clique.nodes, clique)
            best = None if not here else measured(W, tuple(int(left[k]) for k in here[0]))
            step.save(q=0.0 if best is None else best.q, removed=len(removed))
            for node in () if best is None else best.nodes:
                key = tuple(sorted((*removed, node)))
                if key not in seen:
                    seen.add(key)
                    heapq.heappush(waiting, (-(best.q if p.rank == "q" else best.weight), key))  # type: ignore[union-attr]
        self.found = found
        return {"searches": searches}

    def conclude(self, results: dict[str, Any], parameters: CliquesParameters, record: Recorder) -> dict[str, Any]:
        """Rank and draw."""
        p = parameters
        if not self.found:
            raise ConfigurationError(
                f"{results['searches']} searches ended with no clique of two nodes or more: choose gamma={p.gamma:g} "
                f"smaller, duration={p.duration:g} or starts={p.starts} larger"
            )
        ranked = sorted(self.found.values(), key=lambda c: -getattr(c, p.rank))[: p.count]
        names = [self.program.named(np.array(clique.nodes)) for clique in ranked]
        exact = maximum(self.program.W, at_least=max(c.q for c in ranked) * (1 + 1e-9), most_s=10.0)
        certified = None if not exact.proved and not exact.x.any() else not exact.x.any()
        values: dict[str, Any] = {
            "cliques": [
                {"names": n, "nodes": list(c.nodes), "q": c.q, "weight": c.weight}
                for n, c in zip(names, ranked, strict=True)
            ],
            "found": len(self.found),
            "certified": certified,
            "merged": self.merged,
            "nodes": len(self.program),
            "edges": self.program.edges,
            "rank": p.rank,
            "program": self.program.solves,
            **results,
        }
        first = ranked[0]
        record.console.done(
            f"{len(self.found)} cliques in {results['searches']} searches; first: {'-'.join(names[0])}, "
            f"q = {first.q:.5g}, weight {first.weight:.5g}"
        )
        with_picture(record, "cliques", lambda path: draw_cliques(path, self.program, values))
        return values


def strongest(W: Array, p: CliquesParameters, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Supports that starts found on W, distinct, each of its optimum of (1), strongest first."""
    if not W.any():
        return []
    batch = IdealLoop.of(W, p.gamma, duration=p.duration, spread=p.spread).run(p.starts, rng)
    distinct = np.unique(batch.supports.T, axis=0)
    supports: dict[Nodes, float] = {}
    for row in distinct:
        support = best_on(W, np.flatnonzero(row), most_s=1.0).support
        for end in (support, climbed(W, support)[0]) if p.polish else (support,):
            if len(end) > 1:
                supports[tuple(int(k) for k in end)] = 0.0
    rows = np.zeros((len(W), len(supports)), np.bool_)
    for k, nodes in enumerate(supports):
        rows[list(nodes), k] = True
    value = worth(W, rows, 1.0).q if p.rank == "q" else np.array([_weight(W, nodes) for nodes in supports])
    keys = list(supports)
    return [np.array(keys[k], np.int64) for k in np.argsort(-value, kind="stable")]


def measured(W: Array, nodes: Nodes) -> Clique:
    """A clique with its figures."""
    nodes = tuple(sorted(nodes))
    return Clique(nodes, best_on(W, np.array(nodes), most_s=1.0).q, _weight(W, nodes))


def _weight(W: Array, nodes: Nodes) -> float:
    return float(W[np.ix_(nodes, nodes)].sum() / 2)


def merged(of: Program, above: float) -> tuple[Program, list[list[str]]]:
    """Nodes joined by more than ``above`` taken for one, whose links are the largest of theirs; and which these are.

    Raises ConfigurationError where no links are left between them.
    """
    from scipy.sparse.csgraph import connected_components

    count, group = connected_components(above < of.W, directed=False)
    member = np.zeros((count, len(of)), np.bool_)
    member[group, np.arange(len(of))] = True
    J = np.zeros((count, count))
    for a in range(count):
        rows = of.J[member[a]]
        pick = np.take_along_axis(rows, np.abs(rows).argmax(axis=0)[None], axis=0)[0]
        for b in range(a + 1, count):
            inside = pick[member[b]]
            J[a, b] = J[b, a] = inside[np.abs(inside).argmax()]
    names = tuple("/".join(of.names[k] for k in np.flatnonzero(row)) for row in member)
    W = np.abs(J) if not np.array_equal(np.unique(of.W), [0, 1]) else (J != 0).astype(np.float64)
    if not W.any():
        raise ConfigurationError(
            f"merge={above:g}: no links are left between nodes; choose more, the largest weight is {of.W.max():g}"
        )
    told = [[of.names[k] for k in np.flatnonzero(row)] for row in member if row.sum() > 1]
    return Program(W, J, names, of.solves, f"{of.origin}, nodes joined by more than {above:g} merged"), told
