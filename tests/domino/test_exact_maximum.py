"""Problem (1): exact search, supports' worth and local search, beside brute force."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.domino.problem.networks import clique_network, uniform_network
from simulators.physics.domino.quadratic import best_on, maximum
from simulators.physics.domino.support_values import climbed, worth

Array = NDArray[np.float64]


def brute_force(W: Array) -> float:
    """Of all supports on which the stationary point lies inside."""
    best = 0.0
    for size in range(2, len(W) + 1):
        for nodes in itertools.combinations(range(len(W)), size):
            sub = W[np.ix_(nodes, nodes)]
            if abs(np.linalg.det(sub)) < 1e-12:
                continue
            y = np.linalg.solve(sub, np.ones(size))
            if (y > 0).all():
                best = max(best, 1 / y.sum())
    return best


@pytest.mark.parametrize("seed", range(6))
def test_the_maximum_is_that_of_all_supports(seed: int) -> None:
    W = uniform_network(9, 0.7, np.random.default_rng(seed))
    found = maximum(W)
    assert found.proved
    assert found.q == pytest.approx(brute_force(W), rel=1e-9)
    assert found.q == pytest.approx(found.x @ W @ found.x)
    assert found.x.sum() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(4))
def test_unweighted_the_maximum_is_of_motzkin_and_straus(seed: int) -> None:
    graph = nx.gnp_random_graph(40, 0.5, seed=seed)
    omega = max(len(clique) for clique in nx.find_cliques(graph))
    found = maximum(nx.to_numpy_array(graph))
    assert found.q == pytest.approx(1 - 1 / omega)
    assert len(found.support) == omega
    np.testing.assert_allclose(found.x[found.support], 1 / omega)


def test_an_optimal_support_is_a_clique_at_which_no_weight_wants_to_move() -> None:
    for seed in range(8):
        W = clique_network(40, 0.6, np.random.default_rng(seed))
        found = maximum(W)
        sub = W[np.ix_(found.support, found.support)]
        assert (sub + np.eye(len(sub)) > 0).all()
        slope = W @ found.x
        np.testing.assert_allclose(slope[found.support], found.q, rtol=1e-8)
        assert slope.max() <= found.q * (1 + 1e-8)


def test_a_search_that_is_cut_off_says_so_and_keeps_what_it_has() -> None:
    W = nx.to_numpy_array(nx.gnp_random_graph(200, 0.9, seed=1))
    found = maximum(W, most_s=0.0)
    assert not found.proved
    assert 0 < found.q < 1
    assert found.q == pytest.approx(found.x @ W @ found.x)


def test_a_known_value_prunes_and_is_not_reached_again() -> None:
    W = clique_network(40, 0.6, np.random.default_rng(3))
    free = maximum(W)
    told = maximum(W, at_least=free.q)
    assert told.proved
    assert not told.x.any()
    assert told.q == free.q
    assert told.searched < free.searched


def test_on_a_support_only_its_nodes_have_shares() -> None:
    W = clique_network(20, 0.6, np.random.default_rng(4))
    support = np.arange(0, 20, 2)
    found = best_on(W, support)
    assert set(found.support) <= set(support)
    assert found.q == pytest.approx(brute_force(W[np.ix_(support, support)]), rel=1e-9)


@pytest.mark.parametrize(
    ("W", "told"),
    [
        (np.zeros((2, 3)), r"needed is a square matrix"),
        (np.array([[0, -1], [-1, 0]]), "not negative"),
        (np.array([[0, np.nan], [np.nan, 0]]), "finite"),
        (np.array([[0, 1], [2, 0]]), "symmetric"),
        (np.eye(2), "diagonal"),
    ],
)
def test_weights_that_cannot_be_are_told(W: Array, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        maximum(W)


def test_worth_of_supports_is_the_exact_optimum_on_each() -> None:
    rng = np.random.default_rng(5)
    W = clique_network(16, 0.6, rng)
    supports = np.column_stack(
        [rng.random(16) < 0.4 for _ in range(20)] + [maximum(W).x > 0, np.zeros(16, bool), np.arange(16) == 3]
    )
    found = worth(W, supports)
    expected = [brute_force(W[np.ix_(k, k)]) for k in map(np.flatnonzero, supports.T)]
    np.testing.assert_allclose(found.q, expected, rtol=1e-9)
    assert found.exact.all()
    assert found.searched.any()
    assert not found.searched[-3:].any()


def test_worth_tells_which_supports_it_had_no_time_for() -> None:
    W = nx.to_numpy_array(nx.gnp_random_graph(200, 0.9, seed=2))
    found = worth(W, np.ones((200, 2), bool), most_s=0.0)
    assert not found.exact.any()
    assert (found.q > 0.5).all()


def test_local_search_ends_where_no_weight_wants_to_move() -> None:
    W = clique_network(30, 0.6, np.random.default_rng(6))
    best = maximum(W).q
    for first in range(0, 30, 3):
        support, q = climbed(W, np.array([first]))
        x = best_on(W, support)
        assert q == pytest.approx(x.q)
        assert set(support) == set(x.support)
        assert q <= best * (1 + 1e-9)
        assert (W @ x.x).max() <= q * (1 + 1e-6)
