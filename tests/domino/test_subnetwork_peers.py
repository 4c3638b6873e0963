"""Peers of the benchmark `domino` solve what they should."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from benchmarks.domino import _tts
from benchmarks.peers import subnetworks as peers
from protocols.domino.problem.networks import clique_network
from simulators.physics.domino.locked_flow import starts
from simulators.physics.domino.quadratic import maximum
from simulators.physics.domino.support_values import worth


def planted() -> tuple[np.ndarray, list[int]]:
    graph = nx.gnp_random_graph(30, 0.2, seed=3)
    graph.add_edges_from(nx.complete_graph(range(5, 13)).edges)
    return nx.to_numpy_array(graph), list(range(5, 13))


def test_every_peer_finds_a_clique_that_stands_out() -> None:
    W, clique = planted()
    x = starts(30, 10, np.random.default_rng(0))
    for runs in (peers.bfgs(W, 0.5, x), peers.replicator(W, x), peers.leading_eigenvector(W)):
        assert worth(W, runs.supports).q.max() == pytest.approx(1 - 1 / 8, rel=1e-6)
    assert np.flatnonzero(peers.leading_eigenvector(W).supports[:, 0]).tolist() == clique
    assert worth(W, peers.clique_heuristic(W).supports).q.max() > 0.5


def test_quasi_newton_and_replicator_end_at_values_of_their_supports() -> None:
    W = clique_network(30, 0.5, np.random.default_rng(1))
    x = starts(30, 20, np.random.default_rng(1))
    for runs in (peers.bfgs(W, 0.5, x), peers.replicator(W, x)):
        assert runs.q is not None
        np.testing.assert_allclose(runs.q, worth(W, runs.supports).q, rtol=1e-3)


def test_all_cliques_reach_the_exact_optimum_and_stop_there() -> None:
    W = clique_network(20, 0.5, np.random.default_rng(2))
    best = maximum(W).q
    assert peers.enumerated(W, best, 60.0)[0] == pytest.approx(best)
    assert peers.enumerated(W, 2 * best, 60.0)[0] == pytest.approx(best)


def test_time_to_solution_is_that_of_as_many_runs_as_99_percent_need() -> None:
    assert _tts(0.5, 0.1, 100.0) == pytest.approx(0.1 * np.log(0.01) / np.log(0.5))
    assert _tts(1.0, 0.1, 100.0) == pytest.approx(0.1)
    assert _tts(0.0, 0.1, 100.0) == 100.0
    assert _tts(1e-9, 0.1, 100.0) == 100.0
