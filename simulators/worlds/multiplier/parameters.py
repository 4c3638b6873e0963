"""Everything a seed or a bench file may change about the coherent vector-matrix multiplier.

The light of the hologram table (`simulators.worlds.hologram.parameters`) on two panels: a strip that carries a vector,
and a panel of couplings. (T) marks what is typical and not sourced.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from drivers.quantity import Fraction, Metres, Seconds, Watts
from simulators.worlds.hologram.parameters import (
    BeamParameters,
    HologramHidden,
    HologramParameters,
    OpticsParameters,
    PanelParameters,
    ReferenceParameters,
)
from simulators.worlds.parts.amounts import Angle, Number, Share
from simulators.worlds.parts.parameters import INSTANT_PANEL, Section, idealised


class StripParameters(PanelParameters):
    """Some rows in the middle of a panel, which a line of light meets."""

    rows: int = Field(4, ge=2, le=64)
    scan_time: Seconds = Field(6e-5, ge=0, le=1, description="from the first to the last of these rows")
    controller_latency: Seconds = Field(16e-3, ge=0, le=1, description="with the scan down to the middle of the panel")


class CouplingParameters(PanelParameters):
    """A part of a panel: macro-pixels of columns and bands of rows, in whatever plan the protocol has."""

    scan_time: Seconds = Field(8e-3, ge=0, le=1, description="from the first to the last of these rows")


class LineParameters(BeamParameters):
    """Light between the laser and the strip."""

    waist: Metres = Field(3e-3, gt=0, le=10, description="1/e^2 intensity radius along the strip")
    line_waist: Metres = Field(12e-6, gt=0, le=1, description="and across it, in the focus of a cylindrical lens (T)")


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
    site_gain: Share = Field(0.05, ge=0, le=1, description="spread of condensates' gains, rms, per t0 (T)")
    detuning: Number = Field(0.1, ge=0, le=10, description="spread of their energies, rms, per t0 (T)")
    registration_scale: Share = Field(0.005, ge=0, le=0.1, description="of that image: up to so much either way (T)")


class OscillatorParameters(Section):
    """Condensates in the strip's image, of modes "shot" and "injection"; units are t0, and a field of N0 polaritons.

    Condensate j stands behind macro-pixel j of the strip, whose light seeds it or drives it, and its light reaches
    condensate i through macro-pixel (i, j) of the couplings: an assumption (optical re-injection has been shown for two
    sites; Liang, arXiv 2506.20924). Condensate i's own light is seen where band i of the couplings is.
    """

    sites: int = Field(10, ge=1, le=64)
    first_column: int = Field(16, ge=0, description="of the strip's first macro-pixel, and of the couplings'")
    columns: int = Field(48, ge=1, description="of a macro-pixel")
    first_row: int = Field(8, ge=0, description="of the couplings' first band")
    rows: int = Field(24, ge=1, description="of a band")
    lifetime: Seconds = Field(5e-12, gt=0, le=1e-9, description="of a polariton; t0 is twice as long")
    polaritons: float = Field(165.0, gt=0, le=1e9, description="N0: in a condensate of |psi| = 1")
    coupling: float = Field(1.0, ge=0, le=10, description="J where a macro-pixel of the couplings lets all light pass")
    path_phase: float = Field(
        math.pi, ge=-7, le=7, description="rad: panel phase at which light from another condensate adds in phase"
    )
    seed_power: Watts = Field(10e-3, gt=0, le=10, description="of the strip's arm, at which a full macro-pixel gives 1")
    gate: float = Field(0.1, gt=0, le=10, description="shot: how long couplings act, t0")
    tail: float = Field(5.0, ge=0, le=100, description="shot: how long the decay meets the reference, t0")
    shots: int = Field(100, ge=1, le=100_000, description="shot: in an exposure; seeds alike, noise of their own")
    gain: float = Field(1.0, ge=-10, le=10, description="injection: of each condensate, without the others")
    settle: float = Field(150.0, ge=0, le=1e5, description="injection: from rest until light counts, t0")
    average: float = Field(100.0, gt=0, le=1e5, description="injection: over which it is averaged, t0")
    collection: Fraction = Field(0.2, gt=0, le=1, description="objective, losses, filters (T)")
    attenuation: Fraction = Field(1.0, gt=0, le=1, description="neutral-density filter before the camera")
    spot: Metres = Field(2e-5, gt=0, description="1/e^2 radius of a condensate's image across its band, on the camera")

    @property
    def t0_s(self) -> float:
        """Unit of time."""
        return 2 * self.lifetime


_IDEAL: dict[str, dict[str, object]] = {
    "coupling": INSTANT_PANEL,
    "optics": {"row_blur": "0 m", "column_blur": "0 m"},
}


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
    oscillators: OscillatorParameters = OscillatorParameters()
    reference: FringeParameters = FringeParameters()
    hidden: MultiplierHidden = Field(
        MultiplierHidden(), description="imperfections that calibration must find: none, typical, or one by one"
    )

    @model_validator(mode="before")
    @classmethod
    def _idealise_images(cls, data: Any) -> Any:
        return idealised(data, _IDEAL)

    @model_validator(mode="after")
    def _sites_on_panels(self) -> MultiplierParameters:
        o = self.oscillators
        last_column, last_row = o.first_column + o.sites * o.columns, o.first_row + o.sites * o.rows
        columns, rows = min(self.slm.columns, self.coupling.columns), self.coupling.rows
        if self.mode != "optoelectronic" and (last_column > columns or last_row > rows):
            raise ValueError(
                f"oscillators: {o.sites} sites end at column {last_column} and row {last_row}, the panels have "
                f"{columns} columns and {rows} rows in common; take fewer sites or smaller macro-pixels"
            )
        return self
