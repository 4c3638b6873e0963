"""A GigE Vision camera and its stream of frames, as the Aravis library has them.

A call that asks the camera something takes up to 2.5 s if it does not answer (five times 0.5 s, fixed in the library).
Feature calls must not overlap; buffers may be taken from any thread.
"""

from __future__ import annotations

import contextlib
import ctypes
from ctypes import POINTER, byref, c_double, c_int, c_int64, c_size_t, c_uint
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.aravis_library import NOT_CONTROLLER, WRONG_FEATURE, AravisError, Library

_CLOCK_CONTROL, _CLOCK_HIGH, _CLOCK_LOW, _HEARTBEAT = 0x944, 0x948, 0x94C, 0x938
_CLOCK_RATE_HIGH, _CLOCK_RATE_LOW = 0x93C, 0x940
_LATCH = 2
"""Registers of every GigE Vision device (GigE Vision 2.0, bootstrap registers)."""

_NEVER_ADJUST, _NO_PACKET_SOCKET, _BUFFER_SIZE_FIXED = 0, 1, 0
_LEAST_SOCKET_BYTES = 1 << 20
"""Receive buffer of the stream's socket, as far as the system allows it. Left to itself, the library makes it as small
as a frame, which holds not even that."""
_ANY_PART = 2.0
"""Of a frame's packets, how many may be asked for again: each twice, which is the most that the library has. Left to
itself it gives up at a quarter."""
_ASK_AGAIN_S = 0.05
"""After how long a packet that is the last, or was asked for, is asked for again. A busy sender may pause for the
library's 20 ms, and everything that it has not sent would be asked for."""

COMPLETE = 0
"""Status of a buffer that holds a whole frame (ArvBufferStatus)."""

STATUS = (
    "complete",
    "cleared",
    "packets stayed away",
    "packets are missing",
    "a packet has a wrong number",
    "the frame is of another size",
    "being filled",
    "the stream was stopped",
    "a payload that is no image",
)
"""What the other states of a buffer mean."""


class Region(NamedTuple):
    """Part of the sensor, pixels from its first row and column."""

    column: int
    row: int
    columns: int
    rows: int


class Patience(NamedTuple):
    """With packets that stay away. resend: ask for them again. keep_s: how long a frame is kept of which no more come.

    The library gives a frame up after 0.1 s, which is less than a busy computer, camera or switch may pause.
    """

    resend: bool
    keep_s: float


class Buffer(NamedTuple):
    """A frame as it came. number: block id, 0 if it is not known. time_ns: the camera's clock, 0 likewise.

    pixels: (rows, columns) in the library's memory until the buffer is given back; None unless complete.
    """

    pointer: int
    status: int
    number: int
    time_ns: int
    region: Region | None
    pixels: NDArray[Any] | None


class Stream:
    """Frames on their way from a camera, into as many buffers as it was given."""

    def __init__(self, lib: Library, pointer: int, buffers: int, size: int, patience: Patience) -> None:
        self._lib = lib
        self._pointer = pointer
        lib.set_property(pointer, "socket-buffer", _BUFFER_SIZE_FIXED)
        lib.set_property(pointer, "socket-buffer-size", max(2 * size, _LEAST_SOCKET_BYTES))
        lib.set_property(pointer, "packet-resend", int(patience.resend))
        lib.set_property(pointer, "packet-timeout", round(_ASK_AGAIN_S * 1e6))
        lib.set_property(pointer, "frame-retention", round(patience.keep_s * 1e6))
        lib.set_property(pointer, "packet-request-ratio", _ANY_PART)
        for _ in range(buffers):
            lib.arv_stream_push_buffer(pointer, lib.arv_buffer_new_allocate(size))

    def take(self, wait_s: float, formats: dict[int, np.dtype[Any]]) -> Buffer | None:
        """The next buffer, None if there is none within ``wait_s``. formats: how pixels are read, by format."""
        lib = self._lib
        pointer = lib.arv_stream_timeout_pop_buffer(self._pointer, round(max(wait_s, 0.0) * 1e6))
        if not pointer:
            return None
        status, region, pixels = lib.arv_buffer_get_status(pointer), None, None
        if status == COMPLETE:
            region, pixels = self._image(pointer, formats)
        number, time_ns = lib.arv_buffer_get_frame_id(pointer), lib.arv_buffer_get_timestamp(pointer)
        return Buffer(pointer, status, number, time_ns, region, pixels)

    def _image(self, pointer: int, formats: dict[int, np.dtype[Any]]) -> tuple[Region, NDArray[Any] | None]:
        lib = self._lib
        sides = [c_int() for _ in range(6)]
        lib.arv_buffer_get_image_region(pointer, *[byref(side) for side in sides[:4]])
        lib.arv_buffer_get_image_padding(pointer, *[byref(side) for side in sides[4:]])
        column, row, columns, rows, padding, _ = (side.value for side in sides)
        region = Region(column, row, columns, rows)
        dtype = formats.get(lib.arv_buffer_get_image_pixel_format(pointer))
        size = c_size_t()
        data = lib.arv_buffer_get_data(pointer, byref(size))
        if dtype is None or not data:
            return region, None
        line = columns * dtype.itemsize + padding
        if size.value < line * rows - padding:
            return region, None
        raw = np.ctypeslib.as_array(ctypes.cast(data, POINTER(ctypes.c_uint8)), (size.value,))
        if padding:
            raw = raw[: line * rows].reshape(rows, line)[:, : columns * dtype.itemsize]
            return region, raw.view(dtype)
        return region, raw[: line * rows].view(dtype).reshape(rows, columns)

    def give_back(self, buffer: Buffer) -> None:
        """Let a buffer be filled again; its pixels are lost. What it said of its frame is blotted out first."""
        self._lib.arv_buffer_set_frame_id(buffer.pointer, 0)
        self._lib.arv_buffer_set_timestamp(buffer.pointer, 0)
        self._lib.arv_stream_push_buffer(self._pointer, buffer.pointer)

    def count(self, what: str) -> int:
        """One of the library's counters, such as "n_resent_packets"."""
        return int(self._lib.arv_stream_get_info_uint64_by_name(self._pointer, what.encode()))

    def close(self) -> None:
        """End it, with all its buffers."""
        self._lib.g_object_unref(self._pointer)


class Camera:
    """One GigE Vision camera, controlled by us.

    address: of the camera, ``"192.168.0.10"``. interface: our own address on that network. Raises TimeoutError if
    nobody answers, AravisError (`AravisError.denied`) if somebody else controls it.
    """

    def __init__(self, lib: Library, address: str, interface: str) -> None:
        self._lib = lib
        self._device: Any = None
        self._camera: Any = None
        self._ticks_per_s: int | None = None
        ends = [lib.g_inet_address_new_from_string(end.encode()) for end in (interface, address)]
        try:
            if not all(ends):
                raise AravisError(f"{address} or {interface} is not an IPv4 address")
            self._device = lib.arv_gv_device_new(*ends)
        finally:
            for end in filter(None, ends):
                lib.g_object_unref(end)
        try:
            if not self.obeys():
                raise AravisError("the camera is controlled by another application", NOT_CONTROLLER)
            self._camera = lib.arv_camera_new_with_device(self._device)
            lib.arv_camera_gv_set_stream_options(self._camera, _NO_PACKET_SOCKET)
            lib.arv_camera_gv_set_packet_size_adjustment(self._camera, _NEVER_ADJUST)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up control; streams must have been closed. Harmless when already closed."""
        for thing in (self._camera, self._device):
            if thing is not None:
                self._lib.g_object_unref(thing)
        self._camera = self._device = None

    def obeys(self) -> bool:
        """Whether we control it, as far as its last heartbeat told."""
        return bool(self._lib.arv_gv_device_is_controller(self._device))

    # --- features ---------------------------------------------------------------------------------------------------

    def has(self, feature: str) -> bool:
        """Whether a feature is there and may be used now."""
        try:
            return bool(self._lib.arv_camera_is_feature_available(self._camera, feature.encode()))
        except AravisError:
            return False

    def offers(self, feature: str, choice: str) -> bool:
        """Whether an enumeration may be set to this."""
        names = feature.encode(), choice.encode()
        try:
            return bool(self._lib.arv_camera_is_enumeration_entry_available(self._camera, *names))
        except AravisError:
            return False

    def text(self, feature: str) -> str:
        """Value of a text or of an enumeration."""
        return (self._lib.arv_camera_get_string(self._camera, feature.encode()) or b"").decode(errors="replace")

    def number(self, feature: str) -> float:
        """Value of a number with or without fraction."""
        try:
            return float(self._lib.arv_camera_get_float(self._camera, feature.encode()))
        except AravisError:
            return float(self._lib.arv_camera_get_integer(self._camera, feature.encode()))

    def value(self, feature: str, like: str | float | bool) -> str | float | bool:
        """Value of a feature, of the type of ``like``."""
        if isinstance(like, bool):
            return bool(self._lib.arv_camera_get_boolean(self._camera, feature.encode()))
        return self.text(feature) if isinstance(like, str) else self.number(feature)

    def put(self, feature: str, value: str | float | bool) -> None:
        """Set a feature."""
        lib, name = self._lib, feature.encode()
        if isinstance(value, bool):
            lib.arv_camera_set_boolean(self._camera, name, value)
        elif isinstance(value, str):
            lib.arv_camera_set_string(self._camera, name, value.encode())
        elif not isinstance(value, int) or not self._put_integer(name, value):
            lib.arv_camera_set_float(self._camera, name, value)

    def _put_integer(self, name: bytes, value: int) -> bool:
        try:
            self._lib.arv_camera_set_integer(self._camera, name, value)
        except AravisError as error:
            if error.code is not None and error.code != WRONG_FEATURE:
                raise
            return False
        return True

    def steps(self, feature: str) -> tuple[int, int, int]:
        """Least and largest value of a whole number, and its step."""
        low, high = c_int64(), c_int64()
        self._lib.arv_camera_get_integer_bounds(self._camera, feature.encode(), byref(low), byref(high))
        step = 1
        with contextlib.suppress(AravisError):
            step = self._lib.arv_camera_get_integer_increment(self._camera, feature.encode())
        return low.value, high.value, max(int(step), 1)

    # --- what every camera has ----------------------------------------------------------------------------------------

    def vendor(self) -> str:
        """Who made it."""
        return (self._lib.arv_camera_get_vendor_name(self._camera) or b"").decode(errors="replace")

    def model(self) -> str:
        """Its type."""
        return (self._lib.arv_camera_get_model_name(self._camera) or b"").decode(errors="replace")

    def serial(self) -> str:
        """Its serial number."""
        return (self._lib.arv_camera_get_device_serial_number(self._camera) or b"").decode(errors="replace")

    def formats(self) -> list[str]:
        """Pixel formats that may be chosen."""
        n = c_uint()
        found = self._lib.arv_camera_dup_available_pixel_formats_as_strings(self._camera, byref(n))
        names = [found[k].decode(errors="replace") for k in range(n.value)] if found else []
        self._lib.g_free(found)
        return names

    def region(self) -> Region:
        """What is read out."""
        sides = [c_int() for _ in range(4)]
        self._lib.arv_camera_get_region(self._camera, *[byref(side) for side in sides])
        return Region(*(side.value for side in sides))

    def put_region(self, region: Region) -> None:
        """Read out this part of the sensor, which must lie on its steps."""
        self._lib.arv_camera_set_region(self._camera, *region)

    def exposure_s(self) -> float:
        """Exposure time."""
        return float(self._lib.arv_camera_get_exposure_time(self._camera)) * 1e-6

    def put_exposure_s(self, exposure_s: float) -> None:
        """Set the exposure time, which the camera rounds."""
        self._lib.arv_camera_set_exposure_time(self._camera, exposure_s * 1e6)

    def exposures_s(self) -> tuple[float, float]:
        """Shortest and longest exposure time."""
        low, high = c_double(), c_double()
        self._lib.arv_camera_get_exposure_time_bounds(self._camera, byref(low), byref(high))
        return low.value * 1e-6, high.value * 1e-6

    def fastest_hz(self) -> float:
        """Highest frame rate at the exposure and region of now; 0 if the camera does not tell."""
        low, high = c_double(), c_double()
        try:
            if self._lib.arv_camera_is_frame_rate_available(self._camera):
                self._lib.arv_camera_get_frame_rate_bounds(self._camera, byref(low), byref(high))
        except AravisError:
            return 0.0
        return high.value

    def clock_ns(self) -> int:
        """The camera's clock now, in the unit of its frames' time stamps; 0 if it has none that can be read."""
        if self._ticks_per_s is None:
            self._ticks_per_s = self._register(_CLOCK_RATE_HIGH) << 32 | self._register(_CLOCK_RATE_LOW)
        rate = self._ticks_per_s
        if not rate:
            return 0
        try:
            self._lib.arv_device_write_register(self._device, _CLOCK_CONTROL, _LATCH)
        except AravisError:
            return 0
        ticks = self._register(_CLOCK_HIGH) << 32 | self._register(_CLOCK_LOW)
        return ticks // rate * 1_000_000_000 + ticks % rate * 1_000_000_000 // rate

    def put_heartbeat_s(self, heartbeat_s: float) -> None:
        """How long after our last word the camera lets somebody else control it."""
        self._lib.arv_device_write_register(self._device, _HEARTBEAT, round(heartbeat_s * 1e3))

    def _register(self, address: int) -> int:
        value = ctypes.c_uint32()
        self._lib.arv_device_read_register(self._device, address, byref(value))
        return value.value

    # --- acquisition ------------------------------------------------------------------------------------------------

    def put_packet_size(self, size: int | None) -> int:
        """Bytes of a packet with its headers; None for the largest that comes through. Returns what holds."""
        if size is None:
            self._lib.arv_camera_gv_auto_packet_size(self._camera)
        else:
            self._lib.arv_camera_gv_set_packet_size(self._camera, size)
        return self.packet_size()

    def packet_size(self) -> int:
        """Bytes of a packet with its headers."""
        return int(self._lib.arv_camera_gv_get_packet_size(self._camera))

    def frame_bytes(self) -> int:
        """Memory of one frame."""
        return int(self._lib.arv_camera_get_payload(self._camera))

    def stream(self, buffers: int, patience: Patience) -> Stream:
        """Make ready to receive, on a port of its own, so that nothing of an earlier stream can come in."""
        pointer = self._lib.arv_camera_create_stream(self._camera, None, None)
        return Stream(self._lib, pointer, buffers, self.frame_bytes(), patience)

    def put_trigger(self, source: str) -> None:
        """One frame for each trigger: "Software", or an input such as "Line1" with its rising edge."""
        self._lib.arv_camera_set_trigger(self._camera, source.encode())

    def trigger(self) -> None:
        """Software trigger."""
        self._lib.arv_camera_software_trigger(self._camera)

    def start(self) -> None:
        """Begin to answer triggers."""
        self._lib.arv_camera_start_acquisition(self._camera)

    def stop(self) -> None:
        """Answer no more triggers."""
        self._lib.arv_camera_stop_acquisition(self._camera)
