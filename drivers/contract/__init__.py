"""The whole contract between experiments and instruments: device kinds, the values they exchange, their errors.

Promises kept by every backend (real, emulated, simulated):

- SI units, with the unit in the name; arrays are (rows, columns); phase in radians.
- `Device.safe` is idempotent, may be called at any moment from any thread, and is the first act after `open` and
  the last before `close`.
- Setting a value either takes effect and reads back as the instrument rounded it, or raises and changes nothing.
- A frame of a sequence is newer than the pattern it answers, or it is an error.
- Errors are those of `drivers.errors` and name the device, the value, the limit and the cure.

A new kind is a subclass of `Device` with a ``kind`` name, settings and operations, registered under the entry-point
group ``labctl.kinds``; a new driver is a subclass of a kind, registered under ``labctl.drivers``. Our kinds have a
module each; everybody imports them, the values and the errors from here.
"""

from drivers.contract.camera import Camera
from drivers.contract.device import Device
from drivers.contract.lasers import Laser, PumpLaser, SupercontinuumLaser
from drivers.contract.photodetector import Photodetector
from drivers.contract.sequencer import Sequencer
from drivers.contract.sequences import Sequence, SequenceResult, SequenceTimes
from drivers.contract.slm import SLM
from drivers.contract.thermodynamic_computer import ComputerRun, ComputerStage, ThermodynamicComputer
from drivers.contract.values import ROI, UNKNOWN_PATTERN, Frame, FrameStack, Identity, Reading
from drivers.correction import (
    CorrectedFrame,
    Correction,
    Dark,
    Flat,
    FrameCorrection,
    HotPixels,
    PhaseTable,
    PowerCurve,
    calibration,
    correct,
)
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
from drivers.settings import DeviceDescription, Limits, OperationInfo, SettingInfo, Value, operation, setting

__all__ = [
    "ROI",
    "SLM",
    "UNKNOWN_PATTERN",
    "BusError",
    "CalibrationError",
    "Camera",
    "ComputerRun",
    "ComputerStage",
    "ConfigurationError",
    "CorrectedFrame",
    "Correction",
    "Dark",
    "Device",
    "DeviceDescription",
    "DeviceError",
    "DeviceTimeout",
    "Flat",
    "Frame",
    "FrameCorrection",
    "FrameStack",
    "HotPixels",
    "Identity",
    "InterlockError",
    "LabError",
    "Laser",
    "LeaseError",
    "LimitError",
    "Limits",
    "OperationInfo",
    "PhaseTable",
    "Photodetector",
    "PowerCurve",
    "PumpLaser",
    "Reading",
    "Sequence",
    "SequenceResult",
    "SequenceTimes",
    "Sequencer",
    "SettingInfo",
    "SupercontinuumLaser",
    "ThermodynamicComputer",
    "Value",
    "calibration",
    "correct",
    "operation",
    "setting",
]
