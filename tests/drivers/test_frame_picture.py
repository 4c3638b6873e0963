"""Frames as notebooks show them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib import image

from drivers.contract import ROI, Frame
from drivers.picture import png


def _frame(data: np.ndarray[Any, Any], **more: Any) -> Frame:
    told: dict[str, Any] = {
        "frame_id": 3, "start_ns": 0, "end_ns": 1, "utc_start_ns": 0, "exposure_s": 0.0167, "electrons_per_count": 1.0,
        "roi": ROI(row=0, column=0, rows=data.shape[0], columns=data.shape[1]), "bit_depth": 16, "saturated": 0,
        "lost_before": 0, "pattern_id": 12,
    }  # fmt: skip
    return Frame(data=data, **(told | more))


def _drawn(data: np.ndarray[Any, Any], saturated: int = 0) -> np.ndarray[Any, Any]:
    return np.asarray(image.imread(io.BytesIO(png(data, saturated))))[:, :, :3]


def test_a_frame_tells_what_is_needed_to_trust_it_and_not_its_pixels() -> None:
    frame = _frame(np.arange(12, dtype=np.uint16).reshape(3, 4), saturated=1, lost_before=2)
    assert repr(frame) == ("<frame 3: 3 x 4, exposure 16.7 ms, pattern 12, counts 0 to 11, 1 saturated, 2 lost before>")
    assert "pattern unknown" in repr(_frame(np.zeros((2, 2)), pattern_id=-1))
    assert "data:image/png;base64," in frame._repr_html_()
    assert "empty" in _frame(np.zeros((0, 5)))._repr_html_()


def test_the_smallest_count_is_black_the_largest_white_and_saturated_pixels_red() -> None:
    drawn = _drawn(np.array([[100, 200], [300, 300]], np.uint16), saturated=2)
    np.testing.assert_array_equal(drawn[0, 0], 0)
    assert drawn[0, 1].std() == 0
    assert drawn[1, 0, 0] > 0.8 > 0.2 > drawn[1, 0, 1]
    np.testing.assert_array_equal(_drawn(np.array([[1, 1], [1, 2]]))[1, 1], 1)
    assert _drawn(np.full((2, 2), 7)).max() == 0  # nothing to tell apart


def test_a_single_bright_pixel_of_a_large_frame_is_not_lost() -> None:
    data = np.zeros((2160, 2561), np.uint16)
    data[2159, 2560] = 9
    drawn = _drawn(data)
    assert max(drawn.shape) <= 641
    assert drawn.max() == 1
