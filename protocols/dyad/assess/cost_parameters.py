"""What `dyad.cost` may be told; everything that is assumed and not measured stands here."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from labctl.client import Parameters
from protocols.dyad.assess.cost_model import Lattice, Today


class CostParameters(Parameters):
    """How long is measured, and what is assumed. Powers are electric where it is not said otherwise; typical values
    without data sheets."""

    frames: int = Field(1000, ge=10, le=10**6, description="of single condensations")
    images: int = Field(4, ge=1, le=1000, description="noise images, one pixel per dyad")
    exposure_s: float = Field(
        1 / 60, gt=0, le=10, description="of an image: a whole period of the panel's refresh, whose flicker moves p1"
    )
    pulses_hz: float | None = Field(
        6000.0, gt=0, description="of pulses in an image, on a simulated table; null: as the bench has it"
    )
    events: int = Field(100, ge=2, le=10**5, description="to come: condensations of every dyad in an image")
    largest: int = Field(10**7, ge=1, le=10**12, description="dyads projected to")
    cpu_try_s: float = Field(0.2, gt=0, le=60, description="how long the processor is timed")

    laser_w: float = Field(800.0, gt=0, description="Ti:sapphire laser, its pump, chiller")
    slm_w: float = Field(10.0, gt=0, description="panel and its driver")
    camera_w: float = Field(60.0, gt=0, description="cooled sCMOS camera")
    cooler_w: float = Field(1500.0, ge=0, description="closed-cycle cryostat for GaAs; 0 without cooling")
    cpu_w: float = Field(10.0, gt=0, description="one thread of a processor at work")
    tap_share: float = Field(0.01, gt=0, le=1, description="of the pump's power that its tap takes")
    pulse_s: float = Field(
        1.1e-9, gt=0, le=1e-3, description="length of a pump pulse: 0.1 ns rise and fall, 1 ns plateau"
    )
    repetition_hz: float = Field(1e6, gt=0, description="to come: of pulses")
    camera_pixels: float = Field(25.0, gt=0, description="to come: pixels of a camera for each dyad")
    pixel_rate: float = Field(5e8, gt=0, description="to come: pixels that a camera reads out in a second, 10-tap link")
    diode_j: float = Field(1e-14, ge=0, description="to come: to detect and latch a bit by a pair of diodes")
    laser_efficiency: float = Field(0.1, gt=0, le=1, description="to come: light from electricity, diode laser")
    standing_w: float = Field(200.0, ge=0, description="to come: control, and a sample that needs no cooling")

    ASSUMED: ClassVar[tuple[str, ...]] = (
        "laser_w", "slm_w", "camera_w", "cooler_w", "cpu_w", "tap_share", "pulse_s", "repetition_hz", "camera_pixels",
        "pixel_rate", "diode_j", "laser_efficiency", "standing_w",
    )  # fmt: skip

    @property
    def electric_w(self) -> float:
        """Of today's table."""
        return self.laser_w + self.slm_w + self.camera_w + self.cooler_w

    @property
    def to_come(self) -> Lattice:
        """Lattices to come."""
        return Lattice(
            pulse_s=self.pulse_s,
            repetition_hz=self.repetition_hz,
            pixel_rate=self.pixel_rate,
            pixels=self.camera_pixels,
            diode_j=self.diode_j,
            laser_efficiency=self.laser_efficiency,
            standing_w=self.standing_w,
        )

    def assumptions(self, today: Today) -> dict[str, Any]:
        """All of them: numbers with what they stand for, and `others` that have no number."""
        fields = type(self).model_fields
        numbers = {name: {"value": getattr(self, name), "means": fields[name].description} for name in self.ASSUMED}
        return numbers | {"others": [text.format(n=today.n) for text in _OTHERS]}


_OTHERS = (
    "a bit is the raw state of a dyad in one condensation; debiasing takes its share (dyad.bits)",
    "a noise image has one pixel per dyad, the sum of its condensations in one exposure",
    "energy of today's table is electric power times bench time; its computer is not counted",
    "to come: every dyad needs as much peak power of the pump as each of the {n} of today's lattice",
    "to come: sites are alike, or balanced once and for all; what calibration costs is not counted",
    "the processor draws bits and normal numbers with numpy's PCG64 on one thread",
)
