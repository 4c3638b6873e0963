"""The whole contract between experiments and instruments: device kinds, the values they exchange, their errors.

Promises kept by every backend (real, emulated, simulated):

- SI units, with the unit in the name; arrays are (rows, columns); phase in radians.
- `Device.safe` is idempotent, may be called at any moment from any thread, and is the first act after `open` and
  the last before `close`.
- Setting a value either takes effect and reads back as the instrument rounded it, or raises and changes nothing.
- A frame of a sequence is newer than the pattern it answers, or it is an error.
- Errors are those of `drivers.errors` and name the device, the value, the limit and the cure.

A new kind is a subclass of `Device` with a ``kind`` name, settings and operations, registered under the entry-point
group ``labctl.kinds``; a new driver is a subclass of a kind, registered under ``labctl.drivers``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel

from drivers.correction import (
    CorrectedFrame,
    Correction,
    Dark,
    Flat,
    FrameCorrection,
    HotPixels,
    LevelFinder,
    PhaseTable,
    PowerCurve,
    calibration,
    check_dark,
    check_flat,
    check_hot_pixels,
    check_phase_table,
    check_power_curve,
    correct,
    emitted_at,
    frame_correction,
    set_point_for,
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
from drivers.phase import gray_levels
from drivers.settings import (
    Configurable,
    DeviceDescription,
    Limits,
    OperationInfo,
    SettingInfo,
    Value,
    operation,
    setting,
)
from drivers.site import Site

__all__ = [
    "ROI",
    "SLM",
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

UNKNOWN_PATTERN = -1
"""Pattern id of an exposure that was triggered without saying which pattern it answers."""


# --- values -----------------------------------------------------------------------------------------------------


class Identity(Value, frozen=True):
    """Who the instrument is, for the run file."""

    model: str
    serial: str
    firmware: str


class ROI(Value, frozen=True):
    """Region of a sensor or of a frame: first row and column, and how many of each."""

    row: int
    column: int
    rows: int
    columns: int


class Frame(Value, frozen=True):
    """One exposure and everything needed to trust it.

    data: (roi.rows / binning, roi.columns / binning) camera counts; with ``binning`` n each is the sum of n x n pixels
    of the sensor. start_ns, end_ns: monotonic bench time of the exposure; utc_start_ns: its UTC. saturated: pixels of
    the data in which one of the sensor came to the end of the converter or of the well. lost_before: frames lost since
    the last one. pattern_id: what the SLM showed, `UNKNOWN_PATTERN` if the trigger did not say.
    """

    data: NDArray[Any]
    frame_id: int
    start_ns: int
    end_ns: int
    utc_start_ns: int
    exposure_s: float
    roi: ROI
    electrons_per_count: float
    bit_depth: int
    saturated: int
    lost_before: int
    pattern_id: int
    binning: int = 1


class FrameStack(Value, frozen=True):
    """Frames of one armed burst: data (n, rows, columns), the rest one entry per frame, or for all, as in `Frame`."""

    data: NDArray[Any]
    frame_ids: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    utc_start_ns: int
    exposure_s: float
    roi: ROI
    electrons_per_count: float
    bit_depth: int
    saturated: NDArray[np.int64]
    lost_before: NDArray[np.int64]
    binning: int = 1


class Reading(Value, frozen=True):
    """Optical power averaged from start_ns to end_ns (monotonic bench time), corrected for ``wavelength_m``.

    standard_power_w is the standard deviation the instrument's noise gives such a reading.
    """

    reading_id: int
    power_w: float
    standard_power_w: float
    start_ns: int
    end_ns: int
    utc_start_ns: int
    wavelength_m: float
    saturated: bool


class Sequence(Value, frozen=True):
    """Many SLM patterns, sent as one base and the small patches in which they differ from it.

    Pattern k is ``base`` placed with its corner at ``base_origin``, with patches ``indices[offsets[k]:offsets[k+1]]``
    drawn over it; pixels outside the base keep what the SLM showed before.

    base: (rows, columns) phase, rad. patches: (n_patches, rows, columns) phase, rad, all of one shape and not
    overlapping one another where they are used together. patch_origins: (n_patches, 2) row and column on the SLM.
    """

    base: NDArray[np.floating[Any]]
    base_origin: tuple[int, int]
    patches: NDArray[np.floating[Any]]
    patch_origins: NDArray[np.int32]
    offsets: NDArray[np.int32]
    indices: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def validate(self, slm_rows: int, slm_columns: int) -> None:
        """Raise LimitError unless every pattern fits an SLM of this size and every index is in range."""
        if self.base.ndim != 2 or self.patches.ndim != 3 or self.patch_origins.shape != (len(self.patches), 2):
            raise LimitError(
                f"sequence: base {self.base.shape}, patches {self.patches.shape}, origins {self.patch_origins.shape}; "
                "needed are (rows, columns), (n, rows, columns), (n, 2)"
            )
        if not np.all(np.isfinite(self.base)) or not np.all(np.isfinite(self.patches)):
            raise LimitError("sequence: a phase is not finite")
        row, column = self.base_origin
        rows, columns = self.base.shape
        if row < 0 or column < 0 or row + rows > slm_rows or column + columns > slm_columns:
            raise LimitError(
                f"sequence: base of {rows}x{columns} at row {row}, column {column} does not fit the SLM's "
                f"{slm_rows}x{slm_columns} pixels"
            )
        _, height, width = self.patches.shape
        corner = np.array([slm_rows - height, slm_columns - width])
        outside = np.flatnonzero(np.any((self.patch_origins < 0) | (self.patch_origins > corner), axis=1))
        if outside.size:
            raise LimitError(
                f"sequence: patch {outside[0]} at {tuple(int(x) for x in self.patch_origins[outside[0]])} of "
                f"{height}x{width} pixels does not fit the SLM's {slm_rows}x{slm_columns}"
            )
        steps = np.diff(self.offsets)
        if len(self.offsets) < 2 or self.offsets[0] != 0 or np.any(steps < 0) or self.offsets[-1] != len(self.indices):
            raise LimitError("sequence: offsets must rise from 0 to the number of indices, one more than patterns")
        if self.indices.size and (self.indices.min() < 0 or self.indices.max() >= len(self.patches)):
            raise LimitError(f"sequence: a patch index is outside 0 to {len(self.patches) - 1}")


class SequenceTimes(Value, frozen=True):
    """What an SLM showed while it stepped through its memory: pattern ids, and when each was stable (bench ns)."""

    pattern_ids: NDArray[np.int64]
    stable_ns: NDArray[np.int64]


class SequenceResult(Value, frozen=True):
    """What a played sequence measured, one entry per pattern.

    signal: (n, n_windows) sums of camera counts over each window, or (n, 1) optical power in W from a photodetector.
    frames: (n, rows, columns) if they were asked for, else None. peak: largest count of each frame (power, in W).
    """

    signal: NDArray[np.float64]
    frames: NDArray[Any] | None
    pattern_ids: NDArray[np.int64]
    frame_ids: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    utc_start_ns: int
    exposure_s: float
    saturated: NDArray[np.int64]
    peak: NDArray[np.float64]
    lost: int


class ComputerStage(Value, frozen=True):
    """A stretch of a thermodynamic computer's program, in its dimensionless units (k_B T = mobility = 1).

    couplings: (units, units) J, symmetric, 0 on the diagonal. biases: (units,) b at the beginning; they change evenly
    to ``biases_end`` (units,), or stay where that is None. duration: in units of time. read_at: (n,) times from the
    stage's beginning at which every unit is read, rising, none later than its end.
    """

    duration: float
    couplings: NDArray[np.float64]
    biases: NDArray[np.float64]
    read_at: NDArray[np.float64]
    biases_end: NDArray[np.float64] | None = None

    def validate(self, units: int) -> None:
        """Raise LimitError unless the stage is one for so many units."""
        J, b, c = self.couplings, self.biases, self.biases_end
        if J.shape != (units, units):
            raise LimitError(
                f"stage: couplings {J.shape}; this computer has {units} units and needs ({units}, {units})"
            )
        for name, biases in (("biases", b), ("biases_end", c)):
            if biases is not None and biases.shape != (units,):
                raise LimitError(f"stage: {name} {biases.shape}; this computer has {units} units and needs ({units},)")
        if not all(np.all(np.isfinite(x)) for x in (J, b, b if c is None else c, self.read_at)):
            raise LimitError("stage: a coupling, bias or time is not finite")
        if not np.array_equal(J, J.T) or np.any(np.diagonal(J)):
            raise LimitError(
                "stage: couplings must be symmetric with zeros on the diagonal; x_i x_j has one of them, and x_i^2 is "
                "the setting `quadratic`"
            )
        if not (np.isfinite(self.duration) and self.duration > 0):
            raise LimitError(f"stage: duration = {self.duration:g}; it must be positive")
        at = self.read_at
        if (
            at.ndim != 1
            or np.any(np.diff(at) <= 0)
            or (len(at) and not 0 <= at[0] <= at[-1] <= self.duration * (1 + 1e-12))
        ):
            raise LimitError(f"stage: times of reading must rise between 0 and the stage's duration, {self.duration:g}")


class ComputerRun(Value, frozen=True):
    """What a thermodynamic computer read while it ran its program.

    readings: (repeats, times, units) as digitised, in units of x. read_at: (times,) from the beginning of a repeat.
    beyond: (repeats,) readings at the end of the converter. start_ns, end_ns: monotonic bench time of all repeats.
    """

    run_id: int
    readings: NDArray[np.float32]
    read_at: NDArray[np.float64]
    beyond: NDArray[np.int64]
    start_ns: int
    end_ns: int
    utc_start_ns: int


# --- devices ----------------------------------------------------------------------------------------------------


class Device(Configurable):
    """An instrument with settings, operations and a safe state.

    A driver may declare ``Options``, a pydantic model of the keys it takes from the bench file besides its settings.
    """

    composite: ClassVar[bool] = False
    """Whether it is made of other devices of the bench, which must exist before it."""

    calibration_ids = setting(dict, read_only=True, doc="Ids of the calibrations in force on the device, by kind.")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.corrections_held: dict[str, Correction | str] = {}
        """What the device's `calibration`s hold, by kind: a correction, or why one is refused."""
        self.allocate: Callable[[tuple[int, ...], DTypeLike], NDArray[Any]] = np.empty
        """Memory for an array that will be returned: shape, dtype. The device server sets it to its shared-memory
        ring, so that a driver writes frames where the client reads them; every call gives a fresh array."""

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Device:
        """Make the driver the bench file asks for. Nothing is connected before `open`."""
        return cls(name) if options is None else cls(name, **options.model_dump())

    def open(self) -> None:
        """Connect and bring the instrument to its safe state. May be called again after `close`."""

    def close(self) -> None:
        """Bring the instrument to its safe state and disconnect. Harmless when already closed."""
        self.safe()

    @abstractmethod
    def identity(self) -> Identity:
        """Model, serial number and firmware as the instrument reports them."""

    @abstractmethod
    def safe(self) -> None:
        """Emission off, shutters closed, acquisition stopped. Idempotent, from any thread, at any moment."""

    # --- calibrations, which the device server sets; see `drivers.correction` ---

    @classmethod
    def declared_calibrations(cls) -> dict[str, calibration[Any]]:
        """What the kind takes, by name, which is the calibration's kind."""
        found = {n: v for base in reversed(cls.__mro__) for n, v in vars(base).items() if isinstance(v, calibration)}
        return dict(found)

    def refuse_calibration(self, kind: str, reason: str) -> None:
        """From now on, until it is set anew, whatever needs this calibration raises CalibrationError."""
        setattr(self, kind, None)
        self.corrections_held[kind] = reason

    def _read_calibration_ids(self) -> dict[str, str]:
        return {kind: c.calibration_id for kind, c in self.corrections_held.items() if isinstance(c, Correction)}


class SLM(Device):
    """A phase modulator. It owns the conversion from radians to its gray levels.

    With a phase table in force it shows, of every pixel, the level whose measured phase is nearest, modulo 2 pi. A
    driver's `write` and `load` take their levels from `gray_for` and `gray_for_patches`.
    """

    kind = "slm"

    rows = setting(int, read_only=True, doc="Pixel rows.")
    columns = setting(int, read_only=True, doc="Pixel columns.")
    pixel_pitch_m = setting(float, unit="m", read_only=True, doc="Distance of neighbouring pixels.")
    levels = setting(int, read_only=True, doc="Gray levels over 2 pi; 0 means continuous phase.")
    settle_s = setting(float, unit="s", minimum=0, maximum=10, doc="Wait after a local change until it is stable.")
    base_settle_s = setting(float, unit="s", minimum=0, maximum=10, doc="Wait after a whole new pattern.")
    sequence_memory = setting(int, read_only=True, doc="Patterns the device can step through by itself; 0 for none.")

    phase_table = calibration(PhaseTable, doc="Phase that each gray level gives, by row band and column tile.")

    _level_finder: LevelFinder | None = None

    def _check_phase_table(self, table: PhaseTable) -> None:
        check_phase_table(self, table)

    def _changed_phase_table(self, table: PhaseTable | None) -> None:
        self._level_finder = None if table is None else LevelFinder(table)

    def gray_for(self, phase: NDArray[np.floating[Any]], row: int, column: int) -> NDArray[Any]:
        """Gray levels that show ``phase`` (rows, columns; rad) with its corner at (row, column), where it must fit.

        Raises CalibrationError if the phase table in force is refused.
        """
        if self.phase_table is None or self._level_finder is None:
            return self._nominal_gray(phase)
        return self._level_finder.levels(phase, row, column)

    def gray_for_patches(self, patches: NDArray[np.floating[Any]], origins: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """The same of patches (n, rows, columns; rad) with their corners at origins (n, 2)."""
        if self.phase_table is None or self._level_finder is None:
            return self._nominal_gray(patches)
        return self._level_finder.levels_of_patches(patches, origins)

    def _nominal_gray(self, phase: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Levels as the panel was delivered; a driver that knows better says so."""
        return gray_levels(phase, self.levels)

    @operation()
    @abstractmethod
    def write(self, phase: NDArray[np.floating[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Show ``phase`` (rows, columns; rad) with its corner at (row, column); return the new pattern id.

        ``whole`` tells whether `settle` must wait for a whole new pattern or for a local change of the old one.
        Raises LimitError if it does not fit or is not finite.
        """

    @operation()
    @abstractmethod
    def write_gray(self, gray: NDArray[np.integer[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Show ``gray`` levels (rows, columns; uint8 or uint16, below ``levels``) as they are; else as `write`.

        For calibrations, which find out what phase a level gives. Raises LimitError if it does not fit, a level does
        not exist, or the panel is continuous and has none.
        """

    @operation()
    @abstractmethod
    def settle(self) -> int:
        """Wait until the pattern written last is stable; return the bench time (ns) from which it is."""

    @operation()
    @abstractmethod
    def load(self, sequence: Sequence) -> int:
        """Store a sequence in the device's memory and return the number of patterns.

        Raises LimitError if it does not fit the panel or the memory.
        """

    @operation()
    @abstractmethod
    def run(self, dwell_s: float) -> SequenceTimes:
        """Step once through the stored sequence, which is then dropped: settle, pulse the trigger output, hold for
        ``dwell_s`` more.
        """

    @operation(observes=True)
    @abstractmethod
    def read_back(self) -> NDArray[Any]:
        """Gray levels (rows, columns) that the panel was last sent."""


class Camera(Device):
    """A camera that stays armed. Frames answer triggers; a frame older than its trigger is never returned.

    A binned frame is exactly the block sums of what an unbinned one of the same exposure would have been: block (i, j)
    holds the ``binning`` x ``binning`` sensor pixels from row ``roi.row + i * binning``, column ``roi.column + j *
    binning`` on. Sums of 8-bit pixels are uint16, those of 16-bit pixels uint32, so none overflows. Offset, dark counts
    and ``full_scale_counts`` are binning^2 times those of a pixel; ``electrons_per_count`` and ``bit_depth`` stay.
    Rows and columns of ``roi``, which counts pixels of the sensor whatever the binning, must be multiples of
    ``binning``: a region or a binning that does not fit the other is refused. Where both change, set ``binning = 1``
    first, then ``roi``, then the new binning.

    Frames are what the camera read, also with calibrations in force: who wants corrected ones asks for `correction`
    and applies it, ``correct(frame, camera.correction())``.
    """

    kind = "camera"

    rows = setting(int, read_only=True, doc="Sensor rows.")
    columns = setting(int, read_only=True, doc="Sensor columns.")
    pixel_pitch_m = setting(float, unit="m", read_only=True, doc="Distance of neighbouring pixels.")
    exposure_s = setting(float, unit="s", doc="Exposure time; read back as the instrument rounded it.")
    roi = setting(ROI, doc="Rows and columns of the sensor that are read out, in its pixels whatever the binning.")
    binning = setting(
        int, minimum=1, maximum=16, doc="Pixels summed along rows and along columns; the ROI's are multiples of it."
    )
    readout_s = setting(float, unit="s", read_only=True, doc="Time from the end of an exposure to the next trigger.")
    bit_depth = setting(int, read_only=True, doc="Bits of the converter.")
    electrons_per_count = setting(float, read_only=True, doc="Nominal conversion gain, electrons per count.")
    full_scale_counts = setting(float, read_only=True, doc="Largest count of a frame; inf for an ideal detector.")
    external_trigger = setting(bool, read_only=True, doc="Whether the SLM's trigger output starts exposures.")

    dark = calibration(Dark, doc="Counts without light, by pixel.")
    flat = calibration(Flat, doc="Response of each pixel relative to the mean.")
    hot_pixels = calibration(HotPixels, doc="Pixels that no map corrects.")

    def _check_dark(self, dark: Dark) -> None:
        check_dark(f"{self.name}.dark", dark, self.rows, self.columns)

    def _check_flat(self, flat: Flat) -> None:
        check_flat(f"{self.name}.flat", flat, self.rows, self.columns)

    def _check_hot_pixels(self, hot: HotPixels) -> None:
        check_hot_pixels(f"{self.name}.hot_pixels", hot, self.rows, self.columns)

    @operation(observes=True)
    def correction(self) -> FrameCorrection:
        """What corrects frames of the present region of interest: dark, flat and hot pixels in force, cut to it.

        `drivers.correction.correct` applies it: (raw - dark) / flat, saturated and hot pixels marked. Ask once per
        region. Raises CalibrationError if no dark is in force, one is refused, or a map does not cover the region.
        """
        return frame_correction(self.name, self.roi, self.full_scale_counts, self.dark, self.flat, self.hot_pixels)

    def _read_binning(self) -> int:
        return 1  # a driver that has more says so; `drivers.binning` does the work

    def _write_binning(self, value: int) -> None:
        if value != 1:
            raise LimitError(
                f"{self.name}.binning = {value}: this driver has 1 only; nothing was changed. Sum the pixels yourself"
            )

    @operation()
    @abstractmethod
    def arm(self, frames: int = 1) -> None:
        """Make ready for ``frames`` exposures and drop whatever was not collected."""

    @operation()
    @abstractmethod
    def trigger(self, pattern_id: int = UNKNOWN_PATTERN) -> Frame:
        """Expose once and return the frame, labelled with the pattern the caller says it answers.

        The camera does not see the SLM: that the pattern was stable is the caller's word. `Sequencer.play` keeps it.

        Raises DeviceTimeout when no frame came within exposure, read-out and a margin; the camera is re-armed.
        """

    @operation()
    @abstractmethod
    def collect(self) -> FrameStack:
        """Frames of the burst armed last, all of them.

        Raises DeviceTimeout if fewer came than were armed for; those that came are dropped and the camera re-armed.
        """

    @operation()
    def burst(self, frames: int) -> FrameStack:
        """Expose ``frames`` times by itself, one exposure after the other, as fast as it reads them out.

        For light that is pulsed by the camera's own exposures, or that nobody changes meanwhile. Errors as `trigger`.
        A driver may know a faster road than one trigger after the other; what comes is the same.
        """
        if frames < 1:
            raise LimitError(f"{self.name}.burst: {frames} frames; at least 1 is needed")
        taken = [self.trigger() for _ in range(frames)]
        first = taken[0]
        data = self.allocate((frames, *first.data.shape), first.data.dtype)
        for into, frame in zip(data, taken, strict=True):
            into[:] = frame.data
        return FrameStack(
            data=data,
            frame_ids=np.array([f.frame_id for f in taken], np.int64),
            start_ns=np.array([f.start_ns for f in taken], np.int64),
            end_ns=np.array([f.end_ns for f in taken], np.int64),
            utc_start_ns=first.utc_start_ns,
            exposure_s=first.exposure_s,
            roi=first.roi,
            electrons_per_count=first.electrons_per_count,
            bit_depth=first.bit_depth,
            saturated=np.array([f.saturated for f in taken], np.int64),
            lost_before=np.array([f.lost_before for f in taken], np.int64),
            binning=first.binning,
        )


class Laser(Device):
    """What all lasers share: a set-point, and the power that it gives."""

    set_point_setting: ClassVar[str]
    """Name of the setting that is the set-point."""

    power_curve = calibration(PowerCurve, doc="Power emitted at each set-point.")

    def _check_power_curve(self, curve: PowerCurve) -> None:
        check_power_curve(f"{self.name}.power_curve", curve)

    @operation(observes=True)
    def emitted_w(self) -> float:
        """Power that the present set-point gives while emission is on, W, by the power curve in force.

        Raises CalibrationError if there is none, LimitError if the set-point lies outside it.
        """
        return emitted_at(self.name, self.power_curve, float(getattr(self, self.set_point_setting)))

    @operation(observes=True)
    def set_point_for(self, emitted_w: float) -> float:
        """Set-point at which so many watts are emitted, by the power curve in force; errors as `emitted_w`.

        Setting it is the caller's act: limits are on set-points, and those stay what they say.
        """
        return set_point_for(self.name, self.power_curve, emitted_w)


class SupercontinuumLaser(Laser):
    """A white-light fibre laser, with or without a wavelength selector."""

    kind = "supercontinuum"
    set_point_setting = "power_fraction"

    emission = setting(bool, needs_lease=True, doc="Light on or off.")
    power_fraction = setting(float, unit="1", minimum=0, maximum=1, doc="Power set-point, fraction of the maximum.")
    wavelength_min_m = setting(float, unit="m", minimum=400e-9, maximum=2400e-9, doc="Short edge of the band.")
    wavelength_max_m = setting(float, unit="m", minimum=400e-9, maximum=2400e-9, doc="Long edge of the band.")
    pulse_picker = setting(int, minimum=1, maximum=40, doc="Every how many pulses one is let through.")


class PumpLaser(Laser):
    """A single-wavelength pump."""

    kind = "pump"
    set_point_setting = "power_w"

    emission = setting(bool, needs_lease=True, doc="Light on or off.")
    power_w = setting(float, unit="W", minimum=0, doc="Power set-point.")
    wavelength_m = setting(float, unit="m", read_only=True, doc="Emission wavelength.")
    modulation = setting(str, choices=("cw", "pulsed", "external"), doc="What shapes the light in time.")

    def _read_modulation(self) -> str:
        return "cw"  # most pumps have nothing else; a driver of one that has says so

    def _write_modulation(self, value: str) -> None:
        if value != "cw":
            raise LimitError(f"{self.name}.modulation = {value!r}: this laser is continuous only; modulate behind it")


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


class Sequencer(Device):
    """Plays patterns on an SLM and reads a detector once per pattern: one call instead of hundreds.

    A composite device named in the bench file. It is timed by the instruments where they can, by software otherwise;
    results and metadata are the same.
    """

    kind = "sequencer"
    composite = True

    timing = setting(
        str,
        choices=("auto", "hardware", "software"),
        doc="Who paces the sequence: the SLM's own memory and trigger output, or one call per pattern.",
    )

    @operation()
    @abstractmethod
    def play(
        self,
        sequence: Sequence,
        windows: list[ROI],
        readout: str = "camera",
        frames: bool = False,
        corrected: bool = False,
    ) -> SequenceResult:
        """Show each pattern, let it settle, expose, and reduce.

        Parameters
        ----------
        windows: regions of the frames as they come (their first pixel is row 0, column 0; with binning they have fewer
            pixels than the camera's ROI) whose counts are summed; empty means all of it.
        readout: "camera", or the role name of a photodetector the sequencer was given.
        frames: return the frames as well.
        corrected: sum, and return, counts corrected by `Camera.correction`, hot pixels filled with the mean of their
            neighbours; a frame with saturated pixels is told by ``saturated``, as without.

        Raises CalibrationError if frames cannot be corrected, LimitError if a pattern or a window does not fit,
        DeviceTimeout if an exposure is missing, DeviceError if a frame began before its pattern was stable.
        """


class ThermodynamicComputer(Device):
    """Analogue units that fluctuate in a programmable energy (Whitelam 2025, Eqs. 1, 2), k_B T = mobility = 1:

        dx_i = -dV/dx_i dt + sqrt(2) dW_i,   V = sum (J2 x_i^2 + J4 x_i^4) + sum b_i x_i + sum_(i<j) J_ij x_i x_j

    Between runs, units are held and noise is off; nothing leaves the computer, so that running needs no lease.
    """

    kind = "thermodynamic-computer"

    units = setting(int, read_only=True, doc="How many units it has.")
    unit_time_s = setting(float, unit="s", read_only=True, doc="Duration of the dimensionless unit of time.")
    quadratic = setting(float, doc="J2 of every unit; negative for bistable units.")
    quartic = setting(float, minimum=0, doc="J4 of every unit; 0 for linear units, which need a stable quadratic form.")
    coupling_range = setting(float, doc="Largest coupling, either sign; set it before a program, which it drops.")
    coupling_step = setting(float, read_only=True, doc="Distance of neighbouring couplings; 0 is continuous.")
    bias_range = setting(float, read_only=True, doc="Largest bias, either sign.")
    bias_step = setting(float, read_only=True, doc="Distance of neighbouring biases; 0 is continuous.")
    reading_range = setting(float, read_only=True, doc="Largest reading of a unit, either sign.")
    reading_step = setting(float, read_only=True, doc="Distance of neighbouring readings; 0 is continuous.")
    repeat_s = setting(float, unit="s", read_only=True, doc="Time one repeat of the program takes, read-out included.")

    @operation()
    @abstractmethod
    def program(self, stages: list[ComputerStage]) -> list[ComputerStage]:
        """Store stages, which a run goes through one after the other; return them as the computer rounded them.

        Units are held meanwhile. Raises LimitError, and keeps the program it had, if a stage is malformed, a coupling
        or bias lies beyond the range, or units would not be stable (``quartic`` = 0 and an indefinite quadratic form).
        """

    @operation(observes=True)
    @abstractmethod
    def programmed(self) -> list[ComputerStage]:
        """The program as it is stored; empty after power-on."""

    @operation()
    @abstractmethod
    def run(self, repeats: int = 1, start: NDArray[np.float64] | None = None) -> ComputerRun:
        """Let go of the units ``repeats`` times, each time from ``start`` (units,), or 0, where they were held.

        Raises LimitError if there is no program or a start beyond ``reading_range``, DeviceError if it was stopped.
        """

    @operation()
    @abstractmethod
    def hold(self) -> None:
        """Hold units where they are told to start: noise off. A run that is under way ends with DeviceError."""
