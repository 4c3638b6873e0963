"""`langevin.digits`: digits from noise, all ten by default, judged by a classifier of real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.images.sets import label_of
from protocols.langevin.figure import with_picture
from protocols.langevin.generation.denoising import TRAJECTORIES, described, judged, seen
from protocols.langevin.generation.generate import tell
from protocols.langevin.generation.making import MakeParameters, MakingFigure
from protocols.langevin.generation.picture import draw_generation
from protocols.langevin.generation.recognition import recognised
from protocols.langevin.training.parameters import TrainParameters

_THREE = TrainParameters().classes
"""Of the paper's size. Digits that share more strokes, such as 4, 7 and 9, need a larger hidden amplitude."""


class DigitsParameters(MakeParameters):
    """As for langevin.train, and how often the computer is let go. Size 14 or 28, so that digits can be recognised."""

    classes: tuple[int | str, ...] = Field(tuple(range(10)), description="digits 0 to 9")
    hidden_amplitude: float | None = Field(
        160.0,
        gt=0,
        le=1e4,
        description="as amplitude, of hidden units; null: as pixels. Ten digits need more than three",
    )
    hidden_weight: float = Field(
        10.0, gt=0, le=1e4, description="of hidden units' part of the action; 1 is the paper's"
    )
    trajectories: int = TRAJECTORIES


class Digits(MakingFigure):
    """Images of noise: how like the training digits they are, and whether a classifier of real digits knows them.

    Values: as of langevin.generate; `recognised`, the share of outcomes that the classifier takes for a digit of the
    training set (negatives are turned first), with `_err`; `recognised_shares` by digit; `training_recognised`, how
    many of the training images themselves it knows; `model`, a file as of langevin.train.
    """

    Parameters = DigitsParameters

    def targets(self, parameters: DigitsParameters) -> dict[str, dict[str, float]] | None:
        """Promised for ten digits, and for three at the paper's size."""
        p = parameters
        varied = {"data", "trajectories", "workers", "scheme", "classes", "hidden_amplitude", "loop"}
        usual = DigitsParameters(**{name: getattr(p, name) for name in varied})
        if p != usual or p.trajectories < 100:
            return None
        if p.classes == _THREE and p.loop == "ideal" and p.hidden_amplitude is None:
            return {"correlation": {"min": 0.94}, "smallest_share": {"min": 0.15}}
        if len(p.classes) == 10 and p.hidden_amplitude == DigitsParameters().hidden_amplitude:
            every = {"smallest_share": {"min": 0.02}} if p.trajectories >= 256 and p.loop == "ideal" else {}
            return {"recognised": {"min": 0.8}} | every
        return None

    def prepare(self, parameters: DigitsParameters, record: Recorder) -> None:
        """Train."""
        require_digits(parameters)
        super().prepare(parameters, record)

    def run(self, bench: Bench, parameters: DigitsParameters, record: Recorder) -> dict[str, Any]:
        """Denoise."""
        times = np.linspace(0, parameters.duration, 6).tolist()
        return self.make(bench, parameters, record, parameters.trajectories, times)

    def conclude(self, results: dict[str, Any], parameters: DigitsParameters, record: Recorder) -> dict[str, Any]:
        """Judge, keep the computer, draw."""
        p, trained = parameters, self.trained
        assert trained is not None
        x, heat = seen(record, p.trajectories)
        values = {
            **results,
            **described(judged(x[:, -1], trained.images), heat, len(trained.images)),
            **recognised(trained, x[:, -1], p.data),
        }
        values["model"] = str(self.model)
        tell(record, values)
        record.console.done(
            f"recognised {values['recognised']:.1%} ± {values['recognised_err']:.1%} (training images "
            f"{values['training_recognised']:.0%})"
        )
        with_picture(record, "digits", lambda picture: draw_generation(picture, trained, x, heat, record.name))
        return values


def require_digits(p: DigitsParameters) -> None:
    """Raise ConfigurationError for images that the classifier is not for."""
    if p.data is not None and p.data.endswith(".npy"):
        raise ConfigurationError(f"data={p.data}: digits are read from a folder; use langevin.train and .generate")
    if any(label_of(c) > 9 for c in p.classes):
        raise ConfigurationError(f"classes={list(p.classes)}: allowed: digits 0 to 9")
    if p.size not in (14, 28):
        raise ConfigurationError(f"size={p.size}: digits are recognised at 14 or 28 pixels a side")
