"""Steady states by every fast road are those in which evolution in time ends, and what is none is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulators.physics.sheet.equation import Complex, Nonlinearity, Sheet, SheetError, evolve, rate
from simulators.physics.sheet.march import march
from simulators.physics.sheet.newton import newton, plain_newton
from simulators.physics.sheet.nudge import Nudge
from simulators.physics.sheet.steady import NoSteadyState, Outcome, steady_state

AGREE = 1e-8
RNG = np.random.default_rng(3)
CHAIN_WALLS = np.arange(9) == 4
SHEET_WALLS = np.arange(28).reshape(4, 7) % 9 == 5


def drawn(shape: tuple[int, ...], samples: int, seed: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    V = rng.uniform(-0.3, 0.6, shape) + 0.05j * rng.random(shape)
    return V, 0.15 * (rng.normal(size=(samples, *shape)) + 1j * rng.normal(size=(samples, *shape)))


@pytest.mark.parametrize("nonlinearity", ["density", "saturation"])
@pytest.mark.parametrize("walls", [None, CHAIN_WALLS], ids=["open", "walls"])
def test_a_chain_settles_where_time_takes_it(nonlinearity: Nonlinearity, walls: Any) -> None:
    sheet = Sheet((9,), 0.1, np.linspace(0.1, 0.2, 9), nonlinearity, walls)
    V, P = drawn((9,), 5)
    found = steady_state(V, P, sheet)
    assert found.converged.all()
    assert found.iterations.max() <= 8
    np.testing.assert_allclose(found.psi, evolve(0.0, V, P, sheet, 400.0), atol=AGREE)


@pytest.mark.parametrize("nonlinearity", ["density", "saturation"])
@pytest.mark.parametrize("walls", [None, SHEET_WALLS], ids=["open", "walls"])
def test_pumps_that_share_a_potential_settle_where_time_takes_them(nonlinearity: Nonlinearity, walls: Any) -> None:
    sheet = Sheet((4, 7), 0.1, 0.15, nonlinearity, walls)
    V, P = drawn((4, 7), 6)
    found = steady_state(V, P, sheet)
    assert found.converged.all()
    np.testing.assert_allclose(found.psi, evolve(0.0, V, P, sheet, 300.0), atol=AGREE)
    assert walls is None or not found.psi[:, SHEET_WALLS].any()


def test_a_tall_sheet_is_a_wide_one_turned() -> None:
    V, P = drawn((4, 7), 6)
    wide, tall = Sheet((4, 7), 0.1, 0.15, "density", SHEET_WALLS), Sheet((7, 4), 0.1, 0.15, "density", SHEET_WALLS.T)
    turned = steady_state(V.T, P.transpose(0, 2, 1), tall).psi.transpose(0, 2, 1)
    np.testing.assert_allclose(steady_state(V, P, wide).psi, turned, atol=1e-11)


def test_samples_with_potentials_of_their_own_settle_where_time_takes_them() -> None:
    sheet = Sheet((4, 7), 0.1, 0.15, "density", SHEET_WALLS)
    V, P = drawn((4, 7), 3)
    each = V + 0.2 * RNG.random((3, 4, 7))
    np.testing.assert_allclose(steady_state(each, P, sheet).psi, evolve(0.0, each, P, sheet, 300.0), atol=AGREE)


def nudged_in_time(V: Any, P: Any, sheet: Sheet, nudge: Nudge, duration: float) -> Complex:
    """Eq. (5) as it is written, by Runge-Kutta."""
    psi, h = np.zeros(P.shape, np.complex128), 0.1

    def slope(psi: Complex) -> Complex:
        out = rate(psi, V, P, sheet)
        out.reshape(len(psi), -1)[:, nudge.outputs] += nudge.drive(psi)
        return out

    for _ in range(round(duration / h)):
        k1 = slope(psi)
        k2 = slope(psi + h / 2 * k1)
        k3 = slope(psi + h / 2 * k2)
        psi = psi + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(psi + h * k3))
    return psi


@pytest.mark.parametrize("cost", ["mse", "cce"])
@pytest.mark.parametrize("shape", [(9,), (4, 7)], ids=["chain", "sheet"])
def test_a_nudge_that_follows_psi_settles_where_time_takes_it(cost: Any, shape: tuple[int, ...]) -> None:
    sheet = Sheet(shape, 0.1, 0.15, "density")
    V, P = drawn(shape, 4)
    nudge = Nudge(np.array([1, 6]), np.eye(2)[[0, 1, 0, 1]], np.array([0.05, -0.05, 0.02, 0.1]), cost, 2.0)
    found = steady_state(V, P, sheet, nudge=nudge)
    assert found.converged.all()
    np.testing.assert_allclose(found.psi, nudged_in_time(V, P, sheet, nudge, 250.0), atol=AGREE)


@pytest.mark.parametrize("walls", [None, CHAIN_WALLS], ids=["open", "walls"])
def test_the_compiled_chain_takes_the_steps_of_the_plain_method(walls: Any) -> None:
    sheet = Sheet((9,), 0.3, 0.1, "density", walls)
    V, P = drawn((9,), 20)
    V = np.ascontiguousarray(np.broadcast_to(V, P.shape))
    P[:, CHAIN_WALLS] = 0
    nudge = Nudge(np.array([2, 7]), np.ones((20, 2)), 0.05, "cce", 3.0).spread((20,), 9)
    compiled, plain = np.zeros_like(P), np.zeros_like(P)
    steps = [road(x, V, P, sheet, nudge, 1e-12)[1] for road, x in ((newton, compiled), (plain_newton, plain))]
    np.testing.assert_allclose(compiled, plain, atol=1e-12)
    assert (steps[0] == steps[1]).all()


@pytest.mark.parametrize(
    "sheet", [Sheet((9,)), Sheet((4, 7), 0.2, 0.1, "density", SHEET_WALLS)], ids=["chain", "sheet"]
)
def test_compiled_evolution_is_the_plain_one(sheet: Sheet) -> None:
    V, P = drawn(sheet.shape, 2)
    np.testing.assert_allclose(march(0.0, V, P, sheet, 7.0), evolve(0.0, V, P, sheet, 7.0), atol=1e-13)


def turning_pump(detuning: float, g: float, gamma: float) -> float:
    """Of one node: where d|P|^2/d rho = 0 on |P|^2 = rho ((detuning + g rho)^2 + gamma^2), at the smaller rho."""
    rho = np.roots([3 * g**2, 4 * g * detuning, detuning**2 + gamma**2]).real.min()
    return float(np.sqrt(rho * ((detuning + g * rho) ** 2 + gamma**2)))


def test_a_pump_above_the_turning_point_of_the_s_curve_is_told() -> None:
    """One node at V = -1.4 is detuned by -0.4; the S-curve turns at a pump of 0.1043."""
    sheet, turn = Sheet((1,), 1.0, 0.1, "density"), turning_pump(-0.4, 1.0, 0.1)
    pumps = turn * np.array([[0.5], [0.99], [1.01], [2.0]])
    found = steady_state(-1.4, pumps, sheet)
    assert list(found.outcome) == [Outcome.CONVERGED] * 2 + [Outcome.BISTABLE] * 2
    np.testing.assert_allclose(found.turning[2:] * pumps[2:, 0], turn, rtol=2e-3)
    low = np.abs(evolve(0.0, -1.4, turn * np.array([0.5]), sheet, 300.0)) ** 2
    np.testing.assert_allclose(np.abs(found.psi[0]) ** 2, low, atol=AGREE)
    with pytest.raises(NoSteadyState, match=r"2 bistable.*turns at 0\.5 of"):
        found.require()


def test_states_in_bistable_networks_are_those_that_a_slow_pump_ends_in() -> None:
    """Random chains within the band, of which about half turn; the others are followed past g|psi|^2 = gamma."""
    rng, sheet, count = np.random.default_rng(1), Sheet((9,), 0.5, 0.1, "density"), 24
    V = -rng.uniform(0, 2.5, (count, 1)) + 0.2 * rng.normal(size=(count, 9))
    P = rng.normal(size=(count, 9)) * rng.uniform(0.02, 0.5, (count, 1))
    found = steady_state(V, P, sheet)
    good, turned = found.outcome == Outcome.CONVERGED, found.outcome == Outcome.BISTABLE
    assert good.sum() >= 8
    assert turned.sum() >= 8
    followed = good & (sheet.g * (np.abs(found.psi) ** 2).max(axis=1) > 0.1)
    assert followed.sum() >= 3
    psi: Any = 0.0
    for share in np.linspace(0, 1, 201):
        psi = march(psi, V[good], share * P[good], sheet, 20.0)
    psi = march(psi, V[good], P[good], sheet, 600.0)
    np.testing.assert_allclose(found.psi[good], psi, atol=1e-6)


def test_a_bistable_sample_leaves_the_others_as_they_are() -> None:
    sheet = Sheet((3,), 1.0, 0.1, "density")
    pumps = np.array([[0.02, 0, 0], [0.9, 0, 0], [0, 0.03, 0]], np.complex128)
    found = steady_state(-1.4, pumps, sheet)
    alone = steady_state(-1.4, pumps[[0, 2]], sheet)
    assert found.outcome[1] == Outcome.BISTABLE
    np.testing.assert_array_equal(found.psi[[0, 2]], alone.psi)


def test_more_gain_than_loss_is_told_as_unstable() -> None:
    found = steady_state(0.3 + 0.2j, np.full(3, 0.1), Sheet((3,), 0.1, 0.1, "density"))
    assert found.outcome == Outcome.UNSTABLE
    with pytest.raises(NoSteadyState, match="1 unstable"):
        found.require()


def test_next_to_a_state_that_is_given_the_upper_branch_is_kept() -> None:
    sheet = Sheet((1,), 1.0, 0.1, "density")
    pump = 0.8 * turning_pump(-0.4, 1.0, 0.1) * np.ones((1, 1))
    above = steady_state(-1.4, pump, sheet, start=np.array([[-0.6j + 0.3]]))
    assert above.converged.all()
    assert np.abs(above.psi[0, 0]) > 2 * np.abs(steady_state(-1.4, pump, sheet).psi[0, 0])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gamma": 0.0}, "without loss"),
        ({"gamma": np.ones(4)}, "shape"),
        ({"g": np.nan}, "no number"),
        ({"shape": (2, 2, 2)}, "rows, columns"),
        ({"blocked": np.zeros(3, np.bool_)}, "blocked"),
        ({"nonlinearity": "cubic"}, "density"),
    ],
)
def test_a_sheet_that_makes_no_sense_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SheetError, match=told):
        steady_state(0.0, np.ones(9), Sheet((9,))._replace(**change))


@pytest.mark.parametrize(("V", "P"), [(np.nan, np.ones(9)), (0.0, np.full(9, np.inf)), (0.0, np.ones(8))])
def test_numbers_that_are_none_and_shapes_that_do_not_fit_are_refused(V: Any, P: Any) -> None:
    with pytest.raises(SheetError):
        steady_state(V, P, Sheet((9,)))


def test_outputs_off_the_sheet_are_refused() -> None:
    with pytest.raises(SheetError, match="nodes 0 to 8"):
        steady_state(0.0, np.ones(9), Sheet((9,)), nudge=Nudge(np.array([9]), np.ones((1, 1)), 0.01))
