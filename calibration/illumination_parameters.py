"""What `illumination` may be told: the order, and how finely it is mapped."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from labctl.client import Parameters


class IlluminationParameters(Parameters):
    """The order, and how finely it is mapped."""

    period: float = Field(32, ge=4, le=1024, description="of the blaze, SLM columns, in the middle of the spectrum")
    pixels_per_spin: int = Field(8, ge=1, le=64, description="SLM columns of a macro-pixel")
    cells: tuple[Annotated[int, Field(ge=2, le=1024)], ...] = Field(
        (7, 15), min_length=1, max_length=4, description="along a band, of each round"
    )
    groups: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(
        (7, 15), min_length=1, max_length=4, description="of bands, of each round"
    )
    lit: int = Field(2, ge=1, le=64, description="macro-pixels shown in each cell")
    slit: int = Field(31, ge=1, le=501, description="camera rows summed, along the line; odd")
    focal_length_m: float = Field(0.2, gt=0, description="of the Fourier lens, as planned")
    stripe_cycles: int = Field(6, ge=2, le=1000, description="of patterns, for each kind of stripes")
    trained: int = Field(2, ge=1, le=100, description="random couplings for gains and couplings")
    repeats: int = Field(1, ge=1, le=1000, description="measurements of each random coupling that are averaged")
    spread: float = Field(0.25, gt=0, le=0.5, description="of the random couplings, relative to the largest")
    power_fraction: float = Field(0.05, gt=0, le=1, description="to begin with")
    check_bands: int = Field(63, ge=1, le=4096, description="in the middle of the spectrum, looked at by a check")
    check_allowed: float = Field(0.05, gt=0, le=1, description="by which what is seen may change, relative")

    @model_validator(mode="after")
    def _as_it_can_be(self) -> IlluminationParameters:
        if len(self.cells) != len(self.groups):
            raise ValueError(f"cells = {self.cells} with groups = {self.groups}; one of each for every round")
        if self.slit % 2 == 0:
            raise ValueError(f"slit = {self.slit}; an odd number of pixels is needed")
        return self
