"""Light of both sites is told apart, and how often a state is misread."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.client import CalibrationError
from protocols.dyad.table.reading import fit_windows, misread
from protocols.dyad.table.threshold import find_threshold, fitted

PLACES = np.array([[[20.3, 20.0], [20.1, 30.2]], [[41.0, 22.5], [40.6, 32.9]]])


def image(light: np.ndarray, places: np.ndarray = PLACES, radius: float = 3.3) -> np.ndarray:
    """Points of light (n, 2) on 64 x 56 pixels."""
    rows, columns = np.indices((64, 56))
    out = np.zeros(rows.shape)
    for (row, column), power in zip(places.reshape(-1, 2), light.ravel(), strict=True):
        shape = np.exp(-2 * ((rows - row) ** 2 + (columns - column) ** 2) / radius**2)
        out += power * shape / shape.sum()
    return out


def test_each_site_has_its_own_light_whatever_its_neighbour_has() -> None:
    windows = fit_windows(image(np.full((2, 2), 1000.0)), PLACES, 3.0, 0.45)
    light = np.array([[900.0, 10.0], [0.0, 500.0]])
    np.testing.assert_allclose(windows.sums(image(light)[None])[0], light, atol=5)


def test_places_that_are_a_little_off_and_the_images_radius_are_found() -> None:
    windows = fit_windows(image(np.full((2, 2), 1000.0)), PLACES + np.array([0.6, -0.8]), 2.5, 0.45)
    np.testing.assert_allclose(windows.places, PLACES, atol=0.05)
    assert windows.radius_px == pytest.approx(3.3, rel=0.03)


def test_a_lattice_that_leaves_the_region_is_told() -> None:
    with pytest.raises(CalibrationError, match="leave the region"):
        fit_windows(image(np.full((2, 2), 1000.0)), PLACES + np.array([20.0, 0.0]), 3.0, 0.45)


def test_a_dark_lattice_is_told() -> None:
    with pytest.raises(CalibrationError, match="no light of condensates"):
        fit_windows(np.zeros((64, 56)), PLACES, 3.0, 0.45)


@pytest.mark.parametrize("spread", [3.0, 10.0])
def test_misread_states_are_those_whose_sign_detection_turns(spread: float) -> None:
    """Differences of either state spread about +-spread, with noise of 1: as many are told to be turned as are, to 15 %
    (some 40,000 and 8,000 of 10^6)."""
    rng = np.random.default_rng(2)
    true = np.where(rng.random((10**6, 1)) < 0.5, spread, -spread) + rng.normal(0, spread, (10**6, 1))
    seen = true + rng.normal(0, 1, true.shape)
    told = misread(np.stack([-seen / 2, seen / 2], axis=-1), np.ones(1))[0]
    assert told / ((seen > 0) != (true > 0)).mean() == pytest.approx(1, abs=0.15)


def test_the_noise_of_a_difference_is_what_electrons_make() -> None:
    """Of two sites apart with N electrons altogether, more than the root of N, and not by much."""
    windows = fit_windows(image(np.full((2, 2), 1000.0)), PLACES, 3.0, 0.45)
    light = np.sqrt(2 * 1000.0 * 0.45)
    assert np.all((windows.noise_e > light) & (windows.noise_e < 2 * light))


def test_states_that_do_not_differ_are_misread_half_the_time() -> None:
    assert misread(np.zeros((100, 3, 2)), np.ones(3)).tolist() == [0.5, 0.5, 0.5]


def test_the_threshold_is_where_light_begins_to_rise_over_the_pumps_own() -> None:
    power = np.linspace(0.02, 0.4, 14)
    light = 50 * power + 900 * np.maximum(power - 0.11, 0) + 300 * np.maximum(power - 0.11, 0) ** 2 / power
    found = fitted(power, light)
    assert found.power_w == pytest.approx(0.11, abs=0.004)
    assert found.leak == pytest.approx(50, rel=0.1)


def test_a_pump_that_condenses_nothing_is_told() -> None:
    with pytest.raises(CalibrationError, match="no condensates up to 3 W"):
        find_threshold(lambda power: 40 * power, 0.02, 3.0)
