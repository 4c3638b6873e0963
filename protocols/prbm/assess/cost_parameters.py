"""Parameters of `prbm.cost`: what is sampled, and every assumption on powers and on machines to come."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from protocols.prbm.assess.cost_model import Machine
from protocols.prbm.assess.cpu_speed import Electronics
from protocols.prbm.light.readout import ReadoutParameters


class CostParameters(ReadoutParameters):
    """Sampling, powers, and a machine to come."""

    ASSUMED: ClassVar[tuple[str, ...]] = (
        "laser_w", "slm_w", "camera_w", "detector_w", "cpu_w", "tap_share",
        "modulator_hz", "detector_s", "field_rms", "field_error", "light_efficiency", "wavelength_m", "source_w",
        "laser_efficiency", "modulator_j",
    )  # fmt: skip
    """Of these parameters, which are assumptions rather than choices."""

    N: int = Field(196, ge=2, le=900, description="spins of each layer")
    sd: float = Field(0.1, gt=0, description="standard deviation of the couplings")
    samples: int = Field(3, ge=1, le=10000, description="samples drawn by light, one after the other")
    iterations: int = Field(15, ge=1, le=10000, description="of one sample; each is two half sweeps")

    laser_w: float = Field(100.0, ge=0, description="electric power of the source; typical, no data sheet at hand")
    slm_w: float = Field(15.0, ge=0, description="of the panel and its driver; typical, no data sheet at hand")
    camera_w: float = Field(50.0, ge=0, description="of the cooled camera; typical, no data sheet at hand")
    detector_w: float = Field(5.0, ge=0, description="of diode, amplifier, converter; typical, no data sheet at hand")
    cpu_w: float = Field(5.0, gt=0, description="of the one core in use; a server processor's power over its cores")
    tap_share: float = Field(0.01, gt=0, le=1, description="of the source's light that the power tap takes")

    cpu_sizes: tuple[int, ...] = Field(
        (64, 512, 1024, 2048, 4096), min_length=1, description="spins for which the processor is timed, beside N"
    )
    cpu_try_s: float = Field(0.02, gt=0, description="seconds of each try to time the processor, of which seven")
    batch: int = Field(256, ge=1, le=4096, description="chains that the processor samples together")
    largest: int = Field(100_000, ge=1000, le=10_000_000, description="spins of each layer to project to")

    modulator_hz: float = Field(1e9, gt=0, description="patterns per second; the paper's gigahertz modulators")
    detector_s: float = Field(
        0.0, ge=0, description="added to each pattern by the detector; 0: it integrates while the pattern stands"
    )
    field_rms: float = Field(1.4, gt=0, description="of local fields in units of T, whatever N; the paper's images")
    field_error: float = Field(0.1, gt=0, description="shot noise of local fields allowed, in units of T")
    light_efficiency: float = Field(
        0.3, gt=0, le=1, description="of modulators, optics and detector for light that falls on the axis"
    )
    wavelength_m: float = Field(600e-9, gt=0, description="mean, m")
    source_w: float = Field(1.0, gt=0, description="optical power of the largest source, all bands together")
    laser_efficiency: float = Field(
        0.1, gt=0, le=1, description="light from electricity; typical, no data sheet at hand"
    )
    modulator_j: float = Field(
        22e-15, ge=0, description="for a modulator to switch; lithium niobate, Li et al., Nat. Commun. 11, 4123 (2020)"
    )
    draw_s: float | None = Field(None, gt=0, description="to draw a spin given its field; null: as this processor")
    stage_s: float | None = Field(
        None, gt=0, description="a number through one stage of a fast Hadamard transform; null: as this processor"
    )

    def machine(self, here: Electronics) -> Machine:
        """The machine to come; here: how fast this processor does what light leaves to do."""
        named: dict[str, Any] = {name: getattr(self, name) for name in self.ASSUMED[6:]}
        return Machine(**named, draw_s=self.draw_s or here.draw_s, stage_s=self.stage_s or here.stage_s)

    def assumptions(self, machine: Machine) -> dict[str, Any]:
        """All of them: numbers with what they stand for, and `others` that have no number."""
        fields = type(self).model_fields
        values = {name: getattr(self, name) for name in self.ASSUMED}
        values |= {"draw_s": machine.draw_s, "stage_s": machine.stage_s}
        numbers = {name: {"value": value, "means": fields[name].description} for name, value in values.items()}
        return numbers | {"others": list(_OTHERS)}


_OTHERS = (
    "a half sweep of n spins given n others is 2 n^2 operations: a multiplication and an addition for each coupling",
    "layers are of equal size, couplings Gaussian and dense, of standard deviation field_rms / sqrt(n)",
    "energy of today's table is electric power times bench time, of source, panel and detector, without a computer",
    "to come: enough wavelengths and modulators for all bands at once, and given spins loaded in no time",
    "to come: light of equal power in all bands, the source quieter than shot noise, a detector that resolves it",
    "to come: electronics begin when light has ended, on one thread like this processor's",
    "the processor beyond the largest size timed: as many operations per second as there, with room for all couplings",
)
