"""Simulated photodetectors: the power tap behind the source and the slit detector at the zeroth order."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from drivers.contract import DeviceTimeout, Identity, LimitError, Photodetector, Reading
from drivers.errors import FrameError
from drivers.site import Site
from simulators.devices.serial import serial_number
from simulators.devices.stop_flag import StopFlag


class _Burst(NamedTuple):
    """What the detector was armed for."""

    readings: int
    integration_ns: int
    wavelength_m: float


class SimulatedPhotodetector(Photodetector):
    """A photodiode and amplifier on a world; shot noise, amplifier noise and range belong to the world."""

    backend = "simulated"

    class Options(BaseModel):
        """Where on the table it stands."""

        model_config = ConfigDict(extra="forbid")
        port: str

    def __init__(self, name: str, world: Any, port: str) -> None:
        super().__init__(name)
        self._world = world
        self._port = port
        self._stop = StopFlag(world)
        self._mean_wavelength_m = float(world.parameters.mean_wavelength_m)
        self._reset()

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedPhotodetector:
        """On the bench's world, at the port the bench file names."""
        if not isinstance(options, cls.Options):
            raise LimitError(f'{name}: a simulated photodetector needs a port, such as "tap"')
        return cls(name, site.world(), options.port)

    def _reset(self) -> None:
        self._integration_ns = 16_700_000
        self._wavelength_m = self._mean_wavelength_m
        self._burst: _Burst | None = None

    def open(self) -> None:
        """Power-on state."""
        self._reset()
        self._stop.attach(self.name, self._port)

    def close(self) -> None:
        """Leave the trigger line."""
        super().close()
        self._world.detach(self.name)

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        serial = serial_number(self._port, self._world)
        return Identity(model=f"simulated photodiode ({self._port})", serial=serial, firmware="labctl")

    def frozen(self) -> dict[str, Any]:
        """See the contract."""
        return {"integration_ns": self._integration_ns, "wavelength_m": self._wavelength_m, "burst": self._burst}

    def thaw(self, kept: Any) -> None:
        """See the contract."""
        self._integration_ns, self._wavelength_m = int(kept["integration_ns"]), float(kept["wavelength_m"])
        self._burst = kept["burst"] and _Burst(*kept["burst"])

    def safe(self) -> None:
        """A detector harms nothing; pending triggers are dropped."""
        self._stop.set()

    def measure(self) -> Reading:
        """One reading now."""
        asked_ns = self._world.clock.now_ns()
        taken = self._world.measure(self.name, self._integration_ns)
        if taken[1] < asked_ns:
            raise FrameError(
                f"{self.name}.measure: a reading that came before came once more; it was dropped. Ask again; if it "
                "stays, look at the instrument's link"
            )
        reading = self._reading(taken, self._integration_ns, self._wavelength_m)
        self._world.clock.sleep_until(reading.end_ns)
        return reading

    def trace(self, samples: int) -> NDArray[np.float64]:
        """Readings one after another, W."""
        if samples < 1:
            raise LimitError(f"{self.name}.trace: {samples} samples; at least 1 is needed")
        return np.array([self.measure().power_w for _ in range(samples)])

    def arm(self, readings: int = 1) -> None:
        """Make ready for triggered readings with the integration and wavelength of now."""
        if readings < 1:
            raise LimitError(f"{self.name}.arm: {readings} readings; at least 1 is needed")
        self._burst = None
        self._stop.clear()
        self._world.arm_photodetector(self.name, readings, self._integration_ns)
        self._burst = _Burst(readings, self._integration_ns, self._wavelength_m)

    def collect(self) -> list[Reading]:
        """Readings since `arm`."""
        burst, self._burst = self._burst, None
        taken = self._world.collect_readings(self.name) if burst else []
        if burst is None or len(taken) < burst.readings:
            missing = burst.readings - len(taken) if burst else 1
            raise DeviceTimeout(
                f"{self.name}.collect: {len(taken)} readings came, {missing} more were armed for; they were "
                "dropped. Check the trigger line and arm again"
            )
        if any(later[0] <= earlier[0] for earlier, later in itertools.pairwise(taken)):
            raise FrameError(
                f"{self.name}.collect: a reading came twice; all {len(taken)} were dropped. Ask again; if it stays, "
                "look at the instrument's link"
            )
        return [self._reading(t, burst.integration_ns, burst.wavelength_m) for t in taken]

    def _reading(self, taken: tuple[int, int, float, float, bool], integration_ns: int, wavelength_m: float) -> Reading:
        number, start_ns, power_w, sigma_w, beyond = taken
        # The instrument divides by the responsivity at the wavelength it was told.
        error = self._world.parameters.detector.wavelength_error
        told = 1.0 + error * (wavelength_m - self._mean_wavelength_m)
        return Reading(
            reading_id=number,
            power_w=power_w * told,
            standard_power_w=sigma_w * told,
            start_ns=start_ns,
            end_ns=start_ns + integration_ns,
            utc_start_ns=self._world.clock.utc_zero_ns + start_ns,
            wavelength_m=wavelength_m,
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
