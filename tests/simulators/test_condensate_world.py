"""The condensate table: what the camera sees of pump spots and of the condensates they make."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
from condensate_small import (
    REGION,
    at_sites,
    frames,
    hologram,
    pair_units,
    power_for,
    pump,
    show,
    show_ratios,
    small_table,
)
from far_world import FarWorld

from drivers.contract import ROI, DeviceError
from simulators.devices.camera import SimulatedCamera
from simulators.worlds.condensates import CondensateParameters, CondensateWorld
from simulators.worlds.condensates.sample import detunings, hidden_sample

IDEAL = {"hidden": "none", "noise": False, "camera": {"ideal": True}}


@pytest.fixture(scope="module")
def perfect() -> CondensateWorld:
    """Six dyads on a table with nothing hidden and an ideal camera."""
    world = small_table(**IDEAL)
    show_ratios(world, pair_units(world))
    return world


@pytest.fixture(scope="module")
def typical() -> CondensateWorld:
    """The same lattice on a table as it is."""
    world = small_table(hidden="typical")
    show(world, hologram(world, pair_units(world)))
    return world


def now_s(world: CondensateWorld) -> float:
    return world.clock.now_ns() * 1e-9


# --- sites ----------------------------------------------------------------------------------------------------------


def test_condensates_are_where_the_pump_makes_spots(perfect: CondensateWorld) -> None:
    sites = perfect.sites(now_s(perfect))
    assert (len(sites.places), len(sites.pairs), len(sites.networks)) == (12, 6, 0)
    apart = sites.places[sites.pairs[:, 1]] - sites.places[sites.pairs[:, 0]]
    np.testing.assert_allclose(np.abs(apart[:, 1]) * perfect.parameters.sample_pixel_m, 4.19e-6, rtol=0.02)
    np.testing.assert_allclose(sites.pair_couplings, 0.55, atol=0.03)  # of the spacing, up to where spots are
    np.testing.assert_allclose(sites.g, 0.5)


def test_a_spot_far_from_all_others_is_a_site_alone() -> None:
    world = small_table(**IDEAL)
    show(world, hologram(world, pair_units(world)[[0, 1, 10]]))
    pump(world, "external", power_for(world, 2.8))
    sites = world.sites(now_s(world))
    lone = sites.pairs[sites.pairs[:, 0] == sites.pairs[:, 1]]
    assert len(sites.places) == 3
    assert len(lone) == 1
    assert at_sites(world, frames(world, 5)).min() > 100


def test_spots_near_one_another_make_one_network() -> None:
    """Three dyads in a row, as far from their neighbours as their own sites: six sites in a chain."""
    world = small_table(**IDEAL)
    show(world, hologram(world, pair_units(world, rows=1, column_step=14)))
    sites = world.sites(now_s(world))
    assert len(sites.networks) == 1
    assert len(sites.networks[0].sites) >= 6  # a ghost of so regular a row may be one more
    J = sites.networks[0].couplings
    np.testing.assert_array_equal(J, J.T)
    assert (np.abs(J) > 0).sum() == 2 * (len(J) - 1)
    pump(world, "external", power_for(world, 2.8))
    assert np.median(at_sites(world, frames(world, 5))) > 100


def test_the_lattice_moved_finds_another_sample() -> None:
    world = small_table(hidden="typical")
    show(world, hologram(world, pair_units(world)))
    here = world.sites(now_s(world)).g
    show(world, hologram(world, pair_units(world) + np.array([6, 0])))
    there = world.sites(now_s(world)).g
    assert np.abs(here - there).max() > 0.01


def test_places_have_the_spread_that_is_stated() -> None:
    """Of g, over 2,000 places far apart: to 15 % (false alarm below 1e-6; few waves make up a map)."""
    p = CondensateParameters.model_validate({"hidden": {"preset": "none", "detuning_spread": 0.05}})
    places = np.random.default_rng(1).uniform(-1e-3, 1e-3, (2000, 2))
    assert abs(np.std(detunings(p, places) / 0.5) / 0.05 - 1) < 0.15


def test_the_sample_drifts_and_a_defect_stays_where_it_is_on_it() -> None:
    p = CondensateParameters.model_validate({"hidden": {"preset": "none", "defects": 0.02}})
    row, column, size = hidden_sample(p).defects[0]
    at, away = detunings(p, np.array([[row, column], [row + 3e-3, column]]))
    assert abs(at / 0.5 - 1) == pytest.approx(abs(size), rel=0.35)  # others may lie beside it
    assert away == pytest.approx(0.5)


# --- light ----------------------------------------------------------------------------------------------------------


def test_every_polariton_that_leaves_is_counted_once(perfect: CondensateWorld) -> None:
    """What the camera sees altogether is what the sites emitted; interference only moves it."""
    pump(perfect, "external", power_for(perfect, 2.8))
    sites = perfect.sites(now_s(perfect))
    image = frames(perfect, 3).sum(axis=(1, 2))
    numbers = np.arange(3) + perfect._ports["camera"].number - 3
    spots = perfect._spots(sites, power_for(perfect, 2.8), numbers, np.zeros(3, np.int64), 2e-3)
    np.testing.assert_allclose(image, spots.electrons.sum(axis=1), rtol=2e-3)
    # A site at gamma 2.8 holds N0 rho polaritons, rho about (gamma + J - 1) / ((1 - J) xi) = 3.1 in 1 ns and as much as
    # half of it in the slopes; each leaves within 5 ps, 0.2 x 0.1 x 0.22 of them as electrons.
    assert spots.electrons[:, :12].mean() == pytest.approx(165 * 3.1 * 1.6e-9 / 5e-12 * 0.2 * 0.1 * 0.22, rel=0.2)


def test_one_of_two_condensates_is_denser_and_which_one_is_chance(perfect: CondensateWorld) -> None:
    """Fair dyads of a perfect table: both states are seen of each (200 tosses each; false alarm below 1e-9)."""
    pump(perfect, "external", power_for(perfect, 2.8))
    seen = at_sites(perfect, frames(perfect, 200))
    pairs = perfect.sites(now_s(perfect)).pairs
    one, two = seen[:, pairs[:, 0]], seen[:, pairs[:, 1]]
    contrast = np.maximum(one, two) / np.minimum(one, two)
    assert np.median(contrast) > 1.2
    share = (two > one).mean(axis=0)
    assert np.all((share > 0.25) & (share < 0.75))


def test_below_threshold_there_is_next_to_no_light(perfect: CondensateWorld) -> None:
    pump(perfect, "external", power_for(perfect, 0.3))
    dim = at_sites(perfect, frames(perfect, 20)).mean()
    pump(perfect, "external", power_for(perfect, 1.0))
    assert at_sites(perfect, frames(perfect, 20)).mean() > 20 * dim


def test_a_burst_is_what_single_triggers_are() -> None:
    burst, single = (small_table(hidden="typical") for _ in range(2))
    for world in (burst, single):
        show(world, hologram(world, pair_units(world)))
        pump(world, "external", power_for(world, 2.8))
    together = frames(burst, 5)
    for image in together:
        out = np.empty(image.shape, np.uint16)
        _, start_ns, _ = single.trigger("camera", 2_000_000, REGION, out)
        single.clock.sleep_until(start_ns + 3_000_000)
        np.testing.assert_array_equal(out, image)


def test_pulses_by_themselves_add_up_in_an_exposure(perfect: CondensateWorld) -> None:
    """Ten pulses at 1 MHz in 10 us give ten times the light of one, to 2 %."""
    pump(perfect, "external", power_for(perfect, 2.8))
    one = frames(perfect, 40).sum()
    pump(perfect, "pulsed", power_for(perfect, 2.8))
    many = frames(perfect, 40, exposure_s=10e-6).sum()
    assert perfect.pulses_in(10e-6) == 10
    assert many / one == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("detection", ["incoherent", "coherent"])
def test_an_exposure_adds_powers_or_fields(detection: str) -> None:
    """Tables, mistake 7. Means (a^2 + b^2) / 2 or (a^2 + b^2 + 2 a b cos theta) / 4, which is larger here: densities
    are nearly equal, and the phases of the two states differ little; per event."""
    world = small_table(**IDEAL, emission={"detection": detection})
    show_ratios(world, pair_units(world))
    sites, power = world.sites(now_s(world)), power_for(world, 2.8)
    pump(world, "external", power)
    each = world._spots(sites, power, np.arange(400), np.zeros(400, np.int64), 2e-3).electrons[:, :12]
    pump(world, "pulsed", power)
    many = world._spots(sites, power, np.arange(4), np.zeros(4, np.int64), 100e-6).electrons[:, :12]
    ratio = many.mean(axis=0) / each.mean(axis=0) / 100
    if detection == "incoherent":
        np.testing.assert_allclose(ratio, 1, atol=0.03)
    else:  # fields of two phases cancel in part, where both states come
        assert np.all((ratio > 0.85) & (ratio < 1.03))
        assert ratio.min() < 0.97


def test_noise_averages_out(typical: CondensateWorld) -> None:
    """Tables, mistake 8: means of n frames of a dyad's brightness differ by 1 / sqrt(n)."""
    pump(typical, "external", power_for(typical, 2.8))
    seen = at_sites(typical, frames(typical, 256))
    single = seen.std(axis=0)
    of_16 = seen.reshape(16, 16, -1).mean(axis=1).std(axis=0)
    assert 0.15 < (of_16 / single).mean() < 0.35


def test_continuous_below_threshold_the_camera_sees_the_spots_of_the_pump(perfect: CondensateWorld) -> None:
    pump(perfect, "cw", power_for(perfect, 0.3))
    seen = at_sites(perfect, frames(perfect, 1))[0]
    pumping = perfect.sites(now_s(perfect)).pumping[0]
    np.testing.assert_allclose(seen / seen.mean(), pumping / pumping.mean(), atol=0.08)


def test_rows_that_are_not_exposed_yet_miss_the_pulse(typical: CondensateWorld) -> None:
    """Tables: a pulse reaches every row only if the exposure lasts as long as the read-out."""
    pump(typical, "external", power_for(typical, 2.8))
    wide = ROI(row=REGION.row, column=REGION.column, rows=REGION.rows, columns=REGION.columns)
    short = frames(typical, 30, exposure_s=10 * 9.24e-6, region=wide).mean(axis=0)
    whole = frames(typical, 30, exposure_s=1e-3, region=wide).mean(axis=0)
    lit = (whole - np.median(whole)).sum(axis=1) > 200
    middle = np.abs(np.arange(REGION.rows) - (REGION.rows - 1) / 2) < 25
    assert lit[middle].any()
    assert (short - np.median(short))[middle].max() < 0.2 * (whole - np.median(whole))[middle].max()


def test_the_image_of_the_projector_and_the_light_of_condensates_add(perfect: CondensateWorld) -> None:
    power = power_for(perfect, 2.8)
    gray = np.zeros((160, 220), np.uint8)
    gray[110:160, 40:140] = 64  # half of the light, some of it on the lattice
    perfect.project(gray, 0, 0)
    perfect.clock.sleep_until(perfect.clock.now_ns() + 10**9)
    taken = {}
    for name, lamp, pumped in (("image", 1e-3, 0.0), ("dyads", 0.0, power), ("both", 1e-3, power)):
        pump(perfect, "external", pumped)
        perfect.state["lamp_power_w"], perfect.state["lamp_emission"] = lamp, lamp > 0
        perfect._ports["camera"].number = 5000  # the same condensations again
        taken[name] = frames(perfect, 2)
    perfect.state["lamp_emission"] = False
    np.testing.assert_allclose(taken["both"], taken["image"] + taken["dyads"], rtol=1e-9)
    assert taken["image"].max() > 100


def test_an_image_outside_the_projector_is_refused(perfect: CondensateWorld) -> None:
    with pytest.raises(DeviceError, match="160x220"):
        perfect.project(np.zeros((200, 10), np.uint8), 0, 0)


def test_the_tap_watches_the_pump_before_its_modulator(perfect: CondensateWorld) -> None:
    perfect.attach("tap", "tap")
    for modulation in ("cw", "external"):
        pump(perfect, modulation, 0.4)
        assert perfect.measure("tap", 10_000_000).power_w == pytest.approx(0.4 * 0.01, rel=1e-6)


def test_coherent_detection_of_a_network_is_refused() -> None:
    world = small_table(**IDEAL, emission={"detection": "coherent"})
    show(world, hologram(world, pair_units(world, rows=1, column_step=14)))
    pump(world, "external", power_for(world, 2.8))
    with pytest.raises(DeviceError, match="incoherent"):
        frames(world, 1)


def test_pulses_that_run_into_one_another_are_refused() -> None:
    with pytest.raises(ValueError, match="run into one another"):
        CondensateParameters.model_validate({"pump": {"repetition_rate": "90 MHz", "plateau": "20 ns"}})


def test_p1_is_as_wide_as_noise_makes_it() -> None:
    """Tables, mistake 9: fewer polaritons, more chance: shares of both states nearer to a half where pairs are 1 %
    uneven. 100 frames of 6 dyads are enough for a factor of some."""
    away = []
    for polaritons in (40, 4000):
        world = small_table(**IDEAL, sample={"polaritons": polaritons})
        show_ratios(world, pair_units(world), 1.01)
        pump(world, "external", power_for(world, 2.8))
        seen = at_sites(world, frames(world, 100))
        pairs = world.sites(now_s(world)).pairs
        share = (seen[:, pairs[:, 1]] > seen[:, pairs[:, 0]]).mean(axis=0)
        away.append(math.sqrt(((share - 0.5) ** 2).mean()))
    assert away[0] < 0.8 * away[1]


def test_a_camera_elsewhere_gets_the_same_frames() -> None:
    """Devices reach the world by messages and shared memory, or directly."""
    stacks = []
    for far in (False, True):
        world = small_table(hidden="typical")
        show(world, hologram(world, pair_units(world)))
        pump(world, "external", power_for(world, 2.8))
        seen: Any = FarWorld(world, world.clock._cells, 0) if far else world
        camera = SimulatedCamera("camera", seen)
        if far:
            camera.allocate = seen.allocate
        camera.open()
        camera.roi, camera.exposure_s = REGION, 2e-3
        stacks.append(camera.burst(3))
    np.testing.assert_array_equal(stacks[0].data, stacks[1].data)
    np.testing.assert_array_equal(stacks[0].start_ns, stacks[1].start_ns)


def test_a_burst_that_is_stopped_is_an_error_and_the_camera_works_on() -> None:
    world = small_table(**IDEAL)
    camera = SimulatedCamera("camera", world)
    camera.open()
    camera.roi = REGION
    stopped = threading.Timer(0.05, camera.safe)
    stopped.start()
    with pytest.raises(DeviceError, match="stopped by safe"):
        camera.burst(64 * 400)
    stopped.join()
    assert len(camera.burst(2).data) == 2
