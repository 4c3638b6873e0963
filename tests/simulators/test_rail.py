"""The optical rail: what its camera sees of the lasers and of the panel."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.worlds.rail import RailParameters, RailWorld

ROWS, COLUMNS = 24, 48


@pytest.fixture
def rail() -> RailWorld:
    parameters = RailParameters.model_validate(
        {"slm": {"rows": ROWS, "columns": COLUMNS}, "optics": {"first_row": 3, "bands": 6}}
    )
    world = RailWorld(parameters, RailWorld.clock_of_kind("virtual"))
    world.source.emission = True
    world.source.power_fraction = 0.2
    return world


def seen(rail: RailWorld, rows: int = ROWS + 6, columns: int = COLUMNS + 6) -> np.ndarray:
    """Share of full light in each pixel of the sensor's corner."""
    full = rail.parameters.counts_per_second(0.2) * rail.parameters.camera.electrons_per_count * 0.01
    return rail.mean_electrons(rail.clock.now_ns(), 0.01, 0, 0, rows, columns) / full


def test_a_panel_at_rest_lets_all_light_through(rail: RailWorld) -> None:
    np.testing.assert_allclose(seen(rail), 1.0, rtol=1e-9)


def test_a_pixel_sees_the_panels_pixel_between_polarisers_and_beyond_it_only_light(rail: RailWorld) -> None:
    gray = np.random.default_rng(1).integers(0, 256, (ROWS, COLUMNS)).astype(np.uint8)
    rail.write(gray, 0, 0)
    rail.clock.sleep_until(rail.clock.now_ns() + 1_000_000_000)
    wanted = np.ones((ROWS + 6, COLUMNS + 6))
    wanted[:ROWS, :COLUMNS] = np.cos(np.pi * gray / 256) ** 2
    np.testing.assert_allclose(seen(rail), wanted, atol=2e-3)  # the panel calls 2 mrad at rest


def test_a_pattern_that_has_not_settled_is_not_yet_seen(rail: RailWorld) -> None:
    rail.write(np.full((ROWS, COLUMNS), 128, np.uint8), 0, 0)
    assert seen(rail, 4, 4).min() > 0.9
    rail.clock.sleep_until(rail.clock.now_ns() + 1_000_000_000)
    assert seen(rail, 4, 4).max() < 1e-3
