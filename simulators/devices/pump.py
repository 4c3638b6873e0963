"""A simulated pump laser: what its controls do to the light of a world that has one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from drivers.contract import Identity, LimitError, Limits, PumpLaser
from drivers.site import Site
from simulators.devices.serial import serial_number

HIGHEST_W = 18.0
"""Of a Sprout-G (data sheet)."""
_STEP_W = 0.01


class SimulatedPump(PumpLaser):
    """A Sprout-like laser at 532 nm; power steps are 10 mW."""

    backend = "simulated"

    def __init__(self, name: str, world: Any) -> None:
        super().__init__(name)
        self._world = world
        self._power_w = 0.0
        self.restrict("power_w", Limits(minimum=0.0, maximum=HIGHEST_W))

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedPump:
        """On the bench's world."""
        world = site.world()
        if "pump_emission" not in (world.state.dtype.names or ()):
            raise LimitError(f"{name}: the bench's world has no pump laser; the world rail has one")
        return cls(name, world)

    def open(self) -> None:
        """Emission off before anything else."""
        self.safe()
        self._write_power_w(0.0)

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        return Identity(model="simulated pump", serial=serial_number("pump", self._world), firmware="labctl")

    def safe(self) -> None:
        """Emission off. A store into shared memory: it never waits for what the world is doing."""
        self._world.state["pump_emission"][0] = False

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        return bool(self._world.state["pump_emission"][0])

    def _write_emission(self, value: bool) -> None:
        self._world.state["pump_power_w"][0] = self._power_w
        self._world.state["pump_emission"][0] = value

    def _read_power_w(self) -> float:
        return self._power_w

    def _write_power_w(self, value: float) -> None:
        self._power_w = round(value / _STEP_W) * _STEP_W
        self._world.state["pump_power_w"][0] = self._power_w

    def _read_wavelength_m(self) -> float:
        return 532e-9
