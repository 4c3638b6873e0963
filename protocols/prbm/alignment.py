"""Where the photonic RBM's optics put things, as the bench file's ``[alignment.prbm]`` says."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class CameraPixel(BaseModel):
    """A pixel of the camera's sensor."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: int = Field(ge=0)
    column: int = Field(ge=0)


class PrbmAlignment(BaseModel):
    """Rows of the SLM that each wavelength band lights, the optical axis, and the camera pixel of the zeroth order."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    first_row: int = Field(ge=0, description="SLM row where the first band begins")
    rows_per_band: int = Field(2, ge=1)
    bands: int = Field(ge=1, description="bands side by side, one spin of the output layer each")
    centre_column: int = Field(ge=0, description="SLM column on the optical axis")
    zeroth_order: CameraPixel
