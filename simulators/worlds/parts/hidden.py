"""What every real table has and its equations have not: amplitudes of imperfections of panel, camera and room.

What a seed draws from them is `simulators.worlds.parts.truth`. Numbers are those of the component tables of the house
plan. (T) marks what is typical there and not sourced; the others carry their source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.worlds.parts.amounts import Angle, Number, Share, Temperature


class CommonHidden(BaseModel):
    """Amplitudes of imperfections that every table has. 0 or false switches one off.

    ``preset`` decides those that are not given: "none" has none of them, "typical" all, with the numbers below. The
    word alone may stand in place of the section.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    always: ClassVar[tuple[str, ...]] = ("preset", "camera_flip", "kink_electrons", "front_wedge")
    """Keys that keep their number where nothing is planted, since by themselves they do nothing."""
    of_light: ClassVar[tuple[str, ...]] = (
        "lut_error",
        "lut_tile_error",
        "flicker",
        "crosstalk",
        "dead_area",
        "front_face",
        "axis_error",
        "dust",
        "camera_shift",
        "camera_rotation",
        "camera_scale",
        "camera_flip",
        "phase_per_kelvin",
        "pointing_per_kelvin",
    )
    of_sensor: ClassVar[tuple[str, ...]] = (
        "prnu",
        "dsnu",
        "dsnu_columns",
        "hot_pixels",
        "blinking",
        "nonlinearity",
        "gain_kink",
        "dust",
    )
    of_source: ClassVar[tuple[str, ...]] = ()

    preset: Literal["none", "typical"] = "none"

    # --- the panel
    lut_error: Share = Field(
        0.05, ge=0, le=0.2, description="phase of the gray levels: gain, and a smooth bend of so much of a turn (T)"
    )
    lut_tile_error: Share = Field(0.01, ge=0, le=0.2, description="gain of each tile beside the panel's, rms (T)")
    flicker: Angle = Field(
        0.05, ge=0, le=0.5, description="rms at a phase of pi, proportional to phase, one tone of 60 to 300 Hz (T)"
    )
    crosstalk: Number = Field(
        0.17,
        ge=0,
        le=0.3,
        description="fringing fields: sigma of the blur of the wrapped phase, SLM pixels; x and y differ by up to a "
        "third (T; Persson OE 20, 22334; Moser OE 27, 25046)",
    )
    dead_area: Share = Field(
        0.05,
        ge=0,
        le=1,
        description="reflectance of the gaps between the pixels, relative to the pixels'; with a phase of their own. "
        "5 % of a fill factor of 93 % sends up to 15 macro-pixels of 2 columns to the axis (T)",
    )
    front_face: Share = Field(0.005, ge=0, le=0.1, description="reflectance of the panel's glass (T)")
    front_wedge: Angle = Field(1e-3, ge=0, le=0.02, description="between glass and pixels: up to so much (T)")
    axis_error: Angle = Field(
        0.01745, ge=0, le=0.5, description="of the polariser: 1 deg leaves 3e-4 of the light unmodulated (T)"
    )
    dust: Number = Field(20, ge=0, le=200, description="most spots, a quarter of them at least (T)")

    # --- where things are
    camera_shift: Number = Field(20, ge=0, le=500, description="of the zeroth order: up to so many camera pixels (T)")
    camera_rotation: Angle = Field(0.01745, ge=0, le=0.2, description="up to so much either way; 1 deg (T)")
    camera_scale: Share = Field(0.02, ge=0, le=0.2, description="up to so much either way (T)")
    camera_flip: bool = Field(False, description="the sensor sees columns mirrored")

    # --- temperature
    temperature_drift: Temperature = Field(0.5, ge=0, le=10, description="per hour: half of that at least (T)")
    phase_per_kelvin: Share = Field(0.003, ge=0, le=0.1, description="by which every phase of the panel falls (T)")
    pointing_per_kelvin: Angle = Field(
        5e-6, ge=0, le=1e-3, description="of the light behind the panel: up to so much (T)"
    )

    # --- the camera
    prnu: Share = Field(0.005, ge=0, le=0.2, description="spread of the pixels' response (T)")
    dsnu: Number = Field(1.0, ge=0, le=100, description="spread of the pixels' offsets, electrons (T)")
    dsnu_columns: Number = Field(0.3, ge=0, le=100, description="spread of the columns' offsets, electrons (T)")
    hot_pixels: Share = Field(1e-4, ge=0, le=0.01, description="share of pixels with 100 to 10,000 e/s in the dark (T)")
    blinking: Share = Field(1e-3, ge=0, le=0.01, description="share of pixels that jump by 5 to 30 electrons (T)")
    nonlinearity: Share = Field(0.002, ge=0, le=0.1, description="at full well, of a response that bends (T)")
    gain_kink: Share = Field(0.005, ge=0, le=0.1, description="change of gain where the amplifiers switch (T)")
    kink_electrons: Number = Field(1500, ge=0, description="where that is (T)")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any) -> Any:
        if data is None or data is False:
            data = "none"
        if isinstance(data, str):
            data = {"preset": data}
        if isinstance(data, Mapping) and data.get("preset", "none") == "none":
            nothing = {name: 0 for name in cls.model_fields if name not in cls.always}
            return nothing | dict(data)
        return data

    @property
    def panel(self) -> bool:
        """Whether light on its way to the detectors is not that of the plain table."""
        return any(getattr(self, name) for name in self.of_light)

    @property
    def sensor(self) -> bool:
        """Whether the camera is not the plain one."""
        return any(getattr(self, name) for name in self.of_sensor)

    @property
    def source(self) -> bool:
        """Whether the source's power is not exactly what it is set to."""
        return any(getattr(self, name) for name in self.of_source)
