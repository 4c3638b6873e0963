"""Cameras through pylablib: any of its camera classes by name, and what drivers of particular ones of them need."""

from __future__ import annotations

import ctypes
import difflib
import importlib
import inspect
import math
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from drivers.contract import ROI, ConfigurationError, DeviceError, DeviceTimeout, Identity
from drivers.quantity import Metres, Seconds
from drivers.sequence_camera import Burst, SequenceCamera, Taken

_BLOCK_COLUMNS = 16
"""Rows of whole blocks need no padding, which some of pylablib's classes leave in the image or cut off amiss."""
_CUTS_ROWS = ("pylablib.devices.Andor.AndorSDK3",)
"""Classes that cut padding off along the wrong axis: no more rows come than the window has columns (pylablib 1.4.5)."""
_RING_FRAMES = 4
"""Buffers of a sequence whose frames are taken one by one."""
_unclosed: dict[str, list[Any]] = {}
"""By camera: vendor's objects that could not be closed, since their line was dead. Of the process, not of one driver:
the vendor's library calls such a camera in use, whoever opens it next."""


def pylablib_module(device: str, name: str) -> Any:
    """A module of pylablib; ConfigurationError, naming the package, if that is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "pylablib" and not name.startswith(f"{error.name}"):
            raise ConfigurationError(
                f"{device}: pylablib needs {error.name}, which is not installed: pip install 'labctl[hardware]'"
            ) from error
        raise ConfigurationError(
            f"{device}: {name} is not there; install pylablib: pip install 'labctl[hardware]'"
        ) from error
    except ImportError as error:
        raise ConfigurationError(f"{device}: {name} cannot be used on this system ({error})") from error


def allow_libraries(device: str, preload: Path | None = None) -> None:
    """Let pylablib load vendors' libraries on this system; ``preload`` one that it then finds under its own name.

    On Linux a library is found by the name it was built with (its soname), which must be that of the vendor's Windows
    file, such as ``atcore.dll``.
    """
    parameters = pylablib_module(device, "pylablib.core.utils.library_parameters").library_parameters
    pylablib_module(device, "pylablib.devices.utils.load_lib")  # its own defaults first
    parameters["devices/only_windows_dlls"] = False
    if preload is None:
        return
    try:
        ctypes.CDLL(str(preload))
    except OSError as error:
        raise ConfigurationError(f"{device}: library {preload} cannot be loaded ({error})") from error


class PylablibCamera(SequenceCamera):
    """Any pylablib camera through its common interface.

    A region that the camera cannot read as it is, is cut out of the smallest that it can. What the interface does not
    tell (pixel pitch, bits, gain) the bench file says. With ``trigger = "software"`` each
    frame answers a software trigger; with ``"free"`` the camera runs by itself and frames that may have begun before
    the call are skipped, which costs up to two frame times.
    """

    class Options(BaseModel):
        """Keys of the bench file."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        camera: str = Field(pattern=r"^\w+(\.\w+)+$", description='such as "Andor.AndorSDK3Camera"')
        arguments: dict[str, Any] = Field(default_factory=dict, description="for the class: index, serial number, port")
        parameters: dict[str, Any] = Field(default_factory=dict, description='of pylablib: {"devices/dlls/dcamapi": …}')
        attributes: dict[str, str | int | float | bool] = Field(
            default_factory=dict, description="of the camera, set when it is connected, in this order"
        )
        library: Path | None = Field(None, description="vendor's library to load first (Linux)")
        trigger: Literal["software", "free"] = "software"
        skip_frames: int = Field(1, ge=1, le=16, description="frames in the camera's pipeline that are too old (free)")
        pixel_pitch: Metres = Field(gt=0, le=1e-3)
        bit_depth: int = Field(16, ge=1, le=32)
        electrons_per_count: float = Field(1.0, gt=0)
        full_scale_counts: float | None = Field(None, gt=0)
        timeout: Seconds = Field(2.0, gt=0, le=60, description="margin after exposure and read-out")

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options.timeout, 1 << 32)
        self._options = options
        self._window = ROI(row=0, column=0, rows=0, columns=0)
        self._unclosed = _unclosed.setdefault(f"{options.camera} {options.arguments}", [])

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Any) -> PylablibCamera:
        """As the bench file says."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(f'{name}: say which class, as camera = "Andor.AndorSDK3Camera", and pixel_pitch')
        return cls(name, options)

    def identity(self) -> Identity:
        """As the camera tells, as far as its class tells it."""
        with self._talk("identity") as camera:
            info = camera.get_device_info() if hasattr(camera, "get_device_info") else type(camera).__name__
        fields = dict(zip(info._fields, info, strict=True)) if hasattr(info, "_fields") else {"model": info}

        def pick(*words: str) -> str:
            told = (str(value) for word in words for key, value in fields.items() if word in key)
            return next((text for text in told if text.strip()), "not told")

        return Identity(model=pick("model", "name"), serial=pick("serial"), firmware=pick("firmware", "version"))

    def _make(self) -> Any:
        o = self._options
        if sys.platform != "win32" or o.parameters:
            allow_libraries(self.name, o.library)
            library = pylablib_module(self.name, "pylablib.core.utils.library_parameters").library_parameters
            for key, value in o.parameters.items():
                library[key] = value
        cls = self._class()
        self._close_rest()
        camera: Any = cls.__new__(cls)  # so that what a failing constructor leaves open can be closed
        try:
            camera.__init__(**o.arguments)
        except TypeError as error:
            raise ConfigurationError(
                f"{self.name}: {o.camera} does not take arguments = {o.arguments} ({error}); it takes "
                f"{inspect.signature(cls)}"
            ) from error
        except BaseException:
            self._unclosed.append(camera)
            self._close_rest()
            raise
        return camera

    def _class(self) -> Any:
        """The vendor's class. ConfigurationError, naming those that there are, if there is none of that name."""
        dotted = self._options.camera.removeprefix("pylablib.devices.")
        vendor, _, rest = dotted.partition(".")
        devices = pylablib_module(self.name, "pylablib.devices")
        vendors = {found.name for found in pkgutil.iter_modules(devices.__path__)} - {"interface", "utils"}
        if vendor not in vendors:
            near = ", ".join(difflib.get_close_matches(vendor, vendors, cutoff=0.5)) or "Andor, DCAM, uc480, …"
            raise ConfigurationError(
                f"{self.name}: camera = {self._options.camera!r}: pylablib has no {vendor!r} among its devices; is it "
                f"one of {near}?"
            )
        inner, _, name = rest.rpartition(".")
        module = pylablib_module(self.name, ".".join(filter(None, ("pylablib.devices", vendor, inner))))
        cls = getattr(module, name, None)
        if not isinstance(cls, type):
            cameras = sorted(n for n, v in vars(module).items() if isinstance(v, type) and "Camera" in n)
            raise ConfigurationError(
                f"{self.name}: camera = {self._options.camera!r}: {module.__name__} has no such class; its cameras are "
                f"{', '.join(cameras) or 'none'}"
            )
        for needed in ("get_exposure", "set_exposure", "start_acquisition", "wait_for_frame", "read_multiple_images"):
            if not hasattr(cls, needed):
                raise ConfigurationError(
                    f"{self.name}: camera = {self._options.camera!r} has no {needed}: it is no camera of pylablib's "
                    "common interface; name one that is"
                )
        return cls

    def _disconnect(self, camera: Any) -> None:
        self._running = None
        self._unclosed.append(camera)
        self._close_rest()

    def _close_rest(self) -> None:
        """Close what could not be closed while the line was dead; the vendor's library would call it in use."""
        for camera in list(self._unclosed):
            try:
                camera.close()
            except AttributeError:
                pass  # its constructor did not come so far that anything is open
            except (RuntimeError, OSError):
                continue
            self._unclosed.remove(camera)

    def _set_up(self, camera: Any) -> None:
        for attribute, value in self._options.attributes.items():
            try:
                camera.set_attribute_value(attribute, value)
            except (RuntimeError, OSError, TypeError, ValueError, AttributeError) as error:
                raise DeviceError(
                    f"{self.name}: attribute {attribute} cannot be set to {value!r} ({type(error).__name__}: {error}); "
                    "correct it in the bench file, or check the camera's cable"
                ) from error
            if camera.get_attribute_value(attribute) != value:
                raise DeviceError(
                    f"{self.name}: attribute {attribute} was set to {value!r} and reads back "
                    f"{camera.get_attribute_value(attribute)!r}; correct it in the bench file"
                )
        if self._options.trigger == "software":
            if not hasattr(camera, "send_software_trigger") and not hasattr(camera, "call_command"):
                raise ConfigurationError(
                    f'{self.name}: {self._options.camera} has no software trigger; set trigger = "free"'
                )
            camera.set_trigger_mode("software")
        elif hasattr(camera, "set_trigger_mode"):
            camera.set_trigger_mode("int")

    def _find_readout_ns(self, camera: Any) -> int:
        if not hasattr(camera, "get_frame_timings"):
            return 0
        if hasattr(camera, "set_frame_period"):
            camera.set_frame_period(0)  # as fast as it goes; an exposure that was longer may have left a slower rate
        timings = camera.get_frame_timings()
        return max(round(float(timings.frame_period - timings.exposure) * 1e9), 0)

    def _frame_bytes(self, camera: Any) -> int:
        return 4 * self._window.rows * self._window.columns

    def _start(self, camera: Any, frames: int | None) -> None:
        camera.start_acquisition(mode="sequence", nframes=2 * _RING_FRAMES + self._options.skip_frames)

    def _take(self, camera: Any) -> Taken:
        before = self._acquired(camera)
        sent_ns = time.monotonic_ns()
        wanted = before
        if self._options.trigger == "free":
            wanted += self._options.skip_frames
        elif hasattr(camera, "send_software_trigger"):
            camera.send_software_trigger()
        else:
            camera.call_command("SoftwareTrigger")
        waited_s = (1 + wanted - before) * (self._exposure_ns + self._readout_ns) / 1e9 + self._timeout_s
        if not self._await(camera, wanted + 1, time.monotonic() + waited_s):
            raise self._too_late(waited_s)
        arrived_ns = time.monotonic_ns()
        images = camera.read_multiple_images(rng=(wanted, wanted + 1))
        if not images:
            raise DeviceError(f"{self.name}.trigger: the frame was overwritten before it was read; take fewer at once")
        start_ns = sent_ns
        if self._options.trigger == "free":
            start_ns = max(arrived_ns - self._readout_ns - self._exposure_ns, sent_ns)
        return Taken(*self._delivered(self._cropped(images[0])), start_ns)

    def _cropped(self, image: NDArray[Any]) -> NDArray[Any]:
        """The region's pixels; columns beyond the window that was read are padding that pylablib left."""
        window, roi = self._window, self._roi
        if image.ndim != 2 or image.shape[0] != window.rows or image.shape[1] < window.columns:
            raise DeviceError(
                f"{self.name}.trigger: a frame of {image.shape} came where {window.rows}x{window.columns} pixels were "
                "read; they cannot be told apart from padding. Take a region whose columns fill whole blocks of "
                "memory, or the driver of this camera"
            )
        row, column = roi.row - window.row, roi.column - window.column
        return image[row : row + roi.rows, column : column + roi.columns]

    def _collect(self, camera: Any, burst: Burst) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        raise self._unwired(burst)

    def _unwired(self, burst: Burst) -> DeviceTimeout:
        return DeviceTimeout(
            f"{self.name}.collect: 0 frames came, {burst.frames} more were armed for; pylablib's common interface has "
            "no trigger line. Use trigger or burst, or a driver that has one, such as andor_sdk3"
        )

    def _put_roi(self, camera: Any, roi: ROI) -> None:
        """Set the smallest window that the camera can read and that holds the region; the rest is cropped."""
        rows, columns = self._size
        left, right, top, bottom, *binning = 0, columns, 0, rows
        if hasattr(camera, "set_roi"):
            across, down = camera.get_roi_limits()
            row, height = window_of(roi.row, roi.rows, rows, down)
            least = height if type(camera).__module__ in _CUTS_ROWS else 1
            column, width = window_of(roi.column, roi.columns, columns, across, least, _BLOCK_COLUMNS)
            asked = (column, column + width, row, row + height)
            left, right, top, bottom, *binning = (int(x) for x in camera.set_roi(*asked))
        window = ROI(row=top, column=left, rows=bottom - top, columns=right - left)
        holds = (
            top <= roi.row and left <= roi.column and bottom >= roi.row + roi.rows and right >= roi.column + roi.columns
        )
        if not holds or any(n != 1 for n in binning):
            raise DeviceError(
                f"{self.name}.roi: {roi} was wanted and {window}, binning {binning or [1, 1]}, reads back, which does "
                "not hold it. Choose a region on the sensor's steps"
            )
        self._window, self._roi = window, roi
        self._readout_ns = self._find_readout_ns(camera)

    def _holds_roi(self, camera: Any) -> bool:
        window = self._window
        wanted = (window.column, window.column + window.columns, window.row, window.row + window.rows)
        return not hasattr(camera, "get_roi") or tuple(int(x) for x in camera.get_roi())[:4] == wanted

    def _read_pixel_pitch_m(self) -> float:
        return self._options.pixel_pitch

    def _read_bit_depth(self) -> int:
        return self._options.bit_depth

    def _read_electrons_per_count(self) -> float:
        return self._options.electrons_per_count

    def _pixel_full_scale_counts(self) -> float:
        return self._options.full_scale_counts or float(2**self._options.bit_depth - 1)


def window_of(first: int, count: int, size: int, limits: Any, least: int = 1, block: int = 1) -> tuple[int, int]:
    """First pixel and length of the smallest range that a camera can read along one axis and that holds the given one.

    size: of the sensor. limits: pylablib's ``min``, ``pstep``, ``sstep``: least length, steps of place and of length.
    least, block: the length is no less, and a multiple of it as well, as far as the sensor reaches.
    """
    place, own_step = max(int(limits.pstep), 1), max(int(limits.sstep), 1)
    for step in (math.lcm(own_step, block), own_step):
        start = first // place * place
        length = -(-max(first + count - start, int(limits.min), min(least, size)) // step) * step
        if start + length > size:
            start = max(size - length, 0) // place * place
        if length <= size and start <= first and first + count <= start + length:
            return start, length
    return 0, size
