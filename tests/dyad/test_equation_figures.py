"""Figures of dyads' equation, with other parameters than the published ones too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.client import ConfigurationError, open_run
from labctl.experiments.execute import Outcome, execute
from protocols.dyad.equation.chain import ChainParameters, condensed_chain, couplings_of
from protocols.dyad.equation.critical_points import line
from protocols.dyad.equation.crossing import crossing, fitted
from protocols.dyad.equation.figure import DyadParameters, time_step
from protocols.dyad.equation.trials import (
    Orientations,
    TrialParameters,
    condensed,
    exchanged_orientations,
    orientations,
)
from simulators.physics.condensates.dyad_kernel import denser_second, evolve_dyads
from simulators.physics.condensates.equation import evolve, seeds


def figure(out: Path, name: str, **given: object) -> Outcome:
    return execute("labctl.figures", f"dyad.{name}", assignments=given, out=out)


def values(out: Path, name: str, **given: object) -> dict[str, Any]:
    return figure(out, name, **given).values


# --- steady state and equal occupation --------------------------------------------------------------------------


def test_the_published_steady_state_is_met_and_drawn(tmp_path: Path) -> None:
    done = figure(tmp_path, "steady-state", xi="5/3")
    assert done.ok
    assert done.values["growth_rate"] == pytest.approx(0.27705348)
    assert [state["denser"] for state in done.values["states"]] == [1, 2]
    assert len(list(tmp_path.glob("*steady-state.png"))) == 1


def test_negative_coupling_turns_one_condensate_and_changes_nothing_else(tmp_path: Path) -> None:
    plus, minus = (values(tmp_path, "steady-state", J=J, r_g=1.03, xi=1.2) for J in (0.55, -0.55))
    for name in ("a", "b", "mu", "growth_rate", "xi_c", "xi_lower"):
        assert minus[name] == pytest.approx(plus[name])
    assert minus["theta"] == pytest.approx(math.pi - plus["theta"])


def test_above_the_bound_the_state_at_rest_is_the_symmetric_one(tmp_path: Path) -> None:
    found = values(tmp_path, "steady-state", xi=2.6)
    assert found["xi_c"] < 2.6
    assert not found["asymmetric"]
    assert (found["a"], found["b"]) == (pytest.approx(math.sqrt(found["rho_0"])), pytest.approx(found["a"]))
    assert found["growth_rate"] < 0


@pytest.mark.parametrize(("r_g", "r_gamma"), [(1.3, 0.7), (0.7, 1.3), (1.05, 0.97)])
def test_states_of_unlike_sites_are_those_that_dyads_come_to_rest_in(
    tmp_path: Path, r_g: float, r_gamma: float
) -> None:
    """Where the followed states have ended, too: by Eq. (1) from other noise, in steps of another length."""
    found = values(tmp_path, "steady-state", r_g=r_g, r_gamma=r_gamma)
    psi = seeds(8, 2, 0.05, np.random.default_rng(11))
    psi = evolve_dyads(psi, (2.8, 2.8 * r_gamma), (0.5, 0.5 * r_g), 5 / 3, 0.55, 100.0, 0.01)
    stable = [state for state in found["states"] if state["stable"]]
    for a, b in np.abs(psi):
        assert min(max(abs(s["a"] - a), abs(s["b"] - b)) for s in stable) < 1e-5
    assert sum(state["share"] for state in found["states"]) == pytest.approx(1)
    assert (found["a"], found["b"]) in [(state["a"], state["b"]) for state in stable]
    assert (found["growth_rate"] is None) == (len(found["states"]) == 1)


def test_dyads_of_which_no_state_is_stable_are_said_to_oscillate(tmp_path: Path) -> None:
    found = values(tmp_path, "steady-state", r_g=4)
    assert found["oscillates"]
    assert [found[name] for name in ("a", "b", "theta", "mu", "growth_rate")] == [None] * 5
    assert found["moving"] == 1


def test_a_site_above_threshold_lights_one_below_it(tmp_path: Path) -> None:
    """Equal sites of gamma = 0.3 stay dark, since 0.3 + J < 1."""
    found = values(tmp_path, "steady-state", gamma=0.3, r_gamma=5)
    assert found["rho_0"] is None
    assert 0 < found["a"] < found["b"]


def test_both_published_ratios_of_equal_occupation_are_met(tmp_path: Path) -> None:
    done = figure(tmp_path, "equal-occupation", r_g="0.8,1.1")
    assert done.ok
    assert set(done.targets or {}) >= {"r_gamma_at_0.8", "r_gamma_at_1.1", "slope"}
    assert values(tmp_path, "equal-occupation", r_g=1.1)["r_gamma"] == pytest.approx(0.974375, abs=1e-6)


# --- orientation ------------------------------------------------------------------------------------------------


def test_one_setting_gives_numbers_and_several_give_lists(tmp_path: Path) -> None:
    small = {"trials": 50, "duration": 5}
    one = values(tmp_path, "orientation", r_g=1.02, r_gamma=0.98, **small)
    row = values(tmp_path, "orientation", r_g="1.0,1.02", r_gamma=0.98, **small)
    table = values(tmp_path, "orientation", r_g="1.0,1.02", r_gamma="0.96,0.98,1.0", **small)
    for name in ("p1", "p1_err", "sigma", "undecided"):
        assert isinstance(one[name], float)
        assert np.shape(row[name]) == (2,)
        assert np.shape(table[name]) == (3, 2)
    assert one["sigma"] == pytest.approx(math.sqrt(one["p1"] * (1 - one["p1"])))


def test_exchanging_the_sites_exchanges_the_orientations() -> None:
    # Within 5 standard errors, false alarm 6e-7.
    rng = np.random.default_rng(1)
    one = orientations(TrialParameters(), 20_000, 1.06, 0.97, rng)
    exchanged = TrialParameters(gamma=0.97 * 2.8, g=1.06 * 0.5)
    other = orientations(exchanged, 20_000, 1 / 1.06, 1 / 0.97, rng)
    assert 0.2 < one.p1 < 0.8
    assert abs(one.p1 + other.p1 - 1) < 5 * math.hypot(one.error, other.error)


def test_the_sign_of_the_coupling_does_not_change_orientations() -> None:
    rng = np.random.default_rng(2)
    one, other = (orientations(TrialParameters(J=J), 20_000, 1.03, 0.98, rng) for J in (0.55, -0.55))
    assert abs(one.p1 - other.p1) < 5 * math.hypot(one.error, other.error)  # false alarm 6e-7


def test_noise_and_its_mirror_image_give_the_same_share_with_a_smaller_error() -> None:
    rng = np.random.default_rng(3)
    one = orientations(TrialParameters(), 20_000, 1.02, 0.99, rng)
    other = exchanged_orientations(TrialParameters(), 20_000, 1.02, 0.99, rng)
    assert abs(one.p1 - other.p1) < 5 * math.hypot(one.error, other.error)  # false alarm 6e-7
    assert other.error < 0.6 * one.error
    assert exchanged_orientations(TrialParameters(), 200, 1.0, 1.0, rng).p1 == 0.5


def test_error_of_mirrored_noise_is_the_spread_of_shares() -> None:
    # 60 shares: their standard deviation is within 5 of its errors, 9 % each; false alarm 6e-7.
    rng = np.random.default_rng(4)
    p = TrialParameters(duration=20.0)
    found = [exchanged_orientations(p, 400, 1.04, 0.985, rng) for _ in range(60)]
    spread = np.std([f.p1 for f in found], ddof=1)
    assert 0.55 < spread / np.mean([f.error for f in found]) < 1.45


def test_steps_are_short_enough_where_phases_turn_fast() -> None:
    p = TrialParameters(gamma=3.8, g=0.3, xi=0.5, J=0.4, duration=10.0)
    assert p.step() < 0.05
    psi = seeds(30, 2, 0.01, np.random.default_rng(5))
    ours = condensed(p, psi, 1.02, 1.0)
    fine = evolve(psi, 3.8, np.array([0.3, 1.02 * 0.3]), 0.5, 0.4, 10.0, 0.002)
    assert ((np.abs(ours[:, 1]) > np.abs(ours[:, 0])) == (np.abs(fine[:, 1]) > np.abs(fine[:, 0]))).all()
    assert time_step(2.8, 0.5, 5 / 3, 0.55) == 0.1


# --- critical points --------------------------------------------------------------------------------------------


def test_critical_points_are_the_published_ones(tmp_path: Path) -> None:
    done = figure(tmp_path, "critical-points", r_gamma="0.94,1.02", trials=4000)
    found = done.values
    # 5 standard errors beside the published tolerance of 0.0006: false alarm 1e-6.
    for r_g, error, published in zip(found["r_g"], found["r_g_err"], (1.1327, 0.9551), strict=True):
        assert error < 2e-4
        assert abs(r_g - published) < 6e-4 + 5 * error
    assert found["slope"] == pytest.approx(-0.08 / (found["r_g"][0] - found["r_g"][1]))


def test_critical_points_are_found_far_from_the_published_parameters(tmp_path: Path) -> None:
    given = {"J": -0.7, "gamma": 1.6, "g": 0.3, "xi": 0.9, "r_gamma": 0.99, "trials": 4000, "amp": 0.05}
    found = values(tmp_path, "critical-points", **given)
    there = TrialParameters(**{name: given[name] for name in ("J", "gamma", "g", "xi", "amp")})
    share = orientations(there, 20_000, found["r_g"], 0.99, np.random.default_rng(6))
    spread = math.hypot(share.error, found["dp1_dr_g"] * found["r_g_err"])
    assert abs(share.p1 - 0.5) < 5 * spread  # false alarm 6e-7


def test_where_dyads_oscillate_a_crossing_that_is_none_is_told() -> None:
    p = TrialParameters(J=0.2, gamma=3.0, g=0.7, xi=1.2, trials=2000)
    with pytest.raises(ConfigurationError, match="does not grow through one half"):
        crossing(p, 0.97, np.random.default_rng(9))


def test_where_dyads_turn_later_on_a_crossing_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"of the dyads there turn between duration = 30"):
        crossing(TrialParameters(trials=1000), 0.2, np.random.default_rng(10))


def test_error_of_a_fitted_crossing_is_its_spread() -> None:
    # Drawn from a curve with its crossing at 1.03; 200 fits: false alarm 1e-6 for spread and for mean.
    rng = np.random.default_rng(7)
    at, trials = np.linspace(1.02, 1.04, 9), 500
    p1 = 0.5 + np.tanh(20 * (at - 1.03)) / 2
    fits = []
    for _ in range(200):
        ones = rng.binomial(trials, p1)
        drawn = [Orientations(trials, int(k), 0, math.sqrt(k * (trials - k) / trials**3)) for k in ones]
        fits.append(fitted(at, drawn))
    pull = (np.array([f.r_g for f in fits]) - 1.03) / np.array([f.error for f in fits])
    assert abs(pull.mean()) < 5 / math.sqrt(200)
    assert 0.75 < pull.std() < 1.25


def test_slope_of_a_line_has_the_error_of_its_points() -> None:
    slope, error = line(np.array([1.1, 1.0, 0.9]), np.array([0.95, 1.0, 1.05]), np.full(3, 1e-3))
    assert slope == pytest.approx(-0.5)
    assert error == pytest.approx(0.5 * 1e-3 / math.sqrt(0.02))
    assert line(np.ones(1), np.ones(1), np.ones(1)) == (None, None)


# --- phase diagram ----------------------------------------------------------------------------------------------


def test_one_point_of_the_phase_diagram_is_a_number(tmp_path: Path) -> None:
    found = values(tmp_path, "phase-diagram", g=0.4, J=-0.45, gamma=1.8, lower=True)
    assert found["xi_c"] == pytest.approx(0.9420088863, rel=1e-8)
    assert found["xi_c"] == pytest.approx(found["closed_form"], rel=1e-8)
    assert found["xi_lower"] == pytest.approx(0.531, abs=1e-3)
    assert found["agreeing"] == 1


def test_a_grid_of_the_phase_diagram_is_in_the_run_file_with_what_has_no_bound(tmp_path: Path) -> None:
    done = figure(tmp_path, "phase-diagram", g="-0.2,0.3,0.6", J="0.2,0.5", gamma="0.7,2.5")
    assert (done.values["points"], done.values["bounded"]) == (12, 6)
    assert done.values["xi_c"][0] == [[None] * 3, [None, *done.values["xi_c"][0][1][1:]]]
    with open_run(done.run_file) as file:
        kept = file["data/xi_c"][()]
    assert kept.shape == (2, 2, 3)
    assert np.isfinite(kept).sum() == 6
    assert done.values["deviation"] < 1e-8


def test_where_dyads_oscillate_below_the_bound_it_is_told(tmp_path: Path) -> None:
    found = values(tmp_path, "phase-diagram", g=0.2, J=0.05, gamma=1.3, lower=True)
    assert (found["lasting"], found["xi_lower"]) == (0, None)
    assert found["agreeing"] == 1


# --- integrated intensity ---------------------------------------------------------------------------------------


def test_integrated_intensities_have_the_published_moments(tmp_path: Path) -> None:
    done = figure(tmp_path, "integrated-intensity")
    assert done.ok
    for name in ("mean", "std", "skewness"):
        off = done.values[name] - done.values[f"{name}_exact"]
        assert abs(off) < 5 * done.values[f"{name}_err"]  # false alarm 6e-7 each


@pytest.mark.parametrize("J", [0.55, -0.55])
def test_dyads_that_condense_give_the_moments_of_fair_coins(tmp_path: Path, J: float) -> None:
    found = values(tmp_path, "integrated-intensity", method="equation", n=20, trials=1000, J=J)
    for name in ("mean", "std"):
        assert abs(found[name] - found[f"{name}_exact"]) < 5 * found[f"{name}_err"]  # false alarm 6e-7 each


def test_incoherent_light_has_the_mean_of_intensities(tmp_path: Path) -> None:
    found = values(tmp_path, "integrated-intensity", coherent=False, n=50, trials=20_000)
    assert found["mean_exact"] == pytest.approx((found["a"] ** 2 + found["b"] ** 2) / 2)
    assert abs(found["mean"] - found["mean_exact"]) < 5 * found["mean_err"]  # false alarm 6e-7


# --- chains -----------------------------------------------------------------------------------------------------


def test_sites_are_coupled_as_the_geometry_says() -> None:
    chain, ladder, ring = (
        couplings_of(ChainParameters(n=3, geometry=kind), 0.1) for kind in ("chain", "ladder", "ring")
    )
    for J in (chain, ladder, ring):
        assert (J == J.T).all()
        assert J[0, 1] == J[2, 3] == J[4, 5] == 0.55
    assert {(i, j) for i, j in np.argwhere(chain == 0.1).tolist() if i < j} == {(1, 2), (3, 4)}
    assert {(i, j) for i, j in np.argwhere(ring == 0.1).tolist() if i < j} == {(1, 2), (3, 4), (0, 5)}
    assert {(i, j) for i, j in np.argwhere(ladder == 0.1).tolist() if i < j} == {(0, 2), (1, 3), (2, 4), (3, 5)}


def test_uncoupled_dyads_of_a_chain_are_single_ones() -> None:
    p = ChainParameters(n=2, trials=10, duration=20.0)
    spins, _ = condensed_chain(p, 0.0, 10, np.random.default_rng(8))
    psi = seeds(10, 4, p.amp, np.random.default_rng(8)).reshape(20, 2)
    size = np.abs(evolve(psi, 2.8, 0.5, 5 / 3, 0.55, 20.0, p.step()))
    np.testing.assert_array_equal(spins.ravel(), np.where(size[:, 1] > size[:, 0], 1, -1))


def test_chains_are_biased_at_their_ends_whatever_the_sign_of_the_coupling(tmp_path: Path) -> None:
    found = values(tmp_path, "chain", n=3, coupling="-0.1,0,0.1", trials=2000)
    p1, error = np.array(found["p1"]), np.array(found["p1_err"])
    mirrored = np.abs(p1 + p1[:, ::-1] - 1) / np.hypot(error, error[:, ::-1])
    assert mirrored.max() < 5  # false alarm 3e-6
    assert abs(found["bias"][0]) > 5 * error[0, 0]
    assert found["sign_deviation"] < 5
    assert found["independent_deviation"] < 5
    assert np.array(found["ones"]).sum(axis=1) == pytest.approx(1)


def test_dyads_of_a_ladder_are_fair_and_correlated(tmp_path: Path) -> None:
    found = values(tmp_path, "chain", n=2, coupling=0.12, geometry="ladder", trials=2000)
    assert found["biased"] < 5  # false alarm 1e-6
    assert abs(found["nearest"][0]) > 5 * found["correlation_err"][0]


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("steady-state", {"J": 0}, "J = 0"),
        ("steady-state", {"J": 1.2}, "less than 1"),
        ("steady-state", {"gamma": 0.2}, "threshold"),
        ("steady-state", {"xi": -1}, "greater than 0"),
        ("steady-state", {"xi": "5/0"}, "valid number"),
        ("steady-state", {"g": "nan"}, "finite"),
        ("steady-state", {"gamma": 0.1, "r_gamma": 0.9}, "below their threshold"),
        ("equal-occupation", {"r_g": 9, "J": 0.1}, "locked"),
        ("equal-occupation", {"r_g": ""}, "r_g"),
        ("orientation", {"xi": 3}, "xi_c = 2.25174"),
        ("orientation", {"g": -0.5}, "positive g"),
        ("orientation", {"amp": 0}, "greater than 0"),
        ("critical-points", {"r_gamma": "0.9,0.9"}, "different"),
        ("phase-diagram", {"gamma": 0.2, "J": 0.3}, "no point"),
        ("phase-diagram", {"g": -1}, "no point"),
        ("integrated-intensity", {"xi": 0.5}, "unstable"),
        ("integrated-intensity", {"method": "equation", "trials": 10**7}, "trials <= 1,000,000"),
        ("chain", {"n": 1}, "greater than or equal to 2"),
        ("chain", {"coupling": 1.5}, "less than 1"),
    ],
    ids=str,
)
def test_bad_parameters_are_told_before_anything_is_computed(
    tmp_path: Path, name: str, given: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        figure(tmp_path, name, **given)


@pytest.mark.parametrize(
    ("name", "dt", "told"),
    [
        ("orientation", 0.2, r"beyond 0\.15 .* choose dt <= 0\.099,"),
        ("critical-points", 0.2, r"choose dt <= 0\.095,"),
        ("chain", 0.2, r"beyond 0\.16 .* choose dt <= 0\.1,"),
        ("integrated-intensity", 0.05, r"beyond 0\.047 .* choose dt <= 0\.02,"),
    ],
)
def test_steps_in_which_states_are_other_ones_are_refused(tmp_path: Path, name: str, dt: float, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        figure(tmp_path, name, dt=dt)


@pytest.mark.parametrize("at", [{}, {"J": 0.36, "gamma": 3.25, "g": 0.37, "xi": 1.23}], ids=str)
def test_the_longest_step_that_is_taken_decides_as_a_short_one(at: dict[str, float]) -> None:
    """Of 2,000 dyads, 0.2 % at most; steps three times as long turn more of them."""
    p = TrialParameters(**at)  # type: ignore[arg-type]
    longest = time_step(p.gamma, p.g, p.xi, p.J, math.inf, p.LARGEST)
    psi = seeds(2000, 2, p.amp, np.random.default_rng(12))
    drift = (p.gamma, p.g, p.xi, p.J, p.duration)
    short, long, longer = (denser_second(evolve_dyads(psi, *drift, dt)) for dt in (0.02, longest, 3 * longest))
    assert (long != short).mean() <= 0.002
    assert (longer != short).mean() > 0.01


def test_a_ratio_may_be_written_as_one() -> None:
    assert DyadParameters.model_validate({"xi": "5/3"}).xi == 5 / 3
    assert DyadParameters.model_validate({"xi": "1.5"}).xi == 1.5


@pytest.mark.soak
@pytest.mark.parametrize("name", ["orientation", "critical-points", "phase-diagram", "chain"])
def test_the_published_figure_is_met(tmp_path: Path, name: str) -> None:
    assert figure(tmp_path, name).ok


@pytest.mark.soak
def test_the_slope_below_one_is_met(tmp_path: Path) -> None:
    assert figure(tmp_path, "critical-points", r_gamma="0.9,0.92,0.94,0.96,0.98,1.0").ok
