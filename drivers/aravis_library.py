"""The functions of the Aravis 0.8 library that a GigE Vision camera needs, loaded when they are first needed.

Why through ctypes and not through PyGObject: docs/decisions/0012-aravis-through-ctypes.md.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint, c_uint64, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

from drivers.errors import ConfigurationError

_NAMES = {
    "win32": ("libaravis-0.8-0.dll", "libgio-2.0-0.dll", "libgobject-2.0-0.dll", "libglib-2.0-0.dll"),
    "darwin": ("libaravis-0.8.0.dylib", "libgio-2.0.0.dylib", "libgobject-2.0.0.dylib", "libglib-2.0.0.dylib"),
    "linux": ("libaravis-0.8.so.0", "libgio-2.0.so.0", "libgobject-2.0.so.0", "libglib-2.0.so.0"),
}

WRONG_FEATURE, TIMEOUT, NOT_CONTROLLER, DENIED = 0, 5, 10, 17
"""Codes of ArvDeviceError."""

_INT, _DOUBLE = 6 << 2, 15 << 2
"""Types of GObject's properties."""


class AravisError(RuntimeError):
    """The library's error. code: of ArvDeviceError, None if it is of another kind."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def denied(self) -> bool:
        """Whether the camera obeys somebody else."""
        return self.code in (NOT_CONTROLLER, DENIED)


class _GError(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", c_int), ("message", c_char_p)]


class _GValue(ctypes.Structure):
    _fields_ = [("type", c_size_t), ("data", c_uint64 * 2)]


class _Call(NamedTuple):
    """A function: what it gives, what it takes, and whether it takes a place for an error besides."""

    result: Any
    arguments: tuple[Any, ...]
    fails: bool = False


_P, _S, _I, _U = c_void_p, c_char_p, c_int, c_uint
_FUNCTIONS: dict[str, _Call] = {
    "arv_device_error_quark": _Call(ctypes.c_uint32, ()),
    "arv_gv_device_new": _Call(_P, (_P, _P), True),
    "arv_gv_device_is_controller": _Call(_I, (_P,)),
    "arv_device_read_register": _Call(_I, (_P, c_uint64, POINTER(ctypes.c_uint32)), True),
    "arv_device_write_register": _Call(_I, (_P, c_uint64, ctypes.c_uint32), True),
    "arv_camera_new_with_device": _Call(_P, (_P,), True),
    "arv_camera_is_feature_available": _Call(_I, (_P, _S), True),
    "arv_camera_is_enumeration_entry_available": _Call(_I, (_P, _S, _S), True),
    "arv_camera_get_string": _Call(_S, (_P, _S), True),
    "arv_camera_set_string": _Call(None, (_P, _S, _S), True),
    "arv_camera_get_integer": _Call(c_int64, (_P, _S), True),
    "arv_camera_set_integer": _Call(None, (_P, _S, c_int64), True),
    "arv_camera_get_integer_bounds": _Call(None, (_P, _S, POINTER(c_int64), POINTER(c_int64)), True),
    "arv_camera_get_integer_increment": _Call(c_int64, (_P, _S), True),
    "arv_camera_get_float": _Call(c_double, (_P, _S), True),
    "arv_camera_set_float": _Call(None, (_P, _S, c_double), True),
    "arv_camera_get_boolean": _Call(_I, (_P, _S), True),
    "arv_camera_set_boolean": _Call(None, (_P, _S, _I), True),
    "arv_camera_get_vendor_name": _Call(_S, (_P,), True),
    "arv_camera_get_model_name": _Call(_S, (_P,), True),
    "arv_camera_get_device_serial_number": _Call(_S, (_P,), True),
    "arv_camera_get_region": _Call(None, (_P, *[POINTER(_I)] * 4), True),
    "arv_camera_set_region": _Call(None, (_P, *[_I] * 4), True),
    "arv_camera_get_exposure_time": _Call(c_double, (_P,), True),
    "arv_camera_set_exposure_time": _Call(None, (_P, c_double), True),
    "arv_camera_get_exposure_time_bounds": _Call(None, (_P, POINTER(c_double), POINTER(c_double)), True),
    "arv_camera_is_frame_rate_available": _Call(_I, (_P,), True),
    "arv_camera_get_frame_rate_bounds": _Call(None, (_P, POINTER(c_double), POINTER(c_double)), True),
    "arv_camera_dup_available_pixel_formats_as_strings": _Call(POINTER(_S), (_P, POINTER(_U)), True),
    "arv_camera_get_payload": _Call(_U, (_P,), True),
    "arv_camera_set_trigger": _Call(None, (_P, _S), True),
    "arv_camera_software_trigger": _Call(None, (_P,), True),
    "arv_camera_start_acquisition": _Call(None, (_P,), True),
    "arv_camera_stop_acquisition": _Call(None, (_P,), True),
    "arv_camera_gv_set_stream_options": _Call(None, (_P, _I)),
    "arv_camera_gv_set_packet_size_adjustment": _Call(None, (_P, _I)),
    "arv_camera_gv_auto_packet_size": _Call(_U, (_P,), True),
    "arv_camera_gv_set_packet_size": _Call(None, (_P, _I), True),
    "arv_camera_gv_get_packet_size": _Call(_U, (_P,), True),
    "arv_camera_create_stream": _Call(_P, (_P, _P, _P), True),
    "arv_stream_push_buffer": _Call(None, (_P, _P)),
    "arv_stream_timeout_pop_buffer": _Call(_P, (_P, c_uint64)),
    "arv_stream_get_info_uint64_by_name": _Call(c_uint64, (_P, _S)),
    "arv_buffer_new_allocate": _Call(_P, (c_size_t,)),
    "arv_buffer_get_status": _Call(_I, (_P,)),
    "arv_buffer_get_frame_id": _Call(c_uint64, (_P,)),
    "arv_buffer_set_frame_id": _Call(None, (_P, c_uint64)),
    "arv_buffer_get_timestamp": _Call(c_uint64, (_P,)),
    "arv_buffer_set_timestamp": _Call(None, (_P, c_uint64)),
    "arv_buffer_get_data": _Call(_P, (_P, POINTER(c_size_t))),
    "arv_buffer_get_image_region": _Call(None, (_P, *[POINTER(_I)] * 4)),
    "arv_buffer_get_image_padding": _Call(None, (_P, *[POINTER(_I)] * 2)),
    "arv_buffer_get_image_pixel_format": _Call(ctypes.c_uint32, (_P,)),
}
_GIO: dict[str, _Call] = {"g_inet_address_new_from_string": _Call(_P, (_S,))}
_GOBJECT: dict[str, _Call] = {
    "g_object_unref": _Call(None, (_P,)),
    "g_object_set_property": _Call(None, (_P, _S, POINTER(_GValue))),
    "g_value_init": _Call(_P, (POINTER(_GValue), c_size_t)),
    "g_value_set_int": _Call(None, (POINTER(_GValue), _I)),
    "g_value_set_double": _Call(None, (POINTER(_GValue), c_double)),
}
_GLIB: dict[str, _Call] = {"g_error_free": _Call(None, (POINTER(_GError),)), "g_free": _Call(None, (_P,))}


class Library:
    """The loaded library; its functions are attributes, and raise `AravisError` where they have a place for one."""

    def __init__(self, path: Path | None = None) -> None:
        names = list(_NAMES.get(sys.platform, _NAMES["linux"]))
        if path is not None:
            names[0] = str(path)
            if sys.platform == "win32":
                os.add_dll_directory(str(path.parent))
                names[1:] = [str(path.parent / name) for name in names[1:]]
        for name, functions in zip(names, (_FUNCTIONS, _GIO, _GOBJECT, _GLIB), strict=True):
            try:
                loaded = ctypes.CDLL(name)
            except OSError as error:
                raise ConfigurationError(
                    f"the Aravis library is not found ({error}). Linux: install the package libaravis-0.8-0 (Debian: "
                    "apt install libaravis-0.8-0). Windows: install MSYS2's mingw-w64-ucrt-x86_64-aravis and give "
                    "library = the path of libaravis-0.8-0.dll"
                ) from error
            for function, call in functions.items():
                setattr(self, function, self._bound(loaded, function, call))
        self._device_error = self.arv_device_error_quark()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def _bound(self, loaded: ctypes.CDLL, name: str, call: _Call) -> Callable[..., Any]:
        try:
            function = getattr(loaded, name)
        except AttributeError as error:
            raise ConfigurationError(f"the Aravis library has no {name}; install version 0.8.26 or newer") from error
        function.restype = call.result
        function.argtypes = (*call.arguments, *([POINTER(POINTER(_GError))] if call.fails else []))
        return functools.partial(self._checked, function) if call.fails else function

    def _checked(self, function: Any, *arguments: Any) -> Any:
        error = POINTER(_GError)()
        result = function(*arguments, byref(error))
        if not error:
            return result
        found = error.contents
        code = found.code if found.domain == self._device_error else None
        message = (found.message or b"unknown error").decode(errors="replace")
        self.g_error_free(error)
        if code == TIMEOUT:
            raise TimeoutError(f"the camera does not answer ({message})")
        raise AravisError(message, code)

    def set_property(self, thing: int, name: str, number: float) -> None:
        """A property of a GObject that is a number."""
        value = _GValue()
        whole = isinstance(number, int)
        self.g_value_init(byref(value), _INT if whole else _DOUBLE)
        (self.g_value_set_int if whole else self.g_value_set_double)(byref(value), number)
        self.g_object_set_property(thing, name.encode(), byref(value))


@functools.lru_cache(maxsize=4)
def library(path: Path | None = None) -> Library:
    """The library, loaded when it is first needed. Raises ConfigurationError, naming the package, if it is missing."""
    return Library(path)
