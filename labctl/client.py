"""What protocols, calibrations and scripts may use of labctl: the bench, the contract's values, the errors.

Import-linter lets protocols and calibrations reach no other part of the runtime, so this list is the whole
surface between an experiment and the machinery below it.
"""

from __future__ import annotations

from drivers.contract import ROI, Frame, Reading, Sequence, SequenceResult
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
from labctl.bench.client import Bench, open_bench
from labctl.experiments.experiment import Figure, Parameters, Protocol
from labctl.experiments.recorder import Recorder, Step, open_run

__all__ = [
    "ROI",
    "Bench",
    "BusError",
    "CalibrationError",
    "ConfigurationError",
    "DeviceError",
    "DeviceTimeout",
    "Figure",
    "Frame",
    "InterlockError",
    "LabError",
    "LeaseError",
    "LimitError",
    "Parameters",
    "Protocol",
    "Reading",
    "Recorder",
    "Sequence",
    "SequenceResult",
    "Step",
    "open_bench",
    "open_run",
]
