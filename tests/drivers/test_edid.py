"""What displays tell of themselves, on EDIDs of real ones that others published with what they decode to."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.edid import Edid, parse_edid

# linuxhw/EDID, Analog/AOC/AOC1619/1153F3B256EC, with the output of edid-decode: manufacturer AOC, model 5657, product
# name "1619w", conformity PASS; its serial numbers are struck out there and can be read off the bytes.
AOC_1619W = """
00 ff ff ff ff ff ff 00 05 e3 19 16 14 1c 00 00 2a 13 01 03 68 22 13 78 2a b3 70 a2 55 48 98 27
15 50 54 bf ee 00 31 0a 61 4c 01 01 01 01 01 01 01 01 01 01 01 01 66 21 56 a8 51 00 1e 30 45 8f
3a 00 58 c2 10 00 00 1c 00 00 00 ff 00 48 32 34 39 39 58 41 30 30 37 31 38 38 00 00 00 fd 00 37
4b 1e 3c 08 00 0a 20 20 20 20 20 20 00 00 00 fc 00 31 36 31 39 77 0a 20 20 20 20 20 20 20 00 83
"""

# Chromium, ui/display/util/edid_parser_unittest.cc: kLP2565A ("HWP", "2676", "HP LP2465", serial numbers 16843009 and
# "CNK80204HM"), first block of kMisdetectedDisplay ("DEL", "4064", "DELL U3011", 842018892 and "PH5NY13N200L"),
# kEve ("SHP", "148A", "LQ123P1JX32", none), kInternalDisplay ("SEC", "3142", "", none).
HP_LP2465 = """
00 ff ff ff ff ff ff 00 22 f0 76 26 01 01 01 01 02 12 01 03 80 34 21 78 ee ef 95 a3 54 4c 9b 26
0f 50 54 a5 6b 80 81 40 81 80 81 99 71 00 a9 00 a9 40 b3 00 d1 00 28 3c 80 a0 70 b0 23 40 30 20
36 00 07 44 21 00 00 1a 00 00 00 fd 00 30 55 1e 5e 11 00 0a 20 20 20 20 20 20 00 00 00 fc 00 48
50 20 4c 50 32 34 36 35 0a 20 20 20 00 00 00 ff 00 43 4e 4b 38 30 32 30 34 48 4d 0a 20 20 00 a4
"""
DELL_U3011 = """
00 ff ff ff ff ff ff 00 10 ac 64 40 4c 30 30 32 0c 15 01 03 80 40 28 78 ea 8d 85 ad 4f 35 b1 25
0e 50 54 a5 4b 00 71 4f 81 00 81 80 d1 00 a9 40 01 01 01 01 01 01 28 3c 80 a0 70 b0 23 40 30 20
36 00 81 91 21 00 00 1a 00 00 00 ff 00 50 48 35 4e 59 31 33 4e 32 30 30 4c 0a 00 00 00 fc 00 44
45 4c 4c 20 55 33 30 31 31 0a 20 20 00 00 00 fd 00 31 56 1d 5e 12 00 0a 20 20 20 20 20 20 01 38
"""
EVE = """
00 ff ff ff ff ff ff 00 4d 10 8a 14 00 00 00 00 16 1b 01 04 a5 1a 11 78 06 de 50 a3 54 4c 99 26
0f 50 54 00 00 00 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 bb 62 60 a0 90 40 2e 60 30 20
3a 00 03 ad 10 00 00 18 00 00 00 10 00 00 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00
00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 fc 00 4c 51 31 32 33 50 31 4a 58 33 32 0a 20 00 b6
"""
INTERNAL = """
00 ff ff ff ff ff ff 00 4c a3 42 31 00 00 00 00 00 15 01 03 80 1a 10 78 0a d3 e5 95 5c 60 90 27
19 50 54 00 00 00 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 9e 1b 00 a0 50 20 12 30 10 30
13 00 05 a3 10 00 00 19 00 00 00 0f 00 00 00 00 00 00 00 00 00 23 87 02 64 00 00 00 00 fe 00 53
41 4d 53 55 4e 47 0a 20 20 20 20 20 00 00 00 fe 00 31 32 31 41 54 31 31 2d 38 30 31 0a 20 00 45
"""


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (AOC_1619W, Edid("AOC", 5657, 0x1C14, "1619w", "H2499XA007188")),
        (HP_LP2465, Edid("HWP", 0x2676, 0, "HP LP2465", "CNK80204HM")),  # its 0x01010101 stands for no number
        (DELL_U3011, Edid("DEL", 0x4064, 842018892, "DELL U3011", "PH5NY13N200L")),
        (EVE, Edid("SHP", 0x148A, 0, "LQ123P1JX32", "")),
        (INTERNAL, Edid("SEC", 0x3142, 0, "", "")),
    ],
)
def test_real_displays_are_read_as_others_read_them(told: str, wanted: Edid) -> None:
    assert parse_edid(bytes.fromhex(told)) == wanted


def test_extensions_are_left_alone() -> None:
    assert parse_edid(bytes.fromhex(DELL_U3011) + bytes(128)) == parse_edid(bytes.fromhex(DELL_U3011))


def test_a_display_without_a_name_is_called_by_its_makers_code() -> None:
    assert parse_edid(bytes.fromhex(INTERNAL)).model == "SEC 3142"
    assert parse_edid(bytes.fromhex(EVE)).model == "LQ123P1JX32"


def test_the_serial_number_that_is_spelt_comes_before_the_number_and_none_is_made_up() -> None:
    assert parse_edid(bytes.fromhex(DELL_U3011)).serial_number == "PH5NY13N200L"
    assert parse_edid(bytes.fromhex(INTERNAL)).serial_number == ""
    only_a_number = bytearray.fromhex(EVE)
    only_a_number[12:16] = (1188).to_bytes(4, "little")
    assert parse_edid(summed(only_a_number)).serial_number == "1188"


def summed(edid: bytearray) -> bytes:
    """With the right sum."""
    edid[127] = -sum(edid[:127]) % 256
    return bytes(edid)


@pytest.mark.parametrize(
    ("garbled", "said"),
    [
        (b"", "at least 128 bytes, not 0"),
        (bytes.fromhex(HP_LP2465)[:127], "at least 128 bytes, not 127"),
        (bytes(128), "begins with 00ffffffffffff00, not with 0000000000000000"),
        (bytes.fromhex(HP_LP2465)[:60] + b"?" + bytes.fromhex(HP_LP2465)[61:], "add up to 0 modulo 256"),
    ],
)
def test_what_is_no_edid_is_refused_and_says_why(garbled: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_edid(garbled)


def test_any_bytes_are_read_or_refused_and_what_is_read_can_be_printed() -> None:
    rng = np.random.default_rng(20261126)
    for _ in range(2000):
        edid = bytearray.fromhex(AOC_1619W)
        for place in rng.integers(8, 127, 20):
            edid[place] = rng.integers(0, 256)
        found = parse_edid(summed(edid))
        assert (found.name + found.serial + found.manufacturer).isprintable()
