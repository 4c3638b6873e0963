"""The Ising model's exact averages: enumeration, Kaufman's and Onsager's solutions agree with one another."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from simulators.physics import ising


def test_all_states_are_walked_once_with_their_energies() -> None:
    rng = np.random.default_rng(1)
    bonds = np.array([(i, j) for i, j in itertools.combinations(range(7), 2) if rng.random() < 0.6])
    weights, fields = rng.normal(size=len(bonds)), rng.normal(size=7)
    states = np.array(list(itertools.product((-1, 1), repeat=7)), np.int8)
    found, total = ising.enumerated(bonds, weights, fields)
    expected = ising.energies(bonds, weights, fields, states)
    np.testing.assert_allclose(np.sort(found), np.sort(expected), atol=1e-12)
    assert np.bincount(total + 7).tolist() == np.bincount(states.sum(axis=1) + 7).tolist()
    by_hand = -sum(w * states[:, i] * states[:, j] for (i, j), w in zip(bonds, weights, strict=True)) - states @ fields
    np.testing.assert_allclose(expected, by_hand, atol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 2.2691853, 2.5, 5.0])
@pytest.mark.parametrize("side", [3, 4])
def test_kaufmans_finite_lattice_is_that_of_enumeration(side: int, temperature: float) -> None:
    bonds = ising.torus_bonds(side)
    states = ising.enumerated(bonds, np.ones(len(bonds)), np.zeros(side * side))
    exact = ising.exact_averages(*states, side * side, temperature)
    energy, heat = ising.kaufman(side, temperature)
    assert energy == pytest.approx(exact["E"], abs=1e-8)
    assert heat == pytest.approx(exact["C"], abs=1e-6)


@pytest.mark.parametrize("temperature", [1.5, 2.0, 2.6, 4.0])
def test_large_lattices_approach_onsagers(temperature: float) -> None:
    energy, _ = ising.kaufman(64, temperature)
    assert energy == pytest.approx(ising.onsager_energy(temperature), abs=2e-4)


def test_limits_of_temperature() -> None:
    assert ising.kaufman(8, 0.5)[0] == pytest.approx(-2.0, abs=1e-5)
    assert ising.kaufman(8, 100.0)[0] == pytest.approx(-2 / 100, rel=1e-3)
    assert ising.onsager_energy(0.6) == pytest.approx(-2.0, abs=1e-4)
    assert ising.spontaneous_magnetisation(1.0) == pytest.approx(0.9993, abs=1e-4)
    assert ising.spontaneous_magnetisation(2.3) == 0.0


def test_bonds_of_the_torus_join_every_spin_to_four() -> None:
    assert np.bincount(ising.torus_bonds(5).ravel()).tolist() == [4] * 25


def test_too_many_spins_to_enumerate_are_refused() -> None:
    with pytest.raises(ValueError, match="25 spins"):
        ising.enumerated(ising.torus_bonds(5), np.ones(50), np.zeros(25))
