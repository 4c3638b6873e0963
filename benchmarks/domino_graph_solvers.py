"""Solvers of cliques for `domino_graphs.py`: each goes on taking turns, of which the supports are judged alike.

DOMINO draws starts by turns of several kinds, fifty of each: those of `domino.solve` that begin spread, the same with a
decay at first, and those confined to common neighbours of one, two and three drawn nodes. BFGS and replicator dynamics
run on the same program from even starts, a few at a time; Gurobi on the same program, and on the clique as an integer
program. The leading eigenvector and networkx's heuristics have one turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import subnetworks as peers
from protocols.domino.ideal import IdealLoop
from protocols.domino.problem.program import Program
from protocols.domino.solve.confined import ConfinedLoop
from protocols.domino.solve.judging import Judge
from simulators.physics.domino.locked_flow import starts

Array = NDArray[np.float64]

_GAMMAS = (0.5, 0.0, 1.0)
"""Of BFGS; the first where others are no better."""
_AT_A_TIME = {"domino": 50, "replicator": 10, "bfgs": 5, "bfgs of many nodes": 1}
_MOST_NODES = 200
"""Of networkx's largest clique: it took 5 s with 256, and 15 s with 500."""


@dataclass(frozen=True, eq=False)
class Turn:
    """Runs of a solver, of a kind (``by``); drawn: from starts that another turn draws anew. failed: why there are
    none."""

    runs: peers.Runs
    by: str = ""
    drawn: bool = False
    failed: str = ""

    def sizes(self, judge: Judge, most_s: float) -> tuple[NDArray[np.int64], float]:
        """Of the cliques found, or their weights (runs,), and processor time with this read-out."""
        begun_s = time.process_time()
        q = self.runs.q
        if self.runs.supports.size:
            q = judge.worth(self.runs.supports, most_s).q
        assert q is not None
        return np.round(1 / (1 - q)).astype(np.int64), self.runs.cpu_s + time.process_time() - begun_s

    def polished(self, judge: Judge, sizes: NDArray[np.int64]) -> int:
        """What a local search makes of the best run; 0 where no support is told."""
        if not self.runs.supports.size:
            return 0
        return round(1 / (1 - float(judge.polished(self.runs.supports[:, [int(sizes.argmax())]])[0])))


def solvers(of: Program, judge: Judge, gamma: float, cap_s: float, enough: float) -> dict[str, Iterator[Turn]]:
    """Of a program; gamma: of BFGS. enough: size or weight at which those may stop that better one solution."""
    A, n = judge.A, len(judge.A)
    weight = np.ones(n) if of.node_weights is None else of.node_weights

    def drawing(name: str, run: Callable[[Array], peers.Runs]) -> Iterator[Turn]:
        rng = np.random.default_rng(0)
        while True:
            yield Turn(run(starts(n, _AT_A_TIME[name], rng)), drawn=True)

    quadratic = 1 - 1 / (enough - 0.5)
    found = {
        "domino": domino(A),
        "replicator": drawing("replicator", lambda x: peers.replicator(A, x, cap_s=cap_s / 2)),
        "bfgs": drawing("bfgs" if n <= 200 else "bfgs of many nodes", lambda x: peers.bfgs(A, gamma, x)),
        "eigenvector": _once(lambda: peers.leading_eigenvector(A)),
        "gurobi": _bettering(lambda: peers.gurobi_quadratic(A, cap_s, quadratic)),
        "gurobi-integer": _bettering(lambda: peers.gurobi_clique(of.W > 0, weight, cap_s, enough)),
    }
    if of.node_weights is None:
        found["networkx-size"] = _once(lambda: peers.clique_size_heuristic(of.W))
    if n <= _MOST_NODES:
        found["networkx-clique"] = _once(lambda: peers.clique_heuristic(of.W))
    return found


def domino(A: Array) -> Iterator[Turn]:
    """Of five kinds, by turns."""
    rng = np.random.default_rng(0)

    def loop(A: Array) -> IdealLoop:
        return IdealLoop.of(A, 0.5, None, 4.0, 0.0, 2.0)

    kinds: dict[str, IdealLoop | ConfinedLoop] = {
        "spread": IdealLoop.of(A, 0.5, None, 4.0, 0.0, 8.0),
        "decay": IdealLoop.of(A, 0.5, None, 4.0, 0.0, 8.0, 4.0),
        "1 pin": ConfinedLoop(A, 1, loop),
        "2 pins": ConfinedLoop(A, 2, loop),
        "3 pins": ConfinedLoop(A, 3, loop),
    }
    kinds["spread"].warm_up()
    while True:
        for name, kind in kinds.items():
            batch = kind.run(_AT_A_TIME["domino"], rng)
            yield Turn(peers.Runs(batch.supports, batch.cpu_s), name, drawn=True)


def best_gamma(judges: list[Judge]) -> float:
    """BFGS's, by the mean of 1 / (1 - q) over some starts of each, relative to the best of these."""
    score = dict.fromkeys(_GAMMAS, 0.0)
    for judge in judges:
        x = starts(len(judge.A), 10, np.random.default_rng(1))
        mean = {gamma: float(Turn(peers.bfgs(judge.A, gamma, x)).sizes(judge, 0.1)[0].mean()) for gamma in _GAMMAS}
        for gamma in _GAMMAS:
            score[gamma] += mean[gamma] / max(mean.values())
    return max(score, key=lambda gamma: score[gamma])


def _once(run: Callable[[], peers.Runs]) -> Iterator[Turn]:
    yield Turn(run())


def _bettering(run: Callable[[], peers.Incumbents]) -> Iterator[Turn]:
    """Each of its solutions is a turn."""
    from gurobipy import GurobiError

    try:
        found = run()
    except GurobiError as error:
        yield Turn(peers.Runs(np.zeros((0, 0), np.bool_), 0.0), failed=str(error))
        return
    before_s = 0.0
    for taken_s, _, support in found:
        yield Turn(peers.Runs(support[:, None], taken_s - before_s))
        before_s = taken_s
