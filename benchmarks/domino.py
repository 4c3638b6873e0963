"""Dominant subnetworks: DOMINO beside other solvers, the same fresh instances, one core each.

Networks of Supp. A at densities 0.3 to 0.9 and of I.2 at 0.5, by turns. A start has succeeded if problem (1) on its
support is within 1e-4 of the best known, which all solvers and an exact search look for. A run's time has its readout
in it: problem (1) on the support. TTS99 = time of a run ln(0.01) / ln(1 - success), of each instance; for solvers that
do not draw a start, the time until they are there; `LABCTL_BENCH_CAP_S` where they are never.

`LABCTL_BENCH_NODES` (50), `LABCTL_BENCH_NETWORKS` (20), `LABCTL_BENCH_CAP_S` (20) and `LABCTL_BENCH_SEED` (1) make it
larger; `LABCTL_BENCH_GRAPHS`, a folder of DIMACS files, measures those, unweighted, instead.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import subnetworks as peers
from protocols.domino.problem.networks import clique_network, uniform_network
from protocols.domino.solve.ideal import IdealLoop, best_known, largest_eigenvalue
from protocols.graphs import read_graph
from simulators.physics.domino.locked_flow import flow, spread_starts, stages_for, starts
from simulators.physics.domino.support_values import climbed, worth

Array = NDArray[np.float64]

_TUNING = 10
"""Instances, of other seeds, on which BFGS chooses its gamma."""
_GAMMAS = (0.0, 0.5, 1.0)
_AT_A_TIME = 50
_COUNTS = {"domino": 1000, "bfgs": 60, "replicator": 200}


@dataclass
class Tally:
    """What a solver did on each instance."""

    success: list[float] = field(default_factory=list)
    run_s: list[float] = field(default_factory=list)
    tts_s: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)
    searched: list[float] = field(default_factory=list)
    polished: list[float] = field(default_factory=list)


def rows() -> list[dict[str, Any]]:
    """A row for each solver; ratio = median over instances of its TTS99 / BFGS's, DOMINO's the smaller the better."""
    cap_s = float(os.environ.get("LABCTL_BENCH_CAP_S", "20"))
    folder = os.environ.get("LABCTL_BENCH_GRAPHS")
    if folder:
        return [_dimacs(path, cap_s) for path in sorted(Path(folder).glob("*.clq.gz"))]
    nodes = int(os.environ.get("LABCTL_BENCH_NODES", "50"))
    count = int(os.environ.get("LABCTL_BENCH_NETWORKS", "20"))
    seed = int(os.environ.get("LABCTL_BENCH_SEED", "1"))
    gamma = _best_gamma(nodes, seed)
    print(f"BFGS: gamma = {gamma:g} is its best", file=sys.stderr)
    tallies: dict[str, Tally] = {}
    kinds = []
    for k in range(count):
        kind, W = _instance(nodes, seed, k)
        kinds.append(kind)
        _measure(W, gamma, cap_s, np.random.default_rng([seed, k, 1]), tallies)
        done = {name: f"{1e3 * t.tts_s[-1]:.3g} ms" for name, t in tallies.items()}
        print(f"{k + 1}/{count} {kind}: {done}", file=sys.stderr, flush=True)
    return [_row(f"{name}-{nodes}", tally, tallies, cap_s, kinds) for name, tally in tallies.items()]


def _instance(nodes: int, seed: int, k: int) -> tuple[str, Array]:
    rng = np.random.default_rng([seed, k])
    if k % 5 == 4:
        return "I.2 0.5", uniform_network(nodes, 0.5, rng)
    density = (0.3, 0.5, 0.7, 0.9)[k % 5]
    return f"A {density:g}", clique_network(nodes, density, rng)


def _best_gamma(nodes: int, seed: int) -> float:
    found = dict.fromkeys(_GAMMAS, 0.0)
    for k in range(_TUNING):
        W = _instance(nodes, seed + 10_000, k)[1]
        rng = np.random.default_rng(k)
        x = starts(nodes, 20, rng)
        q = {gamma: worth(W, peers.bfgs(W, gamma, x).supports, 1.0).q for gamma in _GAMMAS}
        best = best_known(W, max(float(v.max()) for v in q.values()), None, 5.0).q
        for gamma, values in q.items():
            found[gamma] += float(np.mean(values >= best * (1 - 1e-4)))
    return max(found, key=lambda gamma: found[gamma])


def _measure(W: Array, gamma: float, cap_s: float, rng: np.random.Generator, tallies: dict[str, Tally]) -> None:
    """All solvers on one instance."""
    n = len(W)
    runs = {
        "domino": _domino(W, starts(n, _COUNTS["domino"], rng), 10.0, 300),
        "domino-spread": _domino(W, spread_starts(n, _COUNTS["domino"], 2.0, rng), 4.0, 300),
        "bfgs": _judged(W, lambda: peers.bfgs(W, gamma, starts(n, _COUNTS["bfgs"], rng))),
        "replicator": _judged(W, lambda: peers.replicator(W, starts(n, _COUNTS["replicator"], rng))),
        "eigenvector": _judged(W, lambda: peers.leading_eigenvector(W)),
        "networkx-clique": _judged(W, lambda: peers.clique_heuristic(W)),
    }
    known = best_known(W, max(float(q.max()) for q, *_ in runs.values()), None, 10.0)
    for name, (q, run_s, searched, ends) in runs.items():
        t = tallies.setdefault(name, Tally())
        hit, after = (float(np.mean(v >= known.q * (1 - 1e-4))) for v in (q, ends))
        t.success.append(hit)
        t.polished.append(after)
        t.run_s.append(run_s)
        t.searched.append(searched)
        t.ratio.append(float(q.mean() / known.q))
        t.tts_s.append(_tts(hit, run_s, cap_s))
    raw = tallies.setdefault("eigenvector-raw", Tally())
    found = peers.leading_eigenvector(W)
    assert found.q is not None
    _one(raw, float(found.q[0]) / known.q, found.cpu_s, cap_s)
    begun = time.process_time()
    end = climbed(W, np.flatnonzero(found.supports[:, 0]))[1]
    taken = time.process_time() - begun + found.cpu_s
    _one(tallies.setdefault("eigenvector-polished", Tally()), end / known.q, taken, cap_s)
    try:
        taken, solved, q = peers.gurobi(W, known.q, cap_s)
    except ImportError as error:
        print(f"gurobi: {error}; install it with the extra bench", file=sys.stderr)
    else:
        t = tallies.setdefault("gurobi", Tally())
        _one(t, q / known.q, taken, cap_s)
        t.tts_s[-1] = taken if solved else cap_s
    q, taken = peers.enumerated(W, known.q, min(cap_s, 5.0))
    _one(tallies.setdefault("networkx-all-cliques", Tally()), q / known.q, taken, cap_s)


def _one(t: Tally, ratio: float, taken_s: float, cap_s: float) -> None:
    """Of a solver without starts."""
    solved = ratio >= 1 - 1e-4
    t.success.append(float(solved))
    t.polished.append(float(solved))
    t.run_s.append(taken_s)
    t.searched.append(0.0)
    t.ratio.append(ratio)
    t.tts_s.append(taken_s if solved else cap_s)


def _domino(W: Array, x: Array, duration: float, read: int) -> tuple[Array, float, float, Array]:
    """q, seconds a run with its readout, share of supports that needed a search, q after a local search."""
    stages = stages_for(len(W), largest_eigenvalue(W), 0.5, None, duration, read)

    def run() -> peers.Runs:
        supports, begun = [], time.process_time()
        for first in range(0, x.shape[1], 100):
            supports.append(flow(W, x[:, first : first + 100], stages).support())
        return peers.Runs(np.hstack(supports), time.process_time() - begun)

    return _judged(W, run)


def _judged(W: Array, solve: Callable[[], peers.Runs]) -> tuple[Array, float, float, Array]:
    found = solve()
    begun = time.process_time()
    judged = worth(W, found.supports, 2.0)
    taken = time.process_time() - begun + found.cpu_s
    ends = np.array([climbed(W, np.flatnonzero(s))[1] for s in np.unique(found.supports.T, axis=0)])
    which = np.unique(found.supports.T, axis=0, return_inverse=True)[1].ravel()
    return judged.q, taken / found.supports.shape[1], float(judged.searched.mean()), ends[which]


def _tts(success: float, run_s: float, cap_s: float) -> float:
    if success <= 0:
        return cap_s
    return min(cap_s, run_s * max(1.0, float(np.log(0.01) / np.log(1 - min(success, 0.99)))))


def _row(name: str, t: Tally, all_: dict[str, Tally], cap_s: float, kinds: list[str]) -> dict[str, Any]:
    tts, theirs = np.array(t.tts_s), np.array(all_["bfgs"].tts_s)
    both = (tts < cap_s) | (theirs < cap_s)
    rng = np.random.default_rng(0)
    ratios = tts[both] / theirs[both]

    def interval(values: Array) -> list[float]:
        drawn = np.median(rng.choice(values, (2000, len(values))), axis=1) if len(values) else np.array([np.nan])
        return [float(v) for v in np.percentile(drawn, [2.5, 97.5])]

    success = np.array(t.success)
    by_kind = {k: float(success[[x == k for x in kinds]].mean()) for k in sorted(set(kinds))}
    row = {
        "name": name,
        "median_us": float(np.median(t.run_s)) * 1e6,
        "p99_us": float(np.percentile(t.run_s, 99)) * 1e6,
        "ratio": float(np.median(ratios)) if len(ratios) else None,
        "ratio_95": interval(ratios),
        "tts99_ms": float(np.median(tts)) * 1e3,
        "tts99_95_ms": [1e3 * v for v in interval(tts)],
        "success": float(success.mean()),
        "success_err": float(success.std() / np.sqrt(len(success))),
        "success_polished": float(np.mean(t.polished)),
        "solved": float((success > 0).mean()),
        "q_ratio": float(np.mean(t.ratio)),
        "searched": float(np.mean(t.searched)),
        "unsolved_by_both": int((~both).sum()),
        "success_by_kind": by_kind,
    }
    if "gurobi" in all_:
        row["not_slower_than_gurobi"] = float(np.mean(tts <= np.array(all_["gurobi"].tts_s)))
    paired = success - np.array(all_["bfgs"].success)
    return row | {"minus_bfgs": float(paired.mean()), "minus_bfgs_err": float(paired.std() / np.sqrt(len(paired)))}


def _dimacs(path: Path, cap_s: float) -> dict[str, Any]:
    """The largest clique that starts find, 50 at a time, until the cap; beside it with a local search from
    the best of them."""
    W = (read_graph(path).matrix().toarray() != 0).astype(np.float64)
    loop = IdealLoop.of(W, 0.5, None, 4.0, 0.0, 8.0)
    loop.warm_up()
    rng = np.random.default_rng(0)
    best, polished, count, cpu_s, first = 0.0, 0.0, 0, 0.0, 0.0
    while cpu_s < cap_s:
        batch = loop.run(_AT_A_TIME, rng)
        begun = time.process_time()
        judged = worth(W, batch.supports, 0.02).q
        q = float(judged.max())
        cpu_s += batch.cpu_s + time.process_time() - begun
        count += _AT_A_TIME
        if q > best * (1 + 1e-9):
            best, first = q, cpu_s
        polished = max(polished, climbed(W, np.flatnonzero(batch.supports[:, judged.argmax()]))[1])
    row = {
        "name": path.name.removesuffix(".clq.gz"),
        "median_us": cpu_s / count * 1e6,
        "p99_us": cpu_s / count * 1e6,
        "ratio": None,
        "clique": round(1 / (1 - best)),
        "clique_polished": round(1 / (1 - max(best, polished))),
        "best_after_s": first,
        "starts": count,
    }
    print(row, file=sys.stderr, flush=True)
    return row
