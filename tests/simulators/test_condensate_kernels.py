"""Compiled roads of Eq. (1) against the plain one, and the noise of growth against what it must be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.physics.condensates.dyad_kernel import denser_second, evolve_dyads
from simulators.physics.condensates.equation import evolve, seeds
from simulators.physics.condensates.network_kernel import evolve_networks
from simulators.physics.condensates.network_pulse_kernel import condense_network, links
from simulators.physics.condensates.pulse import Pulse
from simulators.physics.condensates.pulse_kernel import coins, condense
from simulators.physics.condensates.pulse_reference import condense_plainly
from simulators.physics.counter_random import noise_key

KEY = noise_key(1, "tests")
STEP = Pulse(rise=0.0, plateau=100.0, fall=0.0)
NANOSECOND = Pulse(rise=100.0, plateau=100.0, fall=0.0)


def dyad_settings(n: int, r_g: float = 1.0) -> NDArray[np.float64]:
    settings = np.zeros((6, n))
    settings[0], settings[1], settings[2:4], settings[4] = 0.5, 0.5 * r_g, 5 / 3, 0.55
    return settings


def p1(found: NDArray[np.float64]) -> float:
    return float((found[..., 1] > found[..., 0]).mean())


def condensed(events: int, dyads: int, pulse: Pulse, n0: float, r_g: float = 1.0, exposure: int = 0) -> NDArray:
    where = np.full(events, exposure), np.arange(events)
    return condense(dyad_settings(dyads, r_g), np.full((1, dyads, 2), 2.8), pulse, 1 / n0, KEY, *where)


def slope_of_p1(pulse: Pulse, n0: float, events: int = 300) -> float:
    """dp1/dr_g at 1, from both sides of it; 30,000 trials on each: standard error 0.1 / 0.5 of its width."""
    low, high = (p1(condensed(events, 100, pulse, n0, r_g, round(1000 * r_g))) for r_g in (0.98, 1.02))
    return (high - low) / 0.04


# --- the drift ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200])
def test_dyads_side_by_side_are_those_of_the_equation(n: int) -> None:
    rng = np.random.default_rng(n)
    psi = seeds(n, 2, 0.5, rng)
    gamma, g, xi = rng.uniform(0.5, 3, (n, 2)), rng.uniform(0, 1, (n, 2)), rng.uniform(0.5, 2, (n, 2))
    J = rng.uniform(-0.9, 0.9, n) + 1j * rng.uniform(-0.3, 0.3, n)
    plain = np.stack([evolve(psi[k], gamma[k], g[k], xi[k], J[k], 4.0) for k in range(n)])
    np.testing.assert_allclose(evolve_dyads(psi, gamma, g, xi, J, 4.0), plain, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("sites", "trials"), [(1, 3), (3, 16), (7, 33)])
def test_networks_side_by_side_are_those_of_the_equation(sites: int, trials: int) -> None:
    rng = np.random.default_rng(sites)
    J = rng.normal(size=(sites, sites)) * 0.2 + 0.1j * rng.normal(size=(sites, sites))
    J[rng.random((sites, sites)) < 0.3] = 0
    gamma, g, xi = rng.uniform(0.5, 3, sites), rng.uniform(0, 1, sites), rng.uniform(0.5, 2, sites)
    psi = seeds(trials, sites, 0.5, rng)
    fast = evolve_networks(psi, gamma, g, xi, J, 4.0)
    np.testing.assert_allclose(fast, evolve(psi, gamma, g, xi, J, 4.0), rtol=0, atol=1e-11)


def test_the_integrator_is_of_fourth_order() -> None:
    psi = np.array([[0.5 + 0.1j, 0.2 - 0.3j]])
    exact = evolve(psi, 2.8, 0.5, 5 / 3, 0.55, 2.0, 1e-3)
    coarse, fine = (np.abs(evolve(psi, 2.8, 0.5, 5 / 3, 0.55, 2.0, h) - exact).max() for h in (0.04, 0.02))
    assert 14 < coarse / fine < 18


def test_steps_of_a_tenth_decide_as_steps_of_a_hundredth() -> None:
    """Sheet: 0 of 1000 flips by T = 10."""
    psi = seeds(1000, 2, 0.01, np.random.default_rng(3))
    coarse, fine = (evolve_dyads(psi, 2.8, 0.5, 5 / 3, 0.55, 10.0, dt) for dt in (0.1, 0.01))
    assert (denser_second(coarse) != denser_second(fine)).sum() <= 1


def test_a_duration_of_whole_steps_takes_no_step_more() -> None:
    psi = np.array([[0.3 + 0j, 0.2 + 0j]])
    np.testing.assert_array_equal(evolve(psi, 2, 0.5, 1, 0.3, 0.7, 0.1), evolve(psi, 2, 0.5, 1, 0.3, 0.7, 0.7 / 7))


# --- pulses ---------------------------------------------------------------------------------------------------------


def test_condensation_is_that_of_the_plain_road_number_by_number() -> None:
    rng = np.random.default_rng(5)
    dyads, events = 3, 40  # more than one block of lanes
    settings = dyad_settings(dyads)
    settings[0:2] = rng.uniform(0.3, 0.7, (2, dyads))
    settings[5] = rng.uniform(-0.2, 0.2, dyads)
    gamma = rng.uniform(2, 3, (events, dyads, 2))
    arguments = (settings, gamma, Pulse(5.0, 10.0, 2.0), 1 / 165, KEY, np.arange(events) // 7, np.arange(events) % 7)
    np.testing.assert_allclose(condense(*arguments), condense_plainly(*arguments), rtol=1e-9, atol=1e-9)


def test_coins_have_the_mean_and_the_variance_of_16() -> None:
    """False alarm below 1e-6: five standard errors."""
    words = np.random.default_rng(1).integers(0, 2**64, 20_000, np.uint64)
    heads = np.array([coins(w) >> np.uint64(s) & np.uint64(0xFFFF) for w in words for s in (0, 16, 32, 48)], float)
    assert abs(heads.mean() - 8) < 5 * 2 / math.sqrt(len(heads))
    assert abs(heads.var() - 4) < 5 * 4 * math.sqrt(2 / len(heads))


def test_without_pumping_a_condensate_stays_in_its_vacuum() -> None:
    """<|psi|^2> = 1 / (2 N0), kept up by its own noise; in steps of h, 2 h / (1 - exp(-2 h)) times it right after one.
    False alarm 1e-6: five standard errors of 0.3 %."""
    alone = dyad_settings(200) * [[1], [1], [1], [1], [0], [0]]
    for h in (0.02, 0.1):
        pulse = Pulse(0, 20, 0, 0, h)
        dark = condense(alone, np.zeros((1, 200, 2)), pulse, 1 / 165, KEY, np.zeros(40, int), np.arange(40))
        level = dark[..., :2] / 20 * 2 * 165
        error = level.std() / math.sqrt(level.size)
        assert error < 0.005
        assert abs(level.mean() - 2 * h / (1 - math.exp(-2 * h))) < 5 * error + h**2 / 10  # from the vacuum on


@pytest.mark.parametrize(("pulse", "slope"), [(STEP, 3.9), (NANOSECOND, 7.9)], ids=["step", "1 ns"])
def test_polaritons_and_rise_time_set_the_width_of_the_p1_curve(pulse: Pulse, slope: float) -> None:
    """Tables, section 4: dp1/dr_g = 3.9 for a step pump, 7.9 for a 1 ns rise, N0 = 165; both to 12 %."""
    assert abs(slope_of_p1(pulse, 165) / slope - 1) < 0.12


def test_less_noise_makes_the_p1_curve_steeper() -> None:
    """Tables, mistake 9: the width is not free. Twice less noise, 1.4 times steeper, to 0.06."""
    assert slope_of_p1(STEP, 660, 100) > 1.2 * slope_of_p1(STEP, 165, 100)


def test_smaller_steps_change_nothing_that_is_measured() -> None:
    """p1 and densities at dt = 0.1 and 0.05. False alarm 1e-5: 4.4 standard errors of 20,000 trials each."""
    coarse, fine = (
        condensed(200, 100, NANOSECOND._replace(dt=dt), 165, 1.02, exposure) for dt, exposure in ((0.1, 1), (0.05, 2))
    )
    assert abs(p1(coarse) - p1(fine)) < 4.4 * math.sqrt(2 * 0.25 / 20_000)
    assert abs(coarse.mean(axis=(0, 1)) / fine.mean(axis=(0, 1)) - 1)[:2].max() < 0.01


def test_a_network_of_two_is_a_dyad() -> None:
    """Densities, the product of fields, and p1, within 4.4 standard errors (false alarm below 1e-4)."""
    where = np.zeros(4000, int), np.arange(4000)
    J = np.array([[0, 0.55], [0.55, 0]], complex)
    site = np.array([[0.5, 0.51], [5 / 3, 5 / 3]])
    density, product = condense_network(site, np.full((1, 2), 2.8), J, STEP, 1 / 165, KEY, *where)
    dyad = condensed(200, 100, STEP, 165, 1.02)
    found = np.stack([density[:, 0], density[:, 1], product[:, 0].real, product[:, 0].imag], axis=1)
    error = np.hypot(found.std(axis=0) / math.sqrt(4000), dyad.std(axis=(0, 1)) / math.sqrt(20_000))
    assert np.all(np.abs(found.mean(axis=0) - dyad.mean(axis=(0, 1))) < 4.4 * error)
    assert abs((density[:, 1] > density[:, 0]).mean() - p1(dyad)) < 4.4 * math.sqrt(0.25 / 4000 + 0.25 / 20_000)


def test_noise_depends_on_the_address_only() -> None:
    """Neither on the order of events nor on how many are worked out together."""
    whole = condensed(40, 3, Pulse(0, 5, 0), 165)
    part = condense(
        dyad_settings(3), np.full((1, 3, 2), 2.8), Pulse(0, 5, 0), 1 / 165, KEY, np.zeros(2, int), np.array([31, 4])
    )
    np.testing.assert_array_equal(part, whole[[31, 4]])


def test_links_are_the_pairs_that_see_each_other_once() -> None:
    J = np.zeros((4, 4), complex)
    J[0, 1] = J[1, 0] = 0.2
    J[3, 2] = 0.1  # one way
    np.testing.assert_array_equal(links(J), [[0, 1], [2, 3]])


def test_a_pulse_rises_stays_and_falls() -> None:
    pulse = Pulse(rise=2.0, plateau=3.0, fall=1.0, tail=2.0, dt=0.5)
    assert (pulse.duration, pulse.steps, pulse.step) == (8.0, 16, 0.5)
    shape = pulse.shape()
    np.testing.assert_allclose(shape[[0, 4, 8, 14, 20, 22, 24, 32]], [0, 0.5, 1, 1, 1, 0.5, 0, 0])
