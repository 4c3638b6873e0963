"""How nodes lie on the panels and on the camera of a polariton sheet, as the bench file's ``[alignment.nep]`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from labctl.client import ConfigurationError
from simulators.physics.sheet.equation import Sheet

PERIOD = 4
"""Pixels in which those of a macro-pixel alternate."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Macro(_Section):
    """Macro-pixels of a panel, one to each place: corner of the first, and their size, in pixels."""

    row: int = Field(ge=0)
    column: int = Field(ge=0)
    pixels: int = Field(ge=2, description="in rows and in columns")


class CameraPlan(_Section):
    """Where the middle of all places is, how far places are apart, and how sharp they are."""

    row: float
    column: float
    pitch: float = Field(gt=2, description="camera pixels from node to node")
    blur: float = Field(0.2, ge=0, le=2, description="sigma of the image's amplitudes, nodes")
    search: float = Field(24.0, ge=0, le=1000, description="pixels by which the image may be off")


class Carrier(_Section):
    """Fringes of the reference, per camera pixel."""

    row: float
    column: float


class NepAlignment(_Section):
    """The plan of the table.

    Places are rows of nodes: first one of windows, then one without light, then those of the sheet, in cells side by
    side with a column without light between them. Each has a macro-pixel on either panel.
    """

    rows: int = Field(1, ge=1, le=64, description="of nodes")
    columns: int = Field(9, ge=1, le=400, description="of nodes, in a cell")
    cells: int = Field(1, ge=1, le=64)
    g: float = Field(gt=0, le=100, description="strength of the nonlinearity: the unit of density is where it is so")
    gamma: float = Field(gt=0, le=10, description="loss, by the sample's data sheet")
    nonlinearity: Literal["density", "saturation"] = "saturation"
    detuning: float = Field(ge=-10, le=10, description="of the drive above the polaritons' edge, E0")
    lift: float = Field(gt=0, le=100, description="potential of the brightest light that is written, E0, about")
    lift_w: float = Field(gt=0, le=100, description="power of the reservoir's laser for that, W")
    pump_most: float = Field(1.5, gt=0, le=100, description="largest |P| of a node that can be written")
    pump: Macro
    potential: Macro
    camera: CameraPlan
    carrier: Carrier

    @property
    def mesa(self) -> tuple[int, int]:
        """Rows and columns of nodes, with those between cells."""
        return self.rows, self.cells * self.columns + self.cells - 1

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of places."""
        rows, columns = self.mesa
        return rows + 2, columns

    @property
    def walls(self) -> NDArray[np.bool_]:
        """Nodes (rows, columns) of the mesa that are etched away."""
        walls = np.zeros(self.mesa, np.bool_)
        walls[:, self.columns :: self.columns + 1] = True
        return walls

    def sheet(self, gamma: float) -> Sheet:
        """With this loss: a chain where there is one row."""
        shape = (self.mesa[1],) if self.rows == 1 else self.mesa
        walls = self.walls.reshape(shape) if self.cells > 1 else None
        return Sheet(shape, self.g, gamma, self.nonlinearity, walls)

    def check_on(self, devices: Mapping[str, Any]) -> None:
        """Raise ConfigurationError unless all places fit panels and camera, and fringes are resolved."""
        for axis, value in (("row", self.carrier.row), ("column", self.carrier.column)):
            if abs(value) > 0.5:
                raise ConfigurationError(
                    f"carrier.{axis} = {value}: more than 0.5 fringes per pixel are not resolved; make the angle of "
                    "the reference smaller"
                )
        fringes = max(abs(self.carrier.row), abs(self.carrier.column)) * self.camera.pitch
        if fringes < 0.75:
            raise ConfigurationError(
                f"carrier: {fringes:.2g} fringes to a node, which cannot be told from its light; 0.75 are needed: make "
                "the angle of the reference larger, or the magnification"
            )
        if self.pump.pixels % PERIOD:
            raise ConfigurationError(
                f"pump.pixels = {self.pump.pixels}: pixels of a macro-pixel alternate with a period of {PERIOD}; "
                "choose a multiple of it"
            )
        rows, columns = self.places
        for role, macro in (("slm", self.pump), ("potential", self.potential)):
            panel = devices.get(role)
            if panel is None:
                continue
            high, wide = macro.row + rows * macro.pixels, macro.column + columns * macro.pixels
            if high > int(panel.rows) or wide > int(panel.columns):
                raise ConfigurationError(
                    f"{role}: {rows} x {columns} places of {macro.pixels} pixels end at row {high}, column {wide}; the "
                    f"panel has {int(panel.rows)} x {int(panel.columns)}: take fewer nodes, or smaller macro-pixels"
                )
        camera = devices.get("camera")
        if camera is not None:
            down, across = (n * self.camera.pitch for n in (rows, columns))
            if down > int(camera.rows) or across > int(camera.columns):
                raise ConfigurationError(
                    f"camera: {rows} x {columns} places, {self.camera.pitch:g} pixels apart, need {down:.0f} x "
                    f"{across:.0f} pixels, the camera has {int(camera.rows)} x {int(camera.columns)}: magnify less"
                )
