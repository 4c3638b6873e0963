"""What a panel tells of itself (VESA E-EDID Standard, Release A, Revision 1: EDID 1.3)."""

from __future__ import annotations

import struct
from typing import NamedTuple


class Panel(NamedTuple):
    """What a panel tells of itself over its cable.

    maker: three letters, registered ones of a maker of displays. product, number: the maker's code of the model, and a
    serial number, 0 if it has none. name, serial: as it spells them, up to 13 characters, "" if it does not.
    """

    maker: str
    product: int
    number: int
    name: str
    serial: str


_BLANK = 4
"""Columns and rows of a refresh that are not shown, as in the panel's mode (`Screen._arrange_screens`)."""


def edid(panel: Panel, rows: int, columns: int) -> bytes:
    """The 128 bytes by which a panel with so many pixels tells who it is, and that it runs at 60 Hz."""
    block = bytearray(128)
    block[:8] = bytes([0, *[255] * 6, 0])
    first, second, third = (ord(letter) - ord("A") + 1 for letter in panel.maker)
    struct.pack_into(">H", block, 8, first << 10 | second << 5 | third)
    week, year, version, revision = 1, 2020 - 1990, 1, 3
    struct.pack_into("<HIBBBB", block, 10, panel.product, panel.number, week, year, version, revision)
    digital, size_cm, gamma, colour_and_preferred_timing = 0x80, 0, 0, 0x0A
    struct.pack_into("<5B", block, 20, digital, size_cm, size_cm, gamma, colour_and_preferred_timing)
    block[38:54] = b"\x01" * 16  # no standard timings
    block[54:72] = _timing(rows, columns)
    for k, (tag, text) in enumerate(((0xFC, panel.name), (0xFF, panel.serial))):
        body = f"{text}\n"[:13].encode("ascii").ljust(13) if text else bytes(13)
        struct.pack_into("<3xBx13s", block, 72 + 18 * k, tag if text else 0x10, body)  # 0x10: not used
    block[108:126] = _range_limits(rows, columns)
    block[127] = -sum(block) % 256
    return bytes(block)


def _clock_hz(rows: int, columns: int) -> float:
    return 60.0 * (columns + _BLANK) * (rows + _BLANK)


def _timing(rows: int, columns: int) -> bytes:
    """Detailed timing: 60 Hz, fronts and pulses of one pixel and one line."""
    clock_10khz = max(1, min(round(_clock_hz(rows, columns) / 10e3), 0xFFFF))
    horizontal = columns & 255, _BLANK, columns >> 8 << 4
    vertical = rows & 255, _BLANK, rows >> 8 << 4
    separate_digital_sync = 0x18
    return struct.pack("<H10B5xB", clock_10khz, *horizontal, *vertical, 1, 1, 1 << 4 | 1, 0, separate_digital_sync)


def _range_limits(rows: int, columns: int) -> bytes:
    line_khz = 60e-3 * (rows + _BLANK)
    lines = max(1, min(int(line_khz), 254)), max(2, min(int(line_khz) + 1, 255))
    clock_10mhz = min(int(_clock_hz(rows, columns) / 10e6) + 1, 255)
    return struct.pack("<3xBx5BB7s", 0xFD, 59, 61, *lines, clock_10mhz, 0, b"\n".ljust(7))
