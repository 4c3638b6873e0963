"""What cameras have in common whose sequence is kept running, and each frame answers a trigger.

Starting an acquisition for every frame, as pylablib's ``snap`` does, costs hundreds of milliseconds.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from drivers.binning import binned_shape, check_fits, saturated_blocks, sum_blocks, sum_dtype
from drivers.contract import (
    ROI,
    UNKNOWN_PATTERN,
    Camera,
    DeviceError,
    DeviceTimeout,
    Frame,
    FrameStack,
    LabError,
    LimitError,
)
from drivers.link import Link

log = logging.getLogger(__name__)

_POWER_ON_EXPOSURE_S = 16.7e-3
_SLICE_S = 0.05
"""Longest wait in the vendor's layer; in between, `safe` is heard."""


class Taken(NamedTuple):
    """A frame for the caller: counts (rows, columns), how many are saturated, exposure begin in the driver's clock."""

    data: NDArray[Any]
    saturated: int
    start_ns: int


class Burst(NamedTuple):
    """What the camera was armed for."""

    frames: int
    exposure_ns: int
    roi: ROI
    binning: int


class SequenceCamera(Camera):
    """One line, one running sequence, frames counted.

    Subclasses say how the vendor's object is made and set up, and how a frame is fetched. The instrument reads single
    pixels; they are binned on their way into the caller's memory.
    """

    trigger_line = False
    """Whether the trigger line is wired; of the bench file."""

    def __init__(self, name: str, timeout_s: float, most_buffer_bytes: int) -> None:
        super().__init__(name)
        self._timeout_s = timeout_s
        self._most_buffer_bytes = most_buffer_bytes
        self._stop = threading.Event()
        self._turn = threading.RLock()
        # pylablib's errors are RuntimeErrors; waiting is done here, so none of them means "late".
        self._link: Link[Any] = Link(
            name, self._connect, self._disconnect, self._halt, late=(), broken=(RuntimeError, OSError)
        )
        self._opened = False
        self._reset()

    def _reset(self) -> None:
        self._wanted_exposure_s: float | None = None
        self._wanted_roi: ROI | None = None
        self._exposure_ns = 0
        self._readout_ns = 0
        self._roi = ROI(row=0, column=0, rows=0, columns=0)
        self._binning = 1
        self._size = (0, 0)
        self._running: Any = None
        self._burst: Burst | None = None
        self._lost = 0
        self._next_id = 0

    # --- line -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _make(self) -> Any:
        """Connect: the vendor's object, not acquiring."""

    @abstractmethod
    def _set_up(self, camera: Any) -> None:
        """Bring a new connection to the mode of operation that the driver relies on, and read it back."""

    def _connect(self) -> Any:
        camera = self._make()
        try:
            self._halt(camera)
            columns, rows = camera.get_detector_size()
            self._size = int(rows), int(columns)
            self._set_up(camera)
            self._put_roi(camera, self._wanted_roi or ROI(row=0, column=0, rows=rows, columns=columns))
            exposure_s = self._wanted_exposure_s
            self._put_exposure(camera, self._clipped_exposure(camera) if exposure_s is None else exposure_s)
        except BaseException:
            self._disconnect(camera)
            raise
        return camera

    def _clipped_exposure(self, camera: Any) -> float:
        limits = self.limits("exposure_s")
        return min(max(_POWER_ON_EXPOSURE_S, limits.minimum or 0), limits.maximum or math.inf)

    def _disconnect(self, camera: Any) -> None:
        self._running = None
        camera.close()

    def _halt(self, camera: Any) -> None:
        """Stop the acquisition; up to 0.3 s, which pylablib's reading thread takes to notice."""
        self._running = None
        camera.stop_acquisition()

    @contextlib.contextmanager
    def _talk(self, what: str) -> Iterator[Any]:
        if not self._opened:
            raise DeviceError(f"{self.name}.{what}: the camera is closed; open it")
        with self._my_turn(what), self._link.talk(what) as camera:
            yield camera

    @contextlib.contextmanager
    def _my_turn(self, what: str) -> Iterator[None]:
        patience_s = self._timeout_s + (self._exposure_ns + self._readout_ns) / 1e9
        if not self._turn.acquire(timeout=patience_s):
            raise DeviceTimeout(
                f"{self.name}.{what}: another call has held the camera for {patience_s:.1f} s; the vendor's library "
                "hangs. Check cable and power, then restart the device's server"
            )
        try:
            yield
        finally:
            self._turn.release()

    # --- device -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, stop whatever runs, full frame and 16.7 ms; see the contract."""
        self.close()
        self._reset()
        self._opened = True
        try:
            with self._talk("open"):
                pass
        except BaseException:
            self._opened = False
            raise

    def close(self) -> None:
        """Stop and disconnect; a line that is dead is closed all the same."""
        if not self._opened:
            return
        try:
            if self._link.connected:
                self.safe()
        except DeviceError as error:
            log.warning("%s: closed without having been stopped: %s", self.name, error)
        finally:
            self._opened = False
            self._link.drop()

    def safe(self) -> None:
        """Acquisition stopped; a trigger that is being waited for ends with a DeviceError."""
        self._stop.set()
        self._burst = None
        if not self._opened:
            return
        with self._talk("safe") as camera:
            self._halt(camera)

    # --- acquisition ------------------------------------------------------------------------------------------------

    @abstractmethod
    def _start(self, camera: Any, frames: int | None) -> None:
        """Start a sequence that takes frames by software trigger, or so many ``frames`` by the trigger line."""

    @abstractmethod
    def _take(self, camera: Any) -> Taken:
        """Expose once in the running sequence: a frame that began after this call.

        Raises DeviceTimeout, and whatever else; the frame is then counted as lost.
        """

    @abstractmethod
    def _collect(self, camera: Any, burst: Burst) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        """All frames of a burst (frames, rows, columns); of each, how many are saturated and when it began (ns)."""

    @abstractmethod
    def _frame_bytes(self, camera: Any) -> int:
        """Memory of one buffer."""

    def arm(self, frames: int = 1) -> None:
        """Make ready with the exposure and region of now; see the contract.

        With a trigger line this starts an acquisition, which takes up to 0.4 s if another one ran before.
        """
        if frames < 1:
            raise LimitError(f"{self.name}.arm: {frames} frames; at least 1 is needed")
        with self._talk("arm") as camera:
            self._burst = None
            self._stop.clear()
            if self.trigger_line:
                needed = frames * self._frame_bytes(camera)
                if needed > self._most_buffer_bytes:
                    raise LimitError(
                        f"{self.name}.arm: {frames} frames need {needed / 1e9:.2f} GB of buffers, allowed are "
                        f"{self._most_buffer_bytes / 1e9:.2f}; take a smaller region or raise most_buffer_bytes"
                    )
                self._halt(camera)
                self._start(camera, frames)
                self._running = "burst"
            else:
                self._ensure_software(camera)
            self._burst = Burst(frames, self._exposure_ns, self._roi, self._binning)

    def _ensure_software(self, camera: Any) -> None:
        if self._running == "software" and camera.acquisition_in_progress():
            return
        self._halt(camera)
        self._start(camera, None)
        self._running = "software"

    def trigger(self, pattern_id: int = UNKNOWN_PATTERN) -> Frame:
        """Expose once by software trigger; see the contract."""
        with self._talk("trigger") as camera:
            self._stop.clear()
            self._ensure_software(camera)
            frame_id, self._next_id = self._next_id, self._next_id + 1
            try:
                taken = self._take(camera)
            except BaseException as error:
                self._lost += 1
                if isinstance(error, LabError):
                    self._rearm(camera)
                raise
            lost, self._lost = self._lost, 0
            end_ns = taken.start_ns + self._exposure_ns
            return Frame(
                data=taken.data,
                frame_id=frame_id,
                start_ns=taken.start_ns,
                end_ns=end_ns,
                utc_start_ns=_utc_ns(taken.start_ns),
                exposure_s=self._exposure_ns / 1e9,
                roi=self._roi,
                electrons_per_count=self.electrons_per_count,
                bit_depth=self.bit_depth,
                saturated=taken.saturated,
                lost_before=lost,
                pattern_id=pattern_id,
                binning=self._binning,
            )

    def _rearm(self, camera: Any) -> None:
        """After a frame that did not come: one that comes late must not be taken for the next one's."""
        stopped = self._stop.is_set()
        self._halt(camera)
        if not stopped:
            self._ensure_software(camera)

    def collect(self) -> FrameStack:
        """All frames of the burst armed last; see the contract."""
        with self._talk("collect") as camera:
            burst, self._burst = self._burst, None
            if burst is None:
                raise self._missing(0, 1)
            if not self.trigger_line:
                raise self._unwired(burst)
            try:
                data, saturated, start_ns = self._collect(camera, burst)
            except LabError:
                self._halt(camera)
                raise
            n = burst.frames
            ids = np.arange(self._next_id, self._next_id + n, dtype=np.int64)
            self._next_id += n
            lost_before = np.zeros(n, np.int64)
            lost_before[0], self._lost = self._lost, 0
            return FrameStack(
                data=data,
                frame_ids=ids,
                start_ns=start_ns,
                end_ns=start_ns + burst.exposure_ns,
                utc_start_ns=_utc_ns(int(start_ns[0])),
                exposure_s=burst.exposure_ns / 1e9,
                roi=burst.roi,
                electrons_per_count=self.electrons_per_count,
                bit_depth=self.bit_depth,
                saturated=saturated,
                lost_before=lost_before,
                binning=burst.binning,
            )

    def _unwired(self, burst: Burst) -> DeviceTimeout:
        """What is said of a burst where there is no trigger line."""
        return DeviceTimeout(
            f"{self.name}.collect: 0 frames came, {burst.frames} more were armed for; the bench file says that no "
            "trigger line is wired. Use trigger, or wire it and set external_trigger = true"
        )

    def _missing(self, came: int, missing: int) -> DeviceTimeout:
        return DeviceTimeout(
            f"{self.name}.collect: {came} frames came, {missing} more were armed for; the burst was "
            "dropped. Check the trigger line and arm again"
        )

    def _delivered(self, pixels: NDArray[Any]) -> tuple[NDArray[Any], int]:
        """The pixels (rows, columns) of the region, binned, in memory of the caller; how many are saturated."""
        n = self._binning
        data = self.allocate(binned_shape(self._roi, n), sum_dtype(pixels.dtype, n))
        return data, self._put_into(data, pixels, n)

    def _room_for(self, burst: Burst, pixel: DTypeLike) -> NDArray[Any]:
        """Memory of the caller for the frames of a burst."""
        n = burst.binning
        return self.allocate((burst.frames, *binned_shape(burst.roi, n)), sum_dtype(pixel, n))

    def _put_into(self, data: NDArray[Any], pixels: NDArray[Any], binning: int) -> int:
        """Sum the region's pixels into ``data``; how many of it are saturated."""
        sum_blocks(pixels, binning, data)
        return saturated_blocks(pixels, self._pixel_full_scale_counts(), binning)

    def _await(self, camera: Any, frames: int, deadline: float, what: str = "trigger") -> bool:
        """Wait until the sequence has acquired so many frames; False if it has not by then (time.monotonic).

        Raises DeviceError when `safe` was called, when frames were lost for want of buffers, or when it has stopped.
        """
        while True:
            if self._stop.is_set():
                raise DeviceError(f"{self.name}.{what}: stopped by safe(); the frame was dropped")
            left_s = deadline - time.monotonic()
            try:
                if camera.wait_for_frame(since="start", nframes=frames, timeout=max(min(_SLICE_S, left_s), 1e-3)):
                    return True
            except camera.TimeoutError:
                if left_s <= 0:
                    return False
                continue
            except getattr(camera, "FrameTransferError", ()) as error:
                raise DeviceError(
                    f"{self.name}.{what}: frames were lost on their way to the host ({error}); the camera is armed "
                    "again. Trigger more slowly or take a smaller region"
                ) from error
            if self._acquired(camera) >= frames:  # the acquisition has ended; its last frames may still be counted
                return True
            if left_s <= 0:
                return False
            time.sleep(1e-3)

    def _acquired(self, camera: Any) -> int:
        return int(camera.get_frames_status().acquired)

    def _too_late(self, waited_s: float) -> DeviceTimeout:
        return DeviceTimeout(
            f"{self.name}.trigger: no frame within {waited_s:.3f} s of the trigger (exposure, read-out and a margin of "
            f"{self._timeout_s} s); the camera is armed again. Check cable, power and the trigger mode"
        )

    def _patience_s(self) -> float:
        return (self._exposure_ns + self._readout_ns) / 1e9 + self._timeout_s

    # --- settings ---------------------------------------------------------------------------------------------------

    def _resolution_s(self, camera: Any) -> float:
        """How far an exposure may be rounded."""
        return 1e-4

    def _put_exposure(self, camera: Any, exposure_s: float) -> None:
        """Set, read back, compare."""
        camera.set_exposure(exposure_s)
        found = float(camera.get_exposure())
        resolution_s = self._resolution_s(camera)
        if abs(found - exposure_s) > resolution_s * 1.01 + 1e-3 * exposure_s:
            raise DeviceError(
                f"{self.name}.exposure_s: {exposure_s:.9g} s was set and {found:.9g} s reads back; the instrument "
                f"resolves {resolution_s:.3g} s. Check its trigger and shutter mode, and that nothing else controls it"
            )
        self._exposure_ns = round(found * 1e9)
        self._readout_ns = self._find_readout_ns(camera)

    @abstractmethod
    def _find_readout_ns(self, camera: Any) -> int:
        """Read-out of the region of now."""

    @abstractmethod
    def _put_roi(self, camera: Any, roi: ROI) -> None:
        """Set what the instrument reads so that it holds the region, read it back, and note the region."""

    @abstractmethod
    def _holds_roi(self, camera: Any) -> bool:
        """Whether the instrument still reads what was set last."""

    def _not_armed(self, setting_name: str) -> None:
        if self._burst is not None and self._running == "burst":
            raise DeviceError(f"{self.name}.{setting_name}: the camera is armed; collect the burst first")

    def _read_rows(self) -> int:
        return self._size[0]

    def _read_columns(self) -> int:
        return self._size[1]

    def _read_exposure_s(self) -> float:
        with self._talk("exposure_s") as camera:
            return float(camera.get_exposure())

    def _write_exposure_s(self, value: float) -> None:
        with self._talk("exposure_s") as camera:
            self._not_armed("exposure_s")
            if value == self._wanted_exposure_s and round(float(camera.get_exposure()) * 1e9) == self._exposure_ns:
                return  # stopping the sequence for nothing would cost the next frame 0.3 s
            before_s = self._exposure_ns / 1e9
            self._halt(camera)
            try:
                self._put_exposure(camera, value)
            except DeviceError:
                camera.set_exposure(before_s)
                raise
            self._wanted_exposure_s = value

    def _read_roi(self) -> ROI:
        return self._roi

    def _write_roi(self, value: ROI) -> None:
        rows, columns = self._size
        inside = value.row >= 0 and value.column >= 0 and value.rows >= 1 and value.columns >= 1
        if not inside or value.row + value.rows > rows or value.column + value.columns > columns:
            raise LimitError(
                f"{self.name}.roi = rows {value.row}+{value.rows}, columns {value.column}+{value.columns}: the sensor "
                f"has {rows}x{columns} pixels; nothing was changed"
            )
        with self._talk("roi") as camera:
            check_fits(f"{self.name}.roi", value, self._binning)
            self._not_armed("roi")
            if value == self._roi and self._holds_roi(camera):
                return
            before = self._roi
            self._halt(camera)
            try:
                self._put_roi(camera, value)
                # The exposure is untouched by the region on good cameras; what holds is read.
                self._exposure_ns = round(float(camera.get_exposure()) * 1e9)
            except DeviceError:
                self._put_roi(camera, before)
                raise
            self._wanted_roi = value

    def _read_binning(self) -> int:
        return self._binning

    def _write_binning(self, value: int) -> None:
        with self._talk("binning"):
            check_fits(f"{self.name}.binning = {value}", self._roi, value)
            self._not_armed("binning")
            self._binning = value

    @abstractmethod
    def _pixel_full_scale_counts(self) -> float:
        """Largest count of a single pixel."""

    def _read_full_scale_counts(self) -> float:
        return self._pixel_full_scale_counts() * self._binning**2

    def _read_readout_s(self) -> float:
        return self._readout_ns / 1e9

    def _read_external_trigger(self) -> bool:
        return self.trigger_line


def _utc_ns(monotonic_ns: int) -> int:
    return time.time_ns() - time.monotonic_ns() + monotonic_ns
