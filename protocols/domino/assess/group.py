"""`domino.group`: a published group beside what DOMINO, BFGS and an exact ranking find in its network (K562)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.domino.arithmetic import Arithmetic, share_error, with_picture
from protocols.domino.assess import quasi_newton
from protocols.domino.assess.all_cliques import Nodes, Ranked, ranked
from protocols.domino.assess.group_picture import draw_group
from protocols.domino.ideal import IdealLoop, weight_unit
from protocols.domino.problem.program import NetworkParameters, Program, program
from protocols.domino.solve.cliques import merged
from protocols.domino.solve.confined import ConfinedLoop
from protocols.domino.solve.solve import SAME
from simulators.physics.domino.locked_flow import starts
from simulators.physics.domino.quadratic import best_on, maximum
from simulators.physics.domino.support_values import worth

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

PUBLISHED = ("CBX3", "CTCF", "JUND", "MAZ", "RAD21", "REST", "SMC3", "ZNF143")
_TRIED = 10
"""Starts on which BFGS chooses its gamma."""


class GroupParameters(NetworkParameters):
    """Which group, in which network; without graph and network: the regulators of K562."""

    group: tuple[str, ...] = Field(PUBLISHED, min_length=2, description="names")
    merge: float | None = Field(
        0.9, gt=0, description="a second network, nodes joined by more than this merged; null: none"
    )
    starts: int = Field(100, ge=10, le=10**5, description="of each kind, and of BFGS")
    gamma: float = Field(0.5, ge=0, le=100, allow_inf_nan=False, description="of DOMINO")
    spreads: tuple[float, ...] = Field((1.0, 64.0), description="kinds of starts: U[0, 1]^spread")
    pins: tuple[int, ...] = Field((1, 2), description="kinds of starts: confined to neighbours of so many nodes")
    duration: float = Field(10.0, gt=0, le=1e4)
    bfgs_gammas: tuple[float, ...] = Field((0.0, 0.5, 1.0), description="of which BFGS takes its best; none: no BFGS")
    count: int = Field(10, ge=1, le=1000, description="that are listed after the best")
    exact_s: float = Field(30.0, gt=0, le=1e6, description="time limit of the exact search (s)")
    most: int = Field(100_000, ge=1, le=10**7, description="maximal cliques that are ranked")

    @field_validator("group", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Names may be numbers, as in DIMACS files."""
        return tuple(map(str, value)) if isinstance(value, list | tuple) else value


class Group(Arithmetic):
    """Where a group stands.

    `networks`, one row as it is and one with near-duplicates merged (`merged` tells which): `q_best`, `best` (names)
    and `proved`, the optimum of problem (1) by exact search; `heaviest` and its `weight`, the clique of most weight of
    links among all `cliques` maximal ones (`complete`: all were seen); `next`, the optima that follow the best, rows
    {names, q, weight, found} (found: by which kinds of starts); `solvers`, rows by kind {kind, starts, hits, success,
    success_err, best_ratio, median_ratio, overlap}: success within 1e-4 of q_best, without a local search, and the
    largest share of nodes that a start's optimum has in common with the group; `group`, {names, links, of, missing,
    q, support, weight, rank_q, rank_weight, with_best, nearest, shared}: its rank among optima and maximal cliques,
    nodes in common with the best, and the maximal clique that is most like it.
    """

    Parameters = GroupParameters

    def prepare(self, parameters: GroupParameters, record: Recorder) -> None:
        """Read, merge, and find the group's names."""
        p = parameters
        if p.weights == "node":
            raise ConfigurationError("weights=node: domino.group ranks by links; choose edge or unit")
        given = p if p.graph or p.network else p.model_copy(update={"network": "k562"})
        whole = program(given, np.random.default_rng(record.seed))
        self.networks: list[tuple[Program, list[list[str]]]] = [(whole, [])]
        if p.merge is not None:
            self.networks.append(merged(whole, p.merge))
        self.members = [members(of, p.group) for of, _ in self.networks]
        record.console.done(f"{whole.origin}: {len(whole)} nodes, {whole.edges} links")

    def run(self, bench: Bench, parameters: GroupParameters, record: Recorder) -> dict[str, Any]:
        """A network in a step: all solvers."""
        p = parameters
        self.supports: list[dict[str, Bools]] = []
        for step in record.steps(len(self.networks), "networks"):
            W = self.networks[step.index][0].W
            self.supports.append(solved(W, p, record.rng))
            step.save(found=max(float(worth(W, s, 1.0).q.max()) for s in self.supports[-1].values()))
        return {}

    def conclude(self, results: dict[str, Any], parameters: GroupParameters, record: Recorder) -> dict[str, Any]:
        """Rank, tell and draw."""
        rows = []
        for (of, told), member, supports in zip(self.networks, self.members, self.supports, strict=True):
            rows.append({"merged": told, **told_of(of, member, supports, parameters)})
        values = {"networks": rows, "group": list(parameters.group)}
        for row in rows:
            here = row["group"]
            record.console.done(
                f"best {'-'.join(row['best'])}, q = {row['q_best']:.4f}; the group's q = {here['q']:.4f}, rank "
                f"{here['rank_q']} of {row['optima']}, {here['links']} of {here['of']} links; success "
                + ", ".join(f"{s['kind']} {s['success']:.2f}" for s in row["solvers"])
            )
        with_picture(record, "group", lambda path: draw_group(path, values))
        return values


def members(of: Program, group: tuple[str, ...]) -> NDArray[np.int64]:
    """Nodes of these names; a merged node has all names of those that it was made of."""
    where = {name: k for k, names in enumerate(of.names) for name in (names, *names.split("/"))}
    lost = [name for name in group if name not in where]
    if lost:
        raise ConfigurationError(f"group: {', '.join(lost)}: no such node in {of.origin}")
    return np.unique([where[name] for name in group])


def solved(W: Array, p: GroupParameters, rng: np.random.Generator) -> dict[str, Bools]:
    """Supports (N, starts) by kind of start, and of BFGS; W in its unit."""
    W = W / weight_unit(W)
    found = {}
    for spread in p.spreads:
        found[f"spread {spread:g}"] = (
            IdealLoop.of(W, p.gamma, None, p.duration, 0.0, spread).run(p.starts, rng).supports
        )
    for pins in p.pins:
        loop = ConfinedLoop(W, pins, lambda part: IdealLoop.of(part, p.gamma, None, p.duration), together=1)
        found[f"pins {pins}"] = loop.run(p.starts, rng).supports
    if p.bfgs_gammas:
        gamma = p.bfgs_gammas[0]
        if len(p.bfgs_gammas) > 1:
            tried = starts(len(W), _TRIED, rng)
            mean_q = [float(worth(W, bfgs(W, g, tried), 1.0).q.mean()) for g in p.bfgs_gammas]
            gamma = p.bfgs_gammas[int(np.argmax(mean_q))]
        found[f"BFGS, gamma {gamma:g}"] = bfgs(W, gamma, starts(len(W), p.starts, rng))
    return found


def bfgs(W: Array, gamma: float, x: Array) -> Bools:
    """Supports of its ends; none where the field died."""
    ends = quasi_newton.minima(W, gamma, x)
    return np.asarray(quasi_newton.support(ends) & quasi_newton.living(W, gamma, ends))


def told_of(of: Program, member: NDArray[np.int64], supports: dict[str, Bools], p: GroupParameters) -> dict[str, Any]:
    """A row of one network."""
    W = of.W
    everything = ranked(W, p.most)
    exact = maximum(W, most_s=p.exact_s)
    ends = {kind: [_end(W, column) for column in found.T] for kind, found in supports.items()}
    heaviest = next(iter(everything.weight))
    following = [nodes for nodes in everything.q if nodes != _nodes(exact.support)][: p.count]
    return {
        "origin": of.origin,
        "nodes": len(of),
        "edges": of.edges,
        "q_best": exact.q,
        "best": of.named(exact.support),
        "proved": exact.proved,
        "heaviest": of.named(np.array(heaviest)),
        "weight": everything.weight[heaviest],
        "cliques": len(everything.weight),
        "optima": len(everything.q),
        "complete": everything.complete,
        "next": [
            {
                "names": of.named(np.array(nodes)),
                "q": everything.q[nodes],
                "weight": float(W[np.ix_(nodes, nodes)].sum() / 2),
                "found": [kind for kind, found in ends.items() if any(end[0] == nodes for end in found)],
            }
            for nodes in following
        ],
        "solvers": [_solver(kind, found, exact.q, member) for kind, found in ends.items()],
        "group": _group(of, member, everything, exact.support),
    }


def _end(W: Array, support: Bools) -> tuple[Nodes, float]:
    optimum = best_on(W, np.flatnonzero(support), most_s=1.0)
    return _nodes(optimum.support), optimum.q


def _nodes(support: NDArray[np.int64]) -> Nodes:
    return tuple(int(k) for k in support)


def _solver(kind: str, ends: list[tuple[Nodes, float]], best: float, member: NDArray[np.int64]) -> dict[str, Any]:
    q = np.array([end[1] for end in ends])
    hits = int((q >= best * (1 - SAME)).sum())
    return {
        "kind": kind,
        "starts": len(q),
        "hits": hits,
        "success": hits / len(q),
        "success_err": share_error(hits, len(q)),
        "best_ratio": float(q.max() / best),
        "median_ratio": float(np.median(q) / best),
        "overlap": max(_overlap(member, nodes) for nodes, _ in ends),
    }


def _group(of: Program, member: NDArray[np.int64], everything: Ranked, best: NDArray[np.int64]) -> dict[str, Any]:
    inside = of.W[np.ix_(member, member)]
    optimum = best_on(of.W, member)
    pairs = [(a, b) for k, a in enumerate(member) for b in member[k + 1 :]]
    nearest = max(everything.weight, key=lambda nodes: _overlap(member, nodes))
    weight = float(inside.sum() / 2)
    return {
        "names": of.named(member),
        "links": int(np.count_nonzero(np.triu(inside))),
        "of": len(pairs),
        "missing": ["-".join(of.named(np.array(pair))) for pair in pairs if of.W[pair] == 0],
        "q": optimum.q,
        "support": of.named(optimum.support),
        "weight": weight,
        "rank_q": everything.rank_q(optimum.q),
        "rank_weight": everything.rank_weight(weight),
        "with_best": len(np.intersect1d(member, best)),
        "nearest": of.named(np.array(nearest)),
        "shared": len(np.intersect1d(member, nearest)),
    }


def _overlap(member: NDArray[np.int64], nodes: Nodes) -> float:
    """Nodes in common, of all that either has."""
    return len(np.intersect1d(member, nodes)) / len(np.union1d(member, nodes))
