"""Dyads: closed forms and states that were followed, held to Eq. (1) as it is written (PRL 132, 096901)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.physics.condensates.asymmetric_dyads import (
    asymmetric_branch,
    asymmetric_state,
    balanced_state,
    lasting_below,
    lower_bound,
    near_pitchfork,
    phase_boundary,
)
from simulators.physics.condensates.dyad_kernel import evolve_dyads
from simulators.physics.condensates.dyad_states import Dyad, growth_rate, jacobian, rates
from simulators.physics.condensates.dyads import (
    DyadState,
    NoSuchState,
    equal_occupation,
    equal_occupation_slope,
    pitchfork_bound,
    symmetric_growth_rate,
    symmetric_state,
)
from simulators.physics.condensates.equation import coupling_matrix, derivative, seeds

SHEET = {"gamma": 2.8, "g": 0.5, "xi": 5 / 3, "J": 0.55}
OTHERS = [
    {"gamma": 1.8, "g": 0.4, "xi": 0.7, "J": 0.45},
    {"gamma": 3.3, "g": 0.8, "xi": 4.0, "J": -0.7},
    {"gamma": 1.5, "g": 0.25, "xi": 1.3, "J": 0.8},
]


def amplitudes(state: DyadState) -> np.ndarray:
    return np.array([state.a, state.b * np.exp(1j * state.theta)])


def stillness(state: DyadState, gamma: float, g: float, xi: float, J: float, r_g: float, r_gamma: float) -> float:
    """How far Eq. (1) is from turning the state by mu and doing nothing else to it."""
    psi = amplitudes(state)
    change = derivative(psi, np.array([gamma, r_gamma * gamma]), np.array([g, r_g * g]), xi, coupling_matrix(J, 2))
    return float(np.abs(change + 1j * state.mu * psi).max())


# --- published numbers ------------------------------------------------------------------------------------------


def test_asymmetric_state_is_the_published_one() -> None:
    found = asymmetric_state(**SHEET)
    assert (found.a, found.b) == pytest.approx((1.6476108, 1.3533556), abs=1e-7)
    assert (found.theta, found.mu) == pytest.approx((0.6815359, 2.8588579), abs=1e-7)
    assert found.stable


@pytest.mark.parametrize(("r_g", "r_gamma"), [(0.8, 1.047389), (1.1, 0.974375)])
@pytest.mark.parametrize("J", [0.45, -0.45])
def test_equal_occupation_is_the_published_one(r_g: float, r_gamma: float, J: float) -> None:
    assert equal_occupation(r_g, 1.8, 0.4, J) == pytest.approx(r_gamma, abs=5e-7)


def test_slope_of_equal_occupation_is_that_of_equation_5() -> None:
    assert equal_occupation_slope(0.4, 0.45) == pytest.approx(-0.25078, abs=5e-6)
    assert equal_occupation_slope(0.5, -0.55) == pytest.approx(-4 / 9)
    for g, J in ((0.4, 0.45), (0.7, -0.3), (0.1, 0.9)):
        h = 1e-5
        slope = (equal_occupation(1 + h, 2.0, g, J) - equal_occupation(1 - h, 2.0, g, J)) / (2 * h)
        assert slope == pytest.approx(equal_occupation_slope(g, J), rel=1e-6)


def test_lower_bounds_are_those_that_were_followed() -> None:
    # The sheet's 0.881 is from integration, which takes a while to show that a state is slowly left.
    assert lower_bound(2.8, 0.5, 0.55) == pytest.approx(0.881, abs=2e-3)
    assert lower_bound(1.8, 0.4, 0.45) == pytest.approx(0.531, abs=1e-3)
    assert lower_bound(1.8, 0.4, -0.45) == lower_bound(1.8, 0.4, 0.45)


# --- states are states of Eq. (1) -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [SHEET, *OTHERS], ids=str)
@pytest.mark.parametrize("unequal", [(1.0, 1.0), (1.04, 0.99), (0.97, 1.0)], ids=str)
def test_states_stand_still_in_the_rotating_frame(at: dict[str, float], unequal: tuple[float, float]) -> None:
    for denser in (1, 2):
        found = asymmetric_state(**at, r_g=unequal[0], r_gamma=unequal[1], denser=denser)
        assert stillness(found, **at, r_g=unequal[0], r_gamma=unequal[1]) < 1e-11
        assert (found.a > found.b) == (denser == 1)
    balanced = balanced_state(**at, r_g=unequal[0], r_gamma=unequal[1])
    assert stillness(balanced, **at, r_g=unequal[0], r_gamma=unequal[1]) < 1e-11


@pytest.mark.parametrize("at", [SHEET, *OTHERS], ids=str)
def test_dyads_settle_into_the_asymmetric_states(at: dict[str, float]) -> None:
    found = asymmetric_state(**at)
    psi = seeds(40, 2, 0.01, np.random.default_rng(1))
    psi = evolve_dyads(psi, **at, duration=60 - 20 / found.growth_rate, dt=0.01)
    size = np.sort(np.abs(psi), axis=1)
    np.testing.assert_allclose(size, np.broadcast_to((found.b, found.a), size.shape), atol=2e-6)
    phase = np.abs(np.angle(psi[:, 1] * psi[:, 0].conj()))
    np.testing.assert_allclose(phase, abs(found.theta), atol=2e-6)


def test_the_branch_of_asymmetric_states_has_each_of_them() -> None:
    branch = asymmetric_branch(2.8, 0.5, -0.55, 1.0)
    assert branch[-1][0] == pytest.approx(1.0)
    for xi, state in branch[:: len(branch) // 5]:
        found = asymmetric_state(2.8, 0.5, xi, -0.55)
        assert (state.a, state.b, state.theta) == pytest.approx((found.a, found.b, found.theta), abs=1e-8)
    assert asymmetric_branch(2.8, 0.5, 0.55, 3.0) == []


def test_the_sign_of_the_coupling_turns_one_condensate() -> None:
    plus, minus = asymmetric_state(**SHEET), asymmetric_state(**{**SHEET, "J": -0.55})
    assert (minus.a, minus.b, minus.mu, minus.growth_rate) == (plus.a, plus.b, plus.mu, plus.growth_rate)
    assert math.cos(minus.theta) == pytest.approx(-math.cos(plus.theta))


def test_exchange_of_sites_exchanges_the_states() -> None:
    one = asymmetric_state(2.8, 0.5, 5 / 3, 0.55, r_g=1.04, r_gamma=0.99)
    other = asymmetric_state(0.99 * 2.8, 1.04 * 0.5, 5 / 3, 0.55, r_g=1 / 1.04, r_gamma=1 / 0.99, denser=2)
    assert (one.a, one.b, one.theta, one.mu) == pytest.approx((other.b, other.a, -other.theta, other.mu), abs=1e-9)


def test_equally_pumped_sites_of_equal_occupation_are_equally_occupied() -> None:
    for r_g, at in ((0.8, OTHERS[0]), (1.2, SHEET), (0.9, OTHERS[1])):
        r_gamma = equal_occupation(r_g, at["gamma"], at["g"], at["J"])
        found = balanced_state(**at, r_g=r_g, r_gamma=r_gamma)
        assert found.a == pytest.approx(found.b, abs=1e-10)


# --- stability --------------------------------------------------------------------------------------------------


def test_jacobian_is_the_derivative_of_the_rates() -> None:
    rng = np.random.default_rng(2)
    state = rng.uniform(0.3, 2, (50, 3))
    dyad = Dyad(rng.uniform(1, 3, 50), rng.uniform(1, 3, 50), rng.uniform(0, 1, 50), rng.uniform(0, 1, 50),
                rng.uniform(0.1, 3, 50), rng.uniform(-1, 1, 50))  # fmt: skip
    h = 1e-6
    for k in range(3):
        by = np.eye(3)[k] * h
        slope = (rates(state + by, dyad)[0] - rates(state - by, dyad)[0]) / (2 * h)
        np.testing.assert_allclose(jacobian(state, dyad)[..., k], slope, atol=1e-7)


def test_growth_of_the_symmetric_state_in_closed_form_is_that_of_the_jacobian() -> None:
    rng = np.random.default_rng(3)
    J, g, xi = rng.uniform(0.05, 0.95, 200), rng.uniform(0.05, 1, 200), rng.uniform(0.05, 5, 200)
    gamma = rng.uniform(1.2, 4, 200)
    a = np.sqrt((gamma + J - 1) / ((1 - J) * xi))
    numerical = growth_rate(np.stack((a, a, 0 * a), axis=-1), Dyad.alike(gamma, g, xi, J))
    np.testing.assert_allclose(symmetric_growth_rate(gamma, g, xi, J), numerical, atol=1e-7)


@pytest.mark.parametrize("at", [SHEET, *OTHERS], ids=str)
def test_a_small_difference_of_condensates_grows_as_it_is_said(at: dict[str, float]) -> None:
    even = symmetric_state(**at)
    psi = amplitudes(even)[None] * np.array([1 + 1e-7, 1 - 1e-7])
    spans = [np.abs(np.diff(np.abs(evolve_dyads(psi, **at, duration=t, dt=0.01))))[0, 0] for t in (8.0, 14.0)]
    assert math.log(spans[1] / spans[0]) / 6 == pytest.approx(even.growth_rate, rel=2e-3)


# --- bounds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [1.3, 1.8, 2.8, 3.8])
def test_the_bound_found_by_bisection_is_the_pitchfork(gamma: float) -> None:
    g, J = np.meshgrid(np.linspace(0.05, 1, 9), np.linspace(-0.95, 0.95, 14))
    np.testing.assert_allclose(phase_boundary(gamma, g, J), pitchfork_bound(gamma, g, J), rtol=1e-8)


@pytest.mark.parametrize("at", [SHEET, *OTHERS], ids=str)
def test_dyads_become_asymmetric_below_the_bound_and_symmetric_above(at: dict[str, float]) -> None:
    gamma, g, J = at["gamma"], at["g"], at["J"]
    bound = float(pitchfork_bound(gamma, g, J))
    xi = bound * np.array([0.97, 1.03])
    rate = np.abs(symmetric_growth_rate(gamma, g, xi, J)).min()
    psi = np.tile(seeds(1, 2, 0.3, np.random.default_rng(4)), (2, 1))
    psi = evolve_dyads(psi, gamma, g, xi[:, None], J, duration=30 / rate, dt=0.05)
    below, above = np.abs(np.diff(np.abs(psi), axis=1)).ravel() / np.abs(psi).mean()
    assert below > 0.02
    assert above < 1e-6


def test_asymmetric_states_last_right_below_the_bounds_of_the_figure() -> None:
    g, J = np.meshgrid(np.linspace(0.05, 1, 20), np.linspace(0.05, 0.95, 20))
    for gamma in (1.8, 2.8, 3.8):
        assert lasting_below(gamma, g, J).all()
    assert not lasting_below(1.3, 0.2, 0.05)


def test_asymmetry_vanishes_towards_the_bound_as_a_root() -> None:
    bound = float(pitchfork_bound(2.8, 0.5, 0.55))
    near, nearer = (asymmetric_state(2.8, 0.5, bound * (1 - x), 0.55) for x in (4e-5, 1e-5))
    assert (near.a - near.b) / (nearer.a - nearer.b) == pytest.approx(2, rel=1e-3)
    state, xi = near_pitchfork(2.8, 0.5, 0.55)
    assert np.abs(rates(state, Dyad.alike(2.8, 0.5, xi, 0.55))[0]).max() < 1e-12


def test_bounds_vanish_without_detuning_and_grow_without_end_at_full_coupling() -> None:
    assert pitchfork_bound(2.0, 1e-9, 0.5) == pytest.approx(0, abs=1e-8)
    assert pitchfork_bound(2.0, 0.5, 1 - 1e-9) > 1e8
    # g (gamma - 1)/(1 + g^2) gamma/(gamma - 1): weak coupling leaves a bound.
    assert pitchfork_bound(2.0, 0.5, 1e-9) == pytest.approx(0.8)


# --- states that are not there ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"xi": 2.3}, "xi_c = 2.25174"),
        ({"xi": -1.0}, "xi = -1"),
        ({"J": 1.2}, "J = 1.2"),
        ({"J": 0.0}, "J = 0"),
        ({"gamma": 0.4}, "threshold"),
        ({"g": -0.5}, "g = -0.5"),
        ({"r_g": 3.0}, "ends at r_g = 1.2"),
    ],
    ids=str,
)
def test_states_that_are_not_there_are_told_with_the_bound(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(NoSuchState, match=told):
        asymmetric_state(**(SHEET | wrong))


def test_equal_occupation_that_is_impossible_is_told() -> None:
    with pytest.raises(NoSuchState, match=r"need \|J\| >= 0"):
        equal_occupation(4.0, 2.0, 1.0, 0.1)
    with pytest.raises(NoSuchState, match=r"gamma = 0\.1 is below"):
        equal_occupation(1.0, 0.1, 0.5, 0.5)


def test_where_nothing_lasts_there_is_no_lower_bound() -> None:
    with pytest.raises(NoSuchState, match="unstable right below"):
        lower_bound(1.3, 0.2, 0.05)


def test_outside_the_diagram_there_is_no_bound() -> None:
    found = phase_boundary([0.3, 2.0, 2.0, 2.0], [0.5, 0.5, -0.5, 0.5], [0.4, 1.1, 0.5, 0.0])
    assert np.isnan(found).all()
