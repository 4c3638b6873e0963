"""DIMACS graphs: the largest clique that DOMINO's starts find, and the subnetwork of most weight.

Two programs of each graph: `unit`, where the optimum is 1 - 1/omega (Motzkin and Straus), and `node`, the clique of
most node weight (`n i w`). Starts are drawn by turns of several kinds, fifty of each, until the cap: those of
`domino.solve` that begin spread, the same with a decay at first, and those confined to common neighbours of one, two
and three drawn nodes. What is told is what starts reached by themselves, and beside it what a local search made of the
best start of each turn.

`LABCTL_BENCH_GRAPHS` is the folder; `optima.csv` in the folder above tells the best that is known.
"""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.domino.problem.program import NetworkParameters, program
from protocols.domino.solve.confined import ConfinedLoop
from protocols.domino.solve.ideal import IdealLoop
from protocols.domino.solve.judging import judge_of

Array = NDArray[np.float64]

AT_A_TIME = 50
_MOST_S = 0.1
"""Of the exact search on one support that is no clique."""


def measured(path: Path, cap_s: float) -> dict[str, Any]:
    """A row of one graph, both programs, half the cap for the second; processor time."""
    name = path.name.removesuffix(".clq.gz")
    known = _known(path).get(name, {})
    unit = _searched(path, "unit", cap_s, _number(known.get("omega_literature")))
    node = _searched(path, "node", cap_s / 2, _number(known.get("max_weight_here(w=i mod 200+1)")))
    row = {
        "name": name,
        "median_us": unit["run_us"],
        "p99_us": unit["run_us"],
        "ratio": None,
        "unit": unit,
        "node": node,
    }
    print(row, file=sys.stderr, flush=True)
    return row


def _searched(path: Path, weights: str, cap_s: float, best_known: float | None) -> dict[str, Any]:
    """Until the best known is reached three times, or the cap. Sizes are 1 / (1 - q) in both programs."""
    of = program(NetworkParameters.model_validate({"graph": path, "weights": weights}), np.random.default_rng(0))
    judge, rng = judge_of(of), np.random.default_rng(0)

    def loop(A: Array) -> IdealLoop:
        return IdealLoop.of(A, 0.5, None, 4.0, 0.0, 2.0)

    kinds: dict[str, IdealLoop | ConfinedLoop] = {
        "spread": IdealLoop.of(judge.A, 0.5, None, 4.0, 0.0, 8.0),
        "decay": IdealLoop.of(judge.A, 0.5, None, 4.0, 0.0, 8.0, 4.0),
        **{f"pins-{k}": ConfinedLoop(judge.A, k, loop) for k in (1, 2, 3)},
    }
    kinds["spread"].warm_up()
    best, polished, first_s, by, cpu_s = 0, 0, 0.0, "", 0.0
    drawn: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    while cpu_s < cap_s and sum(hits.values()) < 3:
        name = min(kinds, key=lambda kind: drawn[kind])
        batch = kinds[name].run(AT_A_TIME, rng)
        begun_s = time.process_time()
        sizes = np.round(1 / (1 - judge.worth(batch.supports, _MOST_S).q)).astype(int)
        cpu_s += batch.cpu_s + time.process_time() - begun_s
        drawn[name] += AT_A_TIME
        if sizes.max() > best:
            best, first_s, by = int(sizes.max()), cpu_s, name
        hits[name] += int((sizes >= (best_known or np.inf)).sum())
        end = judge.polished(batch.supports[:, [int(sizes.argmax())]])[0]
        polished = max(polished, best, round(1 / (1 - end)))
    return {
        "best_known": best_known,
        "found": best,
        "found_polished": polished,
        "first_s": first_s,
        "by": by,
        "cpu_s": cpu_s,
        "starts": dict(drawn),
        "hits": dict(hits),
        "run_us": cpu_s / sum(drawn.values()) * 1e6,
    }


def _known(path: Path) -> dict[str, dict[str, str]]:
    """Rows of optima.csv by graph; empty where there is none."""
    table = path.parent.parent / "optima.csv"
    if not table.is_file():
        return {}
    with table.open() as file:
        return {row["graph"]: row for row in csv.DictReader(file)}


def _number(text: str | None) -> float | None:
    return float(text) if text else None
