"""`dyad.cost`: rate and energy of a random bit and of a noise image: of this table, of this processor, and to come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from labctl.client import Bench, Figure, Recorder
from protocols.dyad.assess.cost_model import SCHEMES, Today, project
from protocols.dyad.assess.cost_parameters import CostParameters
from protocols.dyad.assess.cost_picture import draw
from protocols.dyad.table.lattice import DYAD_ALIGNMENTS, DYAD_ROLES, DyadLattice, plan_of
from protocols.dyad.table.reading import compile_kernels


class Cost(Figure):
    """What bits and noise images cost.

    Values, of this table, in bench time: `setup_s` before the first bit; `frame_s`, `bits_per_s`, `j_per_bit`,
    `light_j_per_bit` of the pump's light; `accounted`, the part of a frame's time that exposure and read-out explain;
    `fair`, whether a calibration was in force; `image_s`, `images_per_s`, `j_per_image`. Of this processor, one thread:
    `cpu_bits_per_s`, `cpu_j_per_bit`, `cpu_images_per_s`, `cpu_j_per_image` of as many pixels. To come: `projection`
    (rows by n and scheme),
    `projected_bits_per_s`, `projected_j_per_bit`, `projected_images_per_s` and `projected_j_per_image` of `largest`
    dyads by scheme, `projected_peak_w` of the pump; `equal_to_cpu`: dyads at which bits are as fast as the processor's,
    by scheme, null where never. `assumptions` has all that this stands on.
    """

    Parameters = CostParameters
    bench = "dyad-sim"
    roles = (*DYAD_ROLES, "tap")
    alignments = DYAD_ALIGNMENTS

    overrides_cure = "no pump of a simulated table is there; choose pulses_hz=null, and it fires as it is set"

    def bench_overrides(self, parameters: CostParameters) -> Mapping[str, object]:
        """How often the simulated table's pump fires by itself."""
        hz = parameters.pulses_hz
        return {"world.pump.repetition_rate": f"{hz:g} Hz"} if hz else {}

    def targets(self, parameters: CostParameters) -> dict[str, dict[str, float]] | None:
        """The bench time is understood."""
        return {"accounted": {"min": 0.99, "max": 1.01}} if parameters == CostParameters() else None

    def prepare(self, parameters: CostParameters, record: Recorder) -> None:
        """Compile what reads the lattice."""
        compile_kernels()

    def run(self, bench: Bench, parameters: CostParameters, record: Recorder) -> dict[str, Any]:
        """Draw bits and images."""
        p, begun_s = parameters, bench.time_s()
        lattice = DyadLattice(bench, plan_of(bench), record.rng)
        if lattice.balanced is not None:
            lattice.set_ratios(lattice.balanced)
        setup_s = bench.time_s() - begun_s
        with lattice.light():
            tap_w = float(bench.tap.measure().power_w)
            begun_s = bench.time_s()
            for step in record.steps(max(p.frames // 250, 1), "condensing"):
                step.save(ones=lattice.shots(min(250, p.frames)).ones)
            shots = min(250, p.frames) * max(p.frames // 250, 1)
            frame_s = (bench.time_s() - begun_s) / shots
            settings_s = float(bench.camera.exposure_s) + float(bench.camera.readout_s)
            roi = bench.camera.roi
            times_s = []
            for images in (p.images, 2 * p.images):  # what comes before an image, such as dark frames, drops out
                begun_s = bench.time_s()
                lattice.integrated(images, p.exposure_s)
                times_s.append(bench.time_s() - begun_s)
            image_s = (times_s[1] - times_s[0]) / p.images
        return {
            "dyads": lattice.n,
            "fair": lattice.balanced is not None,
            "setup_s": setup_s,
            "frame_s": frame_s,
            "accounted": settings_s / frame_s,
            "pump_w": tap_w / p.tap_share,
            "image_s": image_s,
            "pixels": int(roi.rows * roi.columns),
        }

    def conclude(self, results: dict[str, Any], parameters: CostParameters, record: Recorder) -> dict[str, Any]:
        """Time the processor, project, tell and draw."""
        p = parameters
        today = Today(results["dyads"], results["frame_s"], results["pump_w"], results["pixels"])
        rng = np.random.default_rng(0)  # of the timing, not of the experiment
        bits_s = _seconds(lambda: rng.bytes(1 << 20), p.cpu_try_s) / (8 << 20)
        normal_s = _seconds(lambda: rng.standard_normal(1 << 16), p.cpu_try_s) / (1 << 16)
        image_cpu_s = normal_s * today.n
        values = {
            **results,
            "bits_per_s": today.bits_per_s,
            "j_per_bit": p.electric_w / today.bits_per_s,
            "light_j_per_bit": today.pump_w * p.pulse_s / today.n,
            "images_per_s": 1 / results["image_s"],
            "j_per_image": p.electric_w * results["image_s"],
            "cpu_bits_per_s": 1 / bits_s,
            "cpu_j_per_bit": p.cpu_w * bits_s,
            "cpu_images_per_s": 1 / image_cpu_s,
            "cpu_j_per_image": p.cpu_w * image_cpu_s,
        }
        sizes = sorted({today.n, p.largest, *np.geomspace(100, max(p.largest, 101), 11).round().astype(int).tolist()})
        rows = [project(n, scheme, today, p.to_come, p.events) for n in sizes for scheme in SCHEMES]
        far = {scheme: project(p.largest, scheme, today, p.to_come, p.events) for scheme in SCHEMES}
        values |= {
            "projection": [asdict(row) for row in rows],
            "projected_bits_per_s": {s: row.bits_per_s for s, row in far.items()},
            "projected_j_per_bit": {s: row.j_per_bit for s, row in far.items()},
            "projected_images_per_s": {s: row.images_per_s for s, row in far.items()},
            "projected_j_per_image": {s: row.j_per_image for s, row in far.items()},
            "projected_peak_w": far["light"].peak_w,
            "equal_to_cpu": {s: _equal(s, today, p, 1 / bits_s) for s in SCHEMES},
            "assumptions": p.assumptions(today),
        }
        picture = record.picture("cost")
        draw(picture, values, today, p)
        v = values
        record.console.done(
            f"table: {v['bits_per_s']:.3g} bits/s, {v['j_per_bit']:.2g} J a bit; an image of {today.n} pixels "
            f"{1e3 * v['image_s']:.3g} ms, {v['j_per_image']:.2g} J. This processor: {v['cpu_bits_per_s']:.2g} bits/s, "
            f"{v['cpu_j_per_bit']:.1e} J a bit"
        )
        record.console.done(
            f"{p.largest:.0e} dyads: {far['camera'].bits_per_s:.2g} bits/s by a camera, {far['diodes'].bits_per_s:.2g} "
            f"by diodes, {far['diodes'].j_per_bit:.1e} J a bit, with {far['light'].peak_w:.2g} W of the pump in pulses"
        )
        record.console.say(f"picture: {picture}")
        return values


def _seconds(work: Callable[[], object], try_s: float) -> float:
    """Least time of one call, of as many as fit."""
    best, until = float("inf"), time.perf_counter() + try_s
    while True:
        begun = time.perf_counter()
        work()
        now = time.perf_counter()
        best = min(best, now - begun)
        if now > until:
            return best


def _equal(scheme: str, today: Today, p: CostParameters, cpu_bits_per_s: float) -> float | None:
    """Dyads at which a lattice to come draws bits as fast as the processor."""
    a = p.to_come
    n = cpu_bits_per_s / a.repetition_hz  # as long as pulses limit it
    limited = scheme == "camera" and a.pixel_rate / a.pixels < cpu_bits_per_s
    return None if limited else max(n, 1.0)
