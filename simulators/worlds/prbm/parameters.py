"""Everything a seed or a bench file may change about the photonic RBM's table, with the numbers of a real one.

Numbers: supplement of arXiv 2508.20472 (geometry) and the component tables of the house plan (the rest, typical).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.quantity import (
    Fraction,
    Hertz,
    Metres,
    PerSecond,
    Seconds,
    Watts,
    WattsPerMetre,
    WattsPerRootHertz,
)
from simulators.worlds.faults import FaultList
from simulators.worlds.prbm.hidden import HiddenParameters


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlmParameters(_Section):
    """A HOLOEYE PLUTO-like panel."""

    rows: int = Field(1080, ge=2, le=4320)
    columns: int = Field(1920, ge=2, le=7680)
    pitch: Metres = Field(8e-6, gt=0, le=100e-6)
    levels: int | None = Field(256, ge=2, le=65536, description="gray levels over 2 pi; null is continuous phase")
    fill_factor: Fraction = Field(0.93, gt=0, le=1, description="active area; the dead area absorbs")
    reflectance: Fraction = Field(0.65, gt=0, le=1)
    rise_time: Seconds = Field(6e-3, ge=0, le=1, description="time constant towards more phase")
    fall_time: Seconds = Field(15e-3, ge=0, le=1, description="time constant towards less phase")
    refresh_rate: Hertz = Field(60.0, gt=0, le=1e6)
    scan_time: Seconds = Field(1 / 60, ge=0, le=1, description="from the first to the last row of a refresh")
    controller_latency: Seconds = Field(8e-3, ge=0, le=1)
    settle: Seconds = Field(75e-3, ge=0, le=10, description="wait after a local change, as delivered")
    base_settle: Seconds = Field(225e-3, ge=0, le=10, description="wait after a whole new pattern, as delivered")
    settled_phase: float = Field(
        2e-3, ge=0, le=0.1, description="a pixel this near its target (rad; a twelfth of a gray level) is at rest"
    )
    stuck: bool = Field(False, description="the panel ignores what is written")


class SourceParameters(_Section):
    """A supercontinuum laser. Its spectrum is flat over the band used."""

    density: WattsPerMetre = Field(2.5e6, gt=0, description="spectral power at full power, 2.5 mW/nm")
    tripped: bool = Field(False, description="the interlock of the laser head is open: it accepts no emission")


class BeamParameters(_Section):
    """Light between the source and the panel."""

    waist: Metres | Literal["uniform"] = Field(16.8e-3, description="1/e^2 intensity radius along the spin axis")
    transmission: Fraction = Field(0.28, gt=0, le=1, description="polariser 0.5, grating 0.7, lenses 0.8")
    blocked: bool = False


class OpticsParameters(_Section):
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


class CameraParameters(_Section):
    """An Andor Zyla 5.5 in 16-bit mode at 560 MHz."""

    rows: int = Field(2160, ge=1, le=16384)
    columns: int = Field(2560, ge=1, le=16384)
    pitch: Metres = Field(6.5e-6, gt=0, le=100e-6)
    axis_row: int = Field(1080, ge=0, description="pixel whose centre the zeroth order hits")
    axis_column: int = Field(1280, ge=0)
    quantum_efficiency: Fraction = Field(0.58, gt=0, le=1)
    electrons_per_count: float = Field(0.45, gt=0, le=100)
    offset: float = Field(100.0, ge=0, le=10000)
    bit_depth: int = Field(16, ge=8, le=16)
    full_well: float = Field(30_000.0, gt=0, description="electrons")
    read_noise: float = Field(1.45, ge=0, description="median over the pixels, electrons")
    read_noise_spread: float = Field(0.512, ge=0, le=2, description="log-normal width; 0.512 gives rms 1.3 x median")
    dark_current: PerSecond = Field(0.019, ge=0, description="electrons per pixel")
    row_time: Seconds = Field(9.24e-6, gt=0)
    max_exposure: Seconds = Field(30.0, gt=0)
    ideal: bool = Field(False, description="point detection, no noise, unrounded, unlimited")


class DetectorParameters(_Section):
    """Photodiodes: the slit detector at the zeroth order and the power tap."""

    slit_rows: int = Field(31, ge=1, le=2001, description="slit height, in camera pixels")
    slit_columns: int = Field(1, ge=1, le=101, description="slit width, in camera pixels")
    slit_nep: WattsPerRootHertz = Field(1e-14, ge=0)
    slit_range: Watts = Field(50e-9, gt=0)
    tap_nep: WattsPerRootHertz = Field(1e-9, ge=0)
    tap_range: Watts = Field(50e-3, gt=0)
    quantum_efficiency: Fraction = Field(0.8, gt=0, le=1)
    wavelength_error: float = Field(2e6, ge=0, description="relative error of power per metre of wrong wavelength")
    ideal: bool = False


_IDEAL: dict[str, dict[str, object]] = {
    "slm": {
        "fill_factor": 1.0,
        "rise_time": "0 s",
        "fall_time": "0 s",
        "scan_time": "0 s",
        "controller_latency": "0 s",
    },
    "beam": {"waist": "uniform"},
    "optics": {"equal_bands": True},
    "camera": {"ideal": True},
    "detector": {"ideal": True},
}


class PrbmParameters(_Section):
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
        if not isinstance(data, dict) or data.get("ideal") is not True:
            return data
        merged = dict(data)
        for section, values in _IDEAL.items():
            given = data.get(section, {})
            if isinstance(given, dict):
                merged[section] = given | values
        merged["hidden"] = "none"
        return merged

    @model_validator(mode="after")
    def _lit_rows_fit(self) -> PrbmParameters:
        last = self.optics.first_row + self.optics.bands * self.optics.rows_per_wavelength
        if last > self.slm.rows:
            raise ValueError(f"optics: the bands end at row {last}, the panel has {self.slm.rows} rows")
        if self.camera.axis_row >= self.camera.rows or self.camera.axis_column >= self.camera.columns:
            raise ValueError("camera: the zeroth order (axis_row, axis_column) lies outside the sensor")
        return self
