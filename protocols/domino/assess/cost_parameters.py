"""What `domino.cost` may be told; everything that is assumed and not measured stands here."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from labctl.client import Parameters
from protocols.domino.assess.cost_model import Hardware


class CostParameters(Parameters):
    """What is measured, and what is assumed. Powers are electric where it is not said otherwise; typical values without
    data sheets."""

    nodes: tuple[int, ...] = Field((25, 50, 100), description="of networks of Supp. A that are solved")
    density: float = Field(0.5, gt=0, le=1)
    networks: int = Field(5, ge=1, le=1000, description="of each size")
    starts: int = Field(300, ge=10, le=10**6, description="of each network")
    gamma: float = Field(0.5, ge=0, le=100, allow_inf_nan=False, description="gain of the total field")
    spread: float = Field(2.0, gt=0, le=1000, description="starts are U[0, 1]^spread")
    duration: float = Field(4.0, gt=0, le=1e4, description="of a start, before it is read out")
    read: int = Field(300, ge=3, le=10**5, description="steps of the read-out, locked at each")
    exact_s: float = Field(5.0, gt=0, le=1e5, description="time limit of the exact search, of each network (s)")
    confidence: float = Field(0.99, gt=0, lt=1, description="with which a solution is found")

    lifetime_s: float = Field(5e-12, gt=0, le=1e-6, description="of a polariton; t = 1 is twice that")
    loop_s: float = Field(
        0.06, gt=0, le=100, description="latency of the loop: exposure 17 ms, read-out 10, computer 3, panel 30"
    )
    frame_s: float = Field(
        0.037, gt=0, le=100, description="between frames of starts side by side: panel settles 20 ms, exposure 17"
    )
    site_w: float = Field(3e-3, gt=0, description="light of the pump on a condensate while it is on")
    multiplier_w: float = Field(1e-3, gt=0, description="optoelectronic: light of the table, which has no condensates")
    laser_efficiency: float = Field(0.1, gt=0, le=1, description="light from electricity, diode laser")
    slm_w: float = Field(10.0, ge=0, description="a panel and its driver; there are two")
    camera_w: float = Field(60.0, ge=0, description="cooled sCMOS camera")
    computer_w: float = Field(100.0, ge=0, description="of the loop")
    cooler_w: float = Field(1500.0, ge=0, description="closed-cycle cryostat of condensates; 0 at room temperature")
    cpu_w: float = Field(10.0, gt=0, description="one core of a processor at work")
    operation_j: float = Field(1e-12, ge=0, description="of a product and sum in an electronic solver of its own")
    mass: float = Field(5e-5, gt=0, le=1, description="of a polariton, in electron masses: for the unit of Supp. D")
    length_m: float = Field(5e-6, gt=0, le=1, description="unit of length: for the unit of time of Supp. D")

    ASSUMED: ClassVar[tuple[str, ...]] = (
        "lifetime_s", "loop_s", "frame_s", "site_w", "multiplier_w", "laser_efficiency", "slm_w", "camera_w",
        "computer_w", "cooler_w", "cpu_w", "operation_j", "mass", "length_m",
    )  # fmt: skip

    @field_validator("nodes")
    @classmethod
    def _sizes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) != len(value) or not all(10 <= n <= 1000 for n in value):
            raise ValueError("one or more different sizes of 10 to 1000, for example 25,50,100")
        return tuple(sorted(value))

    @property
    def hardware(self) -> Hardware:
        """Of the table."""
        return Hardware(
            lifetime_s=self.lifetime_s,
            loop_s=self.loop_s,
            frame_s=self.frame_s,
            site_w=self.site_w,
            multiplier_w=self.multiplier_w,
            laser_efficiency=self.laser_efficiency,
            standing_w=2 * self.slm_w + self.camera_w + self.computer_w,
            cooling_w=self.cooler_w,
        )

    def assumptions(self) -> dict[str, Any]:
        """All of them: numbers with what they stand for, and `others` that have no number."""
        fields = type(self).model_fields
        numbers = {name: {"value": getattr(self, name), "means": fields[name].description} for name in self.ASSUMED}
        return numbers | {"others": list(_OTHERS)}


_OTHERS = (
    "a table solves with the success per start of the equations alone: its noise, bits and faults are domino.solve's "
    "with loop=table",
    "shot and injection lock all fields, as the equations have it; what they fall short of that is not in the cost",
    "couplings are set once for a network; calibration, and putting in the network, are not counted",
    "optical: locking, the total field's gain and reading out take no time and no energy of their own (Supp. D)",
    "optical: equipment draws its power only as long as the answer takes; light_j is of the pump alone",
    "the processor's time is that of its starts side by side on one core, with problem (1) on each support",
)
