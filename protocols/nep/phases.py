"""What phases are measured by, and how hard outputs are pulled."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from labctl.client import ConfigurationError
from protocols.nep.loop import NudgePlan
from protocols.nep.network import Network, SheetParameters
from simulators.physics.sheet.gradients import Rule
from simulators.physics.sheet.nudge import Cost

IDEAL_BETA, TABLE_BETA = 0.01, 0.1


class LoopParameters(SheetParameters):
    """Arithmetic or light, and how noisy arithmetic is made."""

    loop: Literal["ideal", "table"] = Field("ideal", description="the equation alone, or light on the bench's table")
    density_noise: float = Field(
        0.0, ge=0, le=1e3, allow_inf_nan=False, description="loop=ideal: rms noise of a measured |psi|^2"
    )
    psi_noise: float = Field(
        0.0, ge=0, le=1e3, allow_inf_nan=False, description="loop=ideal: rms noise of Re psi and of Im psi"
    )
    averages: int = Field(1, ge=1, le=10**6, description="measurements of each state, of which the mean counts")

    @property
    def noisy(self) -> bool:
        """Whether two measurements of a state differ."""
        return self.loop == "table" or self.density_noise > 0 or self.psi_noise > 0


class NudgeParameters(LoopParameters):
    """How outputs are pulled towards their targets."""

    beta: float | Literal["auto"] | None = Field(
        None, description="strength of the nudge; auto: from the contrast's measured signal and noise; null: 0.01, and "
        "0.1 on the table"
    )  # fmt: skip
    nudge: Literal["self-consistent", "injected"] | None = Field(
        None, description="an error that follows psi (null), or a fixed pump from the free phase (null: on the table)"
    )
    sides: Literal[1, 2] | None = Field(None, description="contrast with the free phase (1), or of ±beta (2)")

    def plan(self, network: Network, rule: Rule = "nep", cost: Cost = "mse", gain: float = 1.0) -> NudgePlan:
        """Raises ConfigurationError for a beta that makes no sense."""
        table = self.loop == "table"
        beta = self.beta
        if beta is None or beta == "auto":
            beta = TABLE_BETA if table else IDEAL_BETA
        if not 1e-9 <= abs(beta) <= 10:
            raise ConfigurationError(f"beta={beta:g}: the contrast needs a nudge; allowed: 1e-9 to 10, either sign")
        kind = self.nudge or ("injected" if table else "self-consistent")
        if table and kind == "self-consistent":
            raise ConfigurationError("nudge=self-consistent: a table can only inject a fixed pump; nudge=injected")
        sides = self.sides or (2 if table else 1)
        return NudgePlan(network.outputs, float(beta), kind, sides, rule, cost, gain)
