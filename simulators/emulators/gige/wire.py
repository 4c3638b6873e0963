"""Packets of GigE Vision: control (GVCP) and stream (GVSP). Encoding and decoding only.

After the description of GigE Vision 2.0 in the sources of Aravis and of Wireshark's dissectors. All numbers are
big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

PORT = 3956
MOST_MEMORY = 536
"""Bytes that one command reads."""

DISCOVERY, RESEND = 0x0002, 0x0040
READ_REGISTERS, WRITE_REGISTERS, READ_MEMORY, WRITE_MEMORY = 0x0080, 0x0082, 0x0084, 0x0086

NOT_IMPLEMENTED, INVALID_PARAMETER, INVALID_ADDRESS, WRITE_PROTECT = 0x8001, 0x8002, 0x8003, 0x8004
BAD_ALIGNMENT, ACCESS_DENIED = 0x8005, 0x8006
"""Status of an answer."""

_PENDING = 0x0089
_KEY = 0x42
_WANTS_ANSWER = 1
_COMMAND = struct.Struct(">BBHHH")
_ANSWER = struct.Struct(">HHHH")

_LEADER, _TRAILER, _PAYLOAD = 1, 2, 3
_STREAM_HEADER = struct.Struct(">HHI")
_IMAGE_LEADER = struct.Struct(">HHQIIIIIHH")
_IMAGE = 0x0001
HEADERS = 20 + 8 + _STREAM_HEADER.size
"""Bytes of a stream packet before its data: IP, UDP, GVSP."""


class Command(NamedTuple):
    """What an application asks."""

    what: int
    number: int
    wants_answer: bool
    data: bytes

    def words(self) -> tuple[int, ...]:
        """The data as 32-bit numbers."""
        return struct.unpack(f">{len(self.data) // 4}I", self.data[: len(self.data) // 4 * 4])


def command(packet: bytes) -> Command | None:
    """A command, None if it is none."""
    if len(packet) < _COMMAND.size:
        return None
    key, flags, what, length, number = _COMMAND.unpack_from(packet)
    if key != _KEY or len(packet) < _COMMAND.size + length:
        return None
    return Command(what, number, bool(flags & _WANTS_ANSWER), packet[_COMMAND.size : _COMMAND.size + length])


def answer(asked: Command, data: bytes = b"", status: int = 0) -> bytes:
    """The answer to a command."""
    return _ANSWER.pack(status, asked.what + 1, len(data), asked.number) + data


def pending(asked: Command, within_s: float) -> bytes:
    """The answer comes later, by then."""
    return _ANSWER.pack(0, _PENDING, 4, asked.number) + struct.pack(">HH", 0, round(within_s * 1e3))


@dataclass(frozen=True)
class Image:
    """A frame as it is sent. number: 1 to 65535. packet_bytes: of each packet, headers included."""

    number: int
    time_ticks: int
    pixel_format: int
    column: int
    row: int
    columns: int
    rows: int
    pixels: memoryview
    packet_bytes: int

    @property
    def last(self) -> int:
        """Number of the trailer; the leader is 0."""
        return -(-len(self.pixels) // (self.packet_bytes - HEADERS)) + 1

    def packet(self, k: int) -> tuple[bytes, memoryview]:
        """Packet ``k``: header and data."""
        if k == 0:
            infos = self.pixel_format, self.columns, self.rows, self.column, self.row, 0, 0
            data = _IMAGE_LEADER.pack(0, _IMAGE, self.time_ticks, *infos)
            return self._header(_LEADER, k), memoryview(data)
        if k == self.last:
            return self._header(_TRAILER, k), memoryview(struct.pack(">HHI", 0, _IMAGE, self.rows))
        each = self.packet_bytes - HEADERS
        return self._header(_PAYLOAD, k), self.pixels[(k - 1) * each : k * each]

    def packets(self) -> Iterator[tuple[int, bytes, memoryview]]:
        """All of them in order: number, header, data."""
        for k in range(self.last + 1):
            yield (k, *self.packet(k))

    def _header(self, kind: int, k: int) -> bytes:
        return _STREAM_HEADER.pack(0, self.number, kind << 24 | k)


def next_number(number: int) -> int:
    """Frames are numbered from 1 to 65535 and again."""
    return number % 0xFFFF + 1
