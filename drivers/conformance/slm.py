"""Checks of SLMs: what was written is what is shown, pixel by pixel, and what cannot be shown is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.conformance.common import COMMON
from drivers.conformance.rig import Broken, Rig, Suite, expect, in_time, near, refused, seconds
from drivers.contract import ROI
from drivers.errors import DeviceError, LimitError
from drivers.phase import gray_levels

SLM = Suite("slm", based_on=COMMON)

_SLOWEST_WRITE_S = 1.0

_POWER = 0.2
_EXPOSURE_S = 0.008
_SETTLED_S = 0.4
"""Longer than any panel needs, so that only one that is wrong is seen to be."""
_LEVELS_WITHIN = 0.02
"""Of full light, in the mean over a region; a tenth of the level too much or too little is five times that."""


def _dice(number: int) -> np.random.Generator:
    return np.random.default_rng([20261126, number])


def _gray(rig: Rig, number: int) -> NDArray[Any]:
    levels = rig.subject.levels or 256
    return _dice(number).integers(0, levels, (rig.subject.rows, rig.subject.columns)).astype(np.uint8)


def _same(shown: Any, wanted: NDArray[Any], what: str) -> None:
    shown = np.asarray(shown)
    expect(shown.shape == wanted.shape, f"{what}: {shown.shape} read back, {wanted.shape} written")
    wrong = int(np.count_nonzero(shown != wanted))
    expect(wrong == 0, f"{what}: {wrong} of {wanted.size} pixels differ from what was written")


def _show(rig: Rig, gray: NDArray[Any]) -> None:
    rig.subject.write_gray(gray)
    rig.subject.settle()


@SLM.check
def gray_levels_read_back(rig: Rig) -> None:
    """Random patterns, every pixel."""
    for number in range(4):
        gray = _gray(rig, number)
        _show(rig, gray)
        _same(rig.subject.read_back(), gray, f"pattern {number}")


@SLM.check
def every_level_reads_back(rig: Rig) -> None:
    """A ramp through all of them."""
    levels = rig.subject.levels or 256
    ramp = (np.arange(rig.subject.columns) % levels).astype(np.uint8)
    gray = np.ascontiguousarray(np.broadcast_to(ramp, (rig.subject.rows, rig.subject.columns)))
    _show(rig, gray)
    _same(rig.subject.read_back(), gray, "a ramp")


@SLM.check
def patterns_are_not_turned_or_mirrored(rig: Rig) -> None:
    """One bright pixel near a corner is where it was put."""
    gray = np.zeros((rig.subject.rows, rig.subject.columns), np.uint8)
    gray[3, 7] = 200
    _show(rig, gray)
    found = np.argwhere(np.asarray(rig.subject.read_back()) == 200).tolist()
    expect(found == [[3, 7]], f"the pixel at row 3, column 7 is at {found}")


@SLM.check
def phases_become_their_nearest_levels(rig: Rig) -> None:
    """Radians at the contract, gray levels on the panel."""
    phase = _dice(11).uniform(0, 2 * math.pi, (rig.subject.rows, rig.subject.columns))
    rig.subject.write(phase)
    rig.subject.settle()
    _same(rig.subject.read_back(), gray_levels(phase, rig.subject.levels), "a phase pattern")


@SLM.check
def phases_wrap(rig: Rig) -> None:
    """Whole turns more or less make no difference."""
    phase = _dice(12).integers(0, rig.subject.levels, (rig.subject.rows, rig.subject.columns))
    radians = phase * (2 * math.pi / rig.subject.levels)
    for turns in (-2, 3):
        rig.subject.write(radians + turns * 2 * math.pi)
        rig.subject.settle()
        _same(rig.subject.read_back(), phase.astype(np.uint8), f"{turns} turns more")


@SLM.check
def a_region_leaves_the_rest_alone(rig: Rig) -> None:
    """Its corner is where it was said to be."""
    gray = _gray(rig, 5)
    _show(rig, gray)
    patch = _dice(13).integers(0, rig.subject.levels, (9, 13)).astype(np.uint8)
    rig.subject.write_gray(patch, 20, 30, False)
    rig.subject.settle()
    gray[20:29, 30:43] = patch
    _same(rig.subject.read_back(), gray, "a region within a pattern")


@SLM.check
def the_last_pattern_is_the_one_shown(rig: Rig) -> None:
    """Of several in quick succession."""
    patterns = [_gray(rig, number) for number in (6, 7, 8)]
    for gray in patterns:
        rig.subject.write_gray(gray)
    rig.subject.settle()
    _same(rig.subject.read_back(), patterns[-1], "the last of three patterns")


@SLM.check
def patterns_are_numbered(rig: Rig) -> None:
    """Each write gives a new, larger id."""
    gray = _gray(rig, 9)
    ids = [rig.subject.write_gray(gray) for _ in range(3)]
    expect(ids == sorted(set(ids)), f"pattern ids {ids}")


@SLM.check
def settling_takes_its_time(rig: Rig) -> None:
    """A pattern is stable the settle time after it was written."""
    before = rig.subject.settle_s
    rig.subject.settle_s = 0.05
    patch = np.zeros((4, 4), np.uint8)
    first = rig.subject.settle()

    def show() -> None:
        rig.subject.write_gray(patch, 0, 0, False)
        rig.subject.settle()

    taken_s = seconds(show)
    stable_ns = rig.subject.settle()
    if not rig.virtual:
        expect(taken_s > 0.05, f"writing and settling took {taken_s * 1e3:.0f} ms, settling alone takes 50")
        in_time("writing and settling", show, 0.05 + _SLOWEST_WRITE_S)
    rig.subject.settle_s = before
    expect(stable_ns >= first, "bench time went backwards")


@SLM.check
def a_pattern_is_written_in_time(rig: Rig) -> None:
    """A whole one takes no longer than a screen's refreshes."""
    gray = _gray(rig, 10)
    in_time("a pattern", lambda: rig.subject.write_gray(gray), _SLOWEST_WRITE_S)


@SLM.check
def settle_times_read_back(rig: Rig) -> None:
    """As written."""
    for name in ("settle_s", "base_settle_s"):
        before = getattr(rig.subject, name)
        setattr(rig.subject, name, 0.123)
        near(name, getattr(rig.subject, name), 0.123, absolute=1e-6)
        setattr(rig.subject, name, before)


@SLM.check
def what_does_not_fit_is_refused(rig: Rig) -> None:
    """And the pattern stays as it was."""
    gray = _gray(rig, 14)
    _show(rig, gray)
    rows, columns = gray.shape
    wrong: dict[str, Any] = {
        "a pattern too large": (np.zeros((rows + 1, columns), np.uint8), 0, 0),
        "a corner outside": (np.zeros((4, 4), np.uint8), rows - 2, 0),
        "a negative corner": (np.zeros((4, 4), np.uint8), -1, 0),
        "a line": (np.zeros(columns, np.uint8), 0, 0),
    }
    for what, arguments in wrong.items():
        refused(LimitError, lambda a=arguments: rig.subject.write_gray(*a), what)  # type: ignore[misc]
    _same(rig.subject.read_back(), gray, "the pattern before")


@SLM.check
def phases_that_are_not_finite_are_refused(rig: Rig) -> None:
    """Neither infinite nor undefined."""
    for value in (math.nan, math.inf):
        phase = np.zeros((4, 4))
        phase[1, 2] = value
        refused(LimitError, lambda p=phase: rig.subject.write(p), f"a phase of {value}")  # type: ignore[misc]


@SLM.check
def levels_it_does_not_have_are_refused(rig: Rig) -> None:
    """Gray levels are integers below ``levels``."""
    too_high = np.full((4, 4), rig.subject.levels, np.uint16)
    refused(LimitError, lambda: rig.subject.write_gray(too_high), f"level {rig.subject.levels}")
    refused(LimitError, lambda: rig.subject.write_gray(np.zeros((4, 4))), "gray levels that are no integers")


def _light(rig: Rig, gray: NDArray[Any], row: int = 0, column: int = 0, whole: bool = True) -> NDArray[np.float64]:
    """What light is left of full light (48, 64) after a pattern was written and has settled: 0 to 1, and noise."""
    before = rig.subject.settle_s, rig.subject.base_settle_s
    rig.subject.settle_s = rig.subject.base_settle_s = _SETTLED_S
    try:
        rig.subject.write_gray(gray, row, column, whole)
        rig.subject.settle()
    finally:
        rig.subject.settle_s, rig.subject.base_settle_s = before
    rows, columns = min(48, rig.subject.rows), min(64, rig.subject.columns)
    rig.camera.roi = ROI(row=0, column=0, rows=rows, columns=columns)
    rig.camera.exposure_s = _EXPOSURE_S
    with rig.lit(_POWER):
        frame = rig.camera.trigger()
    counts = np.asarray(frame.data, np.float64) - rig.offset_counts
    left: NDArray[np.float64] = counts / (rig.counts_per_second(_POWER) * frame.exposure_s)
    return left


@SLM.check
def light_follows_the_levels(rig: Rig) -> None:
    """Through polarisers, around the turn."""
    levels = rig.subject.levels
    for part in (0.25, 0.375, 0.5, 0.75):
        level = round(part * levels)
        light = _light(rig, np.full((rig.subject.rows, rig.subject.columns), level, np.uint8))
        wanted = (1 + math.cos(2 * math.pi * level / levels)) / 2
        near(f"light at level {level}", float(light.mean()), wanted, absolute=_LEVELS_WITHIN)


@SLM.check
def light_shows_the_pattern_that_settled(rig: Rig) -> None:
    """None before it: three in succession, pixel by pixel."""
    half = rig.subject.levels // 2
    for number in (15, 16, 17):
        dark = _dice(number).integers(0, 2, (rig.subject.rows, rig.subject.columns)).astype(bool)
        light = _light(rig, np.where(dark, half, 0).astype(np.uint8))
        wrong = int(np.count_nonzero((light < 0.5) != dark[: light.shape[0], : light.shape[1]]))
        expect(wrong == 0, f"pattern {number}: {wrong} of {light.size} pixels show something else")


@SLM.check
def light_shows_a_region_where_it_was_written(rig: Rig) -> None:
    """And the rest as it was."""
    _light(rig, np.zeros((rig.subject.rows, rig.subject.columns), np.uint8))
    light = _light(rig, np.full((5, 7), rig.subject.levels // 2, np.uint8), 12, 21, whole=False)
    wanted = np.ones(light.shape, bool)
    wanted[12:17, 21:28] = False
    wrong = int(np.count_nonzero((light > 0.5) != wanted))
    expect(wrong == 0, f"{wrong} pixels around a region at row 12, column 21 are not as they should be")


@SLM.check
def running_without_a_sequence_is_an_error(rig: Rig) -> None:
    """Whether or not the panel has a memory."""
    refused((DeviceError, LimitError), lambda: rig.subject.run(0.001), "run without a sequence")


@SLM.check
def the_panel_is_described(rig: Rig) -> None:
    """Size, pitch and levels that a panel can have."""
    if not (rig.subject.rows > 0 and rig.subject.columns > 0 and 1e-6 < rig.subject.pixel_pitch_m < 1e-4):
        raise Broken(f"{rig.subject.rows}x{rig.subject.columns} pixels of {rig.subject.pixel_pitch_m} m")
    expect(2 <= rig.subject.levels <= 65536, f"{rig.subject.levels} levels")
