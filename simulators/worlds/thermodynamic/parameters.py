"""Everything a seed or a bench file may change about the board.

No such computer of this size exists. Numbers follow the prototype of eight coupled RLC cells with switched capacitors
and injected noise (Melanson et al. 2025), and are marked (T) where they are typical and not sourced.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from drivers.quantity import Seconds
from simulators.worlds.parts.amounts import Share
from simulators.worlds.parts.parameters import Section


class ConverterParameters(Section):
    """Converters of couplings and biases, from numbers to voltages, and of readings, back."""

    coupling_bits: int = Field(8, ge=0, le=24, description="over both signs of the range that is set; 0 is continuous")
    largest_coupling_range: float = Field(16.0, gt=0, le=1e6, description="that can be set, k_B T")
    bias_bits: int = Field(12, ge=0, le=24, description="over both signs; 0 is continuous")
    bias_range: float = Field(64.0, gt=0, le=1e6, description="k_B T")
    reading_bits: int = Field(12, ge=0, le=24, description="over both signs; 0 is continuous")
    reading_range: float = Field(2.5, gt=0, le=1e6, description="of x")
    reading_noise: float = Field(0.015, ge=0, le=10, description="of x, rms")

    @field_validator("coupling_bits", "bias_bits", "reading_bits")
    @classmethod
    def _both_signs(cls, bits: int) -> int:
        if bits == 1:
            raise ValueError("a converter over both signs has 2 bits at least, or 0 for a continuous one")
        return bits

    @property
    def bias_step(self) -> float:
        """Distance of neighbouring biases, 0 among them."""
        return step(self.bias_range, self.bias_bits)

    @property
    def reading_step(self) -> float:
        """Distance of neighbouring readings, 0 among them."""
        return step(self.reading_range, self.reading_bits)

    def coupling_step(self, coupling_range: float) -> float:
        """Distance of neighbouring couplings, 0 among them, at the range that is set."""
        return step(coupling_range, self.coupling_bits)


def step(largest: float, bits: int) -> float:
    """Of a converter from -largest to largest with 0 in the middle; 0 of a continuous one."""
    return largest / (2 ** (bits - 1) - 1) if bits else 0.0


class TimeParameters(Section):
    """How long things take."""

    unit: Seconds = Field(1e-6, gt=0, le=1, description="dimensionless unit of time: of the units' relaxation (T)")
    discharge: Seconds = Field(1e-6, ge=0, le=1, description="holding units at their start before a repeat (T)")
    reading: Seconds = Field(1e-6, ge=0, le=1, description="of all units: they are sampled at once, then converted (T)")
    program: Seconds = Field(2e-8, ge=0, le=1, description="of one coupling or bias into its register (T)")


class ThermodynamicHidden(Section):
    """What differs from the plan, rms over units or couplings, and must be trained around; 0 without. All (T)."""

    preset: Literal["typical", "none"] = "typical"
    temperature_spread: Share = Field(0.05, ge=0, le=1, description="of units' noise power")
    mobility_spread: Share = Field(0.05, ge=0, le=1, description="of how fast units follow a force")
    element_spread: Share = Field(0.03, ge=0, le=1, description="of J2 and of J4, each")
    coupling_spread: Share = Field(0.03, ge=0, le=1, description="of each coupling's gain")
    crosstalk: Share = Field(0.01, ge=0, le=0.5, description="of lines on their neighbours: of a bias or a coupling")
    drift_per_hour: Share = Field(0.001, ge=0, le=1, description="of couplings' gain: 0.2 % per K, 0.5 K per hour")

    @model_validator(mode="before")
    @classmethod
    def _nothing_hidden(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"preset": given}
        if isinstance(given, dict) and given.get("preset") == "none":
            nothing = {name: 0.0 for name in cls.model_fields if name != "preset"}
            return nothing | given
        return given


class ThermodynamicParameters(Section):
    """One board. seed: of its hidden differences and of all noise."""

    seed: int = Field(7, ge=0)
    units: int = Field(1296, ge=1, le=16384, description="784 to show digits on, 512 hidden ones")
    noise: bool = Field(True, description="of readings; noise of the units is what the computer runs on, and stays")
    elapsed: Seconds = Field(0.0, ge=0, description="since the board was built; its gains drift")
    step: float = Field(
        1e-3,
        gt=0,
        le=0.1,
        description="of time, at most, for which injected noise keeps its value: a bandwidth of 500 per unit of time, "
        "25 times the relaxation rate of units with J2 = 10 (T)",
    )
    converters: ConverterParameters = ConverterParameters()
    times: TimeParameters = TimeParameters()
    hidden: ThermodynamicHidden = ThermodynamicHidden()

    def repeat_s(self, duration: float, readings: int) -> float:
        """Time of one repeat of a program of so many units of time, read so often."""
        return self.times.discharge + duration * self.times.unit + readings * self.times.reading
