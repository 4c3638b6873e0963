"""Kinds of devices as they are behind the bus: types of settings and operations, for editors and mypy.

    camera: labctl.kinds.Camera = bench.camera

Written by `labctl stubs --kinds`; it is not changed by hand.
"""

# ruff: noqa
# fmt: off
from __future__ import annotations

import collections.abc
import numpy as np
from drivers.contract import ComputerRun
from drivers.contract import ComputerStage
from drivers.contract import Frame
from drivers.contract import FrameCorrection
from drivers.contract import FrameStack
from drivers.contract import Identity
from drivers.contract import Limits
from drivers.contract import ROI
from drivers.contract import Reading
from drivers.contract import Sequence
from drivers.contract import SequenceResult
from drivers.contract import SequenceTimes
from labctl.bus.connection import Pending
from labctl.bus.stream import Stream
from labctl.typed import remote
from numpy.typing import DTypeLike
from numpy.typing import NDArray
from typing import Any


class Device:
    """A device behind the bus. Settings are attributes, operations are methods, as in its description.

    A call that need not be waited for is started with ``device.operation.submit(...)``, whose ``result()`` waits.
    ``print(device)`` is a table of its settings as they are now, and so is what a notebook shows of it.
    """

    name: str
    kind: str

    def identity(self) -> Identity:
        """Model, serial number and firmware."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, Any]:
        """Every setting as read back now."""
        raise NotImplementedError

    def limits(self, setting: str) -> Limits:
        """Smallest and largest value of a setting: the kind's, narrowed by the instrument and by the bench file.

        As they were when the proxy was made; nothing is asked. Raises AttributeError if there is no such setting.
        """
        raise NotImplementedError

    def safe(self) -> None:
        """Bring the device to its safe state, without waiting for a call that is being served."""
        raise NotImplementedError

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """A fresh array to draw in that reaches the device without a copy, if it is on this host.

        Do not write to it while a call it was given to is under way.
        """
        raise NotImplementedError

    def stream(self, windows: collections.abc.Sequence[ROI] | None = None, bin: int = 1, images: bool = True,
            timeout_s: float | None = None) -> Stream:
        """What the device measures from now on, whoever asks it to: an iterator of `labctl.bus.stream.Item`.

        windows: sums over these regions instead of images. bin: means of bin x bin pixels. images: False for times and
        numbers only. Reductions are worked out by the server. timeout_s: BusError when nothing is measured for so long.
        """
        raise NotImplementedError

    def submit_get(self, setting: str) -> Pending:
        """Begin to read a setting; `Pending.result` waits for it."""
        raise NotImplementedError


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

    @property
    def calibration_ids(self) -> dict[str, str]:
        """Ids of the calibrations in force on the device, by kind."""
        raise NotImplementedError

    @property
    def rows(self) -> int:
        """Sensor rows."""
        raise NotImplementedError

    @property
    def columns(self) -> int:
        """Sensor columns."""
        raise NotImplementedError

    @property
    def pixel_pitch_m(self) -> float:
        """Distance of neighbouring pixels. Unit: m."""
        raise NotImplementedError

    exposure_s: float
    """Exposure time; read back as the instrument rounded it. Unit: s."""

    roi: ROI
    """Rows and columns of the sensor that are read out, in its pixels whatever the binning."""

    binning: int
    """Pixels summed along rows and along columns; the ROI's are multiples of it."""

    @property
    def readout_s(self) -> float:
        """Time from the end of an exposure to the next trigger. Unit: s."""
        raise NotImplementedError

    @property
    def bit_depth(self) -> int:
        """Bits of the converter."""
        raise NotImplementedError

    @property
    def electrons_per_count(self) -> float:
        """Nominal conversion gain, electrons per count."""
        raise NotImplementedError

    @property
    def full_scale_counts(self) -> float:
        """Largest count of a frame; inf for an ideal detector."""
        raise NotImplementedError

    @property
    def external_trigger(self) -> bool:
        """Whether the SLM's trigger output starts exposures."""
        raise NotImplementedError

    @remote
    def correction(self) -> FrameCorrection:
        """What corrects frames of the present region of interest: dark, flat and hot pixels in force, cut to it.

        `drivers.correction.correct` applies it: (raw - dark) / flat, saturated and hot pixels marked. Ask once per
        region. Raises CalibrationError if no dark is in force, one is refused, or a map does not cover the region.
        """
        raise NotImplementedError

    @remote
    def arm(self, frames: int = 1) -> None:
        """Make ready for ``frames`` exposures and drop whatever was not collected."""
        raise NotImplementedError

    @remote
    def trigger(self, pattern_id: int = -1) -> Frame:
        """Expose once and return the frame, labelled with the pattern the caller says it answers.

        The camera does not see the SLM: that the pattern was stable is the caller's word. `Sequencer.play` keeps it.

        Raises DeviceTimeout when no frame came within exposure, read-out and a margin; the camera is re-armed.
        """
        raise NotImplementedError

    @remote
    def collect(self) -> FrameStack:
        """Frames of the burst armed last, all of them.

        Raises DeviceTimeout if fewer came than were armed for; those that came are dropped and the camera re-armed.
        """
        raise NotImplementedError

    @remote
    def burst(self, frames: int) -> FrameStack:
        """Expose ``frames`` times by itself, one exposure after the other, as fast as it reads them out.

        For light that is pulsed by the camera's own exposures, or that nobody changes meanwhile. Errors as `trigger`.
        A driver may know a faster road than one trigger after the other; what comes is the same.
        """
        raise NotImplementedError

    @remote
    def snap(self) -> Frame:
        """Wait until what was written to the SLM is stable, expose once, and return the frame.

        It is labelled with the pattern that this program wrote last, if it has control of the SLM: without, somebody else
        may have written since, and its pattern is unknown. Light needs control, and ``bench.source.emission = True``.

        Raises DeviceTimeout when no frame came, LeaseError if somebody else has control.
        """
        raise NotImplementedError


class Photodetector(Device):
    """A power meter or photodiode with its amplifier."""

    @property
    def calibration_ids(self) -> dict[str, str]:
        """Ids of the calibrations in force on the device, by kind."""
        raise NotImplementedError

    wavelength_m: float
    """Wavelength the responsivity is taken for. Unit: m."""

    integration_s: float
    """Averaging time of a reading. Unit: s."""

    @property
    def range_w(self) -> float:
        """Largest power it reads. Unit: W."""
        raise NotImplementedError

    @property
    def external_trigger(self) -> bool:
        """Whether the SLM's trigger output starts readings."""
        raise NotImplementedError

    @remote
    def measure(self) -> Reading:
        """One reading over ``integration_s``."""
        raise NotImplementedError

    @remote
    def trace(self, samples: int) -> NDArray[np.float64]:
        """``samples`` readings in a row, W."""
        raise NotImplementedError

    @remote
    def arm(self, readings: int = 1) -> None:
        """Make ready for ``readings`` triggered readings and drop whatever was not collected."""
        raise NotImplementedError

    @remote
    def collect(self) -> list[Reading]:
        """Readings taken since `arm`, all of them; DeviceTimeout if fewer came than were armed for."""
        raise NotImplementedError


class PumpLaser(Device):
    """A single-wavelength pump."""

    @property
    def calibration_ids(self) -> dict[str, str]:
        """Ids of the calibrations in force on the device, by kind."""
        raise NotImplementedError

    emission: bool
    """Light on or off."""

    power_w: float
    """Power set-point. Unit: W."""

    @property
    def wavelength_m(self) -> float:
        """Emission wavelength. Unit: m."""
        raise NotImplementedError

    modulation: str
    """What shapes the light in time."""

    @remote
    def emitted_w(self) -> float:
        """Power that the present set-point gives while emission is on, W, by the power curve in force.

        Raises CalibrationError if there is none, LimitError if the set-point lies outside it.
        """
        raise NotImplementedError

    @remote
    def set_point_for(self, emitted_w: float) -> float:
        """Set-point at which so many watts are emitted, by the power curve in force; errors as `emitted_w`.

        Setting it is the caller's act: limits are on set-points, and those stay what they say.
        """
        raise NotImplementedError


class Sequencer(Device):
    """Plays patterns on an SLM and reads a detector once per pattern: one call instead of hundreds.

    A composite device named in the bench file. It is timed by the instruments where they can, by software otherwise;
    results and metadata are the same.
    """

    @property
    def calibration_ids(self) -> dict[str, str]:
        """Ids of the calibrations in force on the device, by kind."""
        raise NotImplementedError

    timing: str
    """Who paces the sequence: the SLM's own memory and trigger output, or one call per pattern."""

    @remote
    def play(self, sequence: Sequence, windows: list[ROI], readout: str = 'camera', frames: bool = False, corrected:
            bool = False) -> SequenceResult:
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
        raise NotImplementedError


class SLM(Device):
    """A phase modulator. It owns the conversion from radians to its gray levels.

    With a phase table in force it shows, of every pixel, the level whose measured phase is nearest, modulo 2 pi. A
    driver's `write` and `load` take their levels from `gray_for` and `gray_for_patches`.
    """

    @property
    def calibration_ids(self) -> dict[str, str]:
        """Ids of the calibrations in force on the device, by kind."""
        raise NotImplementedError

    @property
    def rows(self) -> int:
        """Pixel rows."""
        raise NotImplementedError

    @property
    def columns(self) -> int:
        """Pixel columns."""
        raise NotImplementedError

    @property
    def pixel_pitch_m(self) -> float:
        """Distance of neighbouring pixels. Unit: m."""
        raise NotImplementedError

    @property
    def levels(self) -> int:
        """Gray levels over 2 pi; 0 means continuous phase."""
        raise NotImplementedError

    settle_s: float
    """Wait after a local change until it is stable. Unit: s."""

    base_settle_s: float
    """Wait after a whole new pattern. Unit: s."""

    @property
    def sequence_memory(self) -> int:
        """Patterns the device can step through by itself; 0 for none."""
        raise NotImplementedError

    @remote
    def write(self, phase: NDArray[np.floating[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Show ``phase`` (rows, columns; rad) with its corner at (row, column); return the new pattern id.

        ``whole`` tells whether `settle` must wait for a whole new pattern or for a local change of the old one.
        Raises LimitError if it does not fit or is not finite.
        """
        raise NotImplementedError

    @remote
    def write_gray(self, gray: NDArray[np.integer[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Show ``gray`` levels (rows, columns; uint8 or uint16, below ``levels``) as they are; else as `write`.

        For calibrations, which find out what phase a level gives. Raises LimitError if it does not fit, a level does
        not exist, or the panel is continuous and has none.
        """
        raise NotImplementedError

    @remote
    def settle(self) -> int:
        """Wait until the pattern written last is stable; return the bench time (ns) from which it is."""
        raise NotImplementedError

    @remote
    def load(self, sequence: Sequence) -> int:
        """Store a sequence in the device's memory and return the number of patterns.

        Raises LimitError if it does not fit the panel or the memory.
        """
        raise NotImplementedError

    @remote
    def run(self, dwell_s: float) -> SequenceTimes:
        """Step once through the stored sequence, which is then dropped: settle, pulse the trigger output, hold for
        ``dwell_s`` more.
        """
        raise NotImplementedError

    @remote
    def read_back(self) -> NDArray[Any]:
        """Gray levels (rows, columns) that the panel was last sent."""
        raise NotImplementedError


class SupercontinuumLaser(Device):
    """A white-light fibre laser, with or without a wavelength selector."""

    @property
    def calibration_ids(self) -> dict[str, str]:
        """Ids of the calibrations in force on the device, by kind."""
        raise NotImplementedError

    emission: bool
    """Light on or off."""

    power_fraction: float
    """Power set-point, fraction of the maximum."""

    wavelength_min_m: float
    """Short edge of the band. Unit: m."""

    wavelength_max_m: float
    """Long edge of the band. Unit: m."""

    pulse_picker: int
    """Every how many pulses one is let through."""

    @remote
    def emitted_w(self) -> float:
        """Power that the present set-point gives while emission is on, W, by the power curve in force.

        Raises CalibrationError if there is none, LimitError if the set-point lies outside it.
        """
        raise NotImplementedError

    @remote
    def set_point_for(self, emitted_w: float) -> float:
        """Set-point at which so many watts are emitted, by the power curve in force; errors as `emitted_w`.

        Setting it is the caller's act: limits are on set-points, and those stay what they say.
        """
        raise NotImplementedError


class ThermodynamicComputer(Device):
    """Analogue units that fluctuate in a programmable energy (Whitelam 2025, Eqs. 1, 2), k_B T = mobility = 1:

        dx_i = -dV/dx_i dt + sqrt(2) dW_i,   V = sum (J2 x_i^2 + J4 x_i^4) + sum b_i x_i + sum_(i<j) J_ij x_i x_j

    Between runs, units are held and noise is off; nothing leaves the computer, so that running needs no lease.
    """

    @property
    def calibration_ids(self) -> dict[str, str]:
        """Ids of the calibrations in force on the device, by kind."""
        raise NotImplementedError

    @property
    def units(self) -> int:
        """How many units it has."""
        raise NotImplementedError

    @property
    def unit_time_s(self) -> float:
        """Duration of the dimensionless unit of time. Unit: s."""
        raise NotImplementedError

    quadratic: float
    """J2 of every unit; negative for bistable units."""

    quartic: float
    """J4 of every unit; 0 for linear units, which need a stable quadratic form."""

    coupling_range: float
    """Largest coupling, either sign; set it before a program, which it drops."""

    @property
    def coupling_step(self) -> float:
        """Distance of neighbouring couplings; 0 is continuous."""
        raise NotImplementedError

    @property
    def bias_range(self) -> float:
        """Largest bias, either sign."""
        raise NotImplementedError

    @property
    def bias_step(self) -> float:
        """Distance of neighbouring biases; 0 is continuous."""
        raise NotImplementedError

    @property
    def reading_range(self) -> float:
        """Largest reading of a unit, either sign."""
        raise NotImplementedError

    @property
    def reading_step(self) -> float:
        """Distance of neighbouring readings; 0 is continuous."""
        raise NotImplementedError

    @property
    def repeat_s(self) -> float:
        """Time one repeat of the program takes, read-out included. Unit: s."""
        raise NotImplementedError

    @remote
    def program(self, stages: list[ComputerStage]) -> list[ComputerStage]:
        """Store stages, which a run goes through one after the other; return them as the computer rounded them.

        Units are held meanwhile. Raises LimitError, and keeps the program it had, if a stage is malformed, a coupling
        or bias lies beyond the range, or units would not be stable (``quartic`` = 0 and an indefinite quadratic form).
        """
        raise NotImplementedError

    @remote
    def programmed(self) -> list[ComputerStage]:
        """The program as it is stored; empty after power-on."""
        raise NotImplementedError

    @remote
    def run(self, repeats: int = 1, start: NDArray[np.float64] | None = None) -> ComputerRun:
        """Let go of the units ``repeats`` times, each time from ``start`` (units,), or 0, where they were held.

        Raises LimitError if there is no program or a start beyond ``reading_range``, DeviceError if it was stopped.
        """
        raise NotImplementedError

    @remote
    def hold(self) -> None:
        """Hold units where they are told to start: noise off. A run that is under way ends with DeviceError."""
        raise NotImplementedError
