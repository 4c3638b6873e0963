"""`prbm.generate`: images from a trained RBM by photonic Gibbs sampling (arXiv 2508.20472, Sec. IV; Eqs. 1, 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, Protocol, Recorder
from protocols.images.sets import load_images
from protocols.prbm.images.chains import ImageChains
from protocols.prbm.images.machine import ImageParameters, ready_machine, sampler_for, training_images
from protocols.prbm.images.pictures import draw_generation
from protocols.prbm.light.sampling import check_temperature
from protocols.prbm.light.table import TABLE_ROLES
from protocols.prbm.training.contrastive import PAPER_SETTINGS, SHORT_RUN_SETTINGS, TrainingSettings

RECIPES = {"cd-1": TrainingSettings(), "short-run": SHORT_RUN_SETTINGS, "paper": PAPER_SETTINGS}


class GenerateParameters(ImageParameters):
    """What is trained, what is generated and how it is measured."""

    recipe: Literal["cd-1", "short-run", "paper"] = Field(
        "cd-1",
        description="how to train: cd-1 with fields, short-run chains from random starts, or the paper's 2,000 epochs",
    )
    epochs: int | None = Field(None, ge=1, le=100000, description="instead of the recipe's")
    images: int = Field(24, ge=1, le=100000, description="images to generate")
    iterations: int = Field(15, ge=1, le=100000, description="full iterations from the random start")


class Generate(Protocol):
    """Images from random starts by two-step intensity Gibbs sampling.

    Results: r, slope and rms error of measured against exact local fields over the whole run, and the last spins.
    """

    Parameters: ClassVar[type[GenerateParameters]] = GenerateParameters
    roles = TABLE_ROLES
    keeps_table = True
    alignments = ("prbm",)
    twin: NDArray[np.int8] | None = None
    """Images (images, n_visible) that arithmetic makes of the same random numbers, where they are wanted."""

    def bench_overrides(self, parameters: GenerateParameters) -> Mapping[str, object]:
        """noise=off asks for the ideal table."""
        return parameters.overrides

    def prepare(self, parameters: GenerateParameters, record: Recorder) -> None:
        """Train or load the model."""
        p = parameters
        check_temperature(p.temperature)
        self.set = load_images(p.classes, p.data)
        chosen = training_images(self.set, p)
        self.real = chosen.spins(p.size)
        """Training images of the classes, (n, n_visible)."""
        recipe = RECIPES[p.recipe]
        settings = replace(recipe, epochs=p.epochs or recipe.epochs, seed=record.seed)
        self.rbm, trained = ready_machine(p, settings, lambda: self.real, record)
        if trained:
            record.console.done(
                f"RBM trained ({p.recipe}) on {len(chosen):,} images ({p.class_names}) from {self.set.origin}"
            )

    def run(self, bench: Bench, parameters: GenerateParameters, record: Recorder) -> dict[str, Any]:
        """Set the table up and generate."""
        sampler = sampler_for(bench, self.rbm, parameters)
        chains = ImageChains(sampler, self.rbm.n_visible, parameters, record.rng)
        results = chains.run(bench, record, "generating")
        self.history = chains.history
        record.console.done(chains.timing)
        return results

    def conclude(self, results: dict[str, Any], parameters: GenerateParameters, record: Recorder) -> dict[str, Any]:
        """Draw."""
        p = parameters
        record.save("history", self.history)
        picture = record.picture("images")
        draw_generation(picture, self.real, self.history, f"{p.class_names}, {p.sampler} sampling", self.twin)
        record.console.done(f"{p.images} images, r = {results['r']:.4f}")
        record.console.say(f"picture: {picture}")
        return {
            **results,
            "visible": self.history[:, -1],
            "classes": list(p.classes),
            "model_id": self.rbm.content_id,
            "data": self.set.origin,
            "picture": str(picture),
        }
