"""Everything a seed or a bench file may change about the coherent vector-matrix multiplier.

The light of the hologram table (`simulators.worlds.hologram.parameters`) on two panels: a strip that carries a vector,
and a panel of couplings. (T) marks what is typical and not sourced.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from drivers.quantity import Fraction, Metres, Seconds
from simulators.worlds.hologram.parameters import (
    BeamParameters,
    HologramHidden,
    HologramParameters,
    OpticsParameters,
    PanelParameters,
    ReferenceParameters,
)
from simulators.worlds.prbm.hidden import Angle, Number, Share

MODES = ("optoelectronic", "shot", "injection")


class StripParameters(PanelParameters):
    """Some rows in the middle of a panel, which a line of light meets."""

    rows: int = Field(8, ge=2, le=64)
    scan_time: Seconds = Field(1.25e-4, ge=0, le=1, description="from the first to the last of these rows")
    controller_latency: Seconds = Field(16e-3, ge=0, le=1, description="with the scan down to the middle of the panel")


class CouplingParameters(PanelParameters):
    """A part of a panel: macro-pixels of columns and bands of rows, in whatever plan the protocol has."""

    scan_time: Seconds = Field(8e-3, ge=0, le=1, description="from the first to the last of these rows")


class LineParameters(BeamParameters):
    """Light between the laser and the strip."""

    waist: Metres = Field(3e-3, gt=0, le=10, description="1/e^2 intensity radius along the strip")
    line_waist: Metres = Field(20e-6, gt=0, le=1, description="and across it, in the focus of a cylindrical lens (T)")


class LensParameters(OpticsParameters):
    """Cylindrical lenses: from strip to couplings, and from couplings to camera."""

    focal_length: Metres = Field(0.4, gt=0, description="of the lens that sums along the couplings' rows")
    transmission: Fraction = Field(0.5, gt=0, le=1, description="of all lenses and windows")
    camera_attenuation: Fraction = Field(1e-4, gt=0, le=1, description="neutral-density filters")
    spread: Metres = Field(3e-3, gt=0, le=10, description="1/e^2 intensity radius of light along couplings' columns")
    row_magnification: float = Field(2.0, gt=0, le=100, description="of the couplings' rows on the camera")
    row_blur: Metres = Field(4.8e-6, ge=0, le=1e-3, description="of rows' image: sigma of amplitudes on the panel (T)")
    column_blur: Metres = Field(4.8e-6, ge=0, le=1e-3, description="of the strip's columns, on the couplings (T)")


class FringeParameters(ReferenceParameters):
    """A plane wave that meets the camera at an angle, so that fringes cross the bands of rows."""

    carrier_rows: float = Field(0.25, ge=-0.5, le=0.5, description="fringes per camera pixel along its columns")
    carrier_columns: float = Field(0.0, ge=-0.5, le=0.5, description="along its rows")
    waist: Metres = Field(8e-3, gt=0, le=10, description="1/e^2 intensity radius on the camera")
    common_path: bool = Field(
        False, description="it passes the same lenses: its phase drifts and shakes by a thirtieth (0.01 rad per minute)"
    )


class MultiplierHidden(HologramHidden):
    """What this table has besides: amplitudes of its imperfections, 0 or false without."""

    of_light = (*HologramHidden.of_light, "registration_shift", "registration_scale")

    camera_rotation: Angle = Field(1e-3, ge=0, le=0.02, description="against the couplings' rows: up to so much (T)")
    camera_scale: Share = Field(0.01, ge=0, le=0.2, description="of rows on the camera: up to so much either way (T)")
    registration_shift: Number = Field(
        3.0, ge=0, le=100, description="of the strip's image on the couplings: up to so many columns (T)"
    )
    registration_scale: Share = Field(0.005, ge=0, le=0.1, description="of that image: up to so much either way (T)")


_IDEAL_COUPLING = {"fill_factor": 1.0, "rise_time": 0, "fall_time": 0, "scan_time": 0, "controller_latency": 0}


class MultiplierParameters(HologramParameters):
    """The whole table. ``noise`` off leaves everything as on the table but for random numbers; ``ideal`` is the table
    of the equations: point detection, no noise, unrounded, instant response, sharp images, nothing hidden."""

    mode: Literal["optoelectronic", "shot", "injection"] = Field(
        "optoelectronic", description="whether condensates stand in the light's way, and how they run"
    )
    lost_frames: Fraction = Field(0.0, ge=0, lt=1, description="share of frames that do not come to the computer")
    slm: StripParameters = StripParameters()
    coupling: CouplingParameters = CouplingParameters()
    beam: LineParameters = LineParameters()
    optics: LensParameters = LensParameters()
    reference: FringeParameters = FringeParameters()
    hidden: MultiplierHidden = Field(
        MultiplierHidden(), description="imperfections that calibration must find: none, typical, or one by one"
    )

    @model_validator(mode="before")
    @classmethod
    def _idealise_images(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("ideal") is not True:
            return data
        given, optics = data.get("coupling", {}), data.get("optics", {})
        merged = dict(data)
        if isinstance(given, dict):
            merged["coupling"] = given | {k: v if k == "fill_factor" else "0 s" for k, v in _IDEAL_COUPLING.items()}
        if isinstance(optics, dict):
            merged["optics"] = optics | {"row_blur": "0 m", "column_blur": "0 m"}
        return merged
