"""Other ways to the dominant subnetwork: quasi-Newton, eigenvector, replicator dynamics, Gurobi, clique heuristics.

Each takes W (N, N) and gives supports (N, runs), which are judged alike, with the processor time of all runs.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protocols.domino.assess import quasi_newton

if TYPE_CHECKING:
    import gurobipy

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Runs:
    """supports: (N, runs). cpu_s: of all. q: (runs,) as the solver's own x has it, where it has one."""

    supports: NDArray[np.bool_]
    cpu_s: float
    q: Array | None = None


def bfgs(W: Array, gamma: float, starts: Array) -> Runs:
    """scipy's BFGS on Eq. (4) at zero phases, x = y^2, with its gradient, from x (N, runs)."""
    begun = time.process_time()
    x = quasi_newton.minima(W, gamma, starts)
    taken = time.process_time() - begun
    share = x / x.sum(axis=0)
    supports = quasi_newton.support(share) & quasi_newton.living(W, gamma, x)
    return Runs(supports, taken, np.einsum("is,ij,js->s", share, W, share))


def leading_eigenvector(W: Array) -> Runs:
    """Its shares, of which the largest are taken in as long as they are linked with all before."""
    begun = time.process_time()
    v = np.abs(np.linalg.eigh(W)[1][:, -1])
    share = v / v.sum()
    support = np.zeros(len(W), np.bool_)
    for k in np.argsort(-share):
        if (W[k, support] > 0).all():
            support[k] = True
    return Runs(support[:, None], time.process_time() - begun, np.array([share @ W @ share]))


def replicator(W: Array, starts: Array, most: int = 20_000, cap_s: float = math.inf) -> Runs:
    """x_i <- x_i (Wx)_i / x'Wx of all starts side by side, until none moves, or the cap."""
    begun = time.process_time()
    x = starts / starts.sum(axis=0)
    for k in range(most):
        v = W @ x
        new = x * v / (x * v).sum(axis=0)
        if k % 50 == 0 and (np.abs(new - x).max() < 1e-9 or time.process_time() - begun > cap_s):
            break
        x = new
    q = (x * (W @ x)).sum(axis=0)
    return Runs(quasi_newton.support(x), time.process_time() - begun, q)


def gurobi(W: Array, best: float, cap_s: float) -> tuple[float, bool, float]:
    """Processor time until an incumbent is within 1e-4 of ``best`` (or the cap), whether one is, and its q. One thread.

    Raises ImportError without gurobipy, GurobiError beyond its free licence's sizes.
    """
    found = gurobi_quadratic(W, cap_s, best * (1 - 1e-4))
    taken_s, q, _ = found[-1] if found else (cap_s, 0.0, None)
    solved = q >= best * (1 - 1e-4)
    return (taken_s if solved else cap_s), solved, q


Incumbents = list[tuple[float, float, NDArray[np.bool_]]]
"""Of a solver that betters one solution: processor time so far, what it is worth, its support (N,)."""


def gurobi_quadratic(W: Array, cap_s: float, enough: float) -> Incumbents:
    """Gurobi on max x'Wx on the simplex, not convex, until q is ``enough`` or the cap; one thread. Errors: `gurobi`."""
    import gurobipy as gp

    with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
        model.Params.NonConvex = 2
        x = model.addMVar(len(W), lb=0.0, ub=1.0)
        model.addConstr(x.sum() == 1)
        model.setObjective(x @ W @ x, gp.GRB.MAXIMIZE)
        return _incumbents(model, cap_s, enough)


def gurobi_clique(linked: NDArray[np.bool_], weight: Array, cap_s: float, enough: float) -> Incumbents:
    """Gurobi on the clique of most weight (N,), as an integer program: of two nodes without a link (linked: (N, N)) one
    at most is taken. Where these are more than its free licence allows, all of a node's come in one row: linear
    relaxations are weaker then. Until the weight is ``enough`` or the cap; one thread. Errors: `gurobi`.
    """
    import gurobipy as gp

    apart = ~(linked | np.eye(len(linked), dtype=np.bool_))
    pairs = np.argwhere(np.triu(apart))
    with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
        x = model.addMVar(len(weight), vtype=gp.GRB.BINARY)
        if len(pairs) <= _ROWS:
            for i, j in pairs:
                model.addConstr(x[int(i)] + x[int(j)] <= 1)
        else:
            model.addConstr(np.diag(apart.sum(axis=0)) @ x + apart.astype(np.float64) @ x <= apart.sum(axis=0))
        model.setObjective(weight @ x, gp.GRB.MAXIMIZE)
        return _incumbents(model, cap_s, enough)


_ROWS = 2000
"""Of a model, in the licence that comes with gurobipy."""


def _incumbents(model: gurobipy.Model, cap_s: float, enough: float) -> Incumbents:
    """It has no time limit of its own, which is of a clock that may be busy: the cap is of the processor's time."""
    from gurobipy import GRB

    found: Incumbents = []

    def look(model: gurobipy.Model, where: int) -> None:
        taken_s = time.process_time() - begun
        if where == GRB.Callback.MIPSOL:
            keep(taken_s, model.cbGet(GRB.Callback.MIPSOL_OBJ), model.cbGetSolution(model.getVars()))
            if found[-1][1] >= enough:
                model.terminate()
        elif taken_s > cap_s:
            model.terminate()

    def keep(taken_s: float, value: float, x: list[float]) -> None:
        if not found or value > found[-1][1]:
            found.append((taken_s, value, quasi_newton.support(np.array(x))))

    model.Params.Threads = 1
    model.update()
    begun = time.process_time()
    model.optimize(look)
    if model.SolCount:
        keep(time.process_time() - begun, model.ObjVal, [v.X for v in model.getVars()])
    return found


def clique_heuristic(W: Array) -> Runs:
    """networkx's approximation of the largest clique (Boppana and Halldorsson); it does not see weights."""
    import networkx as nx

    begun = time.process_time()
    clique = nx.approximation.max_clique(nx.from_numpy_array((W > 0).astype(np.int64)))
    support = np.zeros((len(W), 1), np.bool_)
    support[list(clique)] = True
    return Runs(support, time.process_time() - begun)


def clique_size_heuristic(W: Array) -> Runs:
    """networkx's size of a large clique (Pattabiraman and others), which it does not tell: q is 1 - 1/size."""
    import networkx as nx

    begun = time.process_time()
    size = nx.approximation.large_clique_size(nx.from_numpy_array((W > 0).astype(np.int64)))
    return Runs(np.zeros((len(W), 0), np.bool_), time.process_time() - begun, np.array([1 - 1 / size]))


def enumerated(W: Array, best: float, cap_s: float) -> tuple[float, float]:
    """networkx's maximal cliques, problem (1) on each, until one is within 1e-4 of ``best``, all are seen, or the cap
    is reached: best q and processor time."""
    import itertools

    import networkx as nx

    from simulators.physics.domino.support_values import worth

    begun, found = time.process_time(), 0.0
    cliques = nx.find_cliques(nx.from_numpy_array((W > 0).astype(np.int64)))
    while some := list(itertools.islice(cliques, 200)):
        rows = np.zeros((len(W), len(some)), np.bool_)
        for k, clique in enumerate(some):
            rows[clique, k] = True
        found = max(found, float(worth(W, rows, 1.0).q.max()))
        if found >= best * (1 - 1e-4) or time.process_time() - begun > cap_s:
            break
    return found, time.process_time() - begun
