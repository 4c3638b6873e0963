"""What protocols, calibrations and scripts may use of labctl: the bench, the contract's values, the errors.

Import-linter lets protocols and calibrations reach no other part of the runtime, so this list is the whole
surface between an experiment and the machinery below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.contract import (
    ROI,
    ComputerRun,
    ComputerStage,
    CorrectedFrame,
    Frame,
    FrameCorrection,
    Reading,
    Sequence,
    SequenceResult,
    correct,
)
from drivers.correction import filled
from drivers.errors import (
    BusError,
    CalibrationError,
    ConfigurationError,
    DeviceError,
    DeviceTimeout,
    FrameError,
    InterlockError,
    LabError,
    LeaseError,
    LimitError,
)
from labctl.bench.client import Bench, open_bench
from labctl.store import Calibration, Check, Condition, Measured

if TYPE_CHECKING:
    from labctl.experiments.calibrate import Calibrated, calibrate_on
    from labctl.experiments.check_up import Checked, check_on
    from labctl.experiments.experiment import Figure, Parameters, Protocol
    from labctl.experiments.recorder import Recorder, Step
    from labctl.experiments.routine import Finding, Routine
    from labctl.reproduce.paper import Compared, Paper, Reproduction
    from labctl.runfile.file import open_run

__all__ = [
    "ROI",
    "Bench",
    "BusError",
    "Calibrated",
    "Calibration",
    "CalibrationError",
    "Check",
    "Checked",
    "Compared",
    "ComputerRun",
    "ComputerStage",
    "Condition",
    "ConfigurationError",
    "CorrectedFrame",
    "DeviceError",
    "DeviceTimeout",
    "Figure",
    "Finding",
    "Frame",
    "FrameCorrection",
    "FrameError",
    "InterlockError",
    "LabError",
    "LeaseError",
    "LimitError",
    "Measured",
    "Paper",
    "Parameters",
    "Protocol",
    "Reading",
    "Recorder",
    "Reproduction",
    "Routine",
    "Sequence",
    "SequenceResult",
    "Step",
    "calibrate_on",
    "check_on",
    "correct",
    "filled",
    "open_bench",
    "open_run",
]

_PLACES = {
    "Calibrated": "labctl.experiments.calibrate",
    "Checked": "labctl.experiments.check_up",
    "Compared": "labctl.reproduce.paper",
    "Figure": "labctl.experiments.experiment",
    "Finding": "labctl.experiments.routine",
    "Paper": "labctl.reproduce.paper",
    "Parameters": "labctl.experiments.experiment",
    "Protocol": "labctl.experiments.experiment",
    "Recorder": "labctl.experiments.recorder",
    "Reproduction": "labctl.reproduce.paper",
    "Routine": "labctl.experiments.routine",
    "Step": "labctl.experiments.recorder",
    "calibrate_on": "labctl.experiments.calibrate",
    "check_on": "labctl.experiments.check_up",
    "open_run": "labctl.runfile.file",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: a device server reads where its table's light falls, and needs neither runs nor HDF5.
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'labctl.client' has no attribute {name!r}")
