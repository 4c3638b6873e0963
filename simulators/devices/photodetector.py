"""Simulated photodetectors: the power tap behind the source and the slit detector at the zeroth order."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from drivers.contract import DeviceTimeout, Identity, LimitError, Photodetector, Reading
from drivers.site import Site


class SimulatedPhotodetector(Photodetector):
    """A photodiode and amplifier on a world; shot noise, amplifier noise and range belong to the world."""

    backend = "simulated"

    class Options(BaseModel):
        """Where on the table it stands."""

        model_config = ConfigDict(extra="forbid")
        port: Literal["tap", "slit"]

    def __init__(self, name: str, world: Any, port: str) -> None:
        super().__init__(name)
        self._world = world
        self._port = port
        self._reset()

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedPhotodetector:
        """On the bench's world, at the port the bench file names."""
        if not isinstance(options, cls.Options):
            raise LimitError(f'{name}: a simulated photodetector needs port = "tap" or "slit"')
        return cls(name, site.world(), options.port)

    def _reset(self) -> None:
        self._integration_ns = 16_700_000
        self._wavelength_m = float(self._world.mean_wavelength_m)
        self._number = 0
        self._armed = self._wanted = 0
        self._burst: list[Reading] = []

    def open(self) -> None:
        """Power-on state."""
        self._reset()
        self._world.triggered.append(self)

    def close(self) -> None:
        """Leave the trigger line."""
        super().close()
        if self in self._world.triggered:
            self._world.triggered.remove(self)

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        return Identity(model=f"simulated photodiode ({self._port})", serial=f"sim-{self._port}", firmware="labctl")

    def safe(self) -> None:
        """A detector harms nothing; pending triggers are dropped."""
        self._armed = 0

    def measure(self) -> Reading:
        """One reading now."""
        reading = self._take()
        self._world.clock.sleep_until(reading.end_ns)
        return reading

    def trace(self, samples: int) -> NDArray[np.float64]:
        """Readings one after another, W."""
        if samples < 1:
            raise LimitError(f"{self.name}.trace: {samples} samples; at least 1 is needed")
        return np.array([self.measure().power_w for _ in range(samples)])

    def arm(self, readings: int = 1) -> None:
        """Make ready for triggered readings."""
        if readings < 1:
            raise LimitError(f"{self.name}.arm: {readings} readings; at least 1 is needed")
        self._burst = []
        self._armed = self._wanted = readings

    def collect(self) -> list[Reading]:
        """Readings since `arm`."""
        burst, missing = self._burst, self._wanted - len(self._burst)
        self._burst, self._armed, self._wanted = [], 0, 0
        if missing or not burst:
            raise DeviceTimeout(
                f"{self.name}.collect: {len(burst)} readings came, {missing or 1} more were armed for; they were "
                "dropped. Check the trigger line and arm again"
            )
        return burst

    def armed(self) -> int:
        """Pulses of the trigger line it still answers."""
        return self._armed

    def on_trigger(self) -> None:
        """A pulse on the trigger line."""
        if self._armed:
            self._armed -= 1
            self._burst.append(self._take())

    def _take(self) -> Reading:
        start_ns = self._world.clock.now_ns()
        measure = self._world.tap_power if self._port == "tap" else self._world.slit_power
        power_w, sigma_w, beyond = measure(self.name, self._number, start_ns, self._integration_ns * 1e-9)
        self._number += 1
        # The instrument divides by the responsivity at the wavelength it was told.
        error = self._world.parameters.detector.wavelength_error
        told = 1.0 + error * (self._wavelength_m - self._world.mean_wavelength_m)
        return Reading(
            reading_id=self._number - 1,
            power_w=power_w * told,
            standard_power_w=sigma_w * told,
            start_ns=start_ns,
            end_ns=start_ns + self._integration_ns,
            utc_start_ns=self._world.clock.utc_zero_ns + start_ns,
            wavelength_m=self._wavelength_m,
            saturated=beyond,
        )

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_wavelength_m(self) -> float:
        return self._wavelength_m

    def _write_wavelength_m(self, value: float) -> None:
        self._wavelength_m = value

    def _read_integration_s(self) -> float:
        return self._integration_ns * 1e-9

    def _write_integration_s(self, value: float) -> None:
        self._integration_ns = round(value * 1e9)

    def _read_range_w(self) -> float:
        d = self._world.parameters.detector
        return float(d.tap_range if self._port == "tap" else d.slit_range)

    def _read_external_trigger(self) -> bool:
        return True
