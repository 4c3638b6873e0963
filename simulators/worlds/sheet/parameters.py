"""Everything a seed or a bench file may change about the polariton sheet's table, with the numbers of a real one.

Light, reference and camera of the hologram table (`simulators.worlds.hologram.parameters`) with a GaAs microcavity that
is driven at resonance: docs/reference/optical-table.md, table C and section 4. Dimensionless numbers are in units of E0
= 1 meV, t0 = 0.66 ps, a = 1.23 um and n0 = 40 / um^2. (T) marks what is typical and not sourced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from drivers.quantity import Fraction, Metres, Seconds, Watts
from simulators.worlds.hologram.parameters import (
    BeamParameters,
    HologramHidden,
    HologramParameters,
    LifetimeCamera,
    OpticsParameters,
    PanelParameters,
    PumpParameters,
    ReferenceParameters,
)
from simulators.worlds.parts.amounts import Number, Share
from simulators.worlds.parts.parameters import INSTANT_PANEL, Section, SlmParameters, idealised
from simulators.worlds.pumps import PumpHead


class DriveParameters(PumpParameters):
    """A laser at the polaritons' energy; one arm drives the sheet, the other is the reference."""

    wavelength: Metres = Field(855e-9, gt=300e-9, lt=2e-6)
    highest_power: Watts = Field(4.0, gt=0, le=100, description="of either arm")
    drive_power: Watts = Field(
        0.004, gt=0, le=100, description="at which a full macro-pixel in the beam's middle is P = 1"
    )


class PumpPanel(PanelParameters):
    """A part of a panel that is imaged on the sheet, pixel by pixel."""

    rows: int = Field(64, ge=2, le=4320)
    columns: int = Field(176, ge=2, le=7680)
    scan_time: Seconds = Field(1e-3, ge=0, le=1, description="from the first to the last of these rows")
    node_pixels: int = Field(
        16, ge=2, le=256, description="panel pixels, in rows and in columns, to a node of the sheet"
    )


class PotentialPanel(SlmParameters):
    """A panel between polarisers, lit by the other laser and imaged on the sheet: light as sin^2 of half its phase."""

    rows: int = Field(32, ge=2, le=4320)
    columns: int = Field(96, ge=2, le=7680)
    node_pixels: int = Field(
        8, ge=1, le=256, description="panel pixels, in rows and in columns, to a node of the sheet"
    )
    extinction: Fraction = Field(1e-3, ge=0, le=1, description="of the polarisers: light at phase 0 (T)")


class ReservoirParameters(Section):
    """A laser above resonance: it makes excitons, which lift the polaritons' energy."""

    wavelength: Metres = Field(760e-9, gt=300e-9, lt=2e-6)
    highest_power: Watts = Field(5.0, gt=0, le=100)
    power_step: Watts = Field(1e-4, gt=0, le=1)
    lift_power: Watts = Field(1.0, gt=0, le=100, description="at which full light lifts a node by E0")
    gain: float = Field(0.0, ge=0, le=0.5, description="Im V / V: carriers also amplify (0.1-0.5; T)")
    blur: Metres = Field(0.0, ge=0, le=1e-4, description="of V by the carriers' diffusion, rms (0.7-1.5 um; T)")


class Imaging(OpticsParameters):
    """Relay from the pump's panel to the sheet, and objective with camera lens."""

    focal_length: Metres = Field(0.2, gt=0, description="of the relay's first lens: where the panel's glass is seen")
    camera_attenuation: Fraction = Field(2.5e-6, gt=0, le=1, description="neutral-density filters before the camera")
    magnification: float = Field(80.0, gt=0, le=1000, description="from the sheet to the camera")
    pump_blur: Metres = Field(
        0.25e-6, ge=0, le=1e-4, description="of the pump on the sheet: sigma of amplitudes; NA 0.7"
    )
    camera_blur: Metres = Field(0.25e-6, ge=0, le=1e-4, description="of the sheet on the camera: the same")


class SheetReference(ReferenceParameters):
    """A plane wave that meets the camera at an angle."""

    carrier_rows: float = Field(0.125, ge=-0.5, le=0.5, description="fringes per camera pixel along its columns")
    carrier_columns: float = Field(0.2, ge=-0.5, le=0.5, description="along its rows")
    common_path: bool = Field(
        False, description="it passes the same optics: its phase drifts and shakes by a thirtieth (0.01 rad per minute)"
    )


class SampleParameters(Section):
    """The microcavity: cells of nodes behind etched walls, and beside them a row of windows through which the pump's
    light passes as it is. Between cells is a column that is etched away, between cells and windows a row."""

    rows: int = Field(1, ge=1, le=64, description="of nodes")
    columns: int = Field(9, ge=1, le=400, description="of nodes, in a cell")
    cells: int = Field(1, ge=1, le=64, description="side by side")
    node: Metres = Field(1.23e-6, gt=0, le=1e-3, description="distance of nodes")
    unit_time: Seconds = Field(0.66e-12, gt=0, le=1e-9, description="t0 = hbar / E0")
    polaritons: float = Field(60.5, gt=0, le=1e9, description="of a node at |psi|^2 = 1: n0 a^2")
    g: float = Field(0.1, ge=0, le=100, description="strength of the nonlinearity")
    gamma: float = Field(0.1, gt=0, le=10, description="loss")
    nonlinearity: Literal["density", "saturation"] = "saturation"
    detuning: float = Field(0.3, ge=-10, le=10, description="of the drive above the lower polaritons' edge, E0")
    window: Fraction = Field(0.4, gt=0, le=1, description="|psi| seen in a window at P = 1")
    collection: Fraction = Field(0.2, gt=0, le=1, description="objective, losses, filters (T)")


class SheetHidden(HologramHidden):
    """What this table has besides: amplitudes of its imperfections, 0 or false without."""

    of_light = (*HologramHidden.of_light, "registration_shift", "registration_scale")

    dust: Number = Field(2, ge=0, le=200, description="most spots on what is used of panel and camera, each (T)")
    disorder: Number = Field(
        0.035, ge=0, le=10, description="of the potential from node to node, rms, E0 (20-50 ueV; T)"
    )
    gamma_error: Share = Field(0.1, ge=0, le=0.9, description="of the loss: up to so much either way (T)")
    detuning_drift: Number = Field(0.0075, ge=0, le=1, description="of the drive's detuning, E0 per hour (5-10 ueV; T)")
    registration_shift: Number = Field(
        0.05, ge=0, le=10, description="of either panel's image on the sheet: up to so many nodes (T)"
    )
    registration_scale: Share = Field(0.0005, ge=0, le=0.1, description="of those images: up to so much either way (T)")
    collection_error: Share = Field(0.05, ge=0, le=0.5, description="of light that is collected: up to so much (T)")


_IDEAL: dict[str, dict[str, object]] = {
    "projector": INSTANT_PANEL,
    "optics": {"pump_blur": "0 m", "camera_blur": "0 m"},
}


class SheetParameters(HologramParameters):
    """The whole table. ``noise`` off leaves everything as on the table but for random numbers; ``ideal`` is the table
    of the equations: point detection, no noise, unrounded, instant response, sharp images, nothing hidden."""

    lost_frames: Fraction = Field(0.0, ge=0, lt=1, description="share of frames that do not come to the computer")
    slm: PumpPanel = PumpPanel()
    projector: PotentialPanel = PotentialPanel()
    pump: DriveParameters = DriveParameters()
    reservoir: ReservoirParameters = ReservoirParameters()
    beam: BeamParameters = BeamParameters()
    optics: Imaging = Imaging()
    reference: SheetReference = SheetReference()
    camera: LifetimeCamera = LifetimeCamera()
    sample: SampleParameters = SampleParameters()
    hidden: SheetHidden = Field(
        SheetHidden(), description="imperfections that calibration must find: none, typical, or one by one"
    )

    @property
    def pumps(self) -> Mapping[str, PumpHead]:
        """Lasers by port: the two arms of the drive, and the one that lights the potential's panel."""
        r = self.reservoir
        return {**super().pumps, "reservoir": PumpHead(r.wavelength, r.highest_power, r.power_step)}

    @property
    def mesa(self) -> tuple[int, int]:
        """Rows and columns of nodes, with etched columns between cells."""
        s = self.sample
        return s.rows, s.cells * s.columns + s.cells - 1

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of places on the sample: windows, a row without light, and the mesa below."""
        rows, columns = self.mesa
        return rows + 2, columns

    @property
    def node_px(self) -> float:
        """Camera pixels from node to node, by plan."""
        return self.sample.node * self.optics.magnification / self.camera.pitch

    @property
    def electrons_at_one(self) -> float:
        """Photoelectrons per second and camera pixel where |psi| = 1.

        A polariton leaves at the rate 2 gamma / t0.
        """
        s = self.sample
        leaving = s.polaritons * 2 * s.gamma / s.unit_time
        passed = s.collection * self.optics.camera_attenuation * self.camera.quantum_efficiency
        return leaving * passed / self.node_px**2

    @model_validator(mode="before")
    @classmethod
    def _idealise_images(cls, data: Any) -> Any:
        return idealised(data, _IDEAL)

    @model_validator(mode="after")
    def _places_on_panels(self) -> SheetParameters:
        rows, columns = self.places
        for name, panel in (("slm", self.slm), ("projector", self.projector)):
            high, wide = rows * panel.node_pixels, columns * panel.node_pixels
            if high > panel.rows or wide > panel.columns:
                raise ValueError(
                    f"{name}: {rows} x {columns} places of {panel.node_pixels} pixels need {high} x {wide} pixels, the "
                    f"panel has {panel.rows} x {panel.columns}; take fewer nodes, or fewer pixels to a node"
                )
        return self
