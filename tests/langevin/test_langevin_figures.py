"""Figures of Langevin computers: one step, one unit, digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import Outcome, execute
from protocols.langevin.equation.step_action import EXAMPLE, read_case
from protocols.langevin.generation.capacity import crossing


def figure(out: Path, name: str, **given: object) -> Outcome:
    return execute("labctl.figures", f"langevin.{name}", assignments=given, out=out)


def test_a_step_that_is_worked_out_by_hand_has_the_actions_numbers(tmp_path: Path) -> None:
    case = {
        "J2": 1.0,
        "J4": 0.5,
        "J": [[0, 2], [2, 0]],
        "b": [0.5, -1],
        "x": [0.0, 1.0],
        "x_next": [0.1, 0.8],
        "dt": 0.1,
    }
    path = tmp_path / "case.json"
    path.write_text(json.dumps(case))
    v = figure(tmp_path, "step-action", case=path).values
    gradient = [2 * 0.1 + 2 * 0.1**3 + 0.5 + 2 * 0.8, 2 * 0.8 + 2 * 0.8**3 - 1 + 2 * 0.1]
    r = [-0.1 + 0.1 * gradient[0], 0.2 + 0.1 * gradient[1]]
    assert v["action"] == pytest.approx((r[0] ** 2 + r[1] ** 2) / 0.4, rel=1e-12)
    np.testing.assert_allclose(v["grad_next"], gradient)
    np.testing.assert_allclose(v["db"], np.array(r) / 2)
    assert v["dJ"][0][1] == v["dJ"][1][0] == pytest.approx((r[0] * 0.8 + r[1] * 0.1) / 2, rel=1e-12)
    assert v["V"] == pytest.approx(1 + 0.5 - 1)
    assert v["V_next"] == pytest.approx(0.01 + 0.00005 + 0.64 + 0.2048 + 0.05 - 0.8 + 2 * 0.08)
    assert v["finite_difference"] < 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dt": 0.0}, "dt=0"),
        ({"J4": -1.0}, "J4=-1"),
        ({"J": [[0, 1, 2], [1, 0, 3]]}, "shape"),
        ({"J": [[0, 1, 0], [2, 0, 0], [0, 0, 0]]}, "symmetric"),
        ({"b": [1, 2]}, "biases b"),
        ({"x": [0, float("nan"), 0]}, "not finite"),
        ({"x_next": [0, 0]}, "as many"),
        ({"x": [[0]]}, "a list of N numbers"),
        ({"J2": "10"}, "J2 is not made of numbers"),
        ({"b": [True, 0, 0]}, "b is not made of numbers"),
        ({"b": [10**400, 0, 0]}, "double precision"),
        ({"J2": [10, 10]}, r"J2 \(2,\)"),
        ({"x_next": [1e200, 0, 0]}, "largest double"),
        ({"force": 1}, "allowed: an object with"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_case_that_is_wrong_is_told_by_its_key(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "case.json"
    path.write_text(json.dumps({**EXAMPLE, **change}))
    with pytest.raises(ConfigurationError, match=said):
        figure(tmp_path, "step-action", case=path)


def test_units_of_a_case_need_not_be_alike_and_rounding_is_no_asymmetry(tmp_path: Path) -> None:
    alike, unlike = tmp_path / "alike.json", tmp_path / "unlike.json"
    J = [[0, 1.1, 0], [1.1 * (1 + 3e-16), 0, 2], [0, 2, 0]]
    alike.write_text(json.dumps({**EXAMPLE, "b": 0.5}))
    unlike.write_text(json.dumps({**EXAMPLE, "J": J, "J2": [10, 11, 12], "J4": [1, 2, 3], "b": [0.5, 0.5, 0.5]}))
    one, other = (figure(tmp_path, "step-action", case=path).values for path in (alike, unlike))
    x = np.array(EXAMPLE["x"])
    own = [(10 * x**2 + 10 * x**4).sum(), ([10, 11, 12] * x**2 + [1, 2, 3] * x**4).sum()]
    pairs = [1.5 * x[0] * x[1] - 0.5 * x[0] * x[2] + 2 * x[1] * x[2], 1.1 * x[0] * x[1] + 2 * x[1] * x[2]]
    for v, V in zip((one, other), np.add(own, pairs) + 0.5 * x.sum(), strict=True):
        assert v["V"] == pytest.approx(V, rel=1e-12)
        assert v["finite_difference"] < 1e-6


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text("{")
    with pytest.raises(ConfigurationError, match="JSON"):
        read_case(path)


@pytest.mark.parametrize(
    "given",
    [{"force": 36}, {"J2": 3, "J4": 0, "force": -5}, {"J2": -8, "force": 0.5}, {"J2": -10, "J4": 2, "force": 2},
     {"J2": 0.05, "J4": 0, "dt": 2e-2, "trajectories": 5000}],
    ids=["quartic", "linear", "bistable", "wells that differ", "slow"],
)  # fmt: skip
def test_a_unit_under_a_force_has_the_moments_of_quadrature(tmp_path: Path, given: dict[str, Any]) -> None:
    v = figure(tmp_path, "unit", seed=1, scheme="averaged", **given).values
    for name in ("mean", "var", "second"):  # false alarm 1e-6 each, and half a per cent of the scheme
        assert abs(v[name] - v[f"{name}_exact"]) < 4.9 * v[f"{name}_err"] + 5e-3 * abs(v[f"{name}_exact"])


def test_eulers_bias_of_the_mean_square_is_below_one_and_a_half_per_cent(tmp_path: Path) -> None:
    done = figure(tmp_path, "unit", trajectories=400_000, seed=2)
    # Standard error 0.22 %: false alarm 1e-6 of a bias of 0.98 %.
    assert -0.002 < done.values["bias"] < 0.015 + 0.006


def test_a_step_too_long_for_a_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too long"):
        figure(tmp_path, "unit", dt=0.1)


def test_ten_digits_come_out_of_noise_and_are_recognised(tmp_path: Path) -> None:
    v = figure(tmp_path, "digits", size=14, hidden=256, trajectories=60, dt=2e-3, data=None).values
    assert v["recognised"] > 0.8
    assert len(v["shares"]) == 10
    assert np.count_nonzero(v["shares"]) >= 5
    assert Path(v["model"]).exists()


def test_capacity_is_where_four_in_five_outcomes_are_recognised(tmp_path: Path) -> None:
    given = {"size": 14, "classes": (0, 1, 7, 9), "sizes": (4, 96), "trajectories": 40, "dt": 4e-3}
    v = figure(tmp_path, "capacity", **given).values
    assert v["recognised"][0] < 0.5
    assert v["recognised"][1] > 0.8
    assert 4 < v["capacity"] < 96
    assert v["images"] == 4
    with pytest.raises(ConfigurationError, match="one size"):
        figure(tmp_path, "capacity", **given, loop="device")


def test_the_size_at_which_a_share_is_reached_lies_between_sizes() -> None:
    sizes = np.array([10.0, 100.0, 1000.0])
    assert crossing(sizes, np.array([0.0, 0.6, 1.0]), 0.8) == pytest.approx(100 * 10**0.5)
    assert crossing(sizes, np.array([0.9, 0.7, 0.9]), 0.8) == pytest.approx(100 * 10**0.5)  # it falls again: the last
    assert crossing(sizes, np.array([0.9, 0.9, 0.9]), 0.8) == 10
    assert np.isnan(crossing(sizes, np.array([0.9, 0.9, 0.7]), 0.8))


def noise_file(path: Path, images: int, spread: float) -> Path:
    """As a run of dyad.noise leaves it, with 20 dyads."""
    with h5py.File(path, "w") as file:
        file.attrs["labctl_run"] = 1
        file["data/noise"] = spread * np.random.default_rng(0).normal(size=(images, 4, 5))
    return path


def test_noise_that_is_injected_is_the_units_temperature(tmp_path: Path) -> None:
    # Linear units: <x²> is proportional to the noise's power. 600 independent values: 6 % of 1.44.
    path = noise_file(tmp_path / "noise.h5", 2000, 1.2)
    v = figure(tmp_path, "noise", noise=path, J4=0).values
    assert v["temperature"] == pytest.approx(1.44, abs=4.9 * v["temperature_err"] + 0.02)
    assert v["second_pseudo"] == pytest.approx(v["second_exact"], abs=5 * v["second_pseudo_err"])
    assert v["temperature_err"] < 0.08


def test_too_little_noise_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"30 images; needed: 80"):
        figure(tmp_path, "noise", noise=noise_file(tmp_path / "noise.h5", 30, 1.0))
