"""Andor sCMOS cameras (Zyla, Neo, Marana) through SDK3 and pylablib: an armed sequence, triggered frame by frame.

pylablib's camera class runs unmodified. Its buffers are read here: it slices rows that are padded (AOIStride) on the
wrong axis, and each frame's time stamp, by which a stale one is told from a fresh one, lies behind its pixels.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from drivers.contract import ROI, ConfigurationError, DeviceError, Identity, Limits
from drivers.pylablib_camera import allow_libraries, pylablib_module
from drivers.quantity import Seconds
from drivers.sequence_camera import Burst, SequenceCamera, Taken

_GAINS: dict[str, tuple[str, float]] = {
    "16-bit": ("16-bit (low noise & high well capacity)", 0.45),
    "12-bit low noise": ("12-bit (low noise)", 0.28),
    "12-bit high well": ("12-bit (high well capacity)", 7.5),
}
"""Name in the SDK, nominal electrons per count of a Zyla 5.5."""

_IMAGE, _TICKS = 0, 1
"""Kinds of blocks in a buffer with metadata (SDK3 manual)."""

_loaded: list[Path] = []
"""The library of this process; pylablib binds to the first it finds."""


_DRIFT = 50e-6
"""Most by which a camera's clock runs wrong."""


class _Instant(NamedTuple):
    """The camera's clock read once: ticks, the driver's clock after that, and how long the reading took."""

    ticks: int
    at_ns: int
    took_ns: int


class AndorSDK3(SequenceCamera):
    """A Zyla or its relatives, kept armed; rolling or global shutter, one gain mode for the whole session.

    ``exposure_s`` is rounded to whole row times. Frames tell when their exposure began by the camera's own clock, which
    is read again and again; the error is the time that takes, and the beginning comes out late rather than early. The
    rows of a rolling shutter begin one after another, the outermost ``readout_s`` after that.
    """

    class Options(BaseModel):
        """Keys of the bench file."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        library: Path | None = Field(None, description="the SDK's library; None for the installed one")
        index: int = Field(0, ge=0, le=63, description="of the camera in the SDK's list")
        serial: str | None = Field(None, description="refuse any other camera")
        gain: Literal["16-bit", "12-bit low noise", "12-bit high well"] = "16-bit"
        shutter: Literal["rolling", "global"] = "rolling"
        readout_rate: str | None = Field(None, description='as the SDK names it, such as "280 MHz"; None leaves it')
        pixel_filters: bool = Field(False, description="the camera's correction of blemishes and spurious noise")
        external_trigger: bool = Field(False, description="the SLM's trigger output is wired to the camera")
        electrons_per_count: float | None = Field(None, gt=0, description="of the camera's data sheet")
        full_well_electrons: float = Field(30_000.0, gt=0)
        stamp: Literal["start", "end"] = Field("start", description="of the exposure: what a time stamp marks")
        timeout: Seconds = Field(2.0, gt=0, le=60, description="margin after exposure and read-out")
        most_buffer_bytes: int = Field(4 << 30, gt=0, description="memory for the frames of one burst")

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options.timeout, options.most_buffer_bytes)
        self._options = options
        self.trigger_line = options.external_trigger
        self._window = ROI(row=0, column=0, rows=0, columns=0)
        self._ticks_per_s = 1
        self._bits = 16
        self._baseline = 0
        self._pitch_m = 0.0
        self._row_s = 0.0
        self._instant = _Instant(0, 0, 0)
        self._armed_at = self._instant

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Any) -> AndorSDK3:
        """As the bench file says."""
        return cls(name, options if isinstance(options, cls.Options) else cls.Options())

    def identity(self) -> Identity:
        """As the camera tells."""
        with self._talk("identity") as camera:
            info = camera.get_device_info()
        return Identity(model=info.camera_model, serial=info.serial_number, firmware=info.firmware_version)

    # --- line -------------------------------------------------------------------------------------------------------

    def _make(self) -> Any:
        sdk3 = pylablib_module(self.name, "pylablib.devices.Andor.AndorSDK3")
        self._load(sdk3)
        cls = sdk3.AndorSDK3Camera
        camera: Any = cls.__new__(cls)  # so that what a failing constructor leaves open can be closed
        try:
            camera.__init__(self._options.index)
        except BaseException:
            self._close(sdk3, camera)
            raise
        if not all(hasattr(camera._buffer_mgr, needed) for needed in ("buffers", "stop_loop", "get_status")):
            self._close(sdk3, camera)
            raise ConfigurationError(f"{self.name}: this pylablib keeps its buffers elsewhere; install pylablib 1.4.5")
        return camera

    def _load(self, sdk3: Any) -> None:
        wanted = self._options.library
        path = wanted.expanduser().resolve() if wanted is not None else None
        if path is not None and not path.exists():
            raise ConfigurationError(f"{self.name}: there is no library {path}; give the SDK's own, or None")
        if sdk3.lib._initialized:
            if path is not None and _loaded and _loaded[0] != path:
                raise ConfigurationError(
                    f"{self.name}: this process already uses {_loaded[0]}, and pylablib keeps to one SDK3 library; put "
                    f"the camera with {path} into a server of its own"
                )
            return
        if sys.platform == "win32":
            if path is not None:
                parameters = pylablib_module(self.name, "pylablib.core.utils.library_parameters").library_parameters
                parameters["devices/dlls/andor_sdk3"] = str(path)
        else:
            allow_libraries(self.name, path)
        try:
            sdk3.lib.initlib()
        except OSError as error:
            raise ConfigurationError(
                f"{self.name}: the SDK3 library is not found as atcore.dll ({str(error).splitlines()[0]}). On Windows "
                "install Andor SDK3 or Solis; on Linux give `library`, a file whose soname is atcore.dll (how to make "
                "one of the vendor's libatcore.so: docs/devices/andor_sdk3.md)"
            ) from error
        if path is not None:
            _loaded[:] = [path]

    def _disconnect(self, camera: Any) -> None:
        self._running = None
        self._close(pylablib_module(self.name, "pylablib.devices.Andor.AndorSDK3"), camera)

    def _close(self, sdk3: Any, camera: Any) -> None:
        """Close it whatever state it is in; pylablib leaves handle and thread behind when the camera is gone."""
        if getattr(camera, "handle", None) is None:
            return
        try:
            camera.close()
        except (RuntimeError, OSError):
            for undo in (
                camera._buffer_mgr.stop_loop,
                functools.partial(sdk3.lib.AT_Close, camera.handle),
                functools.partial(sdk3.libctl.close, camera._opid),
            ):
                with contextlib.suppress(RuntimeError, OSError):
                    undo()
            camera.handle = None

    def _set_up(self, camera: Any) -> None:
        o = self._options
        if o.serial is not None and camera.cav["SerialNumber"] != o.serial:
            raise ConfigurationError(
                f"{self.name}: camera {o.index} of the SDK has serial number {camera.cav['SerialNumber']}, the bench "
                f"file says {o.serial}; set the index of that one"
            )
        self._put(camera, "ElectronicShutteringMode", o.shutter.capitalize())
        if o.readout_rate is not None:
            self._put(camera, "PixelReadoutRate", o.readout_rate)
        self._put(camera, "SimplePreAmpGainControl", _GAINS[o.gain][0])
        self._put(camera, "PixelEncoding", "Mono16" if o.gain == "16-bit" else "Mono12")
        self._put(camera, "TriggerMode", "Software")
        for feature in ("SpuriousNoiseFilter", "StaticBlemishCorrection"):
            if self._has(camera, feature):
                self._put(camera, feature, o.pixel_filters)
        if self._has(camera, "VerticallyCentreAOI"):
            self._put(camera, "VerticallyCentreAOI", False)
        for feature in ("Overlap", "AlternatingReadoutDirection"):
            if self._has(camera, feature) and camera.cav[feature]:
                self._put(camera, feature, False)
        self._put(camera, "MetadataEnable", True)
        self._put(camera, "MetadataTimestamp", True)
        self._ticks_per_s = int(camera.cav["TimestampClockFrequency"])
        self._bits = int(str(camera.cav["BitDepth"]).split()[0])
        self._baseline = int(camera.cav["Baseline"]) if self._has(camera, "Baseline") else 100
        self._pitch_m = float(camera.cav["PixelWidth"]) * 1e-6
        self._row_s = float(camera.cav["RowReadTime"]) if self._has(camera, "RowReadTime") else 0.0
        self._instant = min((self._read_clock(camera) for _ in range(8)), key=lambda i: i.took_ns)
        low_s, high_s = camera.get_attribute("ExposureTime").update_limits()
        self.restrict("exposure_s", Limits(minimum=low_s, maximum=high_s))

    def _has(self, camera: Any, feature: str) -> bool:
        return bool(camera.get_attribute(feature).implemented)

    def _put(self, camera: Any, feature: str, value: str | bool) -> None:
        """Set a feature that the driver relies on, and read it back."""
        attribute = camera.get_attribute(feature)
        if not attribute.implemented:
            raise DeviceError(
                f"{self.name}: the camera has no {feature}, which the driver needs (firmware "
                f"{camera.cav['FirmwareVersion']}); ask Andor for a newer firmware"
            )
        if attribute.get_value() == value:
            return
        attribute.update_properties()
        if isinstance(value, str) and value not in attribute.values:
            raise ConfigurationError(
                f"{self.name}: {feature} = {value!r} is not to be had; this camera has {', '.join(attribute.values)}"
            )
        attribute.set_value(value)
        found = attribute.get_value()
        if found != value:
            raise DeviceError(f"{self.name}: {feature} was set to {value!r} and reads back {found!r}; power it anew")

    # --- acquisition ------------------------------------------------------------------------------------------------

    def _frame_bytes(self, camera: Any) -> int:
        return int(camera.cav["ImageSizeBytes"])

    def _start(self, camera: Any, frames: int | None) -> None:
        camera.set_trigger_mode("software" if frames is None else "ext")
        if frames is None:
            camera.start_acquisition(mode="sequence", nframes=4)
        else:
            self._armed_at = self._read_clock(camera)
            camera.start_acquisition(mode="snap", nframes=frames)

    def _acquired(self, camera: Any) -> int:
        return int(camera._buffer_mgr.get_status()[0])

    def _read_clock(self, camera: Any) -> _Instant:
        before_ns = time.monotonic_ns()
        ticks = int(camera.cav["TimestampClock"])
        after_ns = time.monotonic_ns()
        new, old = _Instant(ticks, after_ns, after_ns - before_ns), self._instant
        if new.took_ns <= old.took_ns + _DRIFT * (new.at_ns - old.at_ns) or new.ticks < old.ticks:
            self._instant = new
        return new

    def _take(self, camera: Any) -> Taken:
        next_frame = self._acquired(camera)
        sent = self._read_clock(camera)
        camera.call_command("SoftwareTrigger")
        waited_s = self._patience_s()
        deadline = time.monotonic() + waited_s
        while True:
            if not self._await(camera, next_frame + 1, deadline):
                raise self._too_late(waited_s)
            image, ticks = self._buffer(camera, next_frame)
            next_frame += 1
            if ticks >= sent.ticks:  # else it began before the trigger: somebody else's, or one that had been lost
                break
        return Taken(*self._delivered(image), self._start_ns(ticks))

    def _start_ns(self, ticks: int) -> int:
        known = self._instant
        return known.at_ns + (ticks - known.ticks) * 1_000_000_000 // self._ticks_per_s

    def _collect(self, camera: Any, burst: Burst) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        came = self._acquired(camera)
        while came < burst.frames:  # a frame may take its time as long as frames come
            if not self._await(camera, came + 1, time.monotonic() + self._patience_s(), "collect"):
                break
            came = self._acquired(camera)
        if came < burst.frames:
            self._lost += burst.frames - came
            raise self._missing(came, burst.frames - came)
        self._read_clock(camera)
        data = self._room_for(burst, np.uint16)
        saturated, start_ns = np.empty((2, burst.frames), np.int64)
        for k in range(burst.frames):
            image, ticks = self._buffer(camera, k)
            if ticks < self._armed_at.ticks:
                raise DeviceError(
                    f"{self.name}.collect: frame {k} is older than the burst, which was dropped; arm again"
                )
            saturated[k] = self._put_into(data[k], image, burst.binning)
            start_ns[k] = self._start_ns(ticks)
        return data, saturated, start_ns

    def _buffer(self, camera: Any, number: int) -> tuple[NDArray[np.uint16], int]:
        """Pixels (rows, columns) of a frame of the sequence, in the SDK's memory, and the tick when it began."""
        buffers = camera._buffer_mgr.buffers
        raw = np.frombuffer(buffers[number % len(buffers)], np.uint8)[: camera._buffer_mgr.size]
        found = blocks(raw)
        window, roi = self._window, self._roi
        stride = int(camera.cav["AOIStride"])
        if _IMAGE not in found or _TICKS not in found or len(found[_IMAGE]) < window.rows * stride:
            raise DeviceError(
                f"{self.name}.trigger: what lies behind the pixels of a frame is garbled, so its age is not known; it "
                "was dropped. Check the cable and the bandwidth of the frame grabber or USB port"
            )
        lines = found[_IMAGE][: window.rows * stride].reshape(window.rows, stride)
        pixels = lines[:, : 2 * window.columns].view("<u2")
        row, column = roi.row - window.row, roi.column - window.column
        ticks = int(found[_TICKS][:8].view("<i8")[0])
        if self._options.stamp == "end":
            ticks -= self._exposure_ns * self._ticks_per_s // 1_000_000_000
        return pixels[row : row + roi.rows, column : column + roi.columns], ticks

    # --- settings ---------------------------------------------------------------------------------------------------

    def _resolution_s(self, camera: Any) -> float:
        return self._row_s or 30e-6  # the longest row time of these cameras, where they do not tell it

    def _find_readout_ns(self, camera: Any) -> int:
        return round(float(camera.cav["ReadoutTime"]) * 1e9)

    def _put_roi(self, camera: Any, roi: ROI) -> None:
        """Set the smallest window the sensor can read that holds the region; the rest is cropped."""
        across, down = camera.get_roi_limits()
        rows, columns = self._size
        row, height = _at_least(roi.row, roi.rows, int(down.min), rows)
        column, width = _at_least(roi.column, roi.columns, int(across.min), columns)
        left, right, top, bottom, *binning = (
            int(x) for x in camera.set_roi(column, column + width, row, row + height, 1, 1)
        )
        window = ROI(row=top, column=left, rows=bottom - top, columns=right - left)
        holds = (
            top <= roi.row
            and left <= roi.column
            and bottom >= roi.row + roi.rows
            and right >= (roi.column + roi.columns)
        )
        if not holds or binning != [1, 1]:
            raise DeviceError(
                f"{self.name}.roi: rows {row}+{height}, columns {column}+{width} were set and {window}, binning "
                f"{binning}, reads back, which does not hold the region. Choose one on the sensor's steps"
            )
        self._window, self._roi = window, roi
        self._readout_ns = self._find_readout_ns(camera)

    def _holds_roi(self, camera: Any) -> bool:
        window = self._window
        wanted = (window.column, window.column + window.columns, window.row, window.row + window.rows, 1, 1)
        return tuple(int(x) for x in camera.get_roi()) == wanted

    def _read_pixel_pitch_m(self) -> float:
        return self._pitch_m

    def _read_bit_depth(self) -> int:
        return self._bits

    def _read_electrons_per_count(self) -> float:
        return self._options.electrons_per_count or _GAINS[self._options.gain][1]

    def _pixel_full_scale_counts(self) -> float:
        well = math.floor(self._baseline + self._options.full_well_electrons / self.electrons_per_count)
        return float(min(2**self._bits - 1, well))


def blocks(raw: NDArray[np.uint8]) -> dict[int, NDArray[np.uint8]]:
    """Blocks of a buffer with metadata, by their kind: each is followed by its kind and its length with the kind.

    They are found from the end. What does not fit together is left out, so that an image may be missing.
    """
    found: dict[int, NDArray[np.uint8]] = {}
    end = len(raw)
    while end >= 8:
        kind, length = (int(x) for x in raw[end - 8 : end].view("<u4"))
        begin = end - 4 - length
        if length < 4 or begin < 0:
            return {}
        found[kind] = raw[begin : end - 8]
        end = begin
        if kind == _IMAGE:
            break
    return found


def _at_least(first: int, count: int, least: int, size: int) -> tuple[int, int]:
    """A range of at least so many pixels that holds the given one and stays on the sensor."""
    count_ = max(count, min(least, size))
    return min(first, size - count_), count_
