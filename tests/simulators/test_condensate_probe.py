"""The probe of the condensate table: where it lands, and by how much it shifts g."""

from __future__ import annotations

import numpy as np
import pytest
from condensate_small import at_sites, frames, pair_units, power_for, pump, show_ratios, small_table

from simulators.worlds.condensates import CondensateWorld
from simulators.worlds.condensates.probe import disturbed, shift_per_w

IDEAL = {"hidden": "none", "noise": False, "camera": {"ideal": True}}


@pytest.fixture(scope="module")
def perfect() -> CondensateWorld:
    world = small_table(**IDEAL)
    show_ratios(world, pair_units(world))
    return world


def test_the_probe_shifts_g_of_the_site_next_to_its_place_alone(perfect: CondensateWorld) -> None:
    sites = perfect.sites(perfect.clock.now_ns() * 1e-9)
    change = disturbed(perfect.parameters, sites, 0.01).g - sites.g
    camera, mesa = perfect.parameters.camera, perfect.parameters.sample.mesa
    middle = np.array([camera.axis_row + mesa.row, camera.axis_column + mesa.column])
    assert change.argmax() == ((sites.places - middle) ** 2).sum(axis=1).argmin()
    assert change.max() == pytest.approx(0.01)
    assert np.sort(change)[-2] < 1e-6


def test_a_probe_at_a_place_falls_off_with_the_distance() -> None:
    world = small_table(**IDEAL, probe={"aim": "place", "row": -100, "column": 130, "radius": "2 um"})
    middle = np.array([world.parameters.camera.axis_row - 100.0, world.parameters.camera.axis_column + 130.0])
    radius_px = 2e-6 / world.parameters.sample_pixel_m
    places = middle + np.array([[0, 0], [radius_px, 0], [0, 2 * radius_px]])
    np.testing.assert_allclose(shift_per_w(world.parameters, places), np.exp([0, -2, -8]), rtol=1e-12)


def test_a_probe_beside_its_aim_misses_it_by_less_than_is_stated() -> None:
    """A site sees a little less of it than in its middle: by exp(-2 (0.3 / 1.5)^2) at most."""
    seen = []
    for seed in range(8):
        world = small_table(seed=seed, hidden="typical")
        seen.append(float(shift_per_w(world.parameters, np.array([[1000.0, 1400.0]]))[0]))
    assert min(seen) > np.exp(-0.08)
    assert max(seen) < 1.0


def test_the_dyad_under_the_probe_turns_away_and_the_others_stay(perfect: CondensateWorld) -> None:
    """The same condensations with and without it: those of the other dyads are the same to the last electron."""
    pump(perfect, "external", power_for(perfect, 2.8))
    sites = perfect.sites(perfect.clock.now_ns() * 1e-9)
    target = int(shift_per_w(perfect.parameters, sites.places).argmax())
    taken = []
    for power_w in (0.0, 0.1):
        perfect.state["probe_power_w"], perfect.state["probe_emission"] = power_w, power_w > 0
        perfect._ports["camera"].number = 9000
        taken.append(at_sites(perfect, frames(perfect, 60)))
    perfect.state["probe_emission"] = False
    mine = sites.pairs[(sites.pairs == target).any(axis=1)][0]
    others = np.setdiff1d(np.arange(12), mine)
    np.testing.assert_allclose(taken[0][:, others], taken[1][:, others], rtol=1e-3)
    denser = [(t[:, mine[1]] > t[:, mine[0]]).mean() for t in taken]
    assert abs(denser[1] - denser[0]) > 0.15
