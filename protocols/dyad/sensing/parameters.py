"""What `dyad.sense` may be told."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from labctl.client import Parameters


class SenseParameters(Parameters):
    """What is sensed, how long it is counted, and how often nothing may be taken for something."""

    mode: Literal["detect", "map"] = Field("detect", description="a disturbance by the probe, or the sample's defects")
    false_alarm: float = Field(0.05, gt=0, lt=0.5, description="of a whole lattice, or map, where nothing is disturbed")
    dyad_false_alarm: float = Field(0.01, gt=0, lt=0.5, description="of one dyad, or one place of a map")
    g: float = Field(
        0.5, gt=0, le=10, description="detuning by the sample's plan: turns shifts of p1 into changes of g"
    )
    coupling_spread: float = Field(0.07, ge=0, lt=0.5, description="of J about its plan, relative: part of g's error")
    precision: float = Field(
        0.03, gt=0.002, lt=0.3, description="standard deviation of p1 to which dyads are made fair"
    )
    most: int = Field(4000, ge=50, le=10**6, description="condensations spent on that, of each dyad")

    probe_w: tuple[Annotated[float, Field(gt=0, le=1e3)], ...] = Field(
        (0.002, 0.004, 0.008, 0.016), description="detect: powers of the probe, W, rising, comma-separated"
    )
    trials: tuple[Annotated[int, Field(ge=20, le=10**6)], ...] = Field(
        (50, 100, 200, 400), description="detect: condensations that decide, rising, comma-separated"
    )
    repeats: int = Field(30, ge=2, le=10**5, description="detect: decisions at each power, and with the probe off")
    reference: int = Field(2000, ge=100, le=10**6, description="detect: condensations of the first reference")
    slope_step: float = Field(0.03, gt=1e-3, le=0.2, description="detect: ln r_gamma up to which slopes are measured")
    slope_trials: int = Field(1500, ge=60, le=10**6, description="detect: condensations for the slopes of p1")

    down: int = Field(2, ge=1, le=64, description="map: places of the lattice from one row of dyads to the next")
    across: int = Field(1, ge=1, le=64, description="map: places of the lattice within a dyad's separation")
    map_precision: float = Field(0.05, gt=0.002, lt=0.3, description="map: standard deviation of p1 at each place")
    map_most: int = Field(800, ge=50, le=10**6, description="map: condensations at each place")

    @field_validator("probe_w", "trials")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(b <= a for a, b in pairwise(value)):
            raise ValueError("give one or more numbers, each larger than the one before, for example 50,100,200")
        return value
