"""`prbm.cost`: time and energy of a sample by light, by this processor, and by light as it may become.

The paper projects 200 tera-operations per second for 10^5 spins and gigahertz modulators (arXiv 2508.20472,
Discussion). That is 2 n^2 operations in n patterns of 1 ns. What it leaves out is measured or worked out here: the time
to draw spins, and the light that so short patterns need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from labctl.client import Bench, Figure, Recorder
from protocols.prbm.assess.cost_model import (
    SCHEMES,
    Machine,
    TableTiming,
    axial_share,
    crossing,
    operations,
    photon_j,
    project,
)
from protocols.prbm.assess.cost_parameters import CostParameters
from protocols.prbm.assess.cost_picture import draw
from protocols.prbm.assess.cpu_speed import HalfSweepTime, measure_electronics, measure_half_sweeps
from protocols.prbm.assess.local_fields import Case
from protocols.prbm.assess.prediction import patterns_of
from protocols.prbm.assess.slit_detector import slit_detector
from protocols.prbm.assess.watched import WatchedBench, WatchedSequencer
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import Measurement
from protocols.prbm.light.sampling import PhotonicSampler
from protocols.prbm.light.table import TABLE_ROLES, table_on
from protocols.prbm.light.tap import PowerTap

PUBLISHED_OPERATIONS_PER_S = 2e14


class Cost(Figure):
    """What a sample costs.

    Values, of today's table: `bench_s` per sample with `split` by cause (settling, exposure, readout, rest) and
    `accounted`, the part that settings explain; `setup_s` before the first sample; `patterns`; `operations` per sample,
    `table_operations_per_s`; `electric_j`, `light_j` (counted at the detector) and `source_j` (optical, by the tap) per
    sample, `table_j_per_operation`; while it exposes, `detected_share` of the source's light is counted, of which
    `axial_share` is the encoding's and `light_efficiency` the rest: unlit bands, beam beyond the strip, slit, losses.
    Of this processor: `cpu` (rows for half sweeps of each size), `cpu_s` for the same sample of one chain,
    `cpu_batch_s` for each of a batch, `cpu_operations_per_s` and `cpu_batch_operations_per_s` (products alone),
    `cpu_electric_j`, `cpu_j_per_operation`; by `slower_than_cpu`, `slower_than_cpu_batch` and `more_energy_than_cpu`
    the table differs from it.
    To come: `projection` (rows for half sweeps by n and scheme), `projected_operations_per_s` at `largest` spins by
    modulators alone, `..._drawn` with electronics, `..._with_source` with light enough; `projected_launched_w` that
    the modulators' speed needs, `projected_bits` of the detector, `projected_j_per_operation`; `crossings`, numbers
    of spins where two costs are equal. `assumptions` has all that this stands on.
    """

    Parameters = CostParameters
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def targets(self, parameters: CostParameters) -> dict[str, dict[str, float]] | None:
        """The bench time is understood, and what was timed were samples of the machine."""
        if parameters != CostParameters():
            return None
        return {"accounted": {"min": 0.99, "max": 1.01}, "r": {"min": 0.99}}

    def run(self, bench: Bench, parameters: CostParameters, record: Recorder) -> dict[str, Any]:
        """Draw samples by light."""
        p = parameters
        integration_s = None if p.readout == "camera" else float(slit_detector(bench).integration_s)
        rbm = Case.random(p.N, p.sd, None, 0).rbm
        layers = rbm_layers(rbm)
        begun_s = bench.time_s()
        watched: Any = WatchedBench(bench)
        table: Any = table_on(watched, layers, p)
        sampler: Any = PhotonicSampler(table, layers, 1.0)
        v = record.rng.choice(np.array([-1, 1], np.int8), p.N)
        for _ in range(2):  # exposures settle
            v = sampler.sample("visible", sampler.sample("hidden", v, record.rng), record.rng)
        setup_s = bench.time_s() - begun_s
        tap = PowerTap(bench)
        for step in record.steps(p.samples, "sampling"):
            v = record.rng.choice(np.array([-1, 1], np.int8), p.N)
            tap.read_w()
            light_j, begun_s = 0.0, bench.time_s()
            watched.sequencer = seen = WatchedSequencer(bench.sequencer)
            for _ in range(p.iterations):
                for name in ("hidden", "visible"):
                    shown = seen.patterns
                    v = sampler.sample(name, v, record.rng)
                    each_s = integration_s or sampler.last.exposure_s
                    light_j += (seen.patterns - shown) * _light_j(sampler.last, table, p, each_s)
            step.save(
                bench_s=bench.time_s() - begun_s,
                plays=seen.plays,
                patterns=seen.patterns,
                exposure_s=seen.exposure_s,
                light_j=light_j,
            )
            step.note(f"r = {sampler.agreement.r:.4f}")
        alignment: Any = bench.alignment("prbm")
        wmax = layers["hidden"].largest
        return {
            "setup_s": setup_s,
            "r": sampler.agreement.r,
            "settings": {
                "settle_s": float(bench.slm.settle_s),
                "base_settle_s": float(bench.slm.base_settle_s),
                "readout_s": float(bench.camera.readout_s) if p.readout == "camera" else 0.0,
            },
            "bands": int(alignment.bands),
            "axial_share": axial_share(p.N, float((rbm.weights**2).sum(axis=0).mean()) / wmax**2),
            **tap.results(),
        }

    def conclude(self, results: dict[str, Any], parameters: CostParameters, record: Recorder) -> dict[str, Any]:
        """Time the processor, project, tell and draw."""
        p, bands = parameters, results["bands"]
        values = {**results, **self._of_the_table(results, p, record)}
        # Random numbers of the timing are not the experiment's.
        rng = np.random.default_rng(0)
        sizes = sorted({*p.cpu_sizes, p.N})
        rows = measure_half_sweeps(sizes, p.batch, rng, p.cpu_try_s)
        electronics = measure_electronics(rng, p.cpu_try_s)
        here = next(row for row in rows if row.n == p.N)
        half_sweeps, size = 2 * p.iterations, operations(p.N)
        values |= {
            "cpu": [asdict(row) for row in rows],
            "cpu_s": half_sweeps * here.chain_s,
            "cpu_batch_s": half_sweeps * here.batch_s,
            "cpu_operations_per_s": size / here.product_s,
            "cpu_batch_operations_per_s": size / here.batched_s,
            "cpu_electric_j": half_sweeps * here.chain_s * p.cpu_w,
            "cpu_j_per_operation": here.chain_s * p.cpu_w / size,
            "slower_than_cpu": values["bench_s"] / (half_sweeps * here.chain_s),
            "slower_than_cpu_batch": values["bench_s"] / (half_sweeps * here.batch_s),
            "more_energy_than_cpu": values["electric_j"] / (half_sweeps * here.chain_s * p.cpu_w),
        }
        chain = HalfSweepTime(sizes, [row.chain_s for row in rows], electronics.draw_s)
        batch = HalfSweepTime(sizes, [row.batch_s for row in rows], electronics.draw_s)
        exposure_s = values["split"]["exposure"] / values["patterns"]
        turns = values["patterns"] / (half_sweeps * patterns_of(p.flips, p.N, bands))
        timing = TableTiming(exposure_s=exposure_s, turns=turns, **results["settings"])
        machine = p.machine(electronics)
        values |= _to_come(p, machine, chain, batch)
        # As if the panel held any number of spins.
        today = crossing(lambda n: timing.half_sweep_s(round(n), p.flips, 2 * round(n)), chain, 10, 1e12)
        values["crossings"]["time of today's patterns, one chain"] = asdict(today)
        values["assumptions"] = p.assumptions(machine)
        picture = record.picture("cost")
        draw(picture, values, p, timing, bands, machine, chain, batch)
        self._tell(values, p, record)
        record.console.say(f"picture: {picture}")
        return values

    def _of_the_table(self, results: Mapping[str, Any], p: CostParameters, record: Recorder) -> dict[str, Any]:
        saved: Any = {name: record.series(name) for name in ("bench_s", "plays", "patterns", "exposure_s", "light_j")}
        mean = {name: float(series.mean()) for name, series in saved.items()}
        s, bench_s, patterns = results["settings"], mean["bench_s"], mean["patterns"]
        timing = TableTiming(exposure_s=mean["exposure_s"] / patterns, **s)
        split = timing.split(patterns, mean["plays"])
        understood = math.fsum(split.values())
        watts = p.laser_w + p.slm_w + (p.camera_w if p.readout == "camera" else p.detector_w)
        tap_w = results["source_power_w"]
        source_j = None if tap_w is None else tap_w / p.tap_share * bench_s
        share = None if not source_j else mean["light_j"] / (source_j * mean["exposure_s"] / bench_s)
        count = 2 * p.iterations * operations(p.N)
        return {
            "bench_s": bench_s,
            "patterns": patterns,
            "split": {**split, "rest": bench_s - understood},
            "accounted": understood / bench_s,
            "electric_w": watts,
            "electric_j": watts * bench_s,
            "light_j": mean["light_j"],
            "source_j": source_j,
            "detected_share": share,
            "light_efficiency": None if share is None else share / results["axial_share"],
            "operations": count,
            "table_operations_per_s": count / bench_s,
            "table_j_per_operation": watts * bench_s / count,
        }

    def _tell(self, v: Mapping[str, Any], p: CostParameters, record: Recorder) -> None:
        say, split = record.console.done, v["split"]
        say(
            f"table: {v['bench_s']:.3g} s and {v['electric_j']:.2g} J a sample, {v['table_operations_per_s']:.2g} "
            f"operations/s; settling {split['settling'] / v['bench_s']:.0%}, exposure "
            f"{split['exposure'] / v['bench_s']:.0%}, readout {split['readout'] / v['bench_s']:.0%}"
        )
        say(
            f"this processor, one thread: {1e3 * v['cpu_s']:.2g} ms, {v['cpu_operations_per_s']:.2g} operations/s "
            f"({v['cpu_batch_operations_per_s']:.2g} in a batch): the table is {v['slower_than_cpu']:.1e} times slower "
            f"and takes {v['more_energy_than_cpu']:.1e} times the energy"
        )
        o = v["projected_operations_per_s"]
        say(
            f"projected, {p.largest:,} spins, {p.modulator_hz / 1e9:g} GHz, {p.flips} flips: {o:.2g} operations/s by "
            f"modulators alone, {v['projected_operations_per_s_drawn']:.2g} with spins drawn by this processor, "
            f"{v['projected_operations_per_s_with_source']:.2g} with a source of {p.source_w:g} W"
        )


def _to_come(p: CostParameters, m: Machine, chain: HalfSweepTime, batch: HalfSweepTime) -> dict[str, Any]:
    """Half sweeps of a machine to come, and where they cost what the processor does."""
    sizes = sorted({p.N, *np.geomspace(100, p.largest, 13).round().astype(int).tolist()})
    rows = [project(n, scheme, m) for n in sizes for scheme in SCHEMES]
    far, ops = project(p.largest, p.flips, m), operations(p.largest)

    def cost(name: str) -> Callable[[float], float]:
        return lambda n: float(getattr(project(round(n), p.flips, m), name))

    def chain_j(n: float) -> float:
        return chain(n) * p.cpu_w

    compared: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
        "time of light alone, one chain": (cost("light_s"), chain),
        "time of light and drawing, one chain": (cost("drawn_s"), chain),
        "time of light and drawing, chains in a batch": (cost("drawn_s"), batch),
        "time with light of the source and drawing, one chain": (cost("seconds"), chain),
        "electric energy, one chain": (cost("electric_j"), chain_j),
        "time by modulators, time by the source": (cost("light_s"), cost("source_limited_s")),
    }
    return {
        "projection": [asdict(row) | {"operations_per_s": operations(row.n) / row.light_s} for row in rows],
        "published_operations_per_s": PUBLISHED_OPERATIONS_PER_S,
        "projected_operations_per_s": ops / far.light_s,
        "projected_operations_per_s_drawn": ops / far.drawn_s,
        "projected_operations_per_s_with_source": ops / far.seconds,
        "projected_launched_w": far.launched_j / far.light_s,
        "projected_bits": far.bits,
        "projected_j_per_operation": far.electric_j / ops,
        "crossings": {name: asdict(crossing(*pair, 10, p.largest)) for name, pair in compared.items()},
    }


def _light_j(measured: Measurement, table: Any, p: CostParameters, exposure_s: float) -> float:
    """Light counted in a mean pattern: electrons of the camera as photons, or what the detector was given."""
    if p.readout == "camera":
        return measured.electrons * photon_j(p.wavelength_m)
    mean = measured.total if p.flips == "single" else float(((measured.contrasts / 4) ** 2 + 1).sum())
    return float(mean * table.reference.unit * exposure_s)
