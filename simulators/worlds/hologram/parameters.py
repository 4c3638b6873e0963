"""Everything a seed or a bench file may change about the hologram table, with the numbers of a real one.

A continuous Ti:sapphire laser on a part of 512 x 512 pixels of a PLUTO; (T) marks what is typical and not sourced.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from drivers.quantity import Fraction, Metres, Seconds, Watts
from simulators.worlds.faults import FaultList
from simulators.worlds.parts.amounts import Angle, Duration, Length, Number, Share
from simulators.worlds.parts.hidden import CommonHidden
from simulators.worlds.parts.parameters import INSTANT_PANEL, CameraParameters, Section, SlmParameters, idealised
from simulators.worlds.pumps import PumpHead


class PumpParameters(Section):
    """A laser of one colour whose light is split: one arm lights the SLM, the other is the reference."""

    wavelength: Metres = Field(785e-9, gt=300e-9, lt=2e-6)
    highest_power: Watts = Field(1.0, gt=0, le=100, description="of either arm")
    power_step: Watts = Field(1e-4, gt=0, le=1)
    tripped: bool = Field(False, description="the interlock of the laser head is open: it accepts no emission")


class PanelParameters(SlmParameters):
    """A part of a HOLOEYE PLUTO-like panel: what the beam lights."""

    rows: int = Field(512, ge=2, le=4320)
    columns: int = Field(512, ge=2, le=7680)


class NearInfraredCamera(CameraParameters):
    """An Andor Zyla 5.5 as it sees 785 nm."""

    quantum_efficiency: Fraction = Field(0.30, gt=0, le=1)


class LifetimeCamera(NearInfraredCamera):
    """An Andor Zyla 5.5 as it sees 855 nm."""

    quantum_efficiency: Fraction = Field(0.22, gt=0, le=1)


class BeamParameters(Section):
    """Light between the laser and the panel."""

    waist: Metres = Field(1.6e-3, gt=0, le=1, description="1/e^2 intensity radius on the panel")
    transmission: Fraction = Field(0.8, gt=0, le=1)
    blocked: bool = False


class OpticsParameters(Section):
    """Fourier lens and what stands before the camera."""

    focal_length: Metres = Field(0.2, gt=0)
    transmission: Fraction = Field(0.86, gt=0, le=1, description="Fourier lens and windows")
    camera_attenuation: Fraction = Field(1e-7, gt=0, le=1, description="neutral-density filters")


class ReferenceParameters(Section):
    """A plane wave that meets the camera at an angle; its laser arm is a device of its own, which opens it."""

    carrier_rows: float = Field(0.12, ge=-0.5, le=0.5, description="fringes per camera pixel along its columns")
    carrier_columns: float = Field(0.16, ge=-0.5, le=0.5, description="along its rows")
    waist: Metres = Field(6e-3, gt=0, le=1, description="1/e^2 intensity radius on the camera")
    transmission: Fraction = Field(0.5, gt=0, le=1)
    blocked: bool = False


class HologramHidden(CommonHidden):
    """What this table has besides: amplitudes of its imperfections, 0 or false without."""

    always = (*CommonHidden.always, "warm_up_time")
    of_light = (*CommonHidden.of_light, "aberration", "beam_shift", "beam_spread", "reference_angle",
                "reference_wavefront", "path_noise", "path_drift")  # fmt: skip
    of_source = ("slow_noise", "power_drift", "warm_up")

    # --- the beam
    aberration: Angle = Field(
        1.0, ge=0, le=10, description="focus, astigmatism, coma and spherical aberration over the panel, rms (T)"
    )
    beam_shift: Length = Field(3e-4, ge=0, le=0.1, description="of the beam on the panel: up to so much (T)")
    beam_spread: Share = Field(0.1, ge=0, le=0.5, description="of its radius: up to so much either way (T)")

    # --- the reference
    reference_angle: Share = Field(0.05, ge=0, le=0.5, description="of the carrier, each component: up to so much (T)")
    reference_wavefront: Angle = Field(
        1.0, ge=0, le=20, description="focus, astigmatism and coma over the sensor, rms (T)"
    )
    path_noise: Angle = Field(
        0.035, ge=0, le=1, description="of the phase between separate paths, rms, 10 to 200 Hz: 20 to 50 mrad (T)"
    )
    path_drift: Number = Field(
        0.3, ge=0, le=10, description="of that phase, rad per minute: a third of it at least (T)"
    )

    # --- the laser
    slow_noise: Share = Field(0.001, ge=0, le=0.1, description="of its power, rms, 0.1 to 10 Hz (T)")
    power_drift: Share = Field(0.000625, ge=0, le=0.2, description="per hour: 0.5 % in 8 h (T)")
    warm_up: Share = Field(0.02, ge=0, le=0.5, description="power that is missing when the table is set up (T)")
    warm_up_time: Duration = Field(600.0, ge=0, le=86400, description="until a twentieth of that is left (T)")


_IDEAL: dict[str, dict[str, object]] = {
    "slm": INSTANT_PANEL,
    "camera": {"ideal": True},
}


class HologramParameters(Section):
    """The whole table. ``noise`` off leaves everything as on the table but for random numbers; ``ideal`` is the table
    of the equations: point detection, no noise, unrounded, instant response, nothing hidden, whatever else is given."""

    seed: int = Field(7, ge=0, le=2**63 - 1)
    elapsed: Seconds = Field(
        0.0, ge=0, le=1e7, description="since the table was set up, at which a session in virtual time begins"
    )
    noise: bool = Field(True, description="of photons and read-out, and of power and path; counts are still rounded")
    slm: PanelParameters = PanelParameters()
    pump: PumpParameters = PumpParameters()
    beam: BeamParameters = BeamParameters()
    optics: OpticsParameters = OpticsParameters()
    reference: ReferenceParameters = ReferenceParameters()
    camera: NearInfraredCamera = NearInfraredCamera()
    hidden: HologramHidden = Field(
        HologramHidden(), description="imperfections that calibration must find: none, typical, or one by one"
    )
    faults: FaultList = Field((), description="what goes wrong on it, by exposure number or bench time")
    ideal: bool = False

    @property
    def pumps(self) -> Mapping[str, PumpHead]:
        """Lasers by port: the two arms."""
        head = PumpHead(self.pump.wavelength, self.pump.highest_power, self.pump.power_step, self.pump.tripped)
        return {"pump": head, "reference": head}

    @property
    def mean_wavelength_m(self) -> float:
        """Of the light."""
        return self.pump.wavelength

    @property
    def wavelength_focal_m2(self) -> float:
        """lambda f."""
        return self.pump.wavelength * self.optics.focal_length

    @property
    def kappa(self) -> float:
        """2 pi / (lambda f), rad per m and m."""
        return 2 * math.pi / self.wavelength_focal_m2

    @model_validator(mode="before")
    @classmethod
    def _idealise(cls, data: Any) -> Any:
        return idealised(data, _IDEAL)

    @model_validator(mode="after")
    def _axis_on_sensor(self) -> HologramParameters:
        if self.camera.axis_row >= self.camera.rows or self.camera.axis_column >= self.camera.columns:
            raise ValueError("camera: the zeroth order (axis_row, axis_column) lies outside the sensor")
        return self
