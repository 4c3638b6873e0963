"""DIMACS graphs: DOMINO beside other solvers, the largest clique that each finds, and the clique of most node weight.

Two programs of each graph: `unit`, where the optimum is 1 - 1/omega (Motzkin and Straus), and `node`, the clique of
most node weight (`n i w`). All solvers have the same cap of the processor's time, problem (1) on supports included,
half of it for the second program; they stop before when what is known to be the most is reached, those that draw starts
after three of these. What is told is what they reach by themselves, and beside it what a local search makes of the best
start of each turn. A turn that ends beyond the cap does not count, but for the first.

`LABCTL_BENCH_GRAPHS` is the folder, `LABCTL_BENCH_SOLVERS` leaves solvers out, `LABCTL_BENCH_GAMMA` is BFGS's gamma
where it shall not be looked for; `optima.csv` in the folder above tells the best that is known.
"""

from __future__ import annotations

import csv
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.domino_graph_solvers import Turn, best_gamma, solvers
from protocols.domino.problem.program import NetworkParameters, Program, program
from protocols.domino.solve.judging import Judge, judge_of

_MOST_S = 0.1
"""Of the exact search on one support that is no clique."""
_ENOUGH = 3
"""Starts that must reach the most before a solver stops drawing more."""
_TUNING = ("C125.9", "brock200_3", "keller4", "p_hat300-1", "sanr200_0.7")
"""On these BFGS chooses its gamma, by either program."""
_WEIGHTS = ("unit", "node")


@dataclass
class Found:
    """What a solver found of one program, in sizes or weights, and when; 0 where it found, or could do, nothing."""

    found: int = 0
    found_polished: int = 0
    first_s: float = 0.0
    by: str = ""
    cpu_s: float = 0.0
    starts: int = 0
    hits: int = 0
    failed: str = ""
    hits_by: dict[str, int] = field(default_factory=dict)


def rows(folder: Path, cap_s: float) -> list[dict[str, Any]]:
    """A row of each graph and solver."""
    paths = {path.name.removesuffix(".clq.gz"): path for path in sorted(folder.glob("*.clq.gz"))}
    only = set(filter(None, os.environ.get("LABCTL_BENCH_SOLVERS", "").split(",")))
    told = os.environ.get("LABCTL_BENCH_GAMMA")
    gamma = dict.fromkeys(_WEIGHTS, float(told or 0.5))
    if told is None and (not only or "bfgs" in only):
        tuned = [paths[name] for name in _TUNING if name in paths]
        gamma = {weights: best_gamma([judge_of(_program(path, weights)) for path in tuned]) for weights in _WEIGHTS}
        print(f"BFGS: its best gamma is {gamma}", file=sys.stderr)
    return [row for name, path in paths.items() for row in _of_graph(name, path, gamma, cap_s, only)]


def _of_graph(name: str, path: Path, gamma: dict[str, float], cap_s: float, only: set[str]) -> Iterator[dict[str, Any]]:
    known = _known(path).get(name, {})
    done: dict[str, dict[str, Found]] = {}
    best = {
        "unit": (_number(known.get("omega_literature")), True),
        "node": (_number(known.get("max_weight_here(w=i mod 200+1)")), known.get("mwc_status") == "proved"),
    }
    for weights, (most, proved) in best.items():
        of = _program(path, weights)
        judge = judge_of(of)
        enough = most if proved and most else math.inf
        cap = cap_s if weights == "unit" else cap_s / 2
        judge.worth(np.eye(len(of), 2, dtype=np.bool_), _MOST_S)  # compiled
        for solver, turns in solvers(of, judge, gamma[weights], cap, enough).items():
            if not only or solver in only:
                done.setdefault(solver, {})[weights] = searched(turns, judge, cap, enough)
    for solver, by in done.items():
        run_us = 1e6 * sum(f.cpu_s for f in by.values()) / max(1, sum(f.starts for f in by.values()))
        row = {"name": f"{name} {solver}", "median_us": run_us, "p99_us": run_us, "ratio": None}
        row |= {weights: {"best_known": best[weights][0], **vars(found)} for weights, found in by.items()}
        print(row, file=sys.stderr, flush=True)
        yield row


def searched(turns: Iterator[Turn], judge: Judge, cap_s: float, enough: float) -> Found:
    """Turn by turn until enough starts have found as much as is ``enough``, or the cap. Sizes are 1 / (1 - q)."""
    f = Found()
    for turn in turns:
        f.failed = turn.failed
        if turn.failed:
            break
        sizes, cpu_s = turn.sizes(judge, _MOST_S)
        f.cpu_s += cpu_s
        if f.cpu_s > cap_s and f.starts:
            break
        f.starts += len(sizes)
        if sizes.max() > f.found:
            f.found, f.first_s, f.by = int(sizes.max()), f.cpu_s, turn.by
        hits = int((sizes >= enough).sum())
        f.hits += hits
        if hits:
            f.hits_by[turn.by] = f.hits_by.get(turn.by, 0) + hits
        f.found_polished = max(f.found_polished, f.found, turn.polished(judge, sizes))
        if f.hits >= (_ENOUGH if turn.drawn else 1) or f.cpu_s > cap_s:
            break
    return f


def _program(path: Path, weights: str) -> Program:
    parameters = NetworkParameters.model_validate({"graph": path, "weights": weights})
    return program(parameters, np.random.default_rng(0))


def _known(path: Path) -> dict[str, dict[str, str]]:
    """Rows of optima.csv by graph; empty where there is none."""
    table = path.parent.parent / "optima.csv"
    if not table.is_file():
        return {}
    with table.open() as file:
        return {row["graph"]: row for row in csv.DictReader(file)}


def _number(text: str | None) -> float | None:
    return float(text) if text else None
