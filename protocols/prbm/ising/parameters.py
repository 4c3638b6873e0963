"""What `prbm.ising` may be told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from protocols.prbm.light.readout import SamplingParameters

TEMPERATURES = (1.5, 1.8, 2.0, 2.1, 2.2, 2.25, 2.3, 2.35, 2.4, 2.5, 2.6, 2.8, 3.1, 3.5)
_SIDES = (8,)


class IsingParameters(SamplingParameters):
    """Which model, how long, by light or arithmetic."""

    L: tuple[int, ...] = Field(_SIDES, description="sides of the periodic square lattice, comma-separated")
    T: tuple[float, ...] = Field(TEMPERATURES, description="temperatures in units of J, comma-separated")
    graph: Path | None = Field(None, description="any couplings and fields, from a graph file, instead of the lattice")
    mode: Literal["honest", "paper"] = Field("honest", description="chains in equilibrium, or short runs from anywhere")
    samples: int | None = Field(None, ge=1, le=10**7, description="of each chain (400); mode=paper: in all (20)")
    iterations: int | None = Field(None, ge=1, le=10**6, description="sweeps for each sample (1); mode=paper: 10")
    chains: int | None = Field(None, ge=1, le=10000, description="independent chains of each temperature (4)")
    start: Literal["ordered", "random"] | None = Field(
        None, description="where chains begin; null: ordered on a lattice in honest mode, since random starts freeze"
    )
    refresh: int = Field(250, ge=1, description="samples after which the reference is measured again")
    reference_repeats: int = Field(200, ge=2, le=1000)

    @field_validator("L")
    @classmethod
    def _sides(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) != len(value) or not all(2 <= side <= 128 for side in value):
            raise ValueError("L is one or more different sides of 2 to 128, for example 8,12,16")
        return value

    @field_validator("T")
    @classmethod
    def _temperatures(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("T is one or more different temperatures, for example 2.1,2.3")
        for temperature in value:
            if not (math.isfinite(temperature) and temperature > 0):
                raise ValueError(f"T contains {temperature}; temperatures are positive numbers")
        return value

    @model_validator(mode="after")
    def _fit(self) -> IsingParameters:
        if self.mode == "paper" and self.chains is not None:
            raise ValueError("chains: in mode=paper every sample has a start of its own; set samples")
        if self.graph is not None and self.L != _SIDES:
            raise ValueError("L and graph: give one of them")
        return self

    @property
    def plan(self) -> tuple[int, int, int]:
        """Chains of each temperature, samples of each chain, and sweeps for each sample."""
        if self.mode == "paper":
            return self.samples or 20, self.iterations or 10, 1  # the last of them counts
        return self.chains or 4, self.samples or 400, self.iterations or 1
