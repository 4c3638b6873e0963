"""Other ways to the dominant subnetwork: quasi-Newton, eigenvector, replicator dynamics, Gurobi, clique heuristics.

Each takes W (N, N) and gives supports (N, runs), which are judged alike, with the processor time of all runs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.domino.assess import quasi_newton

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


def replicator(W: Array, starts: Array, most: int = 20_000) -> Runs:
    """x_i <- x_i (Wx)_i / x'Wx of all starts side by side, until none moves."""
    begun = time.process_time()
    x = starts / starts.sum(axis=0)
    for k in range(most):
        v = W @ x
        new = x * v / (x * v).sum(axis=0)
        if k % 50 == 0 and np.abs(new - x).max() < 1e-9:
            break
        x = new
    q = (x * (W @ x)).sum(axis=0)
    return Runs(quasi_newton.support(x), time.process_time() - begun, q)


def gurobi(W: Array, best: float, cap_s: float) -> tuple[float, bool, float]:
    """Processor time until an incumbent is within 1e-4 of ``best`` (or the cap), whether one is, and its q. One thread.

    Raises ImportError without gurobipy, GurobiError beyond its free licence's sizes.
    """
    import gurobipy as gp

    when = [np.inf]

    def look(model: gp.Model, where: int) -> None:
        taken_s = time.process_time() - begun
        if where == gp.GRB.Callback.MIPSOL and model.cbGet(gp.GRB.Callback.MIPSOL_OBJ) >= best * (1 - 1e-4):
            when[0] = min(when[0], taken_s)
            model.terminate()
        elif taken_s > cap_s:
            model.terminate()

    with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
        model.Params.Threads = 1
        # No time limit of its own, which is of a clock that may be busy: `look` keeps the cap, of the processor's time.
        model.Params.NonConvex = 2
        x = model.addMVar(len(W), lb=0.0, ub=1.0)
        model.addConstr(x.sum() == 1)
        model.setObjective(x @ W @ x, gp.GRB.MAXIMIZE)
        begun = time.process_time()
        model.optimize(look)
        taken = time.process_time() - begun
        q = model.ObjVal if model.SolCount else 0.0
    solved = q >= best * (1 - 1e-4)
    return (min(when[0], taken) if solved else cap_s), solved, q


def clique_heuristic(W: Array) -> Runs:
    """networkx's approximation of the largest clique (Boppana and Halldorsson); it does not see weights."""
    import networkx as nx

    begun = time.process_time()
    clique = nx.approximation.max_clique(nx.from_numpy_array((W > 0).astype(np.int64)))
    support = np.zeros((len(W), 1), np.bool_)
    support[list(clique)] = True
    return Runs(support, time.process_time() - begun)


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
