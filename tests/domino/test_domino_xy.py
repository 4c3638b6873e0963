"""The XY flow, its figures, and correlations without a link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.domino.correlations.correlations import unlinked_pairs
from simulators.physics.domino.xy import energy, lowest, to_rest

Array = NDArray[np.float64]


def ring(*links: float) -> Array:
    n = len(links)
    J = np.zeros((n, n))
    for k, w in enumerate(links):
        J[k, (k + 1) % n] = J[(k + 1) % n, k] = w
    return J


def noise(runs: int, n: int, seed: int = 0) -> NDArray[np.complex128]:
    return np.asarray(1e-3 * np.exp(2j * np.pi * np.random.default_rng(seed).random((runs, n))))


def figure(out: Path, name: str, **given: object) -> dict[str, Any]:
    return execute("labctl.figures", f"domino.{name}", assignments=given, out=out).values


FRUSTRATED = {
    "triangle": (ring(-1, -1, -1), -1.5),
    "square": (ring(1, 1, 1, -1), -2 * np.sqrt(2)),
    "pentagon": (ring(-1, -1, -1, -1, -1), 5 * np.cos(4 * np.pi / 5)),
}


@pytest.mark.parametrize("name", FRUSTRATED)
def test_frustrated_rings_reach_their_ground_state_from_every_start(name: str) -> None:
    J, ground = FRUSTRATED[name]
    rest = to_rest(J, noise(20, len(J)))
    assert rest.settled.all()
    np.testing.assert_allclose(energy(J, rest.phases), ground, rtol=1e-6)
    assert np.abs(np.abs(rest.psi) ** 2 - 1).max() < 1e-6


def test_at_rest_pumping_adds_up_to_density_and_energy() -> None:
    rng = np.random.default_rng(1)
    upper = np.triu(rng.normal(size=(10, 10)), 1)
    J = upper + upper.T
    rest = to_rest(J, noise(5, 10), epsilon=0.3, rho_th=2.0)
    assert rest.settled.all()
    np.testing.assert_allclose(rest.gamma.sum(axis=1), 10 * 2.0 + 2 * energy(J, rest.phases), rtol=1e-5)


def test_a_run_that_is_too_short_has_not_settled_though_nothing_moves() -> None:
    # Below threshold fields are small and so is their change; densities tell.
    rest = to_rest(ring(-1, -1, -1), noise(3, 3), longest=1.0)
    assert not rest.settled.any()
    assert rest.left.min() > 0.9


def test_random_signs_of_eight_nodes_always_reach_the_lowest_energy() -> None:
    rng = np.random.default_rng(2)
    for _ in range(4):
        upper = np.triu(rng.choice([-1.0, 1.0], (8, 8)), 1)
        J = upper + upper.T
        ground, _ = lowest(J, 100, rng)
        rest = to_rest(J, noise(3, 8), longest=200.0)
        assert energy(J, rest.phases).min() <= ground + 1e-4 * abs(ground)


def test_the_search_finds_known_ground_states() -> None:
    for J, ground in FRUSTRATED.values():
        found, phases = lowest(J, 20, np.random.default_rng(0))
        assert found == pytest.approx(ground, rel=1e-9)
        assert energy(J, phases) == pytest.approx(ground, rel=1e-9)


def test_the_figure_tells_energy_phases_pumping_and_densities(tmp_path: Path) -> None:
    done = execute("labctl.figures", "domino.xy", assignments={"runs": 4, "nodes": 8}, out=tmp_path)
    v = done.values
    assert v["density_spread"] < 1e-6
    assert abs(v["balance"]) < 1e-5
    assert v["energy"] == pytest.approx(v["energy_searched"], rel=1e-4)
    assert len(v["phases"]) == len(v["gamma"]) == v["nodes"] == 8
    assert v["links"] == 28
    assert len(list(tmp_path.glob("*xy.png"))) == 1


@pytest.mark.parametrize("unit", [100.0, 0.01])
def test_couplings_in_another_unit_come_to_rest_all_the_same(tmp_path: Path, unit: float) -> None:
    J = np.triu(np.random.default_rng(3).normal(size=(8, 8)), 1)
    np.save(tmp_path / "J.npy", unit * (J + J.T))
    v = figure(tmp_path, "xy", graph=tmp_path / "J.npy")
    assert v["success"] == 1
    assert v["density_spread"] < 1e-6
    assert abs(v["balance"]) < 1e-5 * unit
    assert v["energy"] == pytest.approx(unit * lowest(J + J.T, 50, np.random.default_rng(0))[0])


def test_many_strong_couplings_come_to_rest(tmp_path: Path) -> None:
    v = figure(tmp_path, "xy", nodes=60, runs=5)
    assert v["settled"] == 1
    assert v["density_spread"] < 1e-6


def test_signed_weights_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "g.edges").write_text("a b -1\nb d -1\nd a -1\n")
    assert figure(tmp_path, "xy", graph=tmp_path / "g.edges")["energy"] == pytest.approx(-1.5)
    (tmp_path / "none.edges").write_text("a b 0\n")
    with pytest.raises(ConfigurationError, match="no links"):
        figure(tmp_path, "xy", graph=tmp_path / "none.edges")


def test_nodes_two_links_away_are_ranked_by_the_signs_between(tmp_path: Path) -> None:
    # a - b - e - d with one negative link: a and e alike, a and d, b and d unlike.
    (tmp_path / "g.edges").write_text("a b 1\nb e 1\ne d -1\n")
    v = figure(tmp_path, "correlations", graph=tmp_path / "g.edges", runs=5)
    found = {(row["a"], row["b"]): row["correlation"] for row in v["pairs"]}
    assert found == {
        ("a", "e"): pytest.approx(1, abs=1e-4),
        ("a", "d"): pytest.approx(-1, abs=1e-4),
        ("b", "d"): pytest.approx(-1, abs=1e-4),
    }
    assert len(list(tmp_path.glob("*correlations.png"))) == 1


def test_parts_that_nothing_joins_have_no_correlation() -> None:
    J = np.kron(np.eye(2), ring(1, 1)[:2, :2])
    assert unlinked_pairs(J, np.zeros((1, 4)), np.zeros(1), np.zeros(4)) == []
