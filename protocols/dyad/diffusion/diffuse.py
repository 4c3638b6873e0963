"""`dyad.diffuse`: the forward process of a diffusion model by light, and score models trained on it, beside digital."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labctl.client import Bench, ConfigurationError, Figure, Recorder
from protocols.dyad.diffusion.diffuse_picture import draw_forward, draw_generated
from protocols.dyad.diffusion.generated import Generated, compare_models
from protocols.dyad.diffusion.model import check_installed
from protocols.dyad.diffusion.optical import followed, learn_noise, needed_power, plan_step, reach_of, take_step
from protocols.dyad.diffusion.parameters import DiffuseParameters
from protocols.dyad.diffusion.projector import PROJECTOR_ROLES, LitLattice, find_blocks, lamp, show
from protocols.dyad.diffusion.schedule import Schedule, StepsMeasured, cosine_schedule, forward, measure_steps
from protocols.dyad.sensing.fair import make_fair
from protocols.dyad.table.lattice import DYAD_ALIGNMENTS, DYAD_ROLES, plan_of
from protocols.dyad.table.reading import compile_kernels
from protocols.images.sets import load_images, to_ink

FloatArray = npt.NDArray[np.float64]

_FULL_INK = 255.0
_LAMP_STEP_W = 1e-6
"""A lamp's power is rounded, and should not be less than is needed."""


class Diffuse(Figure):
    """Real images to noise, step by step, by light: the projector shows x_{t-1}, dyads add their noise on the camera.

    One dyad per pixel, so images have as many as the lattice, which must be square. Beside it the same images with
    digital noise. Then score models are trained on both and generate images.

    Values: schedule, the β of each step; variance (added by each step) and signal (the factor of what was there), with
    `_err`, and variance_digital; variance_worst and signal_worst, the largest deviation from the schedule in
    standard errors, and variance_z, that of the mean over steps; clipped, the largest share of pixels beyond the
    projector's range in a step; lamp_w of each step; images_per_s, steps of images on the table; distance of
    generated images to real ones (Fréchet in pixel components, without bias), with `_err` over models and images,
    distance_digital, and distance_excess, by how many standard errors the former is the larger; distance_held_out
    of real images that no model saw. Distances are null with models=0.
    """

    bench = "dyad-sim"
    Parameters = DiffuseParameters
    roles = (*DYAD_ROLES, *PROJECTOR_ROLES)
    alignments = DYAD_ALIGNMENTS

    def targets(self, parameters: Any) -> dict[str, dict[str, float]] | None:
        """The schedule within 4 standard errors in every step (false alarm 1e-3 for 10), models as good within 3."""
        bounds = {"variance_worst": {"max": 4.0}, "signal_worst": {"max": 4.0}, "clipped": {"max": 0.01}}
        return bounds | ({"distance_excess": {"max": 3.0}} if parameters.models else {})

    overrides_cure = "no pump of a simulated table is there; choose pulses_hz=null, and it fires as it is set"

    def bench_overrides(self, parameters: DiffuseParameters) -> Mapping[str, object]:
        """How often the simulated table's pump fires by itself."""
        return {"world.pump.repetition_rate": f"{parameters.pulses_hz:g} Hz"} if parameters.pulses_hz else {}

    def prepare(self, parameters: DiffuseParameters, record: Recorder) -> None:
        """Read the images; refuse what cannot be trained before anything is measured; compile what reads."""
        compile_kernels()
        p = parameters
        if p.models:
            check_installed()
        found = load_images(p.classes, p.data)
        self.real, self.held_out = found.train.select(p.classes), found.test.select(p.classes)
        if len(self.real) < p.images:
            raise ConfigurationError(f"images: {p.images}; there are {len(self.real)} of {p.classes} in {found.origin}")

    def run(self, bench: Bench, parameters: DiffuseParameters, record: Recorder) -> dict[str, Any]:
        """Make dyads fair, find the projector, then diffuse all images, one step after the other."""
        p = parameters
        plan = plan_of(bench)
        if plan.rows != plan.columns:
            raise ConfigurationError(
                f"a lattice of {plan.rows}x{plan.columns} dyads; images are square: set [alignment.dyad] columns = rows"
            )
        self.size = plan.rows
        schedule = cosine_schedule(p.steps)
        x = as_x(self.real.images[: p.images], self.size)
        record.save("x0", x)
        taken = record.series("x")
        if taken is not None:
            x = taken[-1]
        lattice = LitLattice(bench, plan, record.rng)
        with lattice.light():
            make_fair(lattice, p.precision, p.most, record.rng)
        with lattice.exposing(p.exposure_s) as expose:
            blocks = find_blocks(bench, lattice, p.lamp_w)
            show(bench, np.zeros(blocks.panel))
            noise = learn_noise(bench, blocks, expose, p.noise_frames, p.lamp_w)
            left = np.concatenate([[1.0], schedule.alpha_bars])
            for step in record.steps(p.steps, "diffusing by light"):
                t = step.index
                beta = float(schedule.betas[t])
                lamp_w = lamp(bench, needed_power(noise, beta, reach_of(float(left[t]))) + _LAMP_STEP_W)
                plan_t = plan_step(noise, beta, lamp_w, x.mean(axis=0))
                begun_s = bench.time_s()
                before = x
                x, clipped = take_step(bench, blocks, expose, plan_t, before)
                step.save(
                    x=x,
                    clipped=clipped,
                    known_to=noise.variance_err,
                    lamp_w=plan_t.lamp_w,
                    bench_s=bench.time_s() - begun_s,
                )
                step.note(f"β = {schedule.betas[t]:.3f}, lamp {plan_t.lamp_w * 1e3:.2g} mW")
                noise = followed(noise, plan_t, before, x)
                record.checkpoint()
            bench.pump.emission = False
            bench.lamp.emission = False
        return {
            "size": self.size,
            "noise_electrons": float(np.sqrt(noise.variance.mean())),
            "projector_residual_px": blocks.residual_px,
        }

    def conclude(self, results: dict[str, Any], parameters: DiffuseParameters, record: Recorder) -> dict[str, Any]:
        """Compare with the schedule and with digital noise; train, generate, judge; draw."""
        p = parameters
        schedule = cosine_schedule(p.steps)
        first, later = record.saved("x0"), record.series("x")
        clipped, times, lamp_w, known_to = (
            record.series(name) for name in ("clipped", "bench_s", "lamp_w", "known_to")
        )
        assert first is not None
        assert later is not None
        assert clipped is not None
        assert times is not None
        assert lamp_w is not None
        assert known_to is not None
        light = np.concatenate([first[None], later])
        digital = forward(first, schedule, np.random.default_rng([record.seed, 1]).standard_normal)
        record.save("digital", digital)
        measured, beside = measure_steps(light), measure_steps(digital)
        values = {
            **results,
            **_steps(measured, beside, schedule, known_to),
            "clipped": float(clipped.max()),
            "lamp_w": lamp_w,
            "images_per_s": p.images / float(np.median(times)),
        }
        picture = record.picture("forward")
        draw_forward(picture, light, digital, schedule, measured, beside, results["size"])
        record.console.done(
            f"variances of {p.steps} steps by light: largest deviation {values['variance_worst']:.1f} standard errors, "
            f"factors {values['signal_worst']:.1f}"
        )
        record.console.say(f"picture: {picture}")
        found = self._generated(light, digital, schedule, p, results["size"], record) if p.models else None
        return {**values, **_distances(found)}

    def _generated(
        self,
        light: FloatArray,
        digital: FloatArray,
        schedule: Schedule,
        p: DiffuseParameters,
        size: int,
        record: Recorder,
    ) -> Generated:
        real, held_out = as_x(self.real.images, size), as_x(self.held_out.images, size)
        found = compare_models(light, digital, schedule, p, real, held_out, record)
        record.save("generated", found.light)
        record.save("generated_digital", found.digital)
        picture = record.picture("generated")
        draw_generated(picture, real, found, size)
        record.console.done(
            f"distance of generated images to real ones {found.distance.value:.2f} ± {found.distance.error:.2f}, with "
            f"digital noise {found.distance_digital.value:.2f} ± {found.distance_digital.error:.2f}, of held-out real "
            f"ones {found.held_out.value:.2f} ± {found.held_out.error:.2f}"
        )
        record.console.say(f"picture: {picture}")
        return found


def as_x(images: npt.NDArray[np.uint8], size: int) -> FloatArray:
    """Images (n, 28, 28) as x (n, size²): -1 paper to +1 ink."""
    ink = to_ink(images, size).reshape(len(images), size * size)
    return np.asarray(2.0 * ink / _FULL_INK - 1.0, np.float64)


def _steps(measured: StepsMeasured, beside: StepsMeasured, schedule: Schedule, known_to: FloatArray) -> dict[str, Any]:
    # How large the noise is was measured beforehand, in the steps before included, which share some of its error.
    error = np.hypot(measured.variance_err, known_to * schedule.betas)
    variance = (measured.variance - schedule.betas) / error
    signal = (measured.signal - np.sqrt(1 - schedule.betas)) / measured.signal_err
    ratios = measured.variance / schedule.betas
    own = measured.variance_err / schedule.betas
    mean_err = math.hypot(float(np.sqrt((own**2).sum())) / len(schedule), float(known_to.mean()))
    return {
        "schedule": schedule.betas,
        "variance": measured.variance,
        "variance_err": error,
        "signal": measured.signal,
        "signal_err": measured.signal_err,
        "variance_digital": beside.variance,
        "variance_digital_err": beside.variance_err,
        "variance_worst": float(np.abs(variance).max()),
        "signal_worst": float(np.abs(signal).max()),
        "variance_z": (float(ratios.mean()) - 1) / mean_err,
    }


def _distances(found: Generated | None) -> dict[str, float | None]:
    names = ("distance", "distance_digital", "distance_held_out")
    estimates = (found.distance, found.distance_digital, found.held_out) if found else (None, None, None)
    values: dict[str, float | None] = {}
    for name, estimate in zip(names, estimates, strict=True):
        values[name] = estimate.value if estimate else None
        values[f"{name}_err"] = estimate.error if estimate else None
    values["distance_excess"] = found.excess if found else None
    return values
