"""Sums over blocks of pixels: exact in every integer, and what is not made of whole blocks is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.binning import check_fits, saturated_blocks, sum_blocks, sum_dtype, touched_blocks
from drivers.contract import ROI, Dark, Frame, LimitError, correct
from drivers.correction import frame_correction


def plainly(pixels: np.ndarray, n: int) -> list[list[int]]:
    rows, columns = (size // n for size in pixels.shape)
    blocks = [[pixels[n * r : n * r + n, n * c : n * c + n] for c in range(columns)] for r in range(rows)]
    return [[sum(map(int, block.flat)) for block in line] for line in blocks]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_sums_are_those_of_plain_arithmetic(n: int, dtype: Any) -> None:
    pixels = np.random.default_rng(n).integers(0, np.iinfo(dtype).max, (5 * n, 7 * n), dtype, endpoint=True)
    out = np.empty((5, 7), sum_dtype(dtype, n))
    sum_blocks(pixels, n, out)
    assert out.tolist() == plainly(pixels, n)


@pytest.mark.parametrize("n", [2, 16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_the_largest_sum_fits(n: int, dtype: Any) -> None:
    most = int(np.iinfo(dtype).max)
    out = np.empty((1, 1), sum_dtype(dtype, n))
    sum_blocks(np.full((n, n), most, dtype), n, out)
    assert int(out[0, 0]) == most * n * n


def test_sums_of_bytes_are_uint16_and_of_words_uint32_and_single_pixels_stay_what_they_are() -> None:
    assert [sum_dtype(np.uint8, n) for n in (1, 2, 16)] == [np.uint8, np.uint16, np.uint16]
    assert [sum_dtype("<u2", n) for n in (1, 2, 16)] == [np.uint16, np.uint32, np.uint32]
    assert [sum_dtype(d, 2) for d in (np.int16, np.float32, np.float64)] == [np.int64, np.float64, np.float64]


def test_more_rows_than_are_summed_at_a_time() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (2 * 333, 6)).astype(np.uint16)
    out = np.empty((333, 3), np.uint32)
    sum_blocks(pixels, 2, out)
    np.testing.assert_array_equal(out, pixels.reshape(333, 2, 3, 2).sum(axis=(1, 3)))


def test_pixels_may_lie_in_a_larger_buffer() -> None:
    buffer = np.random.default_rng(1).integers(0, 65536, (40, 50)).astype(np.uint16)
    region = buffer[3:15, 7:31]
    out = np.empty((4, 8), np.uint32)
    sum_blocks(region, 3, out)
    assert out.tolist() == plainly(region, 3)


def test_a_block_with_one_saturated_pixel_is_saturated_and_is_counted_once() -> None:
    pixels = np.zeros((6, 9), np.uint16)
    pixels[0, 0] = pixels[2, 2] = 4095
    pixels[5, 8] = 4096
    pixels[3, 3] = 4094
    assert [saturated_blocks(pixels, 4095.0, n) for n in (1, 3)] == [3, 2]
    assert saturated_blocks(pixels, float("inf"), 3) == 0
    assert touched_blocks(pixels > 0, 3) == 3


@pytest.mark.parametrize(("rows", "columns", "n"), [(5, 4, 2), (4, 5, 2), (6, 6, 4), (1, 16, 16)])
def test_a_region_that_is_not_made_of_whole_blocks_is_refused(rows: int, columns: int, n: int) -> None:
    roi = ROI(row=3, column=5, rows=rows, columns=columns)
    with pytest.raises(LimitError, match=rf"^camera\.roi: .* {rows}x{columns} .* blocks of {n}x{n}; .* of {n}"):
        check_fits("camera.roi", roi, n)


def test_its_place_does_not_matter() -> None:
    check_fits("camera.roi", ROI(row=3, column=5, rows=4, columns=8), 4)


def test_a_binned_frame_is_not_corrected() -> None:
    roi = ROI(row=0, column=0, rows=4, columns=4)
    dark = Dark(offset_counts=np.zeros((4, 4)), rate_counts_per_s=np.zeros((1, 1)))
    frame = Frame(
        data=np.zeros((2, 2), np.uint32),
        frame_id=0,
        start_ns=0,
        end_ns=1,
        utc_start_ns=0,
        exposure_s=0.1,
        roi=roi,
        electrons_per_count=1.0,
        bit_depth=16,
        saturated=0,
        lost_before=0,
        pattern_id=0,
        binning=2,
    )
    with pytest.raises(LimitError, match=r"binning 2: .* take frames with binning = 1"):
        correct(frame, frame_correction("camera", roi, 65535.0, dark, None, None))
