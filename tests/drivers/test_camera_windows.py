"""What a pylablib camera is told to read so that it holds a region."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from drivers.pylablib_camera import window_of


class Limits(NamedTuple):
    """As pylablib tells them for one axis."""

    min: int
    pstep: int
    sstep: int


@pytest.mark.parametrize(
    ("first", "count", "limits", "wanted"),
    [
        (10, 20, Limits(1, 1, 1), (10, 20)),
        (10, 20, Limits(64, 1, 1), (10, 64)),
        (90, 10, Limits(64, 1, 1), (36, 64)),  # moved back onto the sensor
        (10, 20, Limits(4, 8, 4), (8, 24)),
        (10, 20, Limits(100, 100, 100), (0, 100)),  # a camera that reads its whole sensor
    ],
)
def test_the_smallest_window_on_the_cameras_steps(
    first: int, count: int, limits: Limits, wanted: tuple[int, int]
) -> None:
    assert window_of(first, count, 100, limits) == wanted


def test_blocks_and_a_least_length_are_kept_as_far_as_the_sensor_reaches() -> None:
    assert window_of(10, 20, 100, Limits(1, 1, 1), block=16) == (10, 32)
    assert window_of(10, 20, 100, Limits(1, 1, 1), least=40, block=16) == (10, 48)
    assert window_of(0, 99, 100, Limits(1, 1, 1), block=16) == (0, 99)
    assert window_of(0, 10, 100, Limits(1, 1, 1), least=500) == (0, 100)


def test_every_window_holds_its_region_and_lies_on_the_sensor() -> None:
    rng = np.random.default_rng(20261126)
    for _ in range(20_000):
        size = int(rng.integers(1, 300))
        count = int(rng.integers(1, size + 1))
        first = int(rng.integers(0, size - count + 1))
        limits = Limits(*(int(n) for n in rng.integers(1, (size + 1, 17, 17))))
        least, block = (int(n) for n in rng.integers(1, (400, 33)))
        start, length = window_of(first, count, size, limits, least, block)
        assert 0 <= start <= first
        assert first + count <= start + length <= size
        on_steps = start % limits.pstep == 0 and length % limits.sstep == 0 and length >= limits.min
        assert on_steps or (start, length) == (0, size)
