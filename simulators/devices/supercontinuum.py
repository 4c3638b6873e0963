"""A simulated supercontinuum laser: what its controls do to a world's source."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel

from drivers.contract import Identity, InterlockError, LimitError, SupercontinuumLaser
from drivers.site import Site
from simulators.devices.serial import serial_number


class SimulatedSupercontinuum(SupercontinuumLaser):
    """A SuperK-like laser with a band selector; power steps are 0.1 %."""

    backend = "simulated"

    def __init__(self, name: str, world: Any) -> None:
        super().__init__(name)
        self._world = world

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedSupercontinuum:
        """On the bench's world."""
        return cls(name, site.world())

    def open(self) -> None:
        """Emission off before anything else."""
        self.safe()

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        return Identity(
            model="simulated supercontinuum", serial=serial_number("source", self._world), firmware="labctl"
        )

    def frozen(self) -> dict[str, Any]:
        """See the contract; all of it lies in the world's shared state."""
        return {}

    def thaw(self, kept: Any) -> None:
        """See the contract."""

    def safe(self) -> None:
        """Emission off. A store into shared memory: it never waits for what the world is doing."""
        self._set("emission", False)

    def _get(self, control: str) -> Any:
        return self._world.state[control][0]

    def _set(self, control: str, value: float) -> None:
        self._world.state[control][0] = value

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        return bool(self._get("emission"))

    def _write_emission(self, value: bool) -> None:
        if value and self._world.parameters.source.tripped:
            raise InterlockError(
                f"{self.name}.emission: the laser reports an open interlock; close it and reset the key"
            )
        self._set("emission", value)

    def _read_power_fraction(self) -> float:
        return float(self._get("power_fraction"))

    def _write_power_fraction(self, value: float) -> None:
        steps = round(value * 1000)
        highest = self.limits("power_fraction").maximum
        if highest is not None and steps / 1000 > highest:
            steps = math.floor(value * 1000)  # a limit holds for the light, not only for what was asked
        self._set("power_fraction", steps / 1000)

    def _read_wavelength_min_m(self) -> float:
        return float(self._get("wavelength_min_m"))

    def _write_wavelength_min_m(self, value: float) -> None:
        if value >= self.wavelength_max_m:
            raise LimitError(f"{self.name}.wavelength_min_m = {value}: must lie below {self.wavelength_max_m}")
        self._set("wavelength_min_m", value)

    def _read_wavelength_max_m(self) -> float:
        return float(self._get("wavelength_max_m"))

    def _write_wavelength_max_m(self, value: float) -> None:
        if value <= self.wavelength_min_m:
            raise LimitError(f"{self.name}.wavelength_max_m = {value}: must lie above {self.wavelength_min_m}")
        self._set("wavelength_max_m", value)

    def _read_pulse_picker(self) -> int:
        return int(self._get("pulse_picker"))

    def _write_pulse_picker(self, value: int) -> None:
        self._set("pulse_picker", value)
