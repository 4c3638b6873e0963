"""Score models of two forward processes, what they generate, and how far that is from real images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.client import Recorder
from protocols.dyad.diffusion.model import ScoreModel, Training
from protocols.dyad.diffusion.parameters import DiffuseParameters
from protocols.dyad.diffusion.schedule import Schedule, noise_in
from protocols.images.frechet import COMPONENTS, Estimate, PixelFrechet

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Generated:
    """Images (generated, pixels) of the first model of each process, and distances, means over models with their
    standard errors; losses (models, epochs) of training."""

    light: FloatArray
    digital: FloatArray
    distance: Estimate
    distance_digital: Estimate
    held_out: Estimate
    losses: FloatArray
    losses_digital: FloatArray

    @property
    def excess(self) -> float:
        """By how many standard errors images of the model trained by light are farther from real ones."""
        error = math.hypot(self.distance.error, self.distance_digital.error)
        return (self.distance.value - self.distance_digital.value) / error


def compare_models(
    light: FloatArray,
    digital: FloatArray,
    schedule: Schedule,
    p: DiffuseParameters,
    real: FloatArray,
    held_out: FloatArray,
    record: Recorder,
) -> Generated:
    """Train models on the noise of both processes (steps + 1, n, pixels) from the same seeds, and let both generate
    from the same digital noise: what differs is what they were trained on."""
    components = min(COMPONENTS, max(1, 2 * real.shape[1] // 5))  # the others are paper in nearly all images
    judge = PixelFrechet(real, components)
    images: dict[str, list[FloatArray]] = {"light": [], "digital": []}
    losses: dict[str, list[list[float]]] = {"light": [], "digital": []}
    total = 2 * p.models * p.epochs
    with record.console.progress("training score models", total, 0) as advance:
        for k in range(p.models):
            for name, chain in (("light", light), ("digital", digital)):
                model = ScoreModel(light.shape[2], schedule, seed=k)
                course = model.train(real, noise_in(chain, schedule), Training(p.epochs, seed=k), lambda *_: advance())
                losses[name].append(course)
                noise = np.random.default_rng([record.seed, 2, k])
                images[name].append(model.generate(p.generated, noise.standard_normal))
    found = {name: _mean([judge.estimate(each) for each in kept]) for name, kept in images.items()}
    return Generated(
        light=images["light"][0],
        digital=images["digital"][0],
        distance=found["light"],
        distance_digital=found["digital"],
        held_out=judge.estimate(held_out),
        losses=np.array(losses["light"]),
        losses_digital=np.array(losses["digital"]),
    )


def _mean(estimates: list[Estimate]) -> Estimate:
    """Over models; its error from the scatter of models and from the images of each, whichever is the larger."""
    values = np.array([each.value for each in estimates])
    by_images = math.sqrt(sum(each.error**2 for each in estimates)) / len(values)
    by_models = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Estimate(float(values.mean()), max(by_images, by_models))
