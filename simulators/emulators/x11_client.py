"""A client of an X server, as far as a panel needs one: what is shown, damage, gamma ramps, EDID, windows.

The X11 protocol (X.Org, "X Window System Protocol", "RandR 1.5", "Damage 1.1"), little-endian.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError

ANSWER_S = 2.0
_MAGIC = b"MIT-MAGIC-COOKIE-1"
_INTEGER = 19
"""The atom that every server has for this type."""


def authority_entry(cookie: bytes) -> bytes:
    """A line of an authority file that fits any server: family 65535, no address, no number."""
    fields = b"".join(struct.pack(">H", len(part)) + part for part in (b"", b"", _MAGIC, cookie))
    return struct.pack(">H", 65535) + fields


class Place(NamedTuple):
    """Where an output lies on the desktop."""

    crtc: int
    x: int
    y: int
    width: int
    height: int


class _Refused(OSError):
    """The server refused a request."""


class Client:
    """A connection to an X server. OSError if it does not answer."""

    def __init__(self, number: int, cookie: bytes) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_S)
        try:
            self._socket.connect(f"/tmp/.X11-unix/X{number}")
            self._send(
                struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(_MAGIC), len(cookie)) + _padded(_MAGIC) + _padded(cookie)
            )
            status, length = struct.unpack("<BxxxxxH", self._receive(8))
            setup = self._receive(4 * length)
            if status != 1:
                raise OSError(f"the X server refuses us: {setup[:100]!r}")
            base, _, vendor, formats = struct.unpack("<xxxxII4xHxxxB", setup[:22])
            self._last_id = int(base)
            screens = 32 + vendor + -vendor % 4 + 8 * formats
            (self._root,) = struct.unpack("<I", setup[screens : screens + 4])
            self._randr, _ = self._extension(b"RANDR")
            self._damage, self._damage_event = self._extension(b"DAMAGE")
            self._ask(struct.pack("<BBHII", self._randr, 0, 3, 1, 5))
            self._ask(struct.pack("<BBHII", self._damage, 0, 3, 1, 1))
        except BaseException:
            self._socket.close()
            raise
        self._damaged = False
        self._region = 0

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()

    # --- requests ---------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """From now on be told when pixels change."""
        self._region = self._id()
        self._send(struct.pack("<BBHIIBxxx", self._damage, 1, 4, self._region, self._root, 3))  # 3: when not empty

    def damaged(self, wait_s: float) -> bool:
        """Whether pixels changed since the last time; wait so long for it."""
        while not self._damaged and select.select([self._socket], [], [], wait_s)[0]:
            self._event(self._receive(32))
            wait_s = 0.0
        changed, self._damaged = self._damaged, False
        if changed:
            self._send(struct.pack("<BBHIII", self._damage, 3, 4, self._region, 0, 0))
        return changed

    def panel(self, second: bool) -> Place | None:
        """Where the panel's screen lies: the second output's, or the only one's. None when it is off."""
        found, configured = self._output(second)
        if found is None:
            return None
        output = self._ask(struct.pack("<BBHII", self._randr, 9, 3, found, configured))
        (crtc,) = struct.unpack("<I", output[12:16])
        if not crtc:
            return None
        info = self._ask(struct.pack("<BBHII", self._randr, 20, 3, crtc, configured))
        return Place(crtc, *struct.unpack("<hhHH", info[12:20]))

    def _output(self, second: bool) -> tuple[int | None, int]:
        """The panel's output, None if the server has none, and since when its outputs are as they are."""
        resources = self._ask(struct.pack("<BBHI", self._randr, 25, 2, self._root))
        crtcs, outputs = struct.unpack("<HH", resources[16:20])
        ids = struct.unpack(f"<{outputs}I", resources[32 + 4 * crtcs : 32 + 4 * (crtcs + outputs)])
        (configured,) = struct.unpack("<I", resources[12:16])
        return (ids[int(second)] if len(ids) > second else None), configured

    def tell(self, second: bool, edid: bytes) -> None:
        """Publish what the panel tells of itself, as a graphics driver does; b"": it tells nothing any more."""
        output, _ = self._output(second)
        if output is None:
            return
        name = self._atom(b"EDID")
        if edid:
            eight_bits_replace = (8, 0)
            self._send(
                struct.pack("<BBHIIIBBxxI", self._randr, 13, 6 + (len(edid) + 3) // 4, output, name, _INTEGER,
                            *eight_bits_replace, len(edid))
                + _padded(edid)
            )  # fmt: skip
        elif name in self._properties(output):
            self._send(struct.pack("<BBHII", self._randr, 14, 3, output, name))
        self._sync()

    def _atom(self, name: bytes) -> int:
        reply = self._ask(struct.pack("<BxHHxx", 16, 2 + (len(name) + 3) // 4, len(name)) + _padded(name))
        return int(struct.unpack("<I", reply[8:12])[0])

    def _properties(self, output: int) -> tuple[int, ...]:
        reply = self._ask(struct.pack("<BBHI", self._randr, 10, 2, output))
        (count,) = struct.unpack("<H", reply[8:10])
        return struct.unpack(f"<{count}I", reply[32 : 32 + 4 * count])

    def ramp(self, crtc: int) -> NDArray[np.uint8] | None:
        """What the cable carries for each level of green; None if it is the level itself."""
        try:
            reply = self._ask(struct.pack("<BBHI", self._randr, 23, 2, crtc))
        except _Refused:
            return None
        (size,) = struct.unpack("<H", reply[8:10])
        if size != 256:
            return None  # or a server that tells none
        green = np.frombuffer(reply, "<u2", size, 32 + 2 * size)
        ramp = (green >> 8).astype(np.uint8)  # the cable carries eight bits
        return None if np.array_equal(ramp, np.arange(256)) or not ramp.any() else ramp

    def green(self, place: Place) -> NDArray[np.uint8] | None:
        """What the screen shows (rows, columns): the panel takes the green of it. None if it is not there."""
        width, height = place.width, place.height
        try:
            reply = self._ask(
                struct.pack("<BBHIhhHHI", 73, 2, 5, self._root, place.x, place.y, width, height, 0xFFFFFFFF)
            )
        except _Refused:
            return None
        pixels = np.frombuffer(reply, np.uint8, 4 * width * height, 32).reshape(height, width, 4)
        return np.ascontiguousarray(pixels[:, :, 1])

    def open_window(self, x: int, y: int, width: int, height: int) -> int:
        """A gray window above all others, which no window manager touches."""
        window = self._id()
        background_and_no_manager = 0x2 | 0x200
        self._send(
            struct.pack("<BBHIIhhHHHHI", 1, 0, 10, window, self._root, x, y, width, height, 0, 1, 0)
            + struct.pack("<III", background_and_no_manager, 0x808080, 1)
        )
        self._send(struct.pack("<BxHI", 8, 2, window))
        self._sync()
        return window

    def destroy(self, window: int) -> None:
        """Close a window."""
        self._send(struct.pack("<BxHI", 4, 2, window))
        self._sync()

    def _sync(self) -> None:
        self._ask(struct.pack("<BxH", 43, 1))  # GetInputFocus: answered when all before it was done

    # --- the wire ---------------------------------------------------------------------------------------------------

    def _extension(self, name: bytes) -> tuple[int, int]:
        reply = self._ask(struct.pack("<BxHHxx", 98, 2 + (len(name) + 3) // 4, len(name)) + _padded(name))
        present, opcode, event = struct.unpack("<BBB", reply[8:11])
        if not present:
            raise ConfigurationError(f"the X server has no {name.decode()} extension")
        return opcode, event

    def _id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _ask(self, request: bytes) -> bytearray:
        self._send(request)
        while True:
            head = self._receive(32)
            if head[0] == 0:
                raise _Refused(f"X error {head[1]} of request {head[10]}")
            if head[0] == 1:
                (more,) = struct.unpack("<I", head[4:8])
                return head + self._receive(4 * more)
            self._event(head)

    def _event(self, event: bytearray) -> None:
        if event[0] & 0x7F == self._damage_event:
            self._damaged = True

    def _send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def _receive(self, n: int) -> bytearray:
        data = bytearray(n)
        view, got = memoryview(data), 0
        while got < n:
            count = self._socket.recv_into(view[got:])
            if not count:
                raise OSError("the X server has closed the connection")
            got += count
        return data


def _padded(text: bytes) -> bytes:
    return text + b"\0" * (-len(text) % 4)
