"""Holograms of spots have the powers that are wanted, change by few pixels, and find the beam that lights them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.client import LimitError
from protocols.dyad.table.hologram import Beam, SpotHologram, SpotSum
from protocols.dyad.table.levels import nearest_levels, refined

PANEL, SIZE, LEVELS = (96, 128), 256, 256
UNITS = np.array([[-20 + 14 * i, 25 + 21 * j + 7 * k] for i in range(2) for j in range(2) for k in range(2)], float)
RNG = np.random.default_rng(1)
THETA = RNG.uniform(0, 2 * math.pi, len(UNITS))


def powers_of(phase: np.ndarray, beam: np.ndarray | None = None) -> np.ndarray:
    """By the sum over all pixels as it is written."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in PANEL)
    lit = np.exp(1j * phase) * (1 if beam is None else beam)
    waves = [np.exp(-2j * math.pi / SIZE * (r * y[:, None] + c * x)) for r, c in UNITS]
    return np.abs([(lit * wave).sum() for wave in waves]) ** 2


def hologram() -> SpotHologram:
    return SpotHologram(PANEL, SIZE, UNITS, THETA)


def test_spots_have_the_powers_that_are_asked_for() -> None:
    wanted = np.array([1.0, 1.2, 0.8, 1.0, 1.1, 0.9, 1.05, 0.95])
    found = powers_of(hologram().phase(wanted))
    np.testing.assert_allclose(found / found.mean(), wanted / wanted.mean(), rtol=1e-3)


def test_a_power_that_is_none_is_refused() -> None:
    with pytest.raises(LimitError, match="8 positive numbers"):
        hologram().phase(np.zeros(8))


def test_sums_by_rows_and_columns_are_the_sums_over_all_pixels() -> None:
    phase = RNG.uniform(0, 2 * math.pi, PANEL)
    found = np.abs(SpotSum(PANEL, SIZE, UNITS).sums(np.exp(1j * phase).astype(np.complex64))) ** 2
    np.testing.assert_allclose(found, powers_of(phase), rtol=1e-3)


def test_in_gray_levels_powers_are_set_five_times_as_well_as_by_rounding() -> None:
    wanted = np.exp(RNG.normal(0, 0.05, len(UNITS)))
    h = hologram()
    rounded = nearest_levels(h.phase(wanted), LEVELS)
    found, _ = refined(rounded, LEVELS, wanted, h.sum, h.amplitude)
    step = 2 * math.pi / LEVELS
    off = [np.log(powers_of(p * step) / wanted).std() for p in (rounded, found)]
    assert off[1] < 0.2 * off[0]
    assert off[1] < 1e-4


def test_a_slightly_other_hologram_differs_in_few_pixels() -> None:
    h, even = hologram(), np.ones(len(UNITS))
    before, _ = refined(nearest_levels(h.phase(even), LEVELS), LEVELS, even, h.sum, h.amplitude)
    after, _ = refined(before, LEVELS, np.exp(RNG.normal(0, 1e-3, len(UNITS))), h.sum, h.amplitude)
    changed = int((after != before).sum())
    assert 0 < changed < 0.02 * before.size
    assert np.mod(after - before + 3, LEVELS).max() <= 6  # by a few levels


def test_the_beam_is_found_by_what_is_seen_of_the_first_pattern() -> None:
    true = Beam(40.0, 6.0, -4.0)
    h = hologram()
    phase = h.phase(np.ones(len(UNITS)))
    seen = powers_of(phase, true.amplitude(PANEL))
    found = h.learn_beam(phase, seen)
    assert found.waist_px == pytest.approx(true.waist_px, rel=0.05)
    assert found.row_px == pytest.approx(true.row_px, abs=1.5)
    assert found.column_px == pytest.approx(true.column_px, abs=1.5)
    even = powers_of(h.phase(np.ones(len(UNITS))), true.amplitude(PANEL))
    assert even.std() / even.mean() < 0.3 * seen.std() / seen.mean()
