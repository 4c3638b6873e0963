"""`domino.latency`: success on the table against how old measurements are, and how well phases are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from labctl.client import Bench, Figure, Parameters, Recorder
from protocols.domino.arithmetic import share_error, with_picture
from protocols.domino.ideal import best_known, largest_eigenvalue
from protocols.domino.problem.networks import clique_network
from protocols.domino.table.latency_picture import draw_latency
from protocols.domino.table.loop import run_through
from protocols.domino.table.modes import rig_for, set_up_light, stages_on, windows_of
from protocols.domino.table.solving import MOST_FLIPS
from simulators.physics.domino.locked_flow import flow, stages_for, starts
from simulators.physics.domino.support_values import worth

Array = NDArray[np.float64]

SAME = 1e-4
"""Relative difference of q within which a start has succeeded."""


class LatencyParameters(Parameters):
    """Which latencies and phases, on what network."""

    nodes: int = Field(10, ge=2, le=200)
    density: float = Field(0.5, gt=0, le=1, description="of links")
    starts: int = Field(30, ge=1, le=1000, description="of each point, the same for all")
    latency: tuple[int, ...] = Field((0, 1, 4, 16), description="frames by which a step's measurement is older")
    phase_rad: tuple[float, ...] = Field((0.0, 0.2, 0.35, 0.5), description="noise written on every node's phase (rms)")
    gamma: float = Field(0.5, ge=0, le=100, allow_inf_nan=False)
    duration: float = Field(4.0, gt=0, le=1e4, description="of a start, before it is read out")

    @field_validator("latency", "phase_rad")
    @classmethod
    def _not_negative(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 <= x <= 100 for x in value):
            raise ValueError("one or more numbers from 0 to 100, for example 0,1,2")
        return value


class Latency(Figure):
    """Success of the same starts at every latency and every noise of phases.

    The noise is written: each node's phase is turned at random in each frame, as if oscillators did not keep theirs; so
    it is known on a real table, too. Values, by latency and phase_rad: `success`, `success_err`, `unlocked` (starts
    that were told to be so, and have failed), `phase_rms_rad` as it was measured; `success_ideal` of the equations,
    `residual` of W psi, `mode` of the bench, `bench_s`.
    """

    Parameters = LatencyParameters
    bench = "domino-sim"
    roles = ("slm", "coupler", "camera", "pump", "reference", "sequencer")
    alignments = ("domino",)
    recovers_frames = True

    def prepare(self, parameters: LatencyParameters, record: Recorder) -> None:
        """The network and the starts."""
        p, rng = parameters, np.random.default_rng(record.seed)
        self.W = clique_network(p.nodes, p.density, rng)
        self.x = starts(p.nodes, p.starts, rng)
        self.stages = stages_for(p.nodes, largest_eigenvalue(self.W), p.gamma, duration=p.duration)
        self.ideal = worth(self.W, flow(self.W, self.x, self.stages).support(), 1.0).q

    def run(self, bench: Bench, parameters: LatencyParameters, record: Recorder) -> dict[str, Any]:
        """All points on a table that is set up once; every point is a step."""
        p = parameters
        rig = rig_for(bench, self.W)
        begun_s = bench.time_s()
        with rig.light():
            table, found = set_up_light(rig, self.W, np.random.default_rng([record.seed, 1]))
            window = found.values.get("window")
            stages = stages_on(self.stages, window, windows_of(self.stages, window))
            for step in record.steps(len(p.latency) * len(p.phase_rad), f"{p.starts} starts of each point"):
                latency = p.latency[step.index // len(p.phase_rad)]
                table.jitter_rad = p.phase_rad[step.index % len(p.phase_rad)]
                ended = run_through(self.x, stages, latency, table)
                q = worth(self.W, ended.support(MOST_FLIPS), 1.0).q
                step.save(q=q, unlocked=ended.unlocked, phase_rms=ended.phase_rms, lost=int(ended.lost.sum()))
                record.checkpoint()
        return {
            "mode": rig.plan.mode,
            "residual": found.residual,
            "frame_noise": found.noise,
            "bench_s": bench.time_s() - begun_s,
        }

    def conclude(self, results: dict[str, Any], parameters: LatencyParameters, record: Recorder) -> dict[str, Any]:
        """Success beside the best known; the picture."""
        p, shape = parameters, (len(parameters.latency), len(parameters.phase_rad))
        q, unlocked, phase = (np.asarray(record.series(name)) for name in ("q", "unlocked", "phase_rms"))
        best = best_known(self.W, float(max(q.max(), self.ideal.max())), None, 10.0).q * (1 - SAME)
        hits = (q >= best).sum(axis=1).reshape(shape)
        values: dict[str, Any] = {
            "latency": list(p.latency),
            "phase_rad": list(p.phase_rad),
            "success": (hits / p.starts).tolist(),
            "success_err": [[share_error(int(k), p.starts) for k in row] for row in hits],
            "success_ideal": float((self.ideal >= best).mean()),
            "unlocked": unlocked.sum(axis=1).reshape(shape).tolist(),
            "phase_rms_rad": np.sqrt((phase**2).mean(axis=1)).reshape(shape).tolist(),
            "starts": p.starts,
            "nodes": p.nodes,
            **results,
        }
        record.console.done(
            f"success {hits.min() / p.starts:.2f} to {hits.max() / p.starts:.2f}, by the equations "
            f"{values['success_ideal']:.2f}"
        )
        with_picture(record, "latency", lambda path: draw_latency(path, values))
        return values
