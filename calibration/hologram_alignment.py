"""Where the hologram table's optics put things, as the bench file's ``[alignment.hologram]`` says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from labctl.client import ConfigurationError


class Place(BaseModel):
    """Rows and columns, of a pixel or of a distance."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: float
    column: float


class HologramAlignment(BaseModel):
    """The Fourier lens, the camera pixel of the zeroth order, where single spots are sent, and the reference's carrier.

    A phase that rises by 2 pi over q SLM columns sends light lambda f / (q pitch) towards larger columns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    focal_length: float = Field(gt=0, description="of the Fourier lens, mm")
    zeroth_order: Place = Field(description="camera pixel")
    spot: Place = Field(description="of single spots, camera pixels from the zeroth order")
    carrier: Place = Field(Place(row=0.0, column=0.0), description="of the reference, fringes per camera pixel")

    def check_on(self, devices: Mapping[str, Any]) -> None:
        """Raise ConfigurationError unless zeroth order and spot lie on the camera and fringes are resolved."""
        if math.hypot(self.carrier.row, self.carrier.column) > 0.5:
            raise ConfigurationError(
                f"carrier row {self.carrier.row}, column {self.carrier.column}: more than 0.5 fringes per pixel are "
                "not resolved; make the angle of the reference smaller"
            )
        camera = devices.get("camera")
        if camera is None:
            return
        axis, spot = self.zeroth_order, self.spot
        places = (("zeroth_order", axis.row, axis.column), ("spot", axis.row + spot.row, axis.column + spot.column))
        for words, row, column in places:
            if not (0 <= row < camera.rows and 0 <= column < camera.columns):
                raise ConfigurationError(
                    f"{words} is at row {row:g}, column {column:g}; the camera has {camera.rows}x{camera.columns}"
                )
