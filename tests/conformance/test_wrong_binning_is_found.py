"""Sums and regions that are wrong in one way each, and the checks of cameras that find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simulators.devices.camera as simulated
from drivers.binning import sum_blocks
from drivers.conformance.rig import Broken
from drivers.contract import ROI
from labctl.conformance.stand import Case, Stand, standing
from simulators.worlds.rail import RailWorld

SUMS = "binned_pixels_are_the_sums_of_their_blocks"
NOISE = "binning_sums_offset_light_and_noise"
PLACE = "a_region_is_where_it_was_asked_for"

Summing = Callable[[Any, int, Any], None]


@pytest.fixture(scope="module")
def stand(_own_folders: Path) -> Iterator[Stand]:
    with standing(Case("camera", "camera", "simulated", "in process"), _own_folders) as stand:
        yield stand


def found(stand: Stand) -> set[str]:
    """Names of the checks that fail."""
    broken = set()
    for check in stand.case.suite.checks:
        try:
            stand.run(check)
        except Broken:
            broken.add(check.name)
    return broken


def then(change: Callable[[Any, int], Any]) -> Summing:
    """Right sums, and a change of them."""

    def wrong(pixels: Any, n: int, out: Any) -> None:
        sum_blocks(pixels, n, out)
        out[:] = change(out, n)

    return wrong


def first(change: Callable[[Any, int], Any]) -> Summing:
    """Sums of other pixels."""

    def wrong(pixels: Any, n: int, out: Any) -> None:
        sum_blocks(np.ascontiguousarray(change(pixels, n)), n, out)

    return wrong


WRONG: dict[str, tuple[Summing, set[str]]] = {
    "mean instead of sum": (then(lambda sums, n: sums // n**2), {SUMS, NOISE}),
    "clipped at 16 bits": (then(lambda sums, n: np.minimum(sums, 65535)), {SUMS}),
    "upper bits lost": (then(lambda sums, n: sums & 0xFFFF), {SUMS}),
    "offset of one pixel": (then(lambda sums, n: sums - np.uint32(100 * (n * n - 1))), {SUMS, NOISE}),
    "blocks a column off": (first(lambda pixels, n: np.roll(pixels, 1, axis=1)), {SUMS}),
    "blocks a row off": (first(lambda pixels, n: np.roll(pixels, 1, axis=0)), {SUMS}),
    "upside down": (first(lambda pixels, n: pixels[::-1]), {SUMS}),
    "one pixel of each block, as often": (
        first(lambda pixels, n: pixels[::n, ::n].repeat(n, axis=0).repeat(n, axis=1)),
        {SUMS, NOISE},
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_sums_are_found(monkeypatch: pytest.MonkeyPatch, stand: Stand, what: str) -> None:
    wrong, wanted = WRONG[what]
    monkeypatch.setattr(simulated, "sum_blocks", wrong)
    assert found(stand) == wanted


@pytest.mark.parametrize(("rows", "columns"), [(1, 0), (0, 1), (0, -1)])
def test_a_region_that_is_a_pixel_off_is_found(
    monkeypatch: pytest.MonkeyPatch, stand: Stand, rows: int, columns: int
) -> None:
    right = RailWorld.trigger

    def shifted(world: RailWorld, device: str, exposure_ns: int, roi: ROI, out: Any) -> Any:
        row, column = max(roi.row + rows, 0), max(roi.column + columns, 0)
        return right(world, device, exposure_ns, ROI(row=row, column=column, rows=roi.rows, columns=roi.columns), out)

    monkeypatch.setattr(RailWorld, "trigger", shifted)
    assert found(stand) == {PLACE, SUMS}


def test_nothing_is_found_when_nothing_is_wrong(stand: Stand) -> None:
    assert found(stand) == set()
