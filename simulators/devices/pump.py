"""A simulated pump laser: what its controls do to the light of a world that has one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from drivers.contract import Identity, InterlockError, LimitError, Limits, PumpLaser
from drivers.site import Site
from simulators.devices.serial import serial_number
from simulators.worlds.pumps import MODULATIONS


class SimulatedPump(PumpLaser):
    """A laser of one colour, with or without a modulator behind it; what head it is, the world says."""

    backend = "simulated"

    class Options(BaseModel):
        """Which of the world's lasers it is, where there are several."""

        model_config = ConfigDict(extra="forbid")
        port: str = "pump"

    def __init__(self, name: str, world: Any, port: str = "pump") -> None:
        super().__init__(name)
        self._world = world
        self._port = port
        self._head = world.parameters.pumps[port]
        self._power_w = 0.0
        self.restrict("power_w", Limits(minimum=0.0, maximum=self._head.highest_w))

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedPump:
        """On the bench's world."""
        world = site.world()
        port = options.port if isinstance(options, cls.Options) else "pump"
        there = getattr(world.parameters, "pumps", {})
        if not there:
            raise LimitError(
                f"{name}: the bench's world has no pump laser; "
                "the worlds rail, hologram, condensates, multiplier and sheet have"
            )
        if port not in there:
            raise LimitError(f"{name}: port = {port!r}; the bench's world has its pump lasers at {', '.join(there)}")
        return cls(name, world, port)

    def open(self) -> None:
        """Emission off before anything else."""
        self.safe()
        self._write_power_w(0.0)
        self._world.state[f"{self._port}_modulation"][0] = 0

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        return Identity(model="simulated pump", serial=serial_number(self._port, self._world), firmware="labctl")

    def frozen(self) -> dict[str, Any]:
        """See the contract; the rest lies in the world's shared state."""
        return {"power_w": self._power_w}

    def thaw(self, kept: Any) -> None:
        """See the contract."""
        self._power_w = min(max(float(kept["power_w"]), 0.0), self._head.highest_w)

    def safe(self) -> None:
        """Emission off. A store into shared memory: it never waits for what the world is doing."""
        self._world.state[f"{self._port}_emission"][0] = False

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        return bool(self._world.state[f"{self._port}_emission"][0])

    def _write_emission(self, value: bool) -> None:
        if value and self._head.tripped:
            raise InterlockError(
                f"{self.name}.emission: the laser reports an open interlock; close it and reset the key"
            )
        self._world.state[f"{self._port}_power_w"][0] = self._power_w
        self._world.state[f"{self._port}_emission"][0] = value

    def _read_power_w(self) -> float:
        return self._power_w

    def _write_power_w(self, value: float) -> None:
        self._power_w = round(value / self._head.step_w) * self._head.step_w
        self._world.state[f"{self._port}_power_w"][0] = self._power_w

    def _read_modulation(self) -> str:
        return MODULATIONS[int(self._world.state[f"{self._port}_modulation"][0])]

    def _write_modulation(self, value: str) -> None:
        able = self._head.modulation
        if value not in able:
            raise LimitError(
                f"{self.name}.modulation = {value!r}: this laser has {', '.join(able)}; nothing was changed"
            )
        self._world.state[f"{self._port}_modulation"][0] = MODULATIONS.index(value)

    def _read_wavelength_m(self) -> float:
        return float(self._head.wavelength_m)
