"""How nodes, bands and camera rows lie on the multiplier's panels, as the bench file's ``[alignment.domino]`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from labctl.client import ConfigurationError

STRIP_PERIOD = 4
"""Columns in which the strip's pixels alternate."""
COUPLING_PERIOD = (4, 8)
"""Rows and columns in which the coupling panel's do: so that in eight columns all pairs of signs are met alike."""


class Macro(BaseModel):
    """Macro-pixels of a panel: corner of the first, and the size of each, in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: int = Field(0, ge=0, description="of the first pixel")
    column: int = Field(0, ge=0)
    rows: int = Field(ge=2, description="of a macro-pixel")
    columns: int = Field(ge=2)


class CameraPlan(BaseModel):
    """Where the first band's middle and the line of zero spatial frequency are, and the distance of bands."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: float = Field(description="middle of the first band, camera pixels")
    column: float = Field(description="line of zero spatial frequency, camera pixels")
    pitch: float = Field(description="camera rows from band to band; negative if the image is upside down")
    columns: int = Field(2, ge=1, le=64, description="that are read, around the line")


class Carrier(BaseModel):
    """Fringes of the reference, per camera pixel."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: float
    column: float


class DominoAlignment(BaseModel):
    """The plan of the table.

    Nodes are columns of both panels, macro-pixel by macro-pixel. Rows of the coupling panel are bands, each of one row
    of macro-pixels: one for the total field, one for every node's couplings, one for every node itself. Of fewer nodes
    than fit, macro-pixels are as many times larger as there is room, and lie in the middle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    mode: Literal["optoelectronic", "shot", "injection"] = Field(
        "optoelectronic", description="what the oscillators are, as the world of the bench has them"
    )
    vector: Macro = Field(description="smallest macro-pixels of the strip that holds psi")
    coupling: Macro = Field(description="smallest macro-pixels of the coupling panel")
    camera: CameraPlan
    carrier: Carrier

    def check_on(self, devices: Mapping[str, Any]) -> None:
        """Raise ConfigurationError unless two nodes at least fit the panels, and fringes are resolved."""
        for axis, value in (("row", self.carrier.row), ("column", self.carrier.column)):
            if abs(value) > 0.5:
                raise ConfigurationError(
                    f"carrier.{axis} = {value}: more than 0.5 fringes per pixel are not resolved; make the angle of "
                    "the reference smaller"
                )
        for words, pixels, period in (
            ("vector.columns", self.vector.columns, STRIP_PERIOD),
            ("coupling.columns", self.coupling.columns, COUPLING_PERIOD[1]),
            ("coupling.rows", self.coupling.rows, COUPLING_PERIOD[0]),
        ):
            if pixels % period:
                raise ConfigurationError(
                    f"{words} = {pixels}: pixels of a macro-pixel alternate with a period of {period}; choose a "
                    "multiple of it"
                )
        if devices.get("slm") is not None and devices.get("coupler") is not None:
            most = self.most_nodes(devices["slm"], devices["coupler"])
            if most < 2:
                raise ConfigurationError(
                    f"{most} nodes fit the panels; choose smaller macro-pixels in [alignment.domino], or larger panels"
                )

    def most_nodes(self, slm: Any, coupler: Any) -> int:
        """How many fit the two panels: N columns on both, bands for 2 N + 1 (N, where light is of oscillators)."""
        columns = (int(slm.columns) - self.vector.column) // self.vector.columns
        if int(slm.rows) < self.vector.row + self.vector.rows:
            return 0
        across = (int(coupler.columns) - self.coupling.column) // self.coupling.columns
        bands = self.most_bands(coupler)
        bands = (bands - 1) // 2 if self.mode == "optoelectronic" else bands
        return max(0, min(columns, across, bands))

    def most_bands(self, coupler: Any) -> int:
        """How many fit the coupling panel."""
        return max(0, (int(coupler.rows) - self.coupling.row) // self.coupling.rows)
