"""Panel, camera and detectors that tables share: what a bench file may change of them, with the numbers of real ones.

Numbers: docs/reference/optical-table.md, section 1 (typical).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from drivers.quantity import Fraction, Hertz, Metres, PerSecond, Seconds, Watts, WattsPerRootHertz


class Section(BaseModel):
    """A part of a world's section of the bench file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SlmParameters(Section):
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


class CameraParameters(Section):
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


class DetectorParameters(Section):
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


INSTANT_PANEL: dict[str, object] = {
    "fill_factor": 1.0,
    "rise_time": "0 s",
    "fall_time": "0 s",
    "scan_time": "0 s",
    "controller_latency": "0 s",
}
"""Keys of a panel's section on the table of the equations."""


def idealised(data: Any, sections: Mapping[str, Mapping[str, object]]) -> Any:
    """A world's section of the bench file, before it is checked, as ``ideal = true`` has it; unchanged without.

    sections: by name, the keys that are decided whatever is given for them. Nothing is hidden.
    """
    if not isinstance(data, dict) or data.get("ideal") is not True:
        return data
    given = {name: data.get(name, {}) for name in sections}
    decided = {name: {**keys, **sections[name]} for name, keys in given.items() if isinstance(keys, dict)}
    return data | decided | {"hidden": "none"}
