"""What reading local fields by light takes and gives, on the plan's table and on a mapped one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Parameters


class ReadoutParameters(Parameters):
    """How local fields are measured."""

    flips: Literal["single", "hadamard"] = Field("hadamard", description="one output spin at a time, or half of them")
    readout: Literal["camera", "photodetector"] = Field("camera", description="slit of camera pixels, or slit detector")
    slit: int = Field(31, ge=1, le=501, description="camera rows summed, along the line; odd")
    slit_width: int = Field(1, ge=1, le=15, description="camera columns summed, across the line; odd")
    pixels_per_spin: int | None = Field(
        None, ge=1, le=64, description="SLM columns of a macro-pixel; null: 2, or in a mapped order up to 8, as fit"
    )
    output_at: Literal["centre", "end"] = Field("centre", description="place of the sampled spin in its band")
    reference_spins: int = Field(3, ge=1, description="macro-pixels lit in the reference patterns")
    reference_repeats: int = Field(12, ge=2, le=1000, description="times that the reference patterns are shown")
    averages: int = Field(1, ge=1, le=1000, description="measurements of each layer that are averaged")
    fill: float = Field(
        0.72, ge=0.02, le=0.85, description="of the camera's well, by the brightest pixel; not in a mapped order"
    )
    dither: Literal["on", "off"] = Field(
        "on", description="a common phase, another for every measurement, so that rounded gray levels average out"
    )
    emission: Literal["on", "off"] = Field("on", description="off leaves the laser off, to see what darkness gives")

    def on_ideal_table(self, widest: int) -> Self:
        """Point detection for `ideal_table`: range is unlimited there, so the reference is I_0 itself.

        widest: most spins that one output spin sees.
        """
        changes = {"slit": 1, "slit_width": 1, "reference_spins": widest + 1, "reference_repeats": 2, "dither": "off"}
        return self.model_copy(update=changes)


class SamplingParameters(ReadoutParameters):
    """How spins are sampled: by local fields so measured, or by arithmetic in their place."""

    sampler: Literal["photonic", "exact"] = Field("photonic", description="light, or arithmetic in its place")
    noise: Literal["on", "off"] = Field("on", description="off: the ideal table of the equations")

    @property
    def overrides(self) -> Mapping[str, object]:
        """Changes of the bench: noise=off asks for the ideal table."""
        return ideal_table() if self.noise == "off" else {}


def ideal_table() -> dict[str, object]:
    """Changes of a bench file that ask for the table of the equations: what noise=off means."""
    # The bands of the ideal world are equally bright.
    return {"world.ideal": True, "alignment.prbm.wavelength_per_band": 0.0}


@dataclass(frozen=True)
class Measurement:
    """Local fields of one layer.

    fields: (outputs,) L_j. total: I_1, all output spins +1, in units of one macro-pixel's intensity, summed over the
    passes. contrasts: (outputs,) I_1 - I_2j = 4 L_j / W_max. predicted_noise: (outputs,) standard deviation of the
    fields by shot noise, noise in the dark and dithered rounding; nan for the photodetector. electrons: in the window,
    mean pattern. pattern_ids: (first, last) shown.
    """

    fields: NDArray[np.float64]
    total: float
    contrasts: NDArray[np.float64]
    predicted_noise: NDArray[np.float64]
    electrons: float
    exposure_s: float
    pattern_ids: tuple[int, int]
