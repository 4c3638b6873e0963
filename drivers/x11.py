"""What an X11 server really shows: screens, pixels, gamma ramps, who lies above a window. Read only.

A screen that serves as an SLM is written through a vendor layer that is told nothing of how it ends; this module looks
at the other side. It speaks to libX11 and libXrandr directly (ctypes): both are there wherever a window can be opened.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import os
import threading
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_ushort, c_void_p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)


class X11Error(Exception):
    """The server does not answer, or not as it must."""


class Rectangle(NamedTuple):
    """Part of the desktop, pixels from its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def meets(self, other: Rectangle) -> bool:
        """Whether they share a pixel."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


class Screen(NamedTuple):
    """A lit output. upright: neither rotated nor mirrored. crtc: what scans it out, and holds its gamma ramp."""

    output: str
    area: Rectangle
    upright: bool
    crtc: int
    output_id: int


class _XImage(ctypes.Structure):
    _fields_ = [
        ("width", c_int),
        ("height", c_int),
        ("xoffset", c_int),
        ("format", c_int),
        ("data", c_void_p),
        ("byte_order", c_int),
        ("bitmap_unit", c_int),
        ("bitmap_bit_order", c_int),
        ("bitmap_pad", c_int),
        ("depth", c_int),
        ("bytes_per_line", c_int),
        ("bits_per_pixel", c_int),
        ("red_mask", c_ulong),
        ("green_mask", c_ulong),
        ("blue_mask", c_ulong),
    ]


class _WindowAttributes(ctypes.Structure):
    _fields_ = [
        *[(name, c_int) for name in ("x", "y", "width", "height", "border_width", "depth")],
        ("visual", c_void_p),
        ("root", c_ulong),
        *[(name, c_int) for name in ("class_", "bit_gravity", "win_gravity", "backing_store")],
        ("backing_planes", c_ulong),
        ("backing_pixel", c_ulong),
        ("save_under", c_int),
        ("colormap", c_ulong),
        ("map_installed", c_int),
        ("map_state", c_int),
        ("all_event_masks", c_long),
        ("your_event_mask", c_long),
        ("do_not_propagate_mask", c_long),
        ("override_redirect", c_int),
        ("screen", c_void_p),
    ]


class _Resources(ctypes.Structure):
    _fields_ = [
        ("timestamp", c_ulong),
        ("config_timestamp", c_ulong),
        ("ncrtc", c_int),
        ("crtcs", POINTER(c_ulong)),
        ("noutput", c_int),
        ("outputs", POINTER(c_ulong)),
        ("nmode", c_int),
        ("modes", c_void_p),
    ]


class _OutputInfo(ctypes.Structure):
    _fields_ = [
        ("timestamp", c_ulong),
        ("crtc", c_ulong),
        ("name", c_void_p),
        ("name_length", c_int),
    ]


class _CrtcInfo(ctypes.Structure):
    _fields_ = [
        ("timestamp", c_ulong),
        ("x", c_int),
        ("y", c_int),
        ("width", c_uint),
        ("height", c_uint),
        ("mode", c_ulong),
        ("rotation", c_ushort),
    ]


class _Gamma(ctypes.Structure):
    _fields_ = [
        ("size", c_int),
        ("red", POINTER(c_ushort)),
        ("green", POINTER(c_ushort)),
        ("blue", POINTER(c_ushort)),
    ]


_ErrorHandler = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)
_LossHandler = ctypes.CFUNCTYPE(c_int, c_void_p)
_ExitHandler = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)

_ALL_PLANES = 2 ** (8 * ctypes.sizeof(c_ulong)) - 1
_EDID_WORDS = 128 // 4  # the first block; what follows it is of no use here
_Z_PIXMAP, _LSB_FIRST, _VIEWABLE, _INPUT_ONLY, _ROTATE_0, _ANY_TYPE = 2, 0, 2, 2, 1, 0


Signatures = list[tuple[str, Any, list[Any]]]

_LIST, _NUMBERS = POINTER(c_void_p), POINTER(c_ulong)
_X11: Signatures = [
    ("XInitThreads", c_int, []),
    ("XOpenDisplay", c_void_p, [c_char_p]),
    ("XCloseDisplay", c_int, [c_void_p]),
    ("XSync", c_int, [c_void_p, c_int]),
    ("XUnlockDisplay", None, [c_void_p]),
    ("XDefaultRootWindow", c_ulong, [c_void_p]),
    ("XGetImage", POINTER(_XImage), [c_void_p, c_ulong, c_int, c_int, c_uint, c_uint, c_ulong, c_int]),
    ("XDestroyImage", c_int, [POINTER(_XImage)]),
    ("XQueryTree", c_int, [c_void_p, c_ulong, _NUMBERS, _NUMBERS, _LIST, POINTER(c_uint)]),
    ("XGetWindowAttributes", c_int, [c_void_p, c_ulong, POINTER(_WindowAttributes)]),
    ("XFetchName", c_int, [c_void_p, c_ulong, _LIST]),
    ("XFree", c_int, [c_void_p]),
    ("XInternAtom", c_ulong, [c_void_p, c_char_p, c_int]),
    ("XGetSelectionOwner", c_ulong, [c_void_p, c_ulong]),
    ("XQueryExtension", c_int, [c_void_p, c_char_p, POINTER(c_int), POINTER(c_int), POINTER(c_int)]),
    ("XSetErrorHandler", c_void_p, [_ErrorHandler]),
    ("XSetIOErrorHandler", c_void_p, [_LossHandler]),
]
_RANDR: Signatures = [
    ("XRRGetScreenResourcesCurrent", POINTER(_Resources), [c_void_p, c_ulong]),
    ("XRRFreeScreenResources", None, [POINTER(_Resources)]),
    ("XRRGetOutputInfo", POINTER(_OutputInfo), [c_void_p, POINTER(_Resources), c_ulong]),
    ("XRRFreeOutputInfo", None, [POINTER(_OutputInfo)]),
    ("XRRGetCrtcInfo", POINTER(_CrtcInfo), [c_void_p, POINTER(_Resources), c_ulong]),
    ("XRRFreeCrtcInfo", None, [POINTER(_CrtcInfo)]),
    ("XRRGetCrtcGamma", POINTER(_Gamma), [c_void_p, c_ulong]),
    ("XRRFreeGamma", None, [POINTER(_Gamma)]),
    (
        "XRRGetOutputProperty",
        c_int,
        [
            *[c_void_p, c_ulong, c_ulong, c_long, c_long, c_int, c_int, c_ulong],
            *[_NUMBERS, POINTER(c_int), _NUMBERS, _NUMBERS, _LIST],
        ],
    ),
]


class _Libraries:
    """libX11 and libXrandr with the signatures used here, loaded once."""

    def __init__(self) -> None:
        self.x = _load("X11", _X11)
        self.randr = _load("Xrandr", _RANDR)
        # Newer than 2020: without it the process ends when the server dies.
        self.set_exit_handler: Any = getattr(self.x, "XSetIOErrorExitHandler", None)
        if self.set_exit_handler is not None:
            self.set_exit_handler.restype = None
            self.set_exit_handler.argtypes = [c_void_p, _ExitHandler, c_void_p]
        self.x.XInitThreads()
        # The handler that comes with the library ends the process at the first request that is refused.
        self.ignore = _ErrorHandler(lambda display, event: 0)
        self.x.XSetErrorHandler(self.ignore)
        if self.set_exit_handler is not None:
            # The one that comes with it prints a fatal error, which it is not where somebody survives it.
            self.note_loss = _LossHandler(_note_loss)
            self.x.XSetIOErrorHandler(self.note_loss)


def _note_loss(display: int | None) -> int:
    log.info("connection %#x to an X11 server is lost", display or 0)
    return 0


def _load(name: str, signatures: Signatures) -> Any:
    found = ctypes.util.find_library(name)
    if found is None:
        raise X11Error(f"lib{name} is not installed")
    library = ctypes.CDLL(found)
    for function, result, arguments in signatures:
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


_libraries: _Libraries | None = None
_loading = threading.Lock()
_connecting = threading.RLock()


def libraries() -> _Libraries:
    """Raises X11Error where there is no X11, as on Windows."""
    global _libraries
    with _loading:
        if _libraries is None:
            if os.name == "nt":
                raise X11Error("Windows has no X11")
            try:
                _libraries = _Libraries()
            except (OSError, AttributeError) as error:
                raise X11Error(f"libX11 or libXrandr cannot be used: {error}") from error
        return _libraries


class Access:
    """A server to connect to, and the file that holds its cookie. None: what the environment says."""

    def __init__(self, name: str | None, authority: str | None) -> None:
        self.name = name or os.environ.get("DISPLAY", "")
        self._authority = authority

    def connect(self, how: Callable[[str], Any]) -> Any:
        """``how(name)``, while the environment names the file with the cookie: X11 has no other way to say it."""
        with _connecting:
            before = os.environ.get("XAUTHORITY")
            try:
                if self._authority is not None:
                    os.environ["XAUTHORITY"] = self._authority
                return how(self.name)
            finally:
                if self._authority is not None:
                    os.environ.pop("XAUTHORITY", None)
                    if before is not None:
                        os.environ["XAUTHORITY"] = before


class Survivor:
    """Keeps a connection that dies from taking the process with it. ``lost`` tells."""

    def __init__(self, display: int) -> None:
        self.lost = False
        x = libraries()
        self._handler = _ExitHandler(self._note)
        if x.set_exit_handler is not None:
            x.set_exit_handler(display, self._handler, None)

    def _note(self, display: Any, data: Any) -> None:
        self.lost = True
        # The library holds on to the connection, since it expects the process to end; others would wait for it.
        libraries().x.XUnlockDisplay(display)


class Display:
    """A connection to an X11 server; one thread at a time."""

    def __init__(self, access: Access) -> None:
        self._lib = libraries()
        self._pointer: int | None = access.connect(lambda name: self._lib.x.XOpenDisplay(name.encode() or None))
        if not self._pointer:
            raise X11Error(f"no X11 server answers at {access.name!r}, or it refuses us")
        self._survivor = Survivor(self._pointer)
        self._root = self._lib.x.XDefaultRootWindow(self._pointer)

    def close(self) -> None:
        """Disconnect."""
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            self._lib.x.XCloseDisplay(pointer)

    def _alive(self) -> int:
        if self._pointer is None or self._survivor.lost:
            raise X11Error("the X11 server has gone away")
        return self._pointer

    def behind_wayland(self) -> bool:
        """Whether a Wayland compositor draws the screens, of which X11 then does not know what they show."""
        if any(s.output.startswith("XWAYLAND") for s in self.screens()):
            return True
        codes = [c_int() for _ in range(3)]
        return bool(self._lib.x.XQueryExtension(self._alive(), b"XWAYLAND", *map(byref, codes)))

    def composited(self) -> bool:
        """Whether a compositing manager draws the windows."""
        display = self._alive()
        atom = self._lib.x.XInternAtom(display, b"_NET_WM_CM_S0", 0)
        return bool(self._lib.x.XGetSelectionOwner(display, atom))

    def screens(self) -> list[Screen]:
        """Outputs that are lit, numbered as pyglet and slmsuite number them."""
        display, randr = self._alive(), self._lib.randr
        resources = randr.XRRGetScreenResourcesCurrent(display, self._root)
        if not resources:
            self._alive()
            raise X11Error("the X11 server has no RandR extension")
        found = []
        try:
            for k in range(resources.contents.noutput):
                output_id = resources.contents.outputs[k]
                output = randr.XRRGetOutputInfo(display, resources, output_id)
                if not output:
                    continue
                name = ctypes.string_at(output.contents.name, output.contents.name_length).decode(errors="replace")
                number = output.contents.crtc
                randr.XRRFreeOutputInfo(output)
                crtc = randr.XRRGetCrtcInfo(display, resources, number) if number else None
                if not crtc:
                    continue
                c = crtc.contents
                area = Rectangle(c.x, c.y, c.width, c.height)
                found.append(Screen(name, area, c.rotation == _ROTATE_0, number, output_id))
                randr.XRRFreeCrtcInfo(crtc)
        finally:
            randr.XRRFreeScreenResources(resources)
        self._alive()
        return found

    def pixels(self, area: Rectangle) -> NDArray[np.uint32]:
        """What the screen shows: (rows, columns), 0xRRGGBB.

        Raises X11Error if the area lies outside the desktop or a colour has not 8 bits.
        """
        image = self._lib.x.XGetImage(self._alive(), self._root, *area, _ALL_PLANES, _Z_PIXMAP)
        if not image:
            self._alive()
            raise X11Error(f"the X11 server has no pixels at {area.width}x{area.height}+{area.x}+{area.y}")
        try:
            i = image.contents
            if (i.bits_per_pixel, i.red_mask, i.green_mask, i.blue_mask) != (32, 0xFF0000, 0xFF00, 0xFF):
                raise X11Error(f"the X11 screen has a depth of {i.depth} bits; 24 are needed (8 per colour)")
            raw = (ctypes.c_uint8 * (i.bytes_per_line * i.height)).from_address(i.data)
            words = np.frombuffer(raw, "<u4" if i.byte_order == _LSB_FIRST else ">u4")
            shown: NDArray[np.uint32] = words.reshape(i.height, -1)[:, : i.width] & np.uint32(0xFFFFFF)
            return shown
        finally:
            self._lib.x.XDestroyImage(image)

    def gamma_ramp(self, screen: Screen) -> NDArray[np.uint16] | None:
        """What the output makes of each level: (3, levels), 0 to 65535. None if the graphics card does not tell."""
        gamma = self._lib.randr.XRRGetCrtcGamma(self._alive(), screen.crtc)
        if not gamma:
            self._alive()
            return None
        g = gamma.contents
        ramp = (
            [np.ctypeslib.as_array(colour, (g.size,)).copy() for colour in (g.red, g.green, g.blue)] if g.size else []
        )
        self._lib.randr.XRRFreeGamma(gamma)
        return np.stack(ramp) if ramp else None

    def edid(self, screen: Screen) -> bytes:
        """What the display on this output tells of itself, as it came over the cable; b"" where it tells nothing."""
        display, atom = self._alive(), self._lib.x.XInternAtom(self._alive(), b"EDID", 0)
        kind, width, count, left, data = c_ulong(), c_int(), c_ulong(), c_ulong(), c_void_p()
        numbers = byref(kind), byref(width), byref(count), byref(left)
        self._lib.randr.XRRGetOutputProperty(
            display, screen.output_id, atom, 0, _EDID_WORDS, 0, 0, _ANY_TYPE, *numbers, byref(data)
        )
        if not data.value:
            self._alive()
            return b""
        edid = ctypes.string_at(data.value, count.value) if width.value == 8 else b""
        self._lib.x.XFree(data)
        return edid

    def windows_above(self, window: int, area: Rectangle) -> list[str]:
        """Titles of windows that cover part of ``area`` above ``window`` (or above the frame a manager gave it)."""
        top = self._child_of_root(window)
        children = self._tree(self._root)[1]
        if top not in children:
            raise X11Error("our own window is not on the screen any more")
        names = []
        for other in children[children.index(top) + 1 :]:
            attributes = _WindowAttributes()
            if not self._lib.x.XGetWindowAttributes(self._alive(), other, byref(attributes)):
                continue  # closed meanwhile
            edge = 2 * attributes.border_width
            where = Rectangle(attributes.x, attributes.y, attributes.width + edge, attributes.height + edge)
            if attributes.map_state == _VIEWABLE and attributes.class_ != _INPUT_ONLY and where.meets(area):
                names.append(self._title(other))
        return names

    def _child_of_root(self, window: int) -> int:
        while True:
            parent, _ = self._tree(window)
            if parent == self._root:
                return window
            window = parent

    def _tree(self, window: int) -> tuple[int, list[int]]:
        root, parent, children, n = c_ulong(), c_ulong(), c_void_p(), c_uint()
        found = self._lib.x.XQueryTree(self._alive(), window, byref(root), byref(parent), byref(children), byref(n))
        if not found or (not parent.value and window != self._root):
            self._alive()
            raise X11Error("our own window is not on the screen any more")
        listed: list[int] = []
        if children.value:
            listed = list(ctypes.cast(children, POINTER(c_ulong))[: n.value])
            self._lib.x.XFree(children)
        return parent.value, listed

    def _title(self, window: int) -> str:
        name = c_void_p()
        if self._lib.x.XFetchName(self._alive(), window, byref(name)) and name.value:
            text = ctypes.string_at(name.value).decode(errors="replace")
            self._lib.x.XFree(name)
            return text
        return f"window {window:#x}"
