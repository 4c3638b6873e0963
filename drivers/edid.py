"""What a display tells of itself: the EDID that it sends over the cable (VESA E-EDID Standard, releases A1 and A2).

Bytes in, names out; where the bytes come from is the business of others.
"""

from __future__ import annotations

from typing import NamedTuple

BLOCK_BYTES = 128
_HEADER = b"\x00\xff\xff\xff\xff\xff\xff\x00"
_DESCRIPTORS = (54, 72, 90, 108)
_NAME, _SERIAL = 0xFC, 0xFF
_FILLERS = (0, 0x01010101, 0xFFFFFFFF)
"""Numbers that stand for none: the standard's own, and two that makers write instead."""


class Edid(NamedTuple):
    """manufacturer: three letters, by which makers are registered. product: the maker's code of the model. number:
    serial number of the first block, 0 if it is not used. name, serial: as the display spells them, "" if it does not.
    """

    manufacturer: str
    product: int
    number: int
    name: str
    serial: str

    @property
    def model(self) -> str:
        """Name of the model; maker and product code where the display has no name for itself."""
        return self.name or f"{self.manufacturer} {self.product:04X}"

    @property
    def serial_number(self) -> str:
        """Serial number, as text if the display spells it, else the number; "" if it tells neither."""
        return self.serial or (str(self.number) if self.number else "")


def parse_edid(data: bytes) -> Edid:
    """What the first block says; extensions are left alone. Raises ValueError, saying what is wrong, if it is none."""
    block = data[:BLOCK_BYTES]
    if len(block) < BLOCK_BYTES:
        raise ValueError(f"an EDID has at least {BLOCK_BYTES} bytes, not {len(block)}")
    if block[:8] != _HEADER:
        raise ValueError(f"an EDID begins with {_HEADER.hex()}, not with {block[:8].hex()}")
    if sum(block) % 256:
        raise ValueError(f"the bytes of an EDID add up to 0 modulo 256, not to {sum(block) % 256}")
    maker = int.from_bytes(block[8:10], "big")
    number = int.from_bytes(block[12:16], "little")
    return Edid(
        manufacturer="".join(chr(ord("@") + (maker >> shift & 31)) for shift in (10, 5, 0)),
        product=int.from_bytes(block[10:12], "little"),
        number=0 if number in _FILLERS else number,
        name=_text(block, _NAME),
        serial=_text(block, _SERIAL),
    )


def _text(block: bytes, tag: int) -> str:
    """Text of a display descriptor: up to 13 characters of code page 437, ended by a line feed and padded by blanks."""
    for start in _DESCRIPTORS:
        descriptor = block[start : start + 18]
        if descriptor[:3] == b"\0\0\0" and descriptor[3] == tag:
            text = descriptor[5:].partition(b"\n")[0].decode("cp437")
            return "".join(c for c in text if c.isprintable()).strip()
    return ""
