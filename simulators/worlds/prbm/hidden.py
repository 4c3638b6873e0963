"""Imperfections that only the photonic RBM's table has: how much of each, from which a seed draws the truth.

Only amplitudes stand here; what was drawn is `simulators.worlds.prbm.truth`. Numbers are those of
docs/reference/optical-table.md. (T) marks what is typical there and not sourced; the others carry their source.
"""

from __future__ import annotations

from pydantic import Field

from simulators.worlds.parts.amounts import Angle, Duration, Length, Number, Share
from simulators.worlds.parts.hidden import CommonHidden
from simulators.worlds.prbm.stated import StatedTruths


class HiddenParameters(CommonHidden):
    """What the photonic RBM's table has besides."""

    always = (*CommonHidden.always, "warm_up_time", "front_coherence", "stated")
    of_light = (
        *CommonHidden.of_light,
        "lut_wavelength",
        "aberration",
        "beam_shift",
        "row_offset",
        "row_slope",
        "spectrum",
        "coupling",
        "spectrum_drift",
        "rows_per_kelvin",
    )
    of_source = ("pulse_noise", "slow_noise", "power_curve", "power_drift", "warm_up")

    stated: StatedTruths = Field(StatedTruths(), description="truths that are known, in place of those that are drawn")

    @property
    def panel(self) -> bool:
        """Whether light on its way to the detectors is not that of the plain table."""
        return super().panel or self.stated.panel

    @property
    def sensor(self) -> bool:
        """Whether the camera is not the plain one."""
        return super().sensor or self.stated.sensor

    @property
    def source(self) -> bool:
        """Whether the source's power is not exactly what it is set to."""
        return super().source or self.stated.source

    # --- the panel and the beam on it
    lut_wavelength: Length = Field(
        600e-9, ge=0, le=2e-6, description="at which 256 gray levels are a turn; the phase falls with the wavelength"
    )
    aberration: Angle = Field(1.0, ge=0, le=10, description="focus and astigmatism over the lit rows, rms (T)")
    front_coherence: Share = Field(
        0.57, ge=0, le=1, description="of light from the glass with the rest: 3 mm delay, 4 mm coherence length (T)"
    )
    beam_shift: Number = Field(
        20, ge=0, le=500, description="of the beam across the panel: up to so many SLM pixels (T)"
    )

    # --- wavelengths on the panel
    row_offset: Number = Field(3, ge=0, le=50, description="of the middle wavelength: up to so many rows (T)")
    row_slope: Share = Field(0.01, ge=0, le=0.1, description="of rows per wavelength: up to so much (T)")
    rows_per_kelvin: Number = Field(1.0, ge=0, le=20, description="of the wavelengths: a fifth of that at least (T)")
    spectrum: Share = Field(0.3, ge=0, le=0.9, description="largest deviation of the spectrum from flat (T)")
    spectrum_drift: Share = Field(0.01, ge=0, le=0.2, description="tilt of the spectrum per hour (T)")
    coupling: Share = Field(
        0.25,
        ge=0,
        le=0.6,
        description="G of neighbouring bands of two rows relative to a band's own: the spectrum is continuous and a "
        "wavelength's spot wider than a row (1/e^2 diameter 13.5 um; arXiv 2508.20472). 0: bands of one wavelength",
    )
    coupling_spread: Share = Field(0.3, ge=0, le=0.8, description="of that, at either end of the spectrum (T)")

    # --- the source
    pulse_noise: Share = Field(
        1.3e-3,
        ge=0,
        le=0.1,
        description="of a slice of one band in 16.7 ms, falling with the root of the exposure: 0.37 per chaotic pulse, "
        "5 MHz (Rao LSA 2021; 78 MHz has 3e-4)",
    )
    slow_noise: Share = Field(0.002, ge=0, le=0.1, description="of the whole power, rms, 0.1 to 10 Hz (T)")
    power_curve: Share = Field(0.05, ge=0, le=0.5, description="bend of the emitted power over the set-point (T)")
    power_drift: Share = Field(0.005, ge=0, le=0.2, description="per hour: half of that at least (T)")
    warm_up: Share = Field(0.03, ge=0, le=0.5, description="power that is missing when the table is set up (T)")
    warm_up_time: Duration = Field(1800.0, ge=0, le=86400, description="until a twentieth of that is left (T)")
