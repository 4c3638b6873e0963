"""`domino.solve`: the dominant subnetwork, by fields that are locked again and again (arXiv 2405.17296, Eqs 4 to 6)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.domino.arithmetic import Arithmetic, share_error, with_picture
from protocols.domino.ideal import AT_ONCE, IdealLoop, weight_unit
from protocols.domino.problem.program import NetworkParameters, program
from protocols.domino.solve.confined import ConfinedLoop
from protocols.domino.solve.judging import judge_of
from protocols.domino.solve.solve_picture import draw_solve
from protocols.domino.table.solving import Wanted, compared, refuse_on_table, run_on_table, told
from protocols.domino.table.table_picture import draw_table
from simulators.physics.domino.equation import loss

SAME = 1e-4
"""Relative difference of q within which a start has succeeded."""


class SolveParameters(NetworkParameters):
    """Which network, how, and how often."""

    loop: Literal["ideal", "table"] = Field("ideal", description="the equations alone, or light on the bench's table")
    latency: int = Field(1, ge=0, le=100, description="loop=table: frames by which a step's measurement is older")
    phase_rad: float = Field(
        0.0, ge=0, le=3, description="loop=table: noise written on every node's phase, another in each frame (rms)"
    )
    starts: int = Field(100, ge=1, le=10**6)
    gamma: float = Field(0.5, ge=0, le=100, allow_inf_nan=False, description="gain of the total field, in weight_unit")
    gamma_end: float | None = Field(
        None,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="gain at which starts are read out; it goes there evenly from gamma. null: gamma",
    )
    tau: float | None = Field(
        None, gt=0, le=10, description="time between locks; null: 0.1 up to N = 50, 5/N up to 100, 1.25/N from 200"
    )
    duration: float = Field(10.0, gt=0, le=1e4, description="of a start, before it is read out, in 1/weight_unit")
    eta: float = Field(0.0, ge=0, le=1, description="couplings vary by so much, anew between any two locks")
    spread: float = Field(1.0, gt=0, le=1000, description="starts are U[0, 1]^spread: larger ones end more differently")
    pins: int = Field(
        0, ge=0, le=20, description="starts are confined to common neighbours of so many nodes, which are drawn"
    )
    decay: float = Field(
        0.0, ge=0, le=1000, description="of each field by itself, -decay ψ, at first; falls to 0 within the duration"
    )
    best: float | None = Field(None, gt=0, description="q that counts as success; null: found by exact search")
    exact_s: float = Field(10.0, ge=0, le=1e6, description="time limit of the exact search (s)")


class Solve(Arithmetic):
    """The dominant subnetwork of a network, and how often it is found.

    Values: `nodes`, `edges`; `q`, problem (1) solved exactly on the best support found, `support` (0-based nodes with a
    share), `names` and `shares` of it, `is_clique`, `weight` (of all its links; weights=node: of its nodes), `loss`
    (Eq. 4 at the optimum, with the gain of the end); `success`, the share of starts whose support has q within 1e-4 of
    the best known, `success_err`, and `success_polished` with a local search from each support; `solved`, 1 if any
    start succeeded;
    `q_best` the best known, `best_support` if the search found it, and its `certificate` (by whom, proved or not, time
    limit); `ratios`, q / q_best by start; `unfinished`, starts whose support is no clique and took too long to search
    (their q is a lower bound); `runs_per_s` on one core. `program` tells what was solved.

    `weight_unit`, in which gamma (also of the loss) and decay count, and times by its inverse: 1 where the largest
    weight is above 1/2, and 1 at most, else the power of two that makes it so.

    loop=table: the same of starts whose W psi and total field are those of light. Besides, `mode` of the bench,
    `bench_s` that it took, `latency_frames`, `lost_frames`; `unlocked`, starts whose light was not what was written,
    which have failed; `phase_rms_rad`, `residual` and `frame_noise` of measured W psi, by its rms; `success_ideal` of
    the same starts by the equations, `success_errorless` by the table's own steps with light without errors, `short_by`
    what is lacking, and `why`, by what was measured. Mode "shot": `window`, for which couplings act in a frame. Mode
    "injection": `drive_w`, `density_bias` (of |psi|, by the drive), `lag_rad` (largest, by detuning). Both:
    `added_by_couplings`, by the light of condensates, or by what the drive holds their phases by.
    """

    Parameters = SolveParameters
    bench = "domino-sim"

    def targets(self, parameters: SolveParameters) -> dict[str, dict[str, float]] | None:
        """Best of 100 starts is the optimum; a hundred runs a second, and more."""
        return {"solved": {"min": 1.0}, "runs_per_s": {"min": 100.0}} if parameters == SolveParameters() else None

    def prepare(self, parameters: SolveParameters, record: Recorder) -> None:
        """Read or draw the network."""
        p = parameters
        self.program = program(p, np.random.default_rng(record.seed))
        if p.tau is not None and p.tau * len(self.program) > 50:
            raise ConfigurationError(
                f"tau={p.tau:g} for {len(self.program)} nodes: fields run away between locks; allowed: up to 50/N = "
                f"{50 / len(self.program):g}, advised: 5/N"
            )
        if p.loop == "table":
            refuse_on_table(p)
        self.judge = judge_of(self.program)

        def loop(A: NDArray[np.float64]) -> IdealLoop:
            return IdealLoop.of(A, p.gamma, p.tau, p.duration, p.eta, p.spread, p.decay, p.gamma_end)

        self.unit = weight_unit(self.judge.A)
        self.A = self.judge.A / self.unit
        self.ideal = ConfinedLoop(self.A, p.pins, loop) if p.pins else loop(self.A)
        record.console.done(f"{self.program.origin}: {len(self.program)} nodes, {self.program.edges} links")

    def run(self, bench: Bench, parameters: SolveParameters, record: Recorder) -> dict[str, Any]:
        """Run the starts, some at a time."""
        p, n = parameters, len(self.program)
        self.ideal.warm_up()
        if p.loop == "table":
            return self._run_on_table(bench, p, record)
        supports, begun, cpu_s = np.zeros((n, 0), np.bool_), np.zeros((n, 0)), 0.0
        if record.resumed is not None:
            supports, begun = record.resumed["supports"], record.resumed["begun"]
            cpu_s = float(record.resumed["cpu_s"])
        for step in record.steps(-(-p.starts // AT_ONCE), f"{p.starts} starts"):
            batch = self.ideal.run(min(AT_ONCE, p.starts - step.index * AT_ONCE), record.rng)
            supports, begun = np.hstack([supports, batch.supports]), np.hstack([begun, batch.begun])
            cpu_s += batch.cpu_s
            step.save(total=float(batch.x.sum(axis=0).mean()), size=float(batch.supports.sum(axis=0).mean()))
            if record.checkpoint_due:
                record.checkpoint(supports=supports, begun=begun, cpu_s=cpu_s)
        self.supports, self.begun = supports, begun
        return {"runs_per_s": p.starts / cpu_s}

    def _run_on_table(self, bench: Bench, p: SolveParameters, record: Recorder) -> dict[str, Any]:
        assert isinstance(self.ideal, IdealLoop)
        wanted = Wanted(p.starts, p.spread, p.latency, p.phase_rad)
        self.table = run_on_table(bench, self.A, self.ideal.stages, wanted, record, "domino.solve")
        self.supports, self.begun = self.table.supports, self.table.begun
        bench_s = self.table.values["bench_s"]
        return {"runs_per_s": p.starts / max(bench_s, 1e-9), "bench_s": bench_s}

    def conclude(self, results: dict[str, Any], parameters: SolveParameters, record: Recorder) -> dict[str, Any]:
        """What supports are worth, beside the best known; the picture."""
        p, W, judge = parameters, self.program.W, self.judge
        found = judge.worth(self.supports, p.exact_s / 50)
        ends = np.maximum(found.q, judge.polished(self.supports))
        others = () if p.loop == "ideal" else (self.table.errorless, self.table.ideal)
        beside = [judge.worth(supports, p.exact_s / 50).q for supports in others]
        known = judge.best_known(float(max(q.max() for q in (found.q, ends, *beside))), p.best, p.exact_s)
        first = int(found.q.argmax())
        optimum = judge.best_on(np.flatnonzero(self.supports[:, first]), max(p.exact_s, 1.0))
        support = optimum.support
        inside = W[np.ix_(support, support)]
        gamma_end = p.gamma if p.gamma_end is None else p.gamma_end
        gamma = gamma_end * self.unit
        field = np.sqrt(gamma + optimum.q) * optimum.x
        hits, after = (int((q >= known.q * (1 - SAME)).sum()) for q in (found.q, ends))
        values: dict[str, Any] = {
            "nodes": len(W),
            "edges": self.program.edges,
            "q": optimum.q,
            "support": support.tolist(),
            "names": self.program.named(support),
            "shares": optimum.x[support],
            "is_clique": bool(len(support) > 0 and np.all(inside + np.eye(len(support)) > 0)),
            "weight": judge.weight(support),
            "loss": float(loss(field.astype(np.complex128), judge.A, gamma)),
            "success": hits / p.starts,
            "success_err": share_error(hits, p.starts),
            "success_polished": after / p.starts,
            "solved": float(hits > 0),
            "q_best": known.q,
            "best_support": None if known.support is None else known.support.tolist(),
            "certificate": {"by": known.by, "proved": known.proved, "limit_s": known.limit_s},
            "ratios": found.q / known.q,
            "unfinished": int((~found.exact).sum()),
            **results,
            "starts": p.starts,
            "gamma": p.gamma,
            "gamma_end": gamma_end,
            "weight_unit": self.unit,
            "tau": self.ideal.tau,
            "pins": p.pins,
            "loop": p.loop,
            "program": self.program.solves,
            "origin": self.program.origin,
        }
        if beside:
            values |= compared(self.table, *(q >= known.q * (1 - SAME) for q in (found.q, *beside)))
            values["ratios_ideal"] = beside[-1] / known.q
        proved = "proved" if known.proved else "not proved"
        record.console.done(
            f"q = {optimum.q:.6g} on {len(support)} nodes; best known {known.q:.6g} ({known.by}, {proved}), reached by "
            f"{hits} of {p.starts} starts, {after} with a local search; {results['runs_per_s']:.0f} runs/s"
        )
        if beside:
            record.console.done(told(values))
            with_picture(record, "table", lambda path: draw_table(path, self.table, values))
        with_picture(record, "solve", lambda path: self._draw(path, first, values, record))
        return values

    def _draw(self, path: Any, first: int, values: dict[str, Any], record: Recorder) -> None:
        if values["loop"] == "table":
            times, course = self.table.course(record, first)
        else:
            times, course = self.ideal.course(self.begun[:, first])
        draw_solve(path, self.program, times, course, values)
