"""Telegrams of an NKT bus: how they are framed, and their check sum.

Source: NKT Photonics, "Software Development Kit, Instruction Manual" (v2.1.3), chapter 2.
"""

from __future__ import annotations

# Telegram: start; destination, source, type, register, data and check sum with special bytes substituted; end.
START, END, SUBSTITUTE, SHIFT = 0x0D, 0x0A, 0x5E, 0x40
NACK, CRC_ERROR, BUSY, ACK, READ, WRITE, DATAGRAM = 0, 1, 2, 3, 4, 5, 8
_LEAST_BYTES = 6


def check_sum(data: bytes) -> int:
    """CRC-16 with polynomial x^16 + x^12 + x^5 + 1, beginning at 0, no reflection ("XMODEM")."""
    remainder = 0
    for byte in data:
        remainder ^= byte << 8
        for _ in range(8):
            remainder = remainder << 1 ^ 0x1021 if remainder & 0x8000 else remainder << 1
        remainder &= 0xFFFF
    return remainder


def telegram(message: bytes, spoil: int = 0) -> bytes:
    """A message (destination, source, type, register, data) as it goes over the line. spoil: added to its check sum."""
    framed = bytearray([START])
    for byte in message + ((check_sum(message) + spoil) & 0xFFFF).to_bytes(2, "big"):
        if byte in (START, END, SUBSTITUTE):
            framed += bytes([SUBSTITUTE, byte + SHIFT])
        else:
            framed.append(byte)
    return bytes(framed) + bytes([END])


class Receiver:
    """Finds telegrams in what comes over the line; noise between them is dropped."""

    def __init__(self) -> None:
        self._message: bytearray | None = None
        self._substituted = False

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Messages that are complete now, and of each whether its check sum holds."""
        messages: list[tuple[bytes, bool]] = []
        for byte in data:
            if byte == START:
                self._message, self._substituted = bytearray(), False
            elif self._message is None:
                continue
            elif byte == END:
                whole, self._message = bytes(self._message), None
                if len(whole) >= _LEAST_BYTES:
                    messages.append((whole[:-2], check_sum(whole[:-2]) == int.from_bytes(whole[-2:], "big")))
            elif byte == SUBSTITUTE:
                self._substituted = True
            else:
                self._message.append((byte - SHIFT) & 0xFF if self._substituted else byte)
                self._substituted = False
        return messages
