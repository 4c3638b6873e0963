"""A simulated sCMOS camera: the limits and timing of an Andor Zyla 5.5, the light and noise of its world."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel

from drivers.binning import binned_shape, check_fits, sum_blocks, sum_dtype, touched_blocks
from drivers.contract import (
    ROI,
    UNKNOWN_PATTERN,
    Camera,
    DeviceError,
    DeviceTimeout,
    Frame,
    FrameStack,
    Identity,
    LimitError,
    Limits,
)
from drivers.errors import FrameError
from drivers.site import Site
from simulators.devices.serial import serial_number
from simulators.devices.stop_flag import StopFlag

_LEAST_EXPOSURE_ROWS = 3
"""Shortest triggered exposure of a Zyla, in row times."""

_OLD_FRAMES = 3
"""That may come before the one that was triggered."""


class _Burst(NamedTuple):
    """What the camera was armed for."""

    frames: int
    exposure_ns: int
    roi: ROI
    binning: int
    armed_ns: int


class SimulatedCamera(Camera):
    """A Zyla 5.5 on a world; exposures are whole row times, read-out takes the rows of the region."""

    backend = "simulated"

    def __init__(self, name: str, world: Any) -> None:
        super().__init__(name)
        self._world = world
        self._stop = StopFlag(world)
        self._reset()

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedCamera:
        """On the bench's world."""
        return cls(name, site.world())

    def _reset(self) -> None:
        c = self._world.parameters.camera
        self._row_ns: int = round(c.row_time * 1e9)
        longest = int(c.max_exposure * 1e9) // self._row_ns
        self.restrict(
            "exposure_s",
            Limits(minimum=_LEAST_EXPOSURE_ROWS * self._row_ns / 1e9, maximum=longest * self._row_ns / 1e9),
        )
        self._exposure_ns: int = round(16.7e-3 * 1e9 / self._row_ns) * self._row_ns
        self._roi = ROI(row=0, column=0, rows=c.rows, columns=c.columns)
        self._binning = 1
        self._burst: _Burst | None = None

    def open(self) -> None:
        """Power-on state: full frame, 16.7 ms, exposures counted from 0."""
        self._reset()
        self._stop.attach(self.name, "camera")

    def close(self) -> None:
        """Leave the trigger line."""
        super().close()
        self._world.detach(self.name)

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        return Identity(model="simulated Zyla 5.5", serial=serial_number("camera", self._world), firmware="labctl")

    def frozen(self) -> dict[str, Any]:
        """See the contract."""
        burst = self._burst
        return {
            "exposure_ns": self._exposure_ns,
            "roi": _listed(self._roi),
            "binning": self._binning,
            "burst": burst and [burst.frames, burst.exposure_ns, _listed(burst.roi), burst.binning, burst.armed_ns],
        }

    def thaw(self, kept: Any) -> None:
        """See the contract."""
        self._burst = None
        self.binning = 1
        self.roi = ROI(*kept["roi"])
        self.binning = int(kept["binning"])
        self.exposure_s = int(kept["exposure_ns"]) / 1e9
        if kept["burst"] is not None:
            frames, exposure_ns, roi, binning, armed_ns = kept["burst"]
            self._burst = _Burst(int(frames), int(exposure_ns), ROI(*roi), int(binning), int(armed_ns))

    def safe(self) -> None:
        """Acquisition stopped."""
        self._stop.set()

    def arm(self, frames: int = 1) -> None:
        """Make ready for a burst with the exposure and region of now; see the contract."""
        if frames < 1:
            raise LimitError(f"{self.name}.arm: {frames} frames; at least 1 is needed")
        self._burst = None
        self._stop.clear()
        self._world.arm_camera(self.name, frames, self._exposure_ns, self._roi)
        self._burst = _Burst(frames, self._exposure_ns, self._roi, self._binning, self._world.clock.now_ns())

    def trigger(self, pattern_id: int = UNKNOWN_PATTERN) -> Frame:
        """Expose once by software trigger; see the contract."""
        roi, exposure_ns, binning = self._roi, self._exposure_ns, self._binning
        data = self.allocate(binned_shape(roi, binning), sum_dtype(self._dtype(), binning))
        pixels = data if binning == 1 else self.allocate((roi.rows, roi.columns), self._dtype())
        asked_ns = self._world.clock.now_ns()
        for _ in range(_OLD_FRAMES + 1):
            try:
                number, start_ns, saturated = self._world.trigger(self.name, exposure_ns, roi, pixels)
            except DeviceTimeout:  # who waited for it waited
                self._world.clock.sleep_until(self._world.clock.now_ns() + exposure_ns + self._readout_ns())
                raise
            if start_ns >= asked_ns:
                break  # else a frame that came late, or once more, and is nobody's
        else:
            raise DeviceTimeout(
                f"{self.name}.trigger: {_OLD_FRAMES + 1} frames came, and all were older than the trigger; they were "
                "dropped. Trigger again; if it stays, look at the camera's link"
            )
        if binning > 1:
            sum_blocks(pixels, binning, data)
            saturated = _saturated_blocks(pixels, saturated, binning)
        end_ns = start_ns + exposure_ns
        self._world.clock.sleep_until(end_ns + self._readout_ns())
        return Frame(
            data=data,
            frame_id=number,
            start_ns=start_ns,
            end_ns=end_ns,
            utc_start_ns=self._world.clock.utc_zero_ns + start_ns,
            exposure_s=exposure_ns / 1e9,
            roi=roi,
            electrons_per_count=self.electrons_per_count,
            bit_depth=self.bit_depth,
            saturated=saturated,
            lost_before=0,
            pattern_id=pattern_id,
            binning=binning,
        )

    def collect(self) -> FrameStack:
        """All frames of the burst armed last; see the contract."""
        burst, self._burst = self._burst, None
        if burst is None:
            raise self._missing(0, 1)
        roi, n, binning = burst.roi, burst.frames, burst.binning
        data = self.allocate((n, *binned_shape(roi, binning)), sum_dtype(self._dtype(), binning))
        pixels = data if binning == 1 else np.empty((n, roi.rows, roi.columns), self._dtype())
        numbers, start_ns, saturated = self._world.collect_frames(self.name, pixels)
        came = len(numbers)
        if came < burst.frames:
            raise self._missing(came, burst.frames - came)
        self._must_be_new("collect", numbers, start_ns, burst.armed_ns)
        if binning > 1:
            saturated = _summed(pixels, saturated, binning, data)
        return self._stack(burst, data, numbers, start_ns, saturated)

    def _must_be_new(self, what: str, numbers: NDArray[np.int64], start_ns: NDArray[np.int64], since_ns: int) -> None:
        old = np.flatnonzero((np.diff(numbers, prepend=-1) <= 0) | (start_ns < since_ns))
        if old.size:
            raise FrameError(
                f"{self.name}.{what}: frame {old[0]} of {len(numbers)} is one that came before (number "
                f"{numbers[old[0]]}); all were dropped. Ask again; if it stays, look at the camera's link"
            )

    def _stack(
        self,
        burst: _Burst,
        data: NDArray[Any],
        numbers: NDArray[np.int64],
        start_ns: NDArray[np.int64],
        saturated: NDArray[np.int64],
    ) -> FrameStack:
        return FrameStack(
            data=data,
            frame_ids=numbers,
            start_ns=start_ns,
            end_ns=start_ns + burst.exposure_ns,
            utc_start_ns=self._world.clock.utc_zero_ns + int(start_ns[0]),
            exposure_s=burst.exposure_ns / 1e9,
            roi=burst.roi,
            electrons_per_count=self.electrons_per_count,
            bit_depth=self.bit_depth,
            saturated=saturated,
            lost_before=np.zeros(len(data), np.int64),
            binning=burst.binning,
        )

    def burst(self, frames: int) -> FrameStack:
        """In virtual time all of them in one call of the world; see the contract."""
        if frames < 1 or not self._world.clock.virtual:
            return super().burst(frames)  # in real time others need the world between two exposures
        roi, exposure_ns, binning = self._roi, self._exposure_ns, self._binning
        data = self.allocate((frames, *binned_shape(roi, binning)), sum_dtype(self._dtype(), binning))
        pixels = data if binning == 1 else self.allocate((frames, roi.rows, roi.columns), self._dtype())
        self._stop.clear()
        asked_ns = self._world.clock.now_ns()
        numbers, start_ns, saturated = self._world.burst(self.name, exposure_ns, self._readout_ns(), roi, pixels)
        if len(numbers) < frames:
            raise DeviceError(f"{self.name}.burst: stopped by safe() after {len(numbers)} of {frames} frames")
        self._must_be_new("burst", numbers, start_ns, asked_ns)
        if binning > 1:
            saturated = _summed(pixels, saturated, binning, data)
        return self._stack(_Burst(frames, exposure_ns, roi, binning, asked_ns), data, numbers, start_ns, saturated)

    def _missing(self, came: int, missing: int) -> DeviceTimeout:
        return DeviceTimeout(
            f"{self.name}.collect: {came} frames came, {missing} more were armed for; the burst was "
            "dropped. Check the trigger line and arm again"
        )

    def _dtype(self) -> DTypeLike:
        return np.float64 if self._world.parameters.camera.ideal else np.uint16

    def _readout_ns(self) -> int:
        # Two halves of the sensor are read at once, outwards from the middle (Zyla manual).
        return (math.ceil(self._roi.rows / 2) + 2) * self._row_ns

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_rows(self) -> int:
        return int(self._world.parameters.camera.rows)

    def _read_columns(self) -> int:
        return int(self._world.parameters.camera.columns)

    def _read_pixel_pitch_m(self) -> float:
        return float(self._world.parameters.camera.pitch)

    def _read_exposure_s(self) -> float:
        return self._exposure_ns / 1e9  # rounds as the literal does: 27.72e-6 is within the limits

    def _write_exposure_s(self, value: float) -> None:
        self._exposure_ns = max(round(value * 1e9 / self._row_ns), _LEAST_EXPOSURE_ROWS) * self._row_ns

    def _read_roi(self) -> ROI:
        return self._roi

    def _write_roi(self, value: ROI) -> None:
        rows, columns = self.rows, self.columns
        inside = value.row >= 0 and value.column >= 0 and value.rows >= 1 and value.columns >= 1
        if not inside or value.row + value.rows > rows or value.column + value.columns > columns:
            raise LimitError(
                f"{self.name}.roi = rows {value.row}+{value.rows}, columns {value.column}+{value.columns}: the sensor "
                f"has {rows}x{columns} pixels; nothing was changed"
            )
        check_fits(f"{self.name}.roi", value, self._binning)
        self._not_armed("roi")
        self._roi = value

    def _read_binning(self) -> int:
        return self._binning

    def _write_binning(self, value: int) -> None:
        check_fits(f"{self.name}.binning = {value}", self._roi, value)
        self._not_armed("binning")
        self._binning = value

    def _not_armed(self, setting_name: str) -> None:
        if self._burst is not None and self._world.armed(self.name):
            raise DeviceError(f"{self.name}.{setting_name}: the camera is armed; collect the burst first")

    def _read_readout_s(self) -> float:
        return self._readout_ns() * 1e-9

    def _read_bit_depth(self) -> int:
        return int(self._world.parameters.camera.bit_depth)

    def _read_electrons_per_count(self) -> float:
        c = self._world.parameters.camera
        return 1.0 if c.ideal else float(c.electrons_per_count)

    def _read_full_scale_counts(self) -> float:
        c = self._world.parameters.camera
        if c.ideal:
            return math.inf
        return float(min(2**c.bit_depth - 1, c.offset + c.full_well / c.electrons_per_count) * self._binning**2)

    def _read_external_trigger(self) -> bool:
        return True


def _listed(roi: ROI) -> list[int]:
    return [roi.row, roi.column, roi.rows, roi.columns]


def _summed(pixels: NDArray[Any], saturated: NDArray[np.int64], binning: int, out: NDArray[Any]) -> NDArray[np.int64]:
    """Block sums of frames (n, rows, columns) into ``out``; how many blocks of each have a saturated pixel."""
    for single, sums in zip(pixels, out, strict=True):
        sum_blocks(single, binning, sums)
    blocks = [_saturated_blocks(p, int(k), binning) for p, k in zip(pixels, saturated, strict=True)]
    return np.array(blocks, np.int64)


def _saturated_blocks(pixels: NDArray[Any], saturated: int, binning: int) -> int:
    """Blocks of ``pixels`` (rows, columns) with one of the ``saturated`` in it; those are the brightest."""
    if not saturated:
        return 0
    # The count of a full well is not one number: its read noise is added. So the world's own number decides.
    least = np.partition(pixels, -saturated, axis=None)[-saturated]
    return touched_blocks(pixels >= least, binning)
