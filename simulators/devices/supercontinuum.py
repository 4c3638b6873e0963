"""A simulated supercontinuum laser: what its controls do to a world's source."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel

from drivers.contract import DeviceError, Identity, LimitError, SupercontinuumLaser
from drivers.site import Site


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
        return Identity(model="simulated supercontinuum", serial="sim-source", firmware="labctl")

    def safe(self) -> None:
        """Emission off. A plain assignment: it never waits for a running exposure."""
        self._world.source.emission = False

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        return bool(self._world.source.emission)

    def _write_emission(self, value: bool) -> None:
        if value and self._world.parameters.source.tripped:
            raise DeviceError(f"{self.name}.emission: the laser reports an open interlock; close it and reset the key")
        self._world.source.emission = value

    def _read_power_fraction(self) -> float:
        return float(self._world.source.power_fraction)

    def _write_power_fraction(self, value: float) -> None:
        steps = round(value * 1000)
        highest = self.limits("power_fraction").maximum
        if highest is not None and steps / 1000 > highest:
            steps = math.floor(value * 1000)  # a limit holds for the light, not only for what was asked
        self._world.source.power_fraction = steps / 1000

    def _read_wavelength_min_m(self) -> float:
        return float(self._world.source.wavelength_min_m)

    def _write_wavelength_min_m(self, value: float) -> None:
        if value >= self.wavelength_max_m:
            raise LimitError(f"{self.name}.wavelength_min_m = {value}: must lie below {self.wavelength_max_m}")
        self._world.source.wavelength_min_m = value

    def _read_wavelength_max_m(self) -> float:
        return float(self._world.source.wavelength_max_m)

    def _write_wavelength_max_m(self, value: float) -> None:
        if value <= self.wavelength_min_m:
            raise LimitError(f"{self.name}.wavelength_max_m = {value}: must lie above {self.wavelength_min_m}")
        self._world.source.wavelength_max_m = value

    def _read_pulse_picker(self) -> int:
        return int(self._world.source.pulse_picker)

    def _write_pulse_picker(self, value: int) -> None:
        self._world.source.pulse_picker = value
