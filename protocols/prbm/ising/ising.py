"""`prbm.ising`: the Ising model by photonic Gibbs sampling with sparse encoding (arXiv 2508.20472, Sec. III).

mode=paper is the paper's experiment: 20 samples of 10 iterations from random starts at each temperature, whose C and
chi are those of frozen domains rather than of equilibrium where it is cold. mode=honest lets chains run on, discards
what remembers the start, and gives errors that have the correlation of samples in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, Figure, Recorder
from protocols.graphs import Graph, read_graph
from protocols.prbm.ising.binder import binder_crossing
from protocols.prbm.ising.chain_statistics import QUANTITIES, Averages, Kept, averages, equilibrium
from protocols.prbm.ising.parameters import TEMPERATURES, IsingParameters
from protocols.prbm.ising.pictures import draw_ising
from protocols.prbm.ising.spin_machine import SpinMachine, torus
from protocols.prbm.light.sampling import Agreement, ExactSampler, sampler_on
from protocols.prbm.light.table import TABLE_ROLES
from simulators.physics.ising import MAX_ENUMERATED_SPINS, enumerated, exact_averages, kaufman

FloatArray = NDArray[np.float64]


class Ising(Figure):
    """E, m, C, chi and U4 against temperature with standard errors, beside exact values where there are any.

    Values: lists by temperature `T`, `E` (per spin), `m` = <|M|>/N, `C` = var(E_total)/(N T^2), `chi` =
    N(<m^2> - <|m|>^2)/T, `U4` = 1 - <m^4>/(3 <m^2>^2), each with `_err`; with `_exact` where known: E and C of the
    lattice (Kaufman), everything of up to 24 spins. `tau` (samples), `burn_in` (samples discarded), `independent`
    (samples), `equilibrated`. For several L these are lists of lists, one for each L, and `T_c`, `T_c_err` is where
    U4 of the smallest and largest cross. r, slope and rms of local fields. `deviation`: largest |E - E_exact| in
    standard errors.
    """

    Parameters = IsingParameters
    keeps_table = True
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def bench_overrides(self, parameters: IsingParameters) -> Mapping[str, object]:
        """noise=off asks for the ideal table."""
        return parameters.overrides

    def targets(self, parameters: IsingParameters) -> dict[str, dict[str, float]] | None:
        """Energies as exact ones, and the crossing of several sizes at Onsager's temperature, of runs long enough."""
        p = parameters
        usual = IsingParameters(L=p.L, T=p.T, samples=p.samples, iterations=p.iterations, chains=p.chains)
        chains, samples, _ = p.plan
        if p != usual or 2 in p.L or chains < 4 or samples < 400:
            return None
        # 14 temperatures within 4 standard errors: false alarm 1e-3.
        bounds = {"deviation": {"max": 4.0}}
        # With fewer samples the crossing is not known to 0.05, and smaller lattices cross elsewhere.
        if len(p.L) > 1 and min(p.L) >= 8 and samples >= 2000 and p.T == TEMPERATURES:
            bounds["T_c"] = {"min": 2.22, "max": 2.32}
        return bounds

    def prepare(self, parameters: IsingParameters, record: Recorder) -> None:
        """Read the graph and find exact values."""
        p = parameters
        self.graphs: dict[int, Graph] = {0: read_graph(p.graph)} if p.graph else {side: torus(side) for side in p.L}
        self.exact = {key: _exact(key, graph, p.T) for key, graph in self.graphs.items()}

    def run(self, bench: Bench, parameters: IsingParameters, record: Recorder) -> dict[str, Any]:
        """Sample every size, one after the other."""
        fields = Agreement()
        if record.resumed is not None:
            fields.state = record.resumed["agreement"]
        for key, graph in self.graphs.items():
            machine = SpinMachine(graph, np.array(parameters.T), parameters.plan[0])
            _sample(bench, machine, key, parameters, record, fields)
        return {"r": fields.r, "slope": fields.slope, "rms": fields.rms}

    def conclude(self, results: dict[str, Any], parameters: IsingParameters, record: Recorder) -> dict[str, Any]:
        """Averages with their errors, the crossing, the picture."""
        p = parameters
        sizes, energy, total = (record.series(name) for name in ("size", "energy", "magnetisation"))
        assert sizes is not None
        assert energy is not None
        assert total is not None
        found = {key: _averaged(g, energy[sizes == key], total[sizes == key], p) for key, g in self.graphs.items()}
        values: dict[str, Any] = {"L": list(p.L) if p.graph is None else None, "T": list(p.T), "mode": p.mode}
        for name in (*QUANTITIES, *(f"{q}_err" for q in QUANTITIES), "tau", "first", "independent", "long_enough"):
            told = {"first": "burn_in", "long_enough": "equilibrated"}.get(name, name)
            values[told] = _one_or_all([[getattr(a, name) for a in found[key]] for key in self.graphs])
        for q in QUANTITIES:
            exact = [[e.get(q) for e in self.exact[key]] for key in self.graphs]
            if all(x is not None for row in exact for x in row):
                values[f"{q}_exact"] = _one_or_all(exact)
        off = [
            abs(a.E - e["E"]) / a.E_err
            for key in self.graphs
            for a, e in zip(found[key], self.exact[key], strict=True)
            if "E" in e
        ]
        if off:
            values["deviation"] = float(np.max(off))  # unknown where one is
        if p.graph is None and len(p.L) > 1:
            U4 = {k: (np.array([a.U4 for a in found[k]]), np.array([a.U4_err for a in found[k]])) for k in self.graphs}
            crossing = binder_crossing(np.array(p.T), U4, record.seed)
            if crossing is not None:
                values |= {"T_c": crossing.T_c, "T_c_err": crossing.T_c_err, "crossings": crossing.pairs}
        spins = {key: record.saved(f"spins-{key}") for key in self.graphs}
        picture = record.picture("ising")
        draw_ising(picture, p, found, self.exact, spins, values)
        _tell(record, values)
        record.console.say(f"picture: {picture}")
        return {**values, **results, "sampler": p.sampler}


def _sample(
    bench: Bench, machine: SpinMachine, key: int, p: IsingParameters, record: Recorder, fields: Agreement
) -> None:
    """One size: energies and magnetisations (temperatures, chains) of each sample into the run file."""
    _, samples, sweeps = p.plan
    ordered = (p.start or ("ordered" if p.mode == "honest" and p.graph is None else "random")) == "ordered"
    spins = machine.start(ordered, record.rng)
    sampler: ExactSampler | None = None
    name = f"{key} x {key} lattice" if key else f"{len(machine.graph)} spins"
    for step in record.steps(samples, f"{name} by {'light' if p.sampler == 'photonic' else 'arithmetic'}"):
        if sampler is None:
            sampler = sampler_on(bench, machine.layers, machine.temperature, p)
            sampler.agreement = fields
            if record.resumed is not None and step.index > 0:
                spins[:] = record.resumed["spins"]
                sampler.restore(record)
                record.thaw_table()  # which was set up anew here
        elif step.index % p.refresh == 0:
            sampler.refresh()
        for _ in range(sweeps):
            machine.sweep(sampler, spins, record.rng)
        energy = machine.energy(spins)
        step.save(size=key, energy=energy, magnetisation=spins.sum(axis=2, dtype=np.int64))
        if record.checkpoint_due:
            record.checkpoint(spins=spins, **sampler.state())
            step.note(f"r = {fields.r:.4f}")
    if sampler is not None:
        record.save(f"spins-{key}", spins[:, 0])
        record.checkpoint(agreement=fields.state)  # the next size begins anew


def _averaged(graph: Graph, energy: FloatArray, total: NDArray[np.int64], p: IsingParameters) -> list[Averages]:
    """By temperature, from (samples, temperatures, chains)."""
    quantum = SpinMachine(graph, np.ones(1), 1).quantum
    found = []
    for k, temperature in enumerate(p.T):
        e, m = energy[:, k], np.abs(total[:, k]).astype(np.float64)
        if p.mode == "paper":
            e, m, kept = e[-1:], m[-1:], Kept(0, 0.5, False)  # nobody knows that it is equilibrium
        else:
            kept = equilibrium([e, m])
        found.append(averages(e, m, len(graph), temperature, quantum, kept))
    return found


def _exact(side: int, graph: Graph, temperatures: tuple[float, ...]) -> list[dict[str, float]]:
    """What is known of a machine, by temperature. side: of the lattice; 0 for other graphs."""
    if len(graph) <= MAX_ENUMERATED_SPINS:
        states = enumerated(graph.edges, graph.weights, graph.node_weights)
        return [exact_averages(*states, len(graph), t) for t in temperatures]
    if not side:
        return [{} for _ in temperatures]
    return [dict(zip(("E", "C"), kaufman(side, t), strict=True)) for t in temperatures]


def _one_or_all(rows: list[Any]) -> Any:
    return rows[0] if len(rows) == 1 else rows


def _tell(record: Recorder, values: dict[str, Any]) -> None:
    words = []
    if "deviation" in values:
        words.append(f"E within {values['deviation']:.1f} standard errors of exact")
    if "T_c" in values:
        words.append(f"U4 cross at T = {values['T_c']:.3f} ± {values['T_c_err']:.3f} (Onsager 2.269)")
    if values["mode"] == "honest" and not np.all(values["equilibrated"]):
        words.append("some chains are too short for their autocorrelation time: see `equilibrated`")
    record.console.done("; ".join(words) or "sampled")
