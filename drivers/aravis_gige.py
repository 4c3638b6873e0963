"""GigE Vision cameras through the Aravis library: an armed stream, triggered frame by frame.

The library runs unmodified (`drivers.aravis`). A camera that is lost keeps it waiting for seconds, so it is spoken to
by a thread of its own, and whoever waits gives up at the driver's timeout.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from drivers import aravis
from drivers.aravis_library import AravisError, library
from drivers.aravis_line import GRACE_S, Instant, Line, ends, on_steps
from drivers.contract import ROI, ConfigurationError, DeviceError, Identity, LimitError, Limits
from drivers.quantity import Metres, Seconds
from drivers.sequence_camera import Burst, SequenceCamera, Taken

log = logging.getLogger(__name__)


class _Format(NamedTuple):
    """A pixel format: its code (GenICam pixel format naming convention), bits of a pixel."""

    code: int
    bits: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel in memory."""
        return np.dtype("u1" if self.bits == 8 else "<u2")


_FORMATS = {
    "Mono16": _Format(0x01100007, 16),
    "Mono14": _Format(0x01100025, 14),
    "Mono12": _Format(0x01100005, 12),
    "Mono10": _Format(0x01100003, 10),
    "Mono8": _Format(0x01080001, 8),
}
"""What a pixel is read as without unpacking, the deepest first."""

_PLAIN: dict[str, str | int | bool] = {
    "BinningHorizontal": 1,
    "BinningVertical": 1,
    "DecimationHorizontal": 1,
    "DecimationVertical": 1,
    "ReverseX": False,
    "ReverseY": False,
    "ExposureMode": "Timed",
    "ExposureAuto": "Off",
    "GainAuto": "Off",
    "BlackLevelAuto": "Off",
    "GammaEnable": False,
    "LUTEnable": False,
    "TestPattern": "Off",
    "TestImageSelector": "Off",
    "ChunkModeActive": False,
    "AcquisitionMode": "Continuous",
}
"""Features that would change what a count means, where a camera has them."""

_SLICE_S = 0.05
"""Longest wait in the library; in between, `safe` is heard."""
_RING_FRAMES = 4
_RETRY_S = 0.25
_KEEP_S = 0.5
"""How long a frame of which packets are missing is kept after the last one that came."""
_DRIFT = 50e-6
"""Most by which a camera's clock runs wrong."""
_LINK_BYTES_PER_S = 118e6
"""Pixels that gigabit Ethernet carries."""
_FEW_COUNTS = 8


class AravisGigE(SequenceCamera):
    """A GigE Vision camera, kept armed; every automatic off.

    ``exposure_s`` is what the camera reads back. Frames tell when their exposure began by the camera's own clock, which
    is read before every trigger; of a camera whose clock cannot be read it is when the trigger was sent. Frames of
    which packets stayed away are errors and counted in ``lost_before``.
    """

    class Options(BaseModel):
        """Keys of the bench file."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        address: str = Field(min_length=1, description="of the camera: IPv4 or host name")
        serial: str | None = Field(None, description="refuse any other camera")
        library: Path | None = Field(None, description="the Aravis library; None for the installed one")
        pixel_format: Literal["Mono16", "Mono14", "Mono12", "Mono10", "Mono8"] | None = Field(
            None, description="None for the deepest that the camera has"
        )
        bit_depth: int | None = Field(
            None, ge=8, le=16, description="of the converter, if its bits are the upper ones of each pixel"
        )
        pixel_pitch: Metres | None = Field(None, gt=0, le=1e-3, description="if the camera does not tell it")
        electrons_per_count: float = Field(1.0, gt=0, description="of the data sheet, at this pixel format")
        full_scale_counts: float | None = Field(None, gt=0, description="None for the end of the converter")
        external_trigger: bool = Field(False, description="the SLM's trigger output is wired to the camera")
        trigger_source: str = Field("Line1", min_length=1, description="input that it is wired to")
        stamp: Literal["start", "end"] = Field("start", description="of the exposure: what a time stamp marks")
        features: dict[str, str | bool | int | float] = Field(
            default_factory=dict, description="of the camera, set when it is connected, in this order"
        )
        timeout: Seconds = Field(2.0, gt=0, le=60, description="margin after exposure and read-out")
        heartbeat: Seconds = Field(3.0, ge=1.5, le=60, description="after it, a camera is free for others")
        packet_size: int | None = Field(None, ge=576, le=16404, description="bytes; None for the largest that passes")
        packet_resend: bool = Field(True, description="ask again for packets that stay away")
        most_buffer_bytes: int = Field(4 << 30, gt=0, description="memory for the frames of one burst")

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options.timeout, options.most_buffer_bytes)
        self._options = options
        self.trigger_line = options.external_trigger
        self._line: Line | None = None
        self._leaving: Line | None = None
        self._deadline = 0.0
        self._opening = False
        self._format = _FORMATS["Mono8"]
        self._whole_words = False
        self._window = ROI(row=0, column=0, rows=0, columns=0)
        self._pitch_m = 0.0
        self._instant = Instant(0, 0, 0)
        self._armed_at = self._instant

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Any) -> AravisGigE:
        """As the bench file says."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(f'{name}: say where the camera is, as address = "192.168.0.10"')
        return cls(name, options)

    def identity(self) -> Identity:
        """As the camera tells."""
        with self._talk("identity") as line:
            return line.ask(_introduce)  # type: ignore[no-any-return]

    # --- line -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect; see the contract. A predecessor that died holds the camera until its heartbeat has lapsed."""
        self._opening = True
        try:
            super().open()
        finally:
            self._opening = False

    @contextlib.contextmanager
    def _my_turn(self, what: str) -> Iterator[None]:
        with super()._my_turn(what):
            self._deadline = time.monotonic() + self._timeout_s
            if self._line is not None and self._line.lost():
                log.warning("%s: control of the camera was lost; it is connected anew", self.name)
                self._link.drop()
            yield

    def _left_s(self) -> float:
        return max(self._deadline - time.monotonic(), GRACE_S)

    def _make(self) -> Any:
        o = self._options
        try:
            lib = library(o.library.expanduser().resolve() if o.library is not None else None)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.name}: {error}") from error
        if self._leaving is not None and not self._leaving.left(self._left_s()):
            raise TimeoutError("the library still waits for the connection that was lost")
        self._leaving = None
        give_up = time.monotonic() + max(self._left_s(), o.heartbeat + _RETRY_S if self._opening else 0.0)
        while True:
            line = Line(self.name, self._left_s)
            try:
                line.open(lambda: aravis.Camera(lib, *ends(o.address)))
                break
            except BaseException as error:
                self._disconnect(line)
                denied = isinstance(error, AravisError) and error.denied
                if not denied or time.monotonic() + _RETRY_S > give_up:
                    raise
            time.sleep(_RETRY_S)
        try:
            line.ask(self._make_plain)
        except BaseException:
            self._disconnect(line)
            raise
        self._line = line
        return line

    def _disconnect(self, line: Any) -> None:
        self._running = None
        self._line = None
        if not line.leave():
            self._leaving = line

    def _make_plain(self, camera: aravis.Camera) -> None:
        """Stop what runs, and switch off what would change the meaning of counts."""
        serial, wanted = camera.serial(), self._options.serial
        if wanted is not None and serial != wanted:
            raise ConfigurationError(
                f"{self.name}: the camera at {self._options.address} has serial number {serial!r}, the bench file says "
                f"{wanted!r}; correct the address (arv-tool-0.8 lists all cameras)"
            )
        camera.put_heartbeat_s(self._options.heartbeat)
        with contextlib.suppress(AravisError):  # some refuse it while nothing runs
            camera.stop()
        for feature, value in _PLAIN.items():
            if not camera.has(feature):
                continue
            try:
                found = camera.value(feature, value)
            except AravisError as error:
                log.warning("%s: whether %s is %s cannot be read (%s)", self.name, feature, value, error)
                continue
            if found != value:
                self._put(camera, feature, value)

    def _put(self, camera: aravis.Camera, feature: str, value: str | float | bool) -> None:
        """Set a feature, read back, compare."""
        try:
            camera.put(feature, value)
            found = camera.value(feature, value)
        except AravisError as error:
            raise ConfigurationError(
                f"{self.name}: feature {feature} = {value!r} is refused by the camera ({error}); "
                f"`arv-tool-0.8 -a {self._options.address} features` lists what it has"
            ) from error
        if not _same(found, value):
            raise DeviceError(
                f"{self.name}: feature {feature} was set to {value!r} and reads back {found!r}; correct the bench file"
            )

    def _set_up(self, line: Any) -> None:
        line.ask(self._choose_format)
        for feature, value in self._options.features.items():
            line.ask(lambda camera, f=feature, v=value: self._put(camera, f, v))
        size = line.ask(lambda camera: camera.put_packet_size(self._options.packet_size))
        if self._options.packet_size not in (None, size):
            raise ConfigurationError(
                f"{self.name}: packet_size = {self._options.packet_size} was set and {size} reads back; the camera has "
                "other limits or steps there. Leave packet_size out"
            )
        self._whole_words = False
        self._instant = Instant(0, 0, 0)
        readings = [line.ask(self._read_clock) for _ in range(4)]
        line.has_clock = readings[-1].clock_ns > readings[0].clock_ns > 0
        self._instant = min(readings, key=lambda i: i.took_ns)
        if not line.has_clock:
            log.warning("%s: the camera's clock cannot be read; frames are told apart by their order only", self.name)
        line.most_frames = line.ask(self._check_triggers)
        low_s, high_s = line.ask(aravis.Camera.exposures_s)
        self.restrict("exposure_s", Limits(minimum=low_s, maximum=high_s))
        self._pitch_m = line.ask(self._pitch)

    def _choose_format(self, camera: aravis.Camera) -> None:
        has = [name for name in camera.formats() if name in _FORMATS]
        wanted: str = self._options.pixel_format or max(has, key=lambda name: _FORMATS[name].bits, default="Mono8")
        if wanted not in has:
            raise ConfigurationError(
                f"{self.name}: pixel_format = {wanted!r} is not to be had; of the formats that are read here, this "
                f"camera has {', '.join(has) or 'none'}"
            )
        if camera.text("PixelFormat") != wanted:
            self._put(camera, "PixelFormat", wanted)
        self._format = _FORMATS[wanted]
        bits = self._options.bit_depth
        if bits is not None and bits > self._format.bits:
            raise ConfigurationError(
                f"{self.name}: bit_depth = {bits}, and {wanted} has {self._format.bits}; leave bit_depth out, or "
                "choose a deeper pixel_format"
            )

    def _check_triggers(self, camera: aravis.Camera) -> int:
        """Refuse triggers that the camera has not; after how many frames it can stop by itself, 0 if it cannot."""
        wired = [self._options.trigger_source] if self.trigger_line else []
        for source in ("Software", *wired):
            if not camera.offers("TriggerSource", source):
                raise ConfigurationError(
                    f"{self.name}: the camera has no trigger source {source!r}"
                    + ("; choose another trigger_source" if source in wired else ", by which this driver takes frames")
                )
        counts = camera.has("AcquisitionFrameCount") and camera.offers("AcquisitionMode", "MultiFrame")
        return camera.steps("AcquisitionFrameCount")[1] if counts else 0

    def _pitch(self, camera: aravis.Camera) -> float:
        if self._options.pixel_pitch is not None:
            return self._options.pixel_pitch
        if not camera.has("SensorPixelWidth"):
            raise ConfigurationError(
                f'{self.name}: the camera does not tell its pixel pitch; give it, as pixel_pitch = "3.45 um"'
            )
        return camera.number("SensorPixelWidth") * 1e-6

    # --- acquisition ------------------------------------------------------------------------------------------------

    def _frame_bytes(self, line: Any) -> int:
        return int(line.ask(aravis.Camera.frame_bytes))

    def _start(self, line: Any, frames: int | None) -> None:
        o = self._options
        # Half the timeout at most: a frame that was lost is told as lost, and not as one that is late.
        patience = aravis.Patience(o.packet_resend, min(_KEEP_S, o.timeout / 2))

        def begin(camera: aravis.Camera) -> None:
            if frames is not None:
                self._armed_at = self._read_clock(camera)
            source = "Software" if frames is None else o.trigger_source
            line.begin(camera, source, frames or _RING_FRAMES, patience, frames)

        line.ask(begin)

    def _read_clock(self, camera: aravis.Camera) -> Instant:
        before_ns = time.monotonic_ns()
        clock_ns = camera.clock_ns()
        after_ns = time.monotonic_ns()
        new, old = Instant(clock_ns, after_ns, after_ns - before_ns), self._instant
        if new.took_ns <= old.took_ns + _DRIFT * (new.at_ns - old.at_ns) or new.clock_ns < old.clock_ns:
            self._instant = new
        return new

    def _take(self, line: Any) -> Taken:
        def expose(camera: aravis.Camera) -> Instant:
            while (late := line.stream.take(0.0, {})) is not None:
                self._pass_over(line, late)
            sent = self._read_clock(camera) if line.has_clock else Instant(0, time.monotonic_ns(), 0)
            camera.trigger()
            return sent

        sent: Instant = line.ask(expose)
        waited_s = self._patience_s()
        deadline = time.monotonic() + waited_s
        while True:
            buffer = self._next(line, deadline, "trigger")
            if buffer is None:
                raise self._too_late(waited_s)
            if line.has_clock and buffer.time_ns > 0 and self._began_ns(buffer) < sent.clock_ns:
                self._pass_over(line, buffer)  # it began before the trigger: somebody else's
                continue
            self._lost += line.missing_before(buffer)
            try:
                data, saturated = self._delivered(self._pixels(line, buffer, "trigger"))
            finally:
                line.stream.give_back(buffer)
            return Taken(data, saturated, self._start_ns(buffer) if line.has_clock else sent.at_ns)

    def _pass_over(self, line: Any, buffer: aravis.Buffer) -> None:
        self._lost += line.missing_before(buffer) + (buffer.status != aravis.COMPLETE)
        line.stream.give_back(buffer)

    def _next(self, line: Any, deadline: float, what: str) -> aravis.Buffer | None:
        """The next buffer, None if there is none by then. Raises DeviceError when `safe` was called."""
        formats = {self._format.code: self._format.dtype}
        while True:
            if self._stop.is_set():
                raise DeviceError(f"{self.name}.{what}: stopped by safe(); the frame was dropped")
            if line.lost():
                raise ConnectionError("control of the camera was lost: its heartbeat stayed away")
            left_s = deadline - time.monotonic()
            buffer: aravis.Buffer | None = line.stream.take(min(max(left_s, 1e-3), _SLICE_S), formats)
            if buffer is not None or left_s <= 0:
                return buffer

    def _began_ns(self, buffer: aravis.Buffer) -> int:
        """When its exposure began, in the camera's clock."""
        return buffer.time_ns - (self._exposure_ns if self._options.stamp == "end" else 0)

    def _start_ns(self, buffer: aravis.Buffer) -> int:
        return self._instant.at_ns + self._began_ns(buffer) - self._instant.clock_ns

    def _collect(self, line: Any, burst: Burst) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        buffers: list[aravis.Buffer] = []
        try:
            return self._collected(line, burst, buffers)
        finally:
            for buffer in buffers:
                line.stream.give_back(buffer)

    def _collected(
        self, line: Any, burst: Burst, buffers: list[aravis.Buffer]
    ) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        gone = 0
        while self._running == "burst" and len(buffers) + gone < burst.frames:
            # A frame may take its time as long as frames come.
            buffer = self._next(line, time.monotonic() + self._patience_s(), "collect")
            if buffer is None:
                break
            gone += line.missing_before(buffer) + (buffer.status != aravis.COMPLETE)
            if buffer.status == aravis.COMPLETE:
                buffers.append(buffer)
            else:
                line.stream.give_back(buffer)
        if len(buffers) < burst.frames:
            self._lost += burst.frames - len(buffers)
            raise self._missing(len(buffers), burst.frames - len(buffers))
        if line.has_clock:
            line.ask(self._read_clock)
        data = self._room_for(burst, self._format.dtype)
        saturated, start_ns = np.empty((2, burst.frames), np.int64)
        for k, buffer in enumerate(buffers):
            if line.has_clock and self._began_ns(buffer) < self._armed_at.clock_ns:
                raise DeviceError(
                    f"{self.name}.collect: frame {k} is older than the burst, which was dropped; arm again"
                )
            saturated[k] = self._put_into(data[k], self._pixels(line, buffer, "collect"), burst.binning)
            start_ns[k] = self._start_ns(buffer) if line.has_clock else self._armed_at.at_ns
        return data, saturated, start_ns

    def _pixels(self, line: Any, buffer: aravis.Buffer, what: str) -> NDArray[Any]:
        """Counts (rows, columns) of the region, in the library's memory unless they had to be shifted."""
        if buffer.status != aravis.COMPLETE:
            status = aravis.STATUS[buffer.status] if 0 <= buffer.status < len(aravis.STATUS) else "unknown"
            missing = line.stream.count("n_missing_packets")
            raise DeviceError(
                f"{self.name}.{what}: a frame came incomplete or garbled ({status}, {missing} of them) and was "
                "dropped; the camera is armed again. Check cable and switch, or set a smaller packet_size"
            )
        window, roi = self._window, self._roi
        wanted = aravis.Region(window.column, window.row, window.columns, window.rows)
        if buffer.pixels is None or buffer.region != wanted:
            raise DeviceError(
                f"{self.name}.{what}: a frame of {buffer.region} came and {wanted} was set, or its pixel format is "
                "another; it was dropped. Check that nothing else controls the camera"
            )
        row, column = roi.row - window.row, roi.column - window.column
        pixels = buffer.pixels[row : row + roi.rows, column : column + roi.columns]
        return self._right_justified(pixels, what)

    def _right_justified(self, pixels: NDArray[Any], what: str) -> NDArray[Any]:
        """Counts of a converter of fewer bits than a pixel has, which a camera may send as the upper ones."""
        bits = self._options.bit_depth
        if bits is not None and bits < self._format.bits:
            shift = self._format.bits - bits
            if int(np.bitwise_or.reduce(pixels, axis=None)) & ((1 << shift) - 1):
                raise DeviceError(
                    f"{self.name}.{what}: bit_depth = {bits} says that the lower {shift} bits of each pixel are 0, and "
                    "they are not; the frame was dropped. Leave bit_depth out"
                )
            return pixels >> shift
        if self._format.bits == 16 and not self._whole_words and bits is None:
            self._whole_words = bool(int(np.bitwise_or.reduce(pixels, axis=None)) & 0xF)
            if not self._whole_words and len(np.unique(pixels)) > _FEW_COUNTS:
                raise DeviceError(
                    f"{self.name}.{what}: every count is a multiple of 16, so this is a converter of 12 bits or fewer "
                    "whose bits are the upper ones of each pixel; the frame was dropped. Say so: bit_depth = 12"
                )
        return pixels

    # --- settings ---------------------------------------------------------------------------------------------------

    def _find_readout_ns(self, line: Any) -> int:
        def readout_ns(camera: aravis.Camera) -> int:
            fastest_hz = camera.fastest_hz()
            if fastest_hz > 0:
                return max(round(1e9 / fastest_hz) - self._exposure_ns, 0)
            return round(camera.frame_bytes() / _LINK_BYTES_PER_S * 1e9)

        return int(line.ask(readout_ns))

    def _put_roi(self, line: Any, roi: ROI) -> None:
        """Set the smallest window on the camera's steps that holds the region; the rest is cropped."""

        def put(camera: aravis.Camera) -> tuple[aravis.Region, aravis.Region]:
            camera.put_region(aravis.Region(0, 0, 0, 0))
            column, columns = self._on_steps(roi.column, roi.columns, camera.steps("Width"), camera.steps("OffsetX")[2])
            row, rows = self._on_steps(roi.row, roi.rows, camera.steps("Height"), camera.steps("OffsetY")[2])
            wanted = aravis.Region(column, row, columns, rows)
            camera.put_region(wanted)
            return wanted, camera.region()

        wanted, found = line.ask(put)
        if found != wanted:
            raise DeviceError(
                f"{self.name}.roi: {wanted} was set and {found} reads back. Check that nothing else controls the camera"
            )
        self._window = ROI(row=found.row, column=found.column, rows=found.rows, columns=found.columns)
        self._roi = roi
        self._readout_ns = self._find_readout_ns(line)

    def _on_steps(self, first: int, count: int, sizes: tuple[int, int, int], step: int) -> tuple[int, int]:
        found = on_steps(first, count, sizes, step)
        if found is None:
            raise LimitError(
                f"{self.name}.roi: {count} pixels from {first} do not fit the camera's steps of {sizes[2]} in size and "
                f"{step} in place; take a region further inside. Nothing was changed"
            )
        return found

    def _holds_roi(self, line: Any) -> bool:
        window = self._window
        wanted = aravis.Region(window.column, window.row, window.columns, window.rows)
        return bool(line.ask(aravis.Camera.region) == wanted)

    def _read_pixel_pitch_m(self) -> float:
        return self._pitch_m

    def _read_bit_depth(self) -> int:
        return self._options.bit_depth or self._format.bits

    def _read_electrons_per_count(self) -> float:
        return self._options.electrons_per_count

    def _pixel_full_scale_counts(self) -> float:
        most = float(2**self.bit_depth - 1)
        return min(self._options.full_scale_counts or most, most)


def _same(found: str | float | bool, wanted: str | float | bool) -> bool:
    if isinstance(found, str) or isinstance(wanted, (str, bool)):
        return found == wanted
    return abs(found - wanted) <= 1e-3 * abs(wanted)  # numbers are rounded by the camera


def _introduce(camera: aravis.Camera) -> Identity:
    firmware = next((f for f in ("DeviceFirmwareVersion", "DeviceVersion") if camera.has(f)), None)
    return Identity(
        model=f"{camera.vendor()} {camera.model()}".strip(),
        serial=camera.serial(),
        firmware=camera.text(firmware) if firmware else "",
    )
