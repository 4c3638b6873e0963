"""The panel in time: closed forms of the relaxation, and its table of moving pixels against a plain history."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulators.physics import liquid_crystal as lc
from simulators.worlds.parts.panel import Panel
from simulators.worlds.parts.parameters import SlmParameters

RISE_S, FALL_S = 6e-3, 15e-3
LATENCY_S = 8e-3
SCAN_S = 1 / 60
PERIOD_S = 1 / 60
ROWS = 8


def make_panel(**changes: Any) -> Panel:
    keys = {"rows": ROWS, "columns": 8, "levels": None, "settled_phase": 1e-9} | changes
    return Panel(SlmParameters.model_validate(keys))


def gray(phase: float, shape: tuple[int, int] = (ROWS, 8)) -> NDArray[np.float64]:
    return np.full(shape, phase * 256 / (2 * math.pi))


def start_of(row: int, refresh: int = 0) -> float:
    """When a row takes over what was written before refresh ``refresh``, s."""
    return refresh * PERIOD_S + LATENCY_S + SCAN_S * row / ROWS


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [0, 3, 7])
def test_more_phase_comes_with_the_rise_time(row: int) -> None:
    panel = make_panel()
    panel.write(gray(2.0), 0, 0, 0)
    t = start_of(row) + 9e-3
    assert panel.phase_image(t)[row, 2] == pytest.approx(2.0 * (1 - math.exp(-9 / 6)), rel=1e-12)


@pytest.mark.parametrize("row", [0, 3, 7])
def test_less_phase_comes_with_the_fall_time(row: int) -> None:
    panel = make_panel()
    panel.write(gray(2.0), 0, 0, 0)
    panel.rest(10.0)
    refresh = 60 * 10
    panel.write(gray(0.5), 0, 0, ns(10.0))
    t = start_of(row, refresh) + 9e-3
    assert panel.phase_image(t)[row, 2] == pytest.approx(0.5 + 1.5 * math.exp(-9 / 15), rel=1e-9)


def test_rows_follow_one_another_from_the_top() -> None:
    panel = make_panel()
    panel.write(gray(2.0), 0, 0, 0)
    column = panel.phase_image(start_of(4) + 1e-6)[:, 0]
    assert (np.diff(column[:5]) < 0).all()
    assert (column[5:] == 0).all()


def test_nothing_changes_before_latency_and_scan() -> None:
    panel = make_panel()
    panel.write(gray(2.0), 0, 0, 0)
    assert (panel.phase_image(start_of(0) - 1e-9) == 0).all()


def test_a_pattern_waits_for_the_next_refresh() -> None:
    panel = make_panel()
    panel.write(gray(2.0), 0, 0, ns(1e-3))
    assert (panel.phase_image(start_of(0, 1) - 1e-9) == 0).all()
    assert panel.phase_image(start_of(0, 1) + 1e-4)[0, 0] > 0


def test_a_pattern_written_at_a_refresh_is_taken_at_once() -> None:
    panel = make_panel()
    panel.write(gray(2.0), 0, 0, ns(3 / 60))
    assert panel.phase_image(start_of(0, 3) + 1e-4)[0, 0] > 0


def test_a_pixel_rewritten_in_mid_swing_goes_on_from_where_it_is() -> None:
    panel = make_panel()
    panel.write(gray(2.0), 0, 0, 0)
    panel.write(gray(0.5), 0, 0, ns(2 * PERIOD_S))
    turned = 2.0 * (1 - math.exp(-2 * PERIOD_S / RISE_S))
    before, after = start_of(3, 2) - 1e-3, start_of(3, 2) + 4e-3
    assert panel.phase_image(before)[3, 0] == pytest.approx(
        2.0 * (1 - math.exp(-(2 * PERIOD_S - 1e-3) / RISE_S)), rel=1e-9
    )
    assert panel.phase_image(after)[3, 0] == pytest.approx(0.5 + (turned - 0.5) * math.exp(-4e-3 / FALL_S), rel=1e-9)


def test_a_target_rewritten_before_the_refresh_is_never_seen() -> None:
    twice, once = make_panel(), make_panel()
    twice.write(gray(5.0), 0, 0, ns(1e-3))
    twice.write(gray(2.0), 0, 0, ns(2e-3))
    once.write(gray(2.0), 0, 0, ns(2e-3))
    for t in (5e-3, 30e-3, 50e-3):
        np.testing.assert_array_equal(twice.phase_image(t), once.phase_image(t))


def test_a_write_taken_back_before_the_refresh_moves_nothing() -> None:
    panel = make_panel()
    panel.write(gray(5.0), 0, 0, ns(1e-3))
    panel.write(gray(0.0), 0, 0, ns(2e-3))
    assert (panel.phase_image(40e-3) == 0).all()


def test_a_wrap_is_a_full_swing() -> None:
    panel = make_panel(levels=256)
    panel.write(np.full((ROWS, 8), 255, np.uint8), 0, 0, 0)
    panel.rest(10.0)
    panel.write(np.zeros((ROWS, 8), np.uint8), 0, 0, ns(10.0))
    phase = panel.phase_image(start_of(0, 600) + FALL_S * math.log(2))[0, 0]
    assert phase == pytest.approx(2 * math.pi * 255 / 256 / 2, rel=1e-9)


def test_without_time_constants_the_panel_follows_at_once() -> None:
    panel = make_panel(rise_time="0 s", fall_time="0 s")
    panel.write(gray(2.0), 0, 0, 0)
    np.testing.assert_allclose(panel.phase_image(0.0), 2.0, rtol=1e-12)


def test_an_instant_rise_still_falls_slowly() -> None:
    panel = make_panel(rise_time="0 s")
    panel.write(gray(2.0), 0, 0, 0)
    assert panel.phase_image(start_of(0) + 1e-9)[0, 0] == pytest.approx(2.0)
    panel.write(gray(1.0), 0, 0, ns(10.0))
    assert panel.phase_image(start_of(0, 600) + 15e-3)[0, 0] == pytest.approx(1 + math.exp(-1), rel=1e-9)


# --- what is kept of it -----------------------------------------------------------------------------------------------


def test_unchanged_pixels_do_not_move() -> None:
    panel = make_panel()
    new = gray(0.0)
    new[2, 3] = 40.0
    panel.write(new, 0, 0, 0)
    assert panel.moving == 1
    assert tuple(panel.places[0]) == (2, 3)


def test_pixels_at_rest_are_forgotten() -> None:
    panel = make_panel(settled_phase=2e-3)
    panel.write(gray(2.0), 0, 0, 0)
    last = start_of(ROWS - 1) + RISE_S * math.log(2.0 / 2e-3)
    panel.rest(last - 1e-4)
    assert panel.moving > 0
    panel.rest(last + 1e-4)
    assert panel.moving == 0


def test_forgetting_changes_no_phase_by_more_than_the_tolerance() -> None:
    panel = make_panel(settled_phase=2e-3)
    panel.write(gray(2.0), 0, 0, 0)
    t = start_of(4) + RISE_S * math.log(2.0 / 2e-3)
    before = panel.phase_image(t)
    panel.rest(t)
    assert 0 < panel.moving < ROWS * 8
    assert np.abs(panel.phase_image(t) - before).max() <= 2e-3


def test_pixels_that_wait_for_their_refresh_are_not_forgotten() -> None:
    panel = make_panel()
    panel.write(gray(2.0), 0, 0, 0)
    panel.rest(start_of(0) - 1e-6)
    assert panel.moving == ROWS * 8


def test_a_stuck_panel_ignores_what_is_written() -> None:
    panel = make_panel(stuck=True)
    panel.write(gray(2.0), 0, 0, 0)
    assert (panel.phase == 0).all()
    assert panel.moving == 0


class PlainPanel:
    """Every change of every pixel, kept for ever: what `Panel` must agree with."""

    def __init__(self) -> None:
        self.target = np.zeros((ROWS, 8))
        self.changes: dict[tuple[int, int], list[tuple[float, float]]] = {}

    def write(self, new: NDArray[np.float64], row: int, column: int, time_s: float) -> None:
        start = math.ceil(time_s / PERIOD_S - 1e-9) * PERIOD_S
        for (r, c), value in np.ndenumerate(new):
            place = (row + r, column + c)
            if value != self.target[place]:
                kept = [x for x in self.changes.get(place, []) if x[0] < start]
                self.changes[place] = [*kept, (start, float(value))]
                self.target[place] = value

    def image(self, time_s: float) -> NDArray[np.float64]:
        image = np.zeros((ROWS, 8))
        for place, changes in self.changes.items():
            phase, since, target = 0.0, 0.0, 0.0
            for start, value in changes:
                if start > time_s:
                    break
                phase, since, target = self._relax(phase, target, start - since), start, value
            image[place] = self._relax(phase, target, time_s - since)
        return image

    @staticmethod
    def _relax(phase: float, target: float, elapsed_s: float) -> float:
        return target + (phase - target) * math.exp(-elapsed_s / (RISE_S if target > phase else FALL_S))


OPERATIONS = st.lists(
    st.tuples(
        st.integers(0, ROWS - 1),
        st.integers(0, 7),
        st.integers(1, ROWS),
        st.integers(1, 8),
        st.integers(0, 2**16),
        st.sampled_from([0.0, 1e-3, 9e-3, 1 / 60, 30e-3, 120e-3, 1.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(OPERATIONS)
def test_any_history_of_writes_gives_the_phases_of_the_plain_model(operations: list[Any]) -> None:
    # No latency: then no more than one change is ever waiting for its refresh.
    tolerance = 1e-6
    panel = make_panel(controller_latency="0 s", scan_time="0 s", settled_phase=tolerance)
    plain = PlainPanel()
    time_s = 0.0
    for row, column, rows, columns, number, pause_s, forget in operations:
        shape = (min(rows, ROWS - row), min(columns, 8 - column))
        new = np.random.default_rng(number).integers(0, 4, shape) * 64.0
        panel.write(new, row, column, ns(time_s))
        plain.write(panel.radians(new), row, column, ns(time_s) * 1e-9)
        for later_s in (0.0, 0.3 * pause_s, pause_s):
            np.testing.assert_allclose(
                panel.phase_image(time_s + later_s), plain.image(time_s + later_s), rtol=0, atol=2 * tolerance
            )
        time_s += pause_s
        if forget:
            panel.rest(time_s)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(OPERATIONS)
def test_the_table_of_moving_pixels_stays_consistent(operations: list[Any]) -> None:
    slots = np.full((ROWS, 8), -1, np.int32)
    places = np.full((ROWS * 8 + 64, 2), -1, np.int32)
    motions = np.zeros((ROWS * 8 + 64, 6))
    phase = np.zeros((ROWS, 8))
    count, time_s = 0, 0.0
    for row, column, rows, columns, number, pause_s, forget in operations:
        region = phase[row : row + rows, column : column + columns]
        new = np.random.default_rng(number).integers(0, 4, region.shape).astype(float)
        count = lc.set_targets(region, new, row, column, time_s, 1e-4, RISE_S, FALL_S, slots, places, motions, count)
        region[:] = new
        time_s += pause_s
        if forget:
            count = lc.drop_settled(time_s, 1e-3, RISE_S, FALL_S, slots, places, motions, count)
        listed = {tuple(place): slot for slot, place in enumerate(places[:count].tolist())}
        assert len(listed) == count
        assert {place: int(slots[place]) for place in listed} == listed
        assert (slots >= 0).sum() == count
        np.testing.assert_array_equal([phase[place] for place in listed], motions[:count, lc.TARGET])


# --- kernels ----------------------------------------------------------------------------------------------------------


@numba.njit
def at_many(
    motion: NDArray[np.float64], times_s: NDArray[np.float64], tau_on_s: float, tau_off_s: float
) -> NDArray[np.float64]:
    phases = np.empty(len(times_s))
    lc.phases_at(
        motion.reshape(1, 6),
        0,
        times_s,
        lc.fading(times_s, tau_on_s),
        lc.fading(times_s, tau_off_s),
        tau_on_s,
        tau_off_s,
        phases,
    )
    return phases


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(0, 7), min_size=4, max_size=4),
    st.floats(0, 0.05),
    st.floats(0, 0.05),
    st.floats(-0.05, 0.2),
    st.floats(1e-5, 0.1),
    st.sampled_from([(RISE_S, FALL_S), (0.0, FALL_S), (RISE_S, 0.0)]),
)
def test_many_instants_at_once_are_each_alone(
    phases: list[float], old_start: float, gap: float, first: float, duration: float, taus: tuple[float, float]
) -> None:
    motion = np.array([phases[0], phases[1], old_start, phases[2], phases[3], old_start + gap])
    times = first + duration * np.linspace(0, 1, 7)
    alone = [lc.phase_at(motion, t, *taus) for t in times]
    np.testing.assert_allclose(at_many(motion, times, *taus), alone, rtol=1e-9, atol=1e-12)
