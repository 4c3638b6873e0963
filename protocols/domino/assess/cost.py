"""`domino.cost`: time and energy of a solution, of tables by their modes, and of this processor."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, Recorder
from protocols.domino.arithmetic import Arithmetic, with_picture
from protocols.domino.assess.cost_model import MODES, Run, counted_j, spent, starts_for, unit_by_mass_s
from protocols.domino.assess.cost_parameters import CostParameters
from protocols.domino.assess.cost_picture import draw_cost
from protocols.domino.ideal import AT_ONCE, IdealLoop, best_known, largest_eigenvalue
from protocols.domino.problem.networks import clique_network
from protocols.domino.solve.solve import SAME
from simulators.physics.domino.locked_flow import stages_for
from simulators.physics.domino.support_values import worth

Array = NDArray[np.float64]


class Cost(Arithmetic):
    """What a solution costs: networks are solved by the equations alone, and what that took is priced.

    Measured, by `nodes`: `success` per start (mean over networks), `starts_needed` for the confidence (median over
    networks, null where most are never solved), `unsolved` networks; `cpu_start_s` with read-out, `cpu_s` and `cpu_j`
    of a solution on this processor, `exact_s` in which the exact search proves the optimum (median; `unproved`
    networks at the limit). Priced, by mode and nodes: `start_s`, `solution_s`, `light_j` of the pump and `electric_j`;
    `slower`, solution_s / cpu_s; `hungrier`, electric_j / cpu_j. `counted_j`: of an electronic solver that spends
    energy on links alone. `windows`, `steps` of a start; `unit_s` of time, and `unit_by_mass_s` as Supp. D has it.
    `assumptions` has all that this stands on.
    """

    Parameters = CostParameters

    def run(self, bench: Bench, parameters: CostParameters, record: Recorder) -> dict[str, Any]:
        """Solve networks, one in a step."""
        p = parameters
        for step in record.steps(len(p.nodes) * p.networks, "networks"):
            W = clique_network(p.nodes[step.index // p.networks], p.density, record.rng)
            step.save(**solved(W, p, record.rng))
            if record.checkpoint_due:
                record.checkpoint()
        return {}

    def conclude(self, results: dict[str, Any], parameters: CostParameters, record: Recorder) -> dict[str, Any]:
        """Price, tell and draw."""
        p = parameters
        kept = ("success", "start_s", "exact_s", "proved", "edges", "steps", "windows", "total")
        series = {name: np.asarray(record.series(name)).reshape(len(p.nodes), p.networks) for name in kept}
        values = priced(series, p)
        for k, n in enumerate(p.nodes):
            if values["starts_needed"][k] is None:
                record.console.say(f"N = {n}: most networks were not solved by {p.starts} starts")
                continue
            here = [("this processor", values["cpu_s"][k], values["cpu_j"][k])]
            here += [(mode, values["solution_s"][mode][k], values["electric_j"][mode][k]) for mode in MODES]
            told = ", ".join(f"{who} {seconds:.2g} s, {joules:.2g} J" for who, seconds, joules in here)
            record.console.done(f"N = {n}, a solution: {told}")
        with_picture(record, "cost", lambda path: draw_cost(path, values))
        return values


def solved(W: Array, p: CostParameters, rng: np.random.Generator) -> dict[str, float]:
    """What one network took."""
    stages = stages_for(len(W), largest_eigenvalue(W), p.gamma, None, p.duration, p.read)
    loop = IdealLoop(W, stages, spread=p.spread)
    loop.warm_up()
    worth(W, np.eye(len(W), dtype=np.bool_)[:, :2])  # compiles
    batches, cpu_s = [], 0.0
    for first in range(0, p.starts, AT_ONCE):
        batch = loop.run(min(AT_ONCE, p.starts - first), rng)
        batches.append(batch.supports)
        cpu_s += batch.cpu_s
    begun_s = time.process_time()
    q = worth(W, np.hstack(batches), p.exact_s).q
    cpu_s += time.process_time() - begun_s
    begun_s = time.process_time()
    known = best_known(W, float(q.max()), None, p.exact_s)
    return {
        "success": float((q >= known.q * (1 - SAME)).mean()),
        "start_s": cpu_s / p.starts,
        "exact_s": time.process_time() - begun_s,
        "proved": float(known.proved),
        "edges": float(np.count_nonzero(np.triu(W))),
        "steps": float(sum(stage.steps for stage in stages)),
        "windows": float(sum(-(-stage.steps // stage.every) for stage in stages)),
        "total": sum(stage.steps * stage.h for stage in stages),
    }


def priced(series: dict[str, Array], p: CostParameters) -> dict[str, Any]:
    """Values from what networks took, series (sizes, networks); medians over networks of a size."""
    middle = {name: np.median(rows, axis=1) for name, rows in series.items()}
    needed = np.median([[starts_for(s, p.confidence) for s in row] for row in series["success"]], axis=1)
    runs = [
        Run(float(t), round(float(s)), round(float(w)))
        for t, s, w in zip(middle["total"], middle["steps"], middle["windows"], strict=True)
    ]
    cpu_s = needed * middle["start_s"]
    hardware = p.hardware
    by_mode = {
        mode: [asdict(spent(mode, n, run, float(k), hardware)) for n, run, k in zip(p.nodes, runs, needed, strict=True)]
        for mode in MODES
    }
    values: dict[str, Any] = {
        "nodes": list(p.nodes),
        "success": series["success"].mean(axis=1).tolist(),
        "starts_needed": _told(needed),
        "unsolved": (series["success"] == 0).sum(axis=1).tolist(),
        "cpu_start_s": middle["start_s"].tolist(),
        "cpu_s": _told(cpu_s),
        "cpu_j": _told(p.cpu_w * cpu_s),
        "exact_s": middle["exact_s"].tolist(),
        "unproved": (series["proved"] == 0).sum(axis=1).tolist(),
        "steps": [run.steps for run in runs],
        "windows": [run.windows for run in runs],
        "unit_s": hardware.unit_s,
        "unit_by_mass_s": unit_by_mass_s(p.mass, p.length_m),
        "counted_j": _told(
            [
                counted_j(round(float(e)), run, float(k), p.operation_j)
                for e, run, k in zip(middle["edges"], runs, needed, strict=True)
            ]
        ),
    }
    for name in ("start_s", "solution_s", "light_j", "electric_j"):
        values[name] = {mode: _told([row[name] for row in rows]) for mode, rows in by_mode.items()}
    for name, of, cpu in (("slower", "solution_s", "cpu_s"), ("hungrier", "electric_j", "cpu_j")):
        values[name] = {mode: _ratios(values[of][mode], values[cpu]) for mode in MODES}
    values["assumptions"] = p.assumptions()
    return values


def _told(numbers: Any) -> list[float | None]:
    """Null for what never ends."""
    return [float(x) if math.isfinite(x) else None for x in numbers]


def _ratios(ours: list[float | None], cpu: list[float | None]) -> list[float | None]:
    return [None if a is None or b is None else a / b for a, b in zip(ours, cpu, strict=True)]
