"""`domino.noise` and `domino.scaling`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.domino.problem.networks import clique_network
from protocols.domino.solve.noise import NoiseParameters, averages, both
from protocols.domino.solve.scaling import ScalingParameters, power_law, settling_times


def test_more_noise_changes_more_and_both_figures_of_it_are_kept(tmp_path: Path) -> None:
    given = {"eta": "0.01,1.0", "density": 0.5, "nodes": 30, "networks": 3, "starts": 20}
    done = execute("labctl.figures", "domino.noise", assignments=given, out=tmp_path)
    v = done.values
    assert v["off"][0] < v["off"][1]
    assert v["other"][0] < v["other"][1]
    assert v["off_at_0.01"] == v["off"][0]
    assert np.shape(v["off_by_density"]) == (1, 2)
    assert len(list(tmp_path.glob("*noise.png"))) == 1


def test_noise_of_a_tenth_costs_less_than_a_hundredth_of_q() -> None:
    # 0.2 % in the sheet, 0.1 % the standard error of three networks.
    p = NoiseParameters(eta=(0.1,), starts=30)
    rng = np.random.default_rng(0)
    off = []
    for density in (0.4, 0.6, 0.8):
        still, noisy = both(clique_network(50, density, rng), p, rng)
        off.append(np.abs(noisy / still - 1).mean())
    assert np.mean(off) < 0.01


def test_averages_are_of_single_starts_and_their_error_is_of_networks() -> None:
    still = np.array([[1.0, 1.0], [2.0, 2.0]])
    noisy = np.array([[[0.9, 1.0]], [[2.0, 2.4]]])
    v = averages(still, noisy, np.array([1.0, 2.4]), 2, (0.1,))
    assert v["off"] == [pytest.approx(0.075)]
    assert v["signed"] == [pytest.approx(0.025)]
    assert v["off_err"] == [pytest.approx(0.025)]
    assert v["success"] == [pytest.approx(0.5)]
    assert v["success_still"] == pytest.approx(0.5)
    assert v["off_by_density"] == [[pytest.approx(0.05)], [pytest.approx(0.1)]]


def test_noise_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for given, told in (
        ({"eta": "0.1,2"}, "above 0, 1 at most"),
        ({"nodes": 10, "density": 0.05}, "fewer links than nodes"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            execute("labctl.figures", "domino.noise", assignments=given, out=tmp_path)


def test_power_laws_are_found_with_the_error_of_their_spread() -> None:
    # 200 laws with noise of 10 %: the error is right within 25 %, 5 of its own standard errors.
    rng = np.random.default_rng(1)
    n = np.array([20, 40, 80, 160])
    found = [power_law(n, 3 * n[:, None] ** 0.3 * (1 + 0.1 * rng.normal(size=(4, 8)))) for _ in range(200)]
    exponents, errors = np.array(found).T
    assert exponents.mean() == pytest.approx(0.3, abs=0.01)
    assert exponents.std() / np.sqrt((errors**2).mean()) == pytest.approx(1, abs=0.25)


def test_settling_is_seen_when_it_happens() -> None:
    # A complete graph: shares become even at a rate of N per unit of time.
    # What is seen is the length of the average, half a unit, and of the start.
    p = ScalingParameters(starts=4, duration=10.0)
    quick = settling_times(np.ones((20, 20)) - np.eye(20), p, np.random.default_rng(2))
    assert quick.max() < 1.5
    slow = settling_times(clique_network(40, 0.5, np.random.default_rng(2)), p, np.random.default_rng(2))
    assert slow.max() > 2 * quick.max()


def test_scaling_tells_times_exponents_and_costs(tmp_path: Path) -> None:
    given = {"nodes": "15,30", "networks": 2, "starts": 3, "duration": 5, "updates": "20,100", "repeats": 2}
    done = execute("labctl.figures", "domino.scaling", assignments=given, out=tmp_path)
    v = done.values
    assert len(v["settling_time"]) == len(v["update_us"]) == len(v["batched_us"]) == 2
    assert np.isfinite([v["exponent"], v["exponent_err"], v["update_exponent"], v["batched_exponent"]]).all()
    assert len(list(tmp_path.glob("*scaling.png"))) == 1
    with pytest.raises(ConfigurationError, match="two or more different sizes"):
        execute("labctl.figures", "domino.scaling", assignments={"nodes": "20"}, out=tmp_path)
