"""Truths of a table that a bench file states, in place of those that a seed would draw: what a twin was fitted to."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from drivers.quantity import Radians

Bend = Annotated[float, Field(ge=-0.5, le=0.5)]
Pixels = Annotated[float, Field(ge=-1000, le=1000)]
Mode = Annotated[float, Field(ge=-100, le=100)]
Overlap = Annotated[float, Field(ge=0, le=0.6)]


class StatedTruths(BaseModel):
    """Each as in `simulators.worlds.prbm.truth`; one that is not given is drawn as ever.

    tile_gain: (3, 4) tiles of the panel, added to lut_gain. spectrum: (4, 2) amplitudes of cosine and sine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # --- the panel
    lut_gain: float | None = Field(None, ge=-0.5, le=0.5, description="by which every phase is too large")
    lut_bend: tuple[Bend, Bend] | None = None
    tile_gain: tuple[tuple[Bend, Bend, Bend, Bend], ...] | None = Field(None, min_length=3, max_length=3)
    wavefront: tuple[Mode, Mode, Mode] | None = Field(None, description="focus, astigmatism at 0 and 45 degrees, rad")

    # --- where things are
    camera_shift: tuple[Pixels, Pixels] | None = Field(None, description="rows and columns of the zeroth order")
    camera_rotation: Radians | None = Field(None, ge=-0.5, le=0.5)
    camera_scale: float | None = Field(None, ge=0.5, le=2, description="1 is as planned")

    # --- wavelengths on the panel
    row_offset: float | None = Field(None, ge=-200, le=200)
    row_slope: float | None = Field(None, ge=-0.2, le=0.2)
    spectrum: tuple[tuple[float, float], ...] | None = Field(None, min_length=4, max_length=4)
    coupling: tuple[Overlap, Overlap] | None = Field(None, description="of neighbouring bands at either end")

    # --- the source
    power_curve: tuple[Bend, Bend] | None = None
    power_drift: float | None = Field(None, ge=-1, le=1, description="per hour")
    warm_up: float | None = Field(None, ge=0, le=0.9)

    # --- the camera
    nonlinearity: float | None = Field(None, ge=-0.5, le=0.5)
    gain_kink: float | None = Field(None, ge=-0.5, le=0.5)

    def __bool__(self) -> bool:
        """Whether anything is stated."""
        return self.any_of(*type(self).model_fields)

    def any_of(self, *names: str) -> bool:
        """Whether one of these is stated."""
        return any(getattr(self, name) is not None for name in names)

    @property
    def panel(self) -> bool:
        """Whether light on its way to the detectors is affected."""
        return self.any_of(
            "lut_gain", "lut_bend", "tile_gain", "wavefront", "camera_shift", "camera_rotation", "camera_scale",
            "row_offset", "row_slope", "spectrum", "coupling",
        )  # fmt: skip

    @property
    def gray_table(self) -> bool:
        """Whether the phase of gray levels is affected."""
        return self.any_of("lut_gain", "lut_bend", "tile_gain")

    @property
    def source(self) -> bool:
        """Whether the source's power is affected."""
        return self.any_of("power_curve", "power_drift", "warm_up")

    @property
    def sensor(self) -> bool:
        """Whether the camera's sensor is affected."""
        return self.any_of("nonlinearity", "gain_kink")
