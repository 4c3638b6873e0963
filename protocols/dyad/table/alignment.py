"""What lattice of dyads is wanted, as the bench file's ``[alignment.dyad]`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from labctl.client import ConfigurationError


class Steps(BaseModel):
    """From dyad to dyad, in units of the hologram's transform."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: int = Field(ge=2, le=512)
    column: int = Field(ge=2, le=512)


class Place(BaseModel):
    """Rows and columns of camera pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: float
    column: float


class DyadAlignment(BaseModel):
    """A lattice of spot pairs, and how strongly it is to be pumped.

    A unit of the hologram's transform is lambda f over twice the panel's size, padded to a power of 2.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    rows: int = Field(10, ge=1, le=64, description="of dyads")
    columns: int = Field(10, ge=1, le=64)
    centre: Place = Field(description="of the lattice, camera pixels from the zeroth order")
    pitch: Steps = Field(description="from dyad to dyad, in units of the transform")
    separation: int = Field(ge=2, le=256, description="of a dyad's two spots, along the columns, in the same units")
    mode: float = Field(
        0.24, gt=0, le=1, description="sigma of what a spot pumps: a condensate's mode and diffusion, of the separation"
    )
    flatten: bool = Field(True, description="whether aberrations are looked for by how sharp the spots are")
    gamma: float = Field(2.8, gt=0, le=100, description="pumping aimed at; 1 is the threshold of a lone site")
    pump_settle: float = Field(0.0, ge=0, le=60, description="until the pump has come to a new power, s")
    coupling: float = Field(0.55, gt=-1, lt=1, description="J by the sample's plan: dyads begin at gamma = 1 - |J|")

    def check_on(self, devices: Mapping[str, Any]) -> None:
        """Raise ConfigurationError unless dyads lie apart and the lattice is within the SLM's reach."""
        if self.columns > 1 and self.pitch.column < 2 * self.separation:
            raise ConfigurationError(
                f"pitch.column = {self.pitch.column}: neighbouring dyads of separation {self.separation} would see "
                f"each other; choose at least {2 * self.separation}"
            )
        slm = devices.get("slm")
        if slm is not None and max(self.rows * self.pitch.row, self.columns * self.pitch.column) > max(
            slm.rows, slm.columns
        ):
            raise ConfigurationError(
                f"a lattice of {self.rows}x{self.columns} dyads at pitch {self.pitch.row}, {self.pitch.column} is "
                f"larger than an SLM of {slm.rows}x{slm.columns} pixels reaches; choose fewer dyads or a smaller pitch"
            )
