"""`prbm.ising` through the whole stack: exact averages within error bars, whatever the model, however it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.prbm.ising.ising import Ising
from protocols.prbm.ising.parameters import IsingParameters
from protocols.prbm.ising.spin_machine import SpinMachine, torus
from simulators.physics.ising import energies

SIGMAS = 4.0
"""Two-sided 6e-5 for each comparison: at most 40 in one test make its false alarm 2.5e-3; seeds are fixed."""


def ising(tmp_path: Path, seed: int = 0, **assignments: Any) -> Mapping[str, Any]:
    return execute("labctl.figures", "prbm.ising", assignments=assignments, seed=seed, out=tmp_path).values


def deviations(values: Mapping[str, Any], *quantities: str) -> Any:
    return {
        q: np.abs(np.array(values[q]) - np.array(values[f"{q}_exact"])) / np.array(values[f"{q}_err"])
        for q in quantities
    }


def test_a_small_lattice_by_light_is_that_of_exact_enumeration(tmp_path: Path) -> None:
    values = ising(tmp_path, L=4, T=(1.5, 2.3, 3.5), samples=200, chains=5)
    for quantity, off in deviations(values, "E", "m", "C", "chi", "U4").items():
        assert off.max() < SIGMAS, quantity
    assert all(values["equilibrated"])
    assert values["r"] > 0.99


def test_any_couplings_and_fields_are_sampled(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    edges = [[i, j, rng.normal()] for i in range(12) for j in range(i) if rng.random() < 0.3]
    (tmp_path / "glass.json").write_text(json.dumps({"edges": edges, "fields": rng.normal(0, 0.3, 12).tolist()}))
    values = ising(tmp_path, graph=tmp_path / "glass.json", T=(0.8, 1.5), samples=100, chains=20)
    for quantity, off in deviations(values, "E", "m", "C").items():
        assert off.max() < SIGMAS, quantity


def test_the_ideal_table_draws_the_very_spins_of_arithmetic(tmp_path: Path) -> None:
    given: dict[str, Any] = {"L": (4,), "T": (2.5,), "samples": 3, "chains": 1}
    light, arithmetic = ising(tmp_path, noise="off", **given), ising(tmp_path, sampler="exact", **given)
    for quantity in ("E", "m", "C", "chi", "U4"):
        assert light[quantity] == arithmetic[quantity]


def test_larger_lattices_have_the_energy_of_kaufmans_formula(tmp_path: Path) -> None:
    values = ising(tmp_path, L=(8, 10), T=(1.8, 2.27, 3.0), samples=3000, sampler="exact")
    assert deviations(values, "E", "C")["E"].max() < SIGMAS
    assert values["deviation"] < SIGMAS


def test_several_sizes_cross_at_onsagers_temperature(tmp_path: Path) -> None:
    values = ising(tmp_path, L=(4, 8), T=(2.05, 2.15, 2.25, 2.35, 2.45), samples=500, chains=24, sampler="exact")
    # L = 4 is small: its cumulants cross those of larger lattices some 0.02 away from the critical point.
    assert values["T_c"] == pytest.approx(2.269, abs=0.05 + 2 * values["T_c_err"])
    assert values["T_c_err"] < 0.05


def test_the_papers_short_runs_are_frozen_where_it_is_cold(tmp_path: Path) -> None:
    values = ising(tmp_path, mode="paper", L=10, T=(1.5, 2.3), sampler="exact", samples=200)
    assert values["E"][0] > values["E_exact"][0] + SIGMAS * values["E_err"][0]
    assert values["C"][0] > values["C_exact"][0] + SIGMAS * values["C_err"][0]


@pytest.mark.parametrize(
    ("given", "promised"),
    [
        ({}, {"deviation"}),
        ({"L": (8, 12), "samples": 2000}, {"deviation", "T_c"}),
        ({"L": (8, 12)}, {"deviation"}),
        ({"L": (4, 6), "samples": 2000}, {"deviation"}),
        ({"samples": 60}, set()),
        ({"chains": 1}, set()),
        ({"mode": "paper"}, set()),
    ],
)
def test_no_more_is_promised_than_a_run_of_its_length_knows(given: dict[str, Any], promised: set[str]) -> None:
    assert set(Ising().targets(IsingParameters(**given)) or {}) == promised


def test_short_runs_from_random_starts_are_not_called_equilibrium(tmp_path: Path) -> None:
    values = ising(tmp_path, mode="paper", L=4, T=(2.3,), sampler="exact", samples=3)
    assert values["equilibrated"] == [False]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"L": 1}, "sides of 2 to 128"),
        ({"T": (2.0, -1.0)}, "temperatures are positive"),
        ({"T": (2.0, 2.0)}, "different temperatures"),
        ({"mode": "paper", "chains": 2}, "every sample has a start of its own"),
        ({"graph": "x.txt", "L": 4}, "give one of them"),
        ({"graph": "nowhere.txt"}, "nowhere.txt: cannot be read"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        ising(tmp_path, **given)


def test_energy_differences_are_the_local_fields_that_layers_find() -> None:
    machine = SpinMachine(torus(4), np.array([2.0]), 2)
    spins = machine.start(False, np.random.default_rng(0))
    assert machine.colours == 2
    for layer in machine.layers.values():
        local = layer.local_fields(spins.ravel())
        assert np.abs(local).max() <= 4
    turned = spins.copy()
    turned[0, 1, 5] *= -1
    one = torus(4).matrix()[[5]] @ spins[0, 1]
    change = machine.energy(turned)[0, 1] - machine.energy(spins)[0, 1]
    assert change == pytest.approx(2 * spins[0, 1, 5] * one[0])


def test_energies_of_many_spins_are_those_of_each(tmp_path: Path) -> None:
    graph = torus(3)
    spins = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), (4, 5, 9))
    many = energies(graph.edges, graph.weights, graph.node_weights, spins)
    assert many.shape == (4, 5)
    assert many[2, 3] == energies(graph.edges, graph.weights, graph.node_weights, spins[2, 3])
