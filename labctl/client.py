"""What protocols, calibrations and scripts may use of labctl: the bench, the contract's values, the errors.

Import-linter lets protocols and calibrations reach no other part of the runtime, so this list is the whole
surface between an experiment and the machinery below it.
"""

from __future__ import annotations

from drivers.errors import (
    BusError,
    CalibrationError,
    ConfigurationError,
    DeviceError,
    DeviceTimeout,
    InterlockError,
    LabError,
    LeaseError,
    LimitError,
)

__all__ = [
    "BusError",
    "CalibrationError",
    "ConfigurationError",
    "DeviceError",
    "DeviceTimeout",
    "InterlockError",
    "LabError",
    "LeaseError",
    "LimitError",
]
