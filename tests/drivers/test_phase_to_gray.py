"""The one conversion from radians to gray levels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import LimitError
from drivers.phase import check_pattern, gray_levels


@pytest.mark.parametrize(
    ("phase", "gray"),
    [(0.0, 0), (math.pi, 128), (-math.pi / 2, 192), (2 * math.pi, 0), (7 * math.pi, 128), (-1e-9, 0)],
)
def test_a_full_turn_is_256_levels(phase: float, gray: int) -> None:
    assert gray_levels(np.array([[phase]]), 256)[0, 0] == gray


@pytest.mark.parametrize(("levels", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16), (65_536, np.uint16)])
def test_levels_choose_the_type(levels: int, dtype: type[np.generic]) -> None:
    gray = gray_levels(np.array([[-2 * math.pi / levels]]), levels)
    assert gray.dtype == dtype
    assert gray[0, 0] == levels - 1


@settings(derandomize=True, deadline=None)
@given(st.floats(-100, 100), st.sampled_from([2, 3, 100, 256, 1000]))
def test_the_nearest_level_is_taken(phase: float, levels: int) -> None:
    gray = int(gray_levels(np.array([[phase]]), levels)[0, 0])
    step = 2 * math.pi / levels
    error = (gray * step - phase + math.pi) % (2 * math.pi) - math.pi
    assert abs(error) <= step / 2 * (1 + 1e-9)


@settings(derandomize=True, deadline=None)
@given(st.floats(-100, 100))
def test_a_continuous_panel_takes_any_phase(phase: float) -> None:
    gray = float(gray_levels(np.array([[phase]]), 0)[0, 0])
    assert 0 <= gray <= 256
    assert math.cos(gray * math.pi / 128 - phase) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("levels", [0, 100, 256])
def test_single_and_double_precision_agree_away_from_ties(levels: int) -> None:
    step = 2 * math.pi / (levels or 256)
    phase = (np.arange(-300, 300) + 0.2)[None, :] * step
    single = gray_levels(phase.astype(np.float32), levels).astype(float)
    np.testing.assert_allclose(single, gray_levels(phase, levels).astype(float), atol=1e-3)


def test_a_pattern_may_be_as_large_as_the_panel() -> None:
    check_pattern("slm", np.zeros((4, 5)), 0, 0, 4, 5)


def test_an_error_says_what_was_given_instead_of_a_pattern() -> None:
    with pytest.raises(LimitError, match=r"slm\.write: a real array .* not int64 \(3,\)"):
        check_pattern("slm", np.zeros(3, np.int64), 0, 0, 4, 5)
