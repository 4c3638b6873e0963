"""Where the photonic RBM's optics put things, as the bench file's ``[alignment.prbm]`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from labctl.client import ConfigurationError


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
    wavelength_first: float = Field(gt=0, description="of the first band, nm")
    wavelength_per_band: float = Field(ge=0, description="from one band to the next, nm")

    def check_on(self, devices: Mapping[str, Any]) -> None:
        """Raise ConfigurationError unless bands and zeroth order lie on the SLM and the camera of the bench."""
        slm, camera = devices.get("slm"), devices.get("camera")
        if slm is not None:
            last = self.first_row + self.bands * self.rows_per_band
            if last > slm.rows:
                raise ConfigurationError(f"bands end at row {last} of the SLM; it has {slm.rows}")
            if self.centre_column >= slm.columns:
                raise ConfigurationError(f"centre_column = {self.centre_column}; the SLM has {slm.columns} columns")
        if camera is not None:
            spot = self.zeroth_order
            if spot.row >= camera.rows or spot.column >= camera.columns:
                raise ConfigurationError(
                    f"zeroth_order row {spot.row}, column {spot.column}; the camera has {camera.rows}x{camera.columns}"
                )

    def band_gains(self, outputs: int) -> NDArray[np.float64]:
        """Intensity on the axis of each of the first ``outputs`` bands, relative to their mean.

        A diffraction pattern widens with the wavelength, so equal powers give intensities that fall as 1/wavelength^2.
        """
        wavelengths = self.wavelength_first + self.wavelength_per_band * np.arange(outputs)
        gains = wavelengths**-2.0
        return np.asarray(gains / gains.mean())
