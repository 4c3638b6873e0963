"""Everything a seed or a bench file may change about the condensate lattice, with the numbers of a real one.

The hologram table (`simulators.worlds.hologram.parameters`) with a GaAs microcavity in its focal plane, read out at
855 nm: docs/reference/optical-table.md, table B and section 4. (T) marks what is typical and not sourced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from drivers.quantity import Fraction, Hertz, Metres, Seconds, Watts
from simulators.worlds.hologram.parameters import (
    HologramHidden,
    HologramParameters,
    LifetimeCamera,
    OpticsParameters,
    PumpParameters,
)
from simulators.worlds.parts.amounts import Length, Number, Share
from simulators.worlds.parts.parameters import DetectorParameters, Section, SlmParameters
from simulators.worlds.pumps import MODULATIONS, PumpHead


class ModulatedPump(PumpParameters):
    """A Ti:sapphire laser behind an acousto-optic modulator, which cuts pulses. Its power is that of a pulse's plateau.

    Continuous, it shows the camera where its spots are; pulses come by themselves, or one with each exposure.
    """

    highest_power: Watts = Field(5.0, gt=0, le=100, description="of either arm")
    rise: Seconds = Field(
        1e-9,
        ge=0,
        le=1e-6,
        description="and fall of a pulse (T): electro-optic 0.1 to 1 ns, acousto-optic 10 to 30",
    )
    plateau: Seconds = Field(1e-9, ge=0, le=1e-6, description="between them: noise flips a dyad after some 40 ns")
    repetition_rate: Hertz = Field(1e6, gt=0, le=1e8, description="of pulses that come by themselves")
    pulse_noise: Fraction = Field(0.001, ge=0, le=0.1, description="of a pulse's power, rms, locked (T)")
    tap_share: Fraction = Field(0.01, gt=0, le=1, description="share that the power tap before the modulator takes")


class Magnified(OpticsParameters):
    """Objective and camera lens: the camera shows the sample's plane, where the hologram is, enlarged."""

    focal_length: Metres = Field(0.1, gt=0, description="of all lenses between the panel and the camera, as one")
    magnification: float = Field(16.0, gt=0, le=1000, description="from the sample to the camera")
    psf_radius: Metres = Field(0.5e-6, gt=0, description="1/e^2 radius of a point's image, on the sample; NA 0.7")


class ProjectorParameters(SlmParameters):
    """A liquid-crystal panel between polarisers, imaged on the camera: light as sin^2 of half its phase."""

    rows: int = Field(160, ge=2, le=4320)
    columns: int = Field(220, ge=2, le=7680)
    camera_pixels: int = Field(2, ge=1, le=64, description="camera pixels, in rows and in columns, of one of its own")
    row: float = Field(-230.0, description="its image's middle, camera pixels from the zeroth order's plan")
    column: float = Field(300.0)
    extinction: Fraction = Field(1e-3, ge=0, le=1, description="of the polarisers: light at phase 0 (T)")
    blur: float = Field(0.7, ge=0, le=50, description="of its image, camera pixels, rms (T)")


class LampParameters(Section):
    """A light-emitting diode behind the projector; its light adds to that of the condensates by power."""

    wavelength: Metres = Field(850e-9, gt=300e-9, lt=2e-6)
    highest_power: Watts = Field(10e-3, gt=0, le=10)
    power_step: Watts = Field(1e-6, gt=0, le=1)
    transmission: Fraction = Field(1e-4, gt=0, le=1, description="of its light that reaches the camera, with filters")


class ProbeParameters(Section):
    """A weak beam that shifts g where it lands: a disturbance for dyads to sense."""

    wavelength: Metres = Field(980e-9, gt=300e-9, lt=2e-6)
    highest_power: Watts = Field(0.2, gt=0, le=10)
    power_step: Watts = Field(1e-5, gt=0, le=1)
    shift: float = Field(1.0, ge=-100, le=100, description="of g in the beam's middle, per W (T)")
    radius: Metres = Field(1.5e-6, gt=0, description="1/e^2 radius on the sample (T)")
    row: float | None = Field(None, description="camera pixels from the zeroth order's plan; the mesa's middle")
    column: float | None = Field(None)
    aim: Literal["site", "place"] = Field("site", description="at the condensate next to that place, or exactly there")


class Mesa(Section):
    """The part of the sample that is pumped: camera pixels from the zeroth order to its middle, and its size."""

    row: int = -230
    column: int = 300
    rows: int = Field(300, ge=8, le=2000)
    columns: int = Field(420, ge=8, le=2000)


class SampleParameters(Section):
    """A planar microcavity. Condensates are where the pump makes them.

    In units of t0 = 2 lifetimes, hbar / t0 and density at |psi| = 1; two sites at the spacing have the coupling J.
    """

    wavelength: Metres = Field(855e-9, gt=300e-9, lt=2e-6, description="of the light of the condensates")
    lifetime: Seconds = Field(5e-12, gt=0, le=1e-9, description="of a polariton (5 to 180 ps)")
    polaritons: float = Field(165.0, gt=0, le=1e6, description="N0 of a site at |psi| = 1: 5 um^2, 2 ueV um^2")
    detuning: float = Field(0.5, ge=0, le=10, description="g")
    nonlinearity: float = Field(5 / 3, gt=0, le=100, description="xi")
    coupling: float = Field(0.55, gt=-1, lt=1, description="J of two sites at the spacing")
    coupling_angle: float = Field(0.0, ge=-3.15, le=3.15, description="rad: its part that moves energy, not gain")
    spacing: Metres = Field(4.19e-6, gt=0)
    decay_length: Metres = Field(3e-6, gt=0, description="of the coupling with distance (T)")
    period: Metres = Field(3.6e-6, gt=0, description="of its sign with distance: it changes every 1.8 um (T)")
    reach: Metres = Field(6e-6, gt=0, description="sites further apart do not see each other")
    mode_radius: Metres = Field(1.26e-6, gt=0, description="1/e^2 radius of a condensate: 5 um^2")
    diffusion: Metres = Field(0.8e-6, ge=0, description="of carriers, before they relax, rms (T)")
    threshold: Watts = Field(1.5e-4, gt=0, description="power in a spot, on the sample, at which gamma = 1")
    mesa: Mesa = Mesa()


class EmissionParameters(Section):
    """Light of the condensates on its way to the camera."""

    collection: Fraction = Field(0.2, gt=0, le=1, description="objective, losses, filters against the pump (T)")
    attenuation: Fraction = Field(0.1, gt=0, le=1, description="neutral-density filter")
    detection: Literal["incoherent", "coherent"] = Field(
        "incoherent",
        description="how an exposure adds its condensations: powers, or fields with the phase of each dyad's denser "
        "condensate in common, as with a seed",
    )


class SampleHidden(HologramHidden):
    """What this sample has besides: amplitudes of its imperfections, 0 or false without."""

    always = (*HologramHidden.always, "defect_size", "sample_correlation")
    projector_shift: Number = Field(3, ge=0, le=100, description="of its image: up to so many camera pixels (T)")
    projector_vignetting: Share = Field(0.05, ge=0, le=0.9, description="light that is missing at its corners (T)")

    probe_miss: Length = Field(3e-7, ge=0, le=1e-4, description="of the probe beside its aim: up to so much (T)")

    detuning_spread: Share = Field(0.05, ge=0, le=0.5, description="of g from place to place, rms (T)")
    pump_spread: Share = Field(0.03, ge=0, le=0.5, description="of the pump's efficiency from place to place, rms (T)")
    coupling_spread: Share = Field(0.05, ge=0, le=0.5, description="of J from pair to pair, rms (T)")
    coupling_phase: Number = Field(0.2, ge=0, le=3, description="of its sign's period, rad, rms (T)")
    sample_correlation: Length = Field(1.5e-6, gt=0, le=1e-3, description="over which places are alike (T)")
    defects: Share = Field(0.02, ge=0, le=0.5, description="of the places, with g up to 40 % off (T)")
    defect_size: Length = Field(1.5e-6, gt=0, le=1e-4, description="radius of a defect")
    wedge: Number = Field(0.76, ge=0, le=100, description="of g, per mm: 0.05 meV/mm (T)")
    sample_drift: Length = Field(0.5e-6, ge=0, le=1e-4, description="of the sample, per hour (T)")


class CondensateParameters(HologramParameters):
    """The whole table. ``noise`` off leaves everything as on the table but for the detectors' random numbers and the
    light's; condensates grow from their own noise all the same."""

    pump: ModulatedPump = ModulatedPump()
    optics: Magnified = Magnified()
    camera: LifetimeCamera = LifetimeCamera()
    detector: DetectorParameters = DetectorParameters.model_validate({"tap_range": "500 mW"})
    sample: SampleParameters = SampleParameters()
    emission: EmissionParameters = EmissionParameters()
    projector: ProjectorParameters = ProjectorParameters()
    lamp: LampParameters = LampParameters()
    probe: ProbeParameters = ProbeParameters()
    hidden: SampleHidden = Field(
        SampleHidden(), description="imperfections that calibration must find: none, typical, or one by one"
    )

    @property
    def pumps(self) -> Mapping[str, PumpHead]:
        """Lasers by port: the pump behind its modulator, and the reference arm; the projector's lamp; the probe."""
        p = self.pump
        head = PumpHead(p.wavelength, p.highest_power, p.power_step, p.tripped)
        lamp = PumpHead(self.lamp.wavelength, self.lamp.highest_power, self.lamp.power_step)
        probe = PumpHead(self.probe.wavelength, self.probe.highest_power, self.probe.power_step)
        return {"pump": head._replace(modulation=MODULATIONS), "reference": head, "lamp": lamp, "probe": probe}

    @property
    def t0_s(self) -> float:
        """Unit of time."""
        return 2 * self.sample.lifetime

    @property
    def sample_pixel_m(self) -> float:
        """A camera pixel on the sample."""
        return self.camera.pitch / self.optics.magnification

    @property
    def pulse_s(self) -> float:
        """Length of a pulse of the same energy and no slopes."""
        return self.pump.rise + self.pump.plateau

    @model_validator(mode="after")
    def _pulses_apart(self) -> CondensateParameters:
        period = 1 / self.pump.repetition_rate
        if 2 * self.pump.rise + self.pump.plateau + 20 * self.t0_s > period:
            raise ValueError(
                f"pump.repetition_rate: pulses of {2 * self.pump.rise + self.pump.plateau:g} s every {period:g} s run "
                "into one another; lower the rate, or shorten rise and plateau"
            )
        return self
