"""`prbm.anneal`: ground states by annealing on the table (arXiv 2508.20472): lattices, Max-Cut, graph partitioning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from labctl.client import Bench, Figure, Recorder
from protocols.graphs import read_graph
from protocols.prbm.ising.anneal_pictures import draw_annealing
from protocols.prbm.ising.problems import Problem
from protocols.prbm.ising.spin_machine import SpinMachine, torus
from protocols.prbm.light.readout import SamplingParameters
from protocols.prbm.light.sampling import sampler_on
from protocols.prbm.light.table import TABLE_ROLES


class AnnealParameters(SamplingParameters):
    """Which problem, and how slowly."""

    problem: Literal["ground-state", "max-cut", "partition"] = Field(
        "ground-state", description="of the couplings; most weight cut; least weight cut between halves"
    )
    L: int | None = Field(None, ge=2, le=128, description="side of the periodic square lattice, without a graph (10)")
    graph: Path | None = Field(None, description="graph file: couplings and fields, or weights of edges")
    T: tuple[float, float] | None = Field(
        None, description="first and last temperature; null: from the largest local field to a hundredth of it"
    )
    iterations: int = Field(100, ge=1, le=10**6, description="sweeps")
    chains: int = Field(16, ge=1, le=10000, description="independent annealings side by side")
    best: float | None = Field(None, description="best known value; null: found by arithmetic")

    @model_validator(mode="after")
    def _fit(self) -> AnnealParameters:
        if self.graph is not None and self.L is not None:
            raise ValueError("L and graph: give one of them")
        if self.T is not None and not (math.isfinite(self.T[0]) and self.T[0] >= self.T[1] > 0):
            raise ValueError(f"T={self.T}: the first temperature must be at least the last, both positive")
        return self


class Anneal(Figure):
    """The best state of many annealings beside the best known.

    Values: `best` (energy, or weight cut), `best_known` and `known_by`, `success` (fraction of chains that reach it),
    `found` (chains,), `state` (+-1 by node) and `names`, `temperatures`, `iterations`; r, slope and rms of fields.
    """

    Parameters = AnnealParameters
    keeps_table = True
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def bench_overrides(self, parameters: AnnealParameters) -> Mapping[str, object]:
        """noise=off asks for the ideal table."""
        return parameters.overrides

    def targets(self, parameters: AnnealParameters) -> dict[str, dict[str, float]] | None:
        """The lattice's ground state is found."""
        return {"success": {"min": 0.05}} if parameters == AnnealParameters(L=parameters.L) else None

    def prepare(self, parameters: AnnealParameters, record: Recorder) -> None:
        """Read the graph, look for the best value by arithmetic."""
        p = parameters
        self.problem = Problem.of(p.problem, read_graph(p.graph) if p.graph else torus(p.L or 10))
        if p.best is not None:
            self.best_known, self.known_by = p.best, "given"
        elif p.graph is None and p.problem == "ground-state":
            self.best_known, self.known_by = -2.0 * len(self.problem.graph), "exact: all spins alike"
        else:
            self.best_known, self.known_by = self.problem.reference(record.seed)
        record.console.done(f"best known: {self.best_known:g} ({self.known_by})")

    def run(self, bench: Bench, parameters: AnnealParameters, record: Recorder) -> dict[str, Any]:
        """Cool, and keep the best state that each chain passed through."""
        p, rng, problem = parameters, record.rng, self.problem
        machine = SpinMachine(problem.machine, np.ones(1), p.chains)
        self.schedule = np.geomspace(*(p.T or (machine.quantum / 2, machine.quantum / 200)), p.iterations)
        spins = machine.start(False, rng)
        best_spins = spins[0].copy()
        sampler = sampler_on(bench, machine.layers, machine.temperature, p)
        if record.resumed is not None:
            spins[:], best_spins[:] = record.resumed["spins"], record.resumed["best_spins"]
            sampler.restore(record)
        for step in record.steps(p.iterations, f"annealing {len(problem.graph)} spins in {p.chains} chains"):
            sampler.temperature = machine.set_temperatures(self.schedule[step.index : step.index + 1])
            machine.sweep(sampler, spins, rng)
            values, before = problem.value(spins[0]), problem.value(best_spins)
            improved = np.isnan(before) | (values > before if problem.largest else values < before)
            best_spins[improved] = spins[0][improved]
            step.save(temperature=self.schedule[step.index], value=values)
            if record.checkpoint_due:
                record.checkpoint(spins=spins, best_spins=best_spins, **sampler.state())
                step.note(f"T = {self.schedule[step.index]:.3g}, best {problem.better(problem.value(best_spins)):g}")
        self.best_spins = best_spins
        fields = sampler.agreement
        return {"r": fields.r, "slope": fields.slope, "rms": fields.rms}

    def conclude(self, results: dict[str, Any], parameters: AnnealParameters, record: Recorder) -> dict[str, Any]:
        """Compare and draw."""
        p, problem = parameters, self.problem
        found = problem.value(self.best_spins)
        best = problem.better(found)
        state = self.best_spins[int(np.nanargmax(found) if problem.largest else np.nanargmin(found))]
        success = float(problem.as_good(found, self.best_known).mean())
        course: NDArray[np.float64] | None = record.series("value")
        assert course is not None
        picture = record.picture("annealing")
        draw_annealing(picture, problem, p.graph is None, self.schedule, course, self.best_known, state)
        what = {"ground-state": "energy", "max-cut": "cut", "partition": "cut between halves"}[p.problem]
        record.console.done(
            f"{what} {best:g}, best known {self.best_known:g} ({self.known_by}); reached by {success:.0%} of {p.chains}"
        )
        record.console.say(f"picture: {picture}")
        return {
            "problem": p.problem,
            "best": best,
            "best_known": self.best_known,
            "known_by": self.known_by,
            "success": success,
            "found": found,
            "state": state.astype(np.int64),
            "names": list(problem.graph.names),
            "temperatures": [float(self.schedule[0]), float(self.schedule[-1])],
            "iterations": p.iterations,
            "chains": p.chains,
            "sampler": p.sampler,
            **results,
        }
