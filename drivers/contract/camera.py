"""The kind `camera`: armed, triggered, and never a frame older than its trigger."""

from __future__ import annotations

from abc import abstractmethod

from drivers.contract.device import Device
from drivers.contract.values import ROI, UNKNOWN_PATTERN, Frame, FrameStack
from drivers.correction import (
    Dark,
    Flat,
    FrameCorrection,
    HotPixels,
    calibration,
    check_dark,
    check_flat,
    check_hot_pixels,
    frame_correction,
)
from drivers.errors import LimitError
from drivers.settings import operation, setting


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
        data = self.allocate((frames, *taken[0].data.shape), taken[0].data.dtype)
        for into, frame in zip(data, taken, strict=True):
            into[:] = frame.data
        return FrameStack.of(taken, data)
