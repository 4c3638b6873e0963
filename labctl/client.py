"""What protocols, calibrations and scripts may use of labctl: the bench, the contract's values, the errors.

Import-linter lets protocols and calibrations reach no other part of the runtime, so this list is the whole
surface between an experiment and the machinery below it.
"""

from __future__ import annotations

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
from labctl.experiments.calibrate import Calibrated, calibrate_on
from labctl.experiments.check_up import Checked, check_on
from labctl.experiments.experiment import Figure, Parameters, Protocol
from labctl.experiments.recorder import Recorder, Step
from labctl.experiments.routine import Finding, Routine
from labctl.experiments.runfile import open_run
from labctl.reproduce.paper import Compared, Paper, Reproduction
from labctl.store import Calibration, Check, Condition, Measured

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
