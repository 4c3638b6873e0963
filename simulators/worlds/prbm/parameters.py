"""Everything a seed or a bench file may change about the photonic RBM's table, with the numbers of a real one.

Numbers: supplement of arXiv 2508.20472 (geometry) and docs/reference/optical-table.md (the rest, typical).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from drivers.quantity import (
    Fraction,
    Metres,
    Seconds,
    WattsPerMetre,
)
from simulators.worlds.faults import FaultList
from simulators.worlds.parts.parameters import (
    INSTANT_PANEL,
    CameraParameters,
    DetectorParameters,
    Section,
    SlmParameters,
    idealised,
)
from simulators.worlds.prbm.hidden import HiddenParameters


class SourceParameters(Section):
    """A supercontinuum laser. Its spectrum is flat over the band used."""

    density: WattsPerMetre = Field(2.5e6, gt=0, description="spectral power at full power, 2.5 mW/nm")
    tripped: bool = Field(False, description="the interlock of the laser head is open: it accepts no emission")


class BeamParameters(Section):
    """Light between the source and the panel."""

    waist: Metres | Literal["uniform"] = Field(16.8e-3, description="1/e^2 intensity radius along the spin axis")
    transmission: Fraction = Field(0.28, gt=0, le=1, description="polariser 0.5, grating 0.7, lenses 0.8")
    blocked: bool = False


class OpticsParameters(Section):
    """Dispersion, Fourier lens, and what feeds each detector."""

    wavelength_first: Metres = Field(588e-9, gt=300e-9, lt=2e-6, description="at the first lit row")
    dispersion: float = Field(180e3, gt=0, description="metres on the panel per metre of wavelength (180 um/nm)")
    first_row: int = Field(281, ge=0, description="first lit row of the panel")
    rows_per_wavelength: int = Field(2, ge=1, le=64, description="rows lit by one band")
    bands: int = Field(259, ge=1, le=4096)
    equal_bands: bool = Field(
        False, description="every band as bright on the axis; in truth intensity falls as 1 / wavelength squared"
    )
    focal_length: Metres = Field(0.2, gt=0)
    transmission: Fraction = Field(0.86, gt=0, le=1, description="Fourier lens and windows")
    camera_attenuation: Fraction = Field(0.028, gt=0, le=1, description="beam splitter and neutral-density filter")
    slit_share: Fraction = Field(0.5, gt=0, le=1, description="share of the beam splitter towards the slit")
    tap_share: Fraction = Field(0.01, gt=0, le=1, description="share of the source's output the power tap takes")


_IDEAL: dict[str, dict[str, object]] = {
    "slm": INSTANT_PANEL,
    "beam": {"waist": "uniform"},
    "optics": {"equal_bands": True},
    "camera": {"ideal": True},
    "detector": {"ideal": True},
}


class PrbmParameters(Section):
    """The whole table.

    ``noise`` off leaves everything as on the table but for random numbers. ``ideal`` is the table of the equations:
    uniform light, on-axis point detection, no noise, unrounded, instant response, nothing hidden. It decides these keys
    whatever else is given for them; the number of gray levels stays as given.
    """

    seed: int = Field(7, ge=0, le=2**63 - 1)
    path: Literal["auto", "reference"] = Field(
        "auto", description="reference: transform the whole pattern for every frame"
    )
    elapsed: Seconds = Field(
        0.0, ge=0, le=1e7, description="since the table was set up, at which a session in virtual time begins"
    )
    noise: bool = Field(True, description="of photons, read-out and detectors; without it counts are still rounded")
    slm: SlmParameters = SlmParameters()
    source: SourceParameters = SourceParameters()
    beam: BeamParameters = BeamParameters()
    optics: OpticsParameters = OpticsParameters()
    camera: CameraParameters = CameraParameters()
    detector: DetectorParameters = DetectorParameters()
    hidden: HiddenParameters = Field(
        HiddenParameters(), description="imperfections that calibration must find: none, typical, or one by one"
    )
    faults: FaultList = Field((), description="what goes wrong on it, by exposure number or bench time")

    ideal: bool = False

    @property
    def band_width_m(self) -> float:
        """Wavelength range of one band."""
        return self.optics.rows_per_wavelength * self.slm.pitch / self.optics.dispersion

    @property
    def wavelengths_m(self) -> NDArray[np.floating[Any]]:
        """(bands,) at the centre of each."""
        return self.optics.wavelength_first + (np.arange(self.optics.bands) + 0.5) * self.band_width_m

    @property
    def mean_wavelength_m(self) -> float:
        """Of the light on the panel."""
        return float(self.wavelengths_m.mean())

    @model_validator(mode="before")
    @classmethod
    def _idealise(cls, data: Any) -> Any:
        return idealised(data, _IDEAL)

    @model_validator(mode="after")
    def _lit_rows_fit(self) -> PrbmParameters:
        last = self.optics.first_row + self.optics.bands * self.optics.rows_per_wavelength
        if last > self.slm.rows:
            raise ValueError(f"optics: the bands end at row {last}, the panel has {self.slm.rows} rows")
        if self.camera.axis_row >= self.camera.rows or self.camera.axis_column >= self.camera.columns:
            raise ValueError("camera: the zeroth order (axis_row, axis_column) lies outside the sensor")
        return self
