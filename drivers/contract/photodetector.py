"""The kind `photodetector`: optical power, one reading, a trace, or one per trigger."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from drivers.contract.device import Device
from drivers.contract.values import Reading
from drivers.settings import operation, setting


class Photodetector(Device):
    """A power meter or photodiode with its amplifier."""

    kind = "photodetector"

    wavelength_m = setting(
        float, unit="m", minimum=200e-9, maximum=2000e-9, doc="Wavelength the responsivity is taken for."
    )
    integration_s = setting(float, unit="s", minimum=1e-6, maximum=100, doc="Averaging time of a reading.")
    range_w = setting(float, unit="W", read_only=True, doc="Largest power it reads.")
    external_trigger = setting(bool, read_only=True, doc="Whether the SLM's trigger output starts readings.")

    @operation()
    @abstractmethod
    def measure(self) -> Reading:
        """One reading over ``integration_s``."""

    @operation()
    @abstractmethod
    def trace(self, samples: int) -> NDArray[np.float64]:
        """``samples`` readings in a row, W."""

    @operation()
    @abstractmethod
    def arm(self, readings: int = 1) -> None:
        """Make ready for ``readings`` triggered readings and drop whatever was not collected."""

    @operation()
    @abstractmethod
    def collect(self) -> list[Reading]:
        """Readings taken since `arm`, all of them; DeviceTimeout if fewer came than were armed for."""
