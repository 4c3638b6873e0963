"""Weighted nodes: the heaviest clique, and the program whose optimum it is."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from simulators.physics.domino.node_weights import heaviest_clique, program_of


@pytest.mark.parametrize("seed", range(5))
def test_the_heaviest_clique_is_that_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(40, 0.5, seed=seed)
    weight = rng.integers(1, 50, 40)
    nx.set_node_attributes(graph, dict(enumerate(weight.tolist())), "weight")
    expected = nx.max_weight_clique(graph)[1]
    found = heaviest_clique(nx.to_numpy_array(graph) > 0, weight.astype(np.float64))
    assert found.proved
    assert weight[found.support].sum() == expected
    assert found.q == pytest.approx(1 - 1 / expected)


def test_the_clique_is_the_optimum_of_the_program() -> None:
    rng = np.random.default_rng(7)
    linked = nx.to_numpy_array(nx.gnp_random_graph(12, 0.6, seed=7)) > 0
    weight = rng.integers(1, 9, 12).astype(np.float64)
    A, found = program_of(linked, weight), heaviest_clique(linked, weight)
    assert found.x @ A @ found.x == pytest.approx(found.q)
    tried = rng.dirichlet(np.full(12, 0.2), 20_000)
    assert np.einsum("si,ij,sj->s", tried, A, tried).max() <= found.q + 1e-12


def test_a_search_without_time_says_that_it_proved_nothing() -> None:
    linked = nx.to_numpy_array(nx.gnp_random_graph(150, 0.9, seed=1)) > 0
    found = heaviest_clique(linked, np.ones(150), most_s=0.0)
    assert not found.proved
    assert len(found.support) > 10


def test_weights_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weight is 0.5; this program needs 1 or more"):
        program_of(np.ones((2, 2), bool), np.array([1, 0.5]))
