"""Dominant subnetworks: DOMINO beside other solvers, the same fresh instances, one core each.

Networks of Supp. A at densities 0.3 to 0.9 and of I.2 at 0.5, by turns. A start has succeeded if problem (1) on its
support is within 1e-4 of the best known, which all solvers and an exact search look for. A run's time has its readout
in it: problem (1) on the support. TTS99 = time of a run ln(0.01) / ln(1 - success), of each instance; for solvers that
do not draw a start, the time until they are there; `LABCTL_BENCH_CAP_S` where they are never.

`LABCTL_BENCH_NODES` (50), `LABCTL_BENCH_NETWORKS` (20), `LABCTL_BENCH_CAP_S` (20) and `LABCTL_BENCH_SEED` (1) make it
larger; `LABCTL_BENCH_SOLVERS`, names with commas between, leaves others out, and takes in variants of DOMINO that run
only if they are named. DOMINO goes on drawing starts until three have succeeded or the cap is reached.
`LABCTL_BENCH_GUROBI_S` stops Gurobi earlier where the exact search has proved the optimum, so that nothing better is
missed; its TTS is a lower bound there. `LABCTL_BENCH_WINDOW`, over N, is DOMINO's time between locks, where the default
is not wanted. `LABCTL_BENCH_GRAPHS`, a folder of DIMACS files, measures those instead (`domino_graphs.py`).
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import domino_graphs
from benchmarks.peers import subnetworks as peers
from protocols.domino.ideal import best_known, largest_eigenvalue
from protocols.domino.problem.networks import clique_network, uniform_network
from simulators.physics.domino.locked_flow import flow, spread_starts, stages_for, starts
from simulators.physics.domino.support_values import climbed, worth

Array = NDArray[np.float64]

_TUNING = 10
"""Instances, of other seeds, on which BFGS chooses its gamma."""
_GAMMAS = (0.0, 0.5, 1.0)
_SAME = 1e-4
"""Relative difference of q that is none."""
_ENOUGH = 3
"""Starts of DOMINO that must succeed before it stops drawing more, until the cap."""
_COUNTS = {"domino": 1000, "bfgs": 60, "replicator": 200}
_VARIANTS = {
    "domino": (1.0, 10.0, 0.0),
    "domino-spread": (2.0, 4.0, 0.0),
    "domino-decay": (2.0, 4.0, 1.0),
    "domino-decay-2": (2.0, 4.0, 2.0),
    "domino-decay-4": (2.0, 4.0, 4.0),
    "domino-spread-8": (8.0, 4.0, 0.0),
    "domino-spread-8-decay-2": (8.0, 4.0, 2.0),
}
"""Of DOMINO: the power of starts, their duration, and the decay that they begin with."""
_WHEN_NAMED = {"domino-decay-2", "domino-decay-4", "domino-spread-8", "domino-spread-8-decay-2"}
"""Solvers that run only if `LABCTL_BENCH_SOLVERS` has them."""


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
        return domino_graphs.rows(Path(folder), cap_s)
    nodes = int(os.environ.get("LABCTL_BENCH_NODES", "50"))
    count = int(os.environ.get("LABCTL_BENCH_NETWORKS", "20"))
    seed = int(os.environ.get("LABCTL_BENCH_SEED", "1"))
    only = set(filter(None, os.environ.get("LABCTL_BENCH_SOLVERS", "").split(","))) or None
    gamma = 0.0
    if only is None or "bfgs" in only:
        gamma = _best_gamma(nodes, seed)
        print(f"BFGS: gamma = {gamma:g} is its best", file=sys.stderr)
    tallies: dict[str, Tally] = {}
    kinds = []
    for k in range(count):
        kind, W = _instance(nodes, seed, k)
        kinds.append(kind)
        _measure(W, gamma, cap_s, np.random.default_rng([seed, k, 1]), tallies, only)
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


def _measure(
    W: Array, gamma: float, cap_s: float, rng: np.random.Generator, tallies: dict[str, Tally], only: set[str] | None
) -> None:
    """All solvers on one instance, or only those named."""
    n = len(W)

    def wanted(name: str) -> bool:
        return name not in _WHEN_NAMED if only is None else name in only

    drawing: dict[str, Callable[[], Found]] = {
        **{name: functools.partial(_domino, W, name, rng) for name in _VARIANTS},
        "bfgs": lambda: _judged(W, lambda: peers.bfgs(W, gamma, starts(n, _COUNTS["bfgs"], rng))),
        "replicator": lambda: _judged(W, lambda: peers.replicator(W, starts(n, _COUNTS["replicator"], rng))),
        "eigenvector": lambda: _judged(W, lambda: peers.leading_eigenvector(W)),
        "networkx-clique": lambda: _judged(W, lambda: peers.clique_heuristic(W)),
    }
    runs = {name: run() for name, run in drawing.items() if wanted(name)}
    known = best_known(W, max(float(found.q.max()) for found in runs.values()), None, 10.0)
    best = known.q
    for name in sorted(_VARIANTS.keys() & runs.keys()):
        while runs[name].hits(best).sum() < _ENOUGH and runs[name].cpu_s < cap_s:
            runs[name] = runs[name].and_more(drawing[name]())
            best = max(best, float(runs[name].q.max()))
    if wanted("gurobi"):
        stop_s = float(os.environ.get("LABCTL_BENCH_GUROBI_S", cap_s))
        best = max(best, _gurobi(W, best, min(cap_s, stop_s) if known.proved else cap_s, tallies))
    for name, found in runs.items():
        t = tallies.setdefault(name, Tally())
        t.success.append(float(found.hits(best).mean()))
        t.polished.append(float(np.mean(found.polished >= best * (1 - _SAME))))
        t.run_s.append(found.cpu_s / len(found.q))
        t.searched.append(found.searched)
        t.ratio.append(float(found.q.mean() / best))
        t.tts_s.append(_tts(t.success[-1], t.run_s[-1], cap_s))
    if wanted("eigenvector"):
        raw = peers.leading_eigenvector(W)
        assert raw.q is not None
        _one(tallies.setdefault("eigenvector-raw", Tally()), float(raw.q[0]) / best, raw.cpu_s, cap_s)
        begun = time.process_time()
        end = climbed(W, np.flatnonzero(raw.supports[:, 0]))[1]
        taken = time.process_time() - begun + raw.cpu_s
        _one(tallies.setdefault("eigenvector-polished", Tally()), end / best, taken, cap_s)
    if wanted("networkx-all-cliques"):
        q, taken = peers.enumerated(W, best, min(cap_s, 5.0))
        _one(tallies.setdefault("networkx-all-cliques", Tally()), q / best, taken, cap_s)


def _gurobi(W: Array, best: float, cap_s: float, tallies: dict[str, Tally]) -> float:
    """Its time until it is at the best known; its q, which may be better."""
    try:
        taken, solved, q = peers.gurobi(W, best, cap_s)
    except ImportError as error:
        print(f"gurobi: {error}; install it with the extra bench", file=sys.stderr)
        return 0.0
    t = tallies.setdefault("gurobi", Tally())
    _one(t, q / max(best, q), taken, cap_s)
    t.tts_s[-1] = taken if solved else cap_s
    return q


def _one(t: Tally, ratio: float, taken_s: float, cap_s: float) -> None:
    """Of a solver without starts."""
    solved = ratio >= 1 - _SAME
    t.success.append(float(solved))
    t.polished.append(float(solved))
    t.run_s.append(taken_s)
    t.searched.append(0.0)
    t.ratio.append(ratio)
    t.tts_s.append(taken_s if solved else cap_s)


@dataclass(frozen=True, eq=False)
class Found:
    """q (starts,) and after a local search; processor time with readout; share of supports that needed a search."""

    q: Array
    polished: Array
    cpu_s: float
    searched: float

    def hits(self, best: float) -> NDArray[np.bool_]:
        """Starts (starts,) that succeeded."""
        return np.asarray(self.q >= best * (1 - _SAME))

    def and_more(self, more: Found) -> Found:
        """Together with more starts."""
        shares = [self.searched * len(self.q), more.searched * len(more.q)]
        q, polished = np.append(self.q, more.q), np.append(self.polished, more.polished)
        return Found(q, polished, self.cpu_s + more.cpu_s, sum(shares) / len(q))


def _domino(W: Array, name: str, rng: np.random.Generator) -> Found:
    """A thousand fresh starts of one of its variants."""
    spread, duration, decay = _VARIANTS[name]
    n, count = len(W), _COUNTS["domino"]
    window = os.environ.get("LABCTL_BENCH_WINDOW")
    tau = float(window) / n if window else None
    stages = stages_for(n, largest_eigenvalue(W), 0.5, tau, duration, decay=decay)
    x = starts(n, count, rng) if spread == 1 else spread_starts(n, count, spread, rng)

    def run() -> peers.Runs:
        supports, begun = [], time.process_time()
        for first in range(0, count, 100):
            supports.append(flow(W, x[:, first : first + 100], stages).support())
        return peers.Runs(np.hstack(supports), time.process_time() - begun)

    return _judged(W, run)


def _judged(W: Array, solve: Callable[[], peers.Runs]) -> Found:
    found = solve()
    begun = time.process_time()
    judged = worth(W, found.supports, 2.0)
    taken = time.process_time() - begun + found.cpu_s
    distinct, which = np.unique(found.supports.T, axis=0, return_inverse=True)
    ends = np.array([climbed(W, np.flatnonzero(s))[1] for s in distinct])
    return Found(judged.q, np.maximum(judged.q, ends[which.ravel()]), taken, float(judged.searched.mean()))


def _tts(success: float, run_s: float, cap_s: float) -> float:
    if success <= 0:
        return cap_s
    return min(cap_s, run_s * max(1.0, float(np.log(0.01) / np.log(1 - min(success, 0.99)))))


def _row(name: str, t: Tally, all_: dict[str, Tally], cap_s: float, kinds: list[str]) -> dict[str, Any]:
    tts = np.array(t.tts_s)
    theirs = np.array(all_["bfgs"].tts_s) if "bfgs" in all_ else None
    both = (tts < cap_s) | (theirs < cap_s) if theirs is not None else np.zeros(len(tts), np.bool_)
    rng = np.random.default_rng(0)
    ratios = tts[both] / theirs[both] if theirs is not None else tts[:0]

    def interval(values: Array) -> list[float]:
        if not len(values):
            return []
        drawn = np.median(rng.choice(values, (2000, len(values))), axis=1)
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
        "success_by_kind": by_kind,
        "tts99_each_ms": [[kind, 1e3 * float(x)] for kind, x in zip(kinds, tts, strict=True)],
    }
    if "gurobi" in all_ and t is not all_["gurobi"]:  # where neither is there at the cap, DOMINO counts as slower
        first = (tts <= np.array(all_["gurobi"].tts_s)) & (tts < cap_s)
        a = np.array([kind.startswith("A") for kind in kinds])
        row |= {"not_slower_than_gurobi": float(first.mean())}
        row |= {"not_slower_than_gurobi_a": float(first[a].mean()) if a.any() else None}
    if theirs is None:
        return row
    row["unsolved_by_both"] = int((~both).sum())
    paired = success - np.array(all_["bfgs"].success)
    return row | {"minus_bfgs": float(paired.mean()), "minus_bfgs_err": float(paired.std() / np.sqrt(len(paired)))}
