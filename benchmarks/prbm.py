"""The photonic half sweep (196 hidden spins, noise on) through the whole stack, and its ratio to the reference path.

Whole stack: encoding, sequence over the bus, server, sequencer, SLM and camera on the world, and the draw of the
spins. The reference transforms the whole pattern for every frame; since one of its half sweeps takes minutes, a few of
its frames are timed and scaled to the half sweep's 197 (or 256).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from labctl.client import Bench, open_bench
from protocols.prbm.assess.local_fields import Case
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.sampling import PhotonicSampler
from protocols.prbm.light.table import Table

_REPEATS = 60
_WARM_UP = 5
_IMAGES = 5
_ITERATIONS = 15
_REFERENCE_FRAMES = 6


def rows() -> list[dict[str, Any]]:
    """Half sweeps and whole images by single and Hadamard-coded flips; ratio = time of the reference path / time."""
    found = []
    for flips in ("single", "hadamard"):
        times_us, frames = _half_sweeps(flips)
        reference_us = _reference_frames() * frames
        found.append(_row(f"half-sweep-196-{flips}", times_us, float(reference_us.mean() / np.median(times_us))))
        images_us = _images(flips)
        ratio = float(2 * _ITERATIONS * reference_us.mean() / np.median(images_us))
        found.append(_row(f"image-196-{flips}", images_us, ratio))
        if flips == "single":
            found.append(_row("half-sweep-196-single-reference", reference_us, 1.0))
    return found


def _images(flips: str) -> np.ndarray[Any, Any]:
    """Whole images of fifteen iterations from a random start."""
    with open_bench("prbm-sim") as bench, bench.control("benchmark"):
        sampler, rng, _ = _sampler(bench, flips)
        times = []
        for _ in range(_IMAGES + 1):
            spins = rng.choice(np.array([-1, 1], np.int8), 196)
            begun = time.perf_counter()
            for _ in range(_ITERATIONS):
                spins = sampler.sample("visible", sampler.sample("hidden", spins, rng), rng)
            times.append((time.perf_counter() - begun) * 1e6)
        return np.array(times[1:])


def _half_sweeps(flips: str) -> tuple[np.ndarray[Any, Any], int]:
    with open_bench("prbm-sim") as bench, bench.control("benchmark"):
        sampler, rng, spins = _sampler(bench, flips)
        times = []
        for k in range(_WARM_UP + _REPEATS):
            begun = time.perf_counter()
            sampler.sample("hidden" if k % 2 == 0 else "visible", spins, rng)
            times.append((time.perf_counter() - begun) * 1e6)
            spins = rng.choice(np.array([-1, 1], np.int8), 196)
        frames = 197 if flips == "single" else 256
        return np.array(times[_WARM_UP:]), frames


def _reference_frames() -> np.ndarray[Any, Any]:
    with open_bench("prbm-sim", {"world.path": "reference"}) as bench, bench.control("benchmark"):
        bench.source.emission = True
        roi = bench.camera.roi
        bench.camera.roi = type(roi)(row=1065, column=1280, rows=31, columns=1)
        rng = np.random.default_rng(0)
        bench.slm.write(rng.uniform(0, 6.28, (1080, 1920)).astype(np.float32))
        bench.slm.settle()
        bench.camera.trigger()
        times = []
        for _ in range(_REFERENCE_FRAMES):
            bench.slm.write(np.full((2, 2), rng.uniform(0, 6.28), np.float32), 300, 900, whole=False)
            bench.slm.settle()
            begun = time.perf_counter()
            bench.camera.trigger()
            times.append((time.perf_counter() - begun) * 1e6)
        return np.array(times)


def _sampler(bench: Bench, flips: str) -> tuple[PhotonicSampler, np.random.Generator, Any]:
    rng = np.random.default_rng(0)
    case = Case.random(196, 0.1, 256, 0)
    parameters = ReadoutParameters.model_validate({"flips": flips})
    layers = rbm_layers(case.rbm)
    sampler = PhotonicSampler(Table(bench, layers, parameters), layers, 1.0)
    return sampler, rng, case.v


def _row(name: str, times_us: np.ndarray[Any, Any], ratio: float) -> dict[str, Any]:
    return {
        "name": name,
        "median_us": float(np.median(times_us)),
        "p99_us": float(np.percentile(times_us, 99)),
        "ratio": ratio,
    }
