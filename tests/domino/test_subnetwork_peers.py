"""Peers of the benchmark `domino` solve what they should."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from benchmarks.domino import _tts
from benchmarks.domino_graph_solvers import Turn, domino, solvers
from benchmarks.domino_graphs import searched
from benchmarks.peers import subnetworks as peers
from protocols.domino.problem.networks import clique_network
from protocols.domino.problem.program import Program
from protocols.domino.solve.judging import judge_of
from simulators.physics.domino.locked_flow import starts
from simulators.physics.domino.node_weights import heaviest_clique
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


def planted_program(node_weights: np.ndarray | None) -> Program:
    W = planted()[0]
    return Program(W, W, tuple(map(str, range(30))), "", "", node_weights)


def test_every_solver_of_graphs_finds_a_clique_that_stands_out() -> None:
    of = planted_program(None)
    judge = judge_of(of)
    found = {name: searched(turns, judge, 2.0, 8) for name, turns in solvers(of, judge, 0.5, 2.0, 8).items()}
    assert {name for name, f in found.items() if f.found_polished < 8 or f.found > 8} <= {"networkx-clique"}
    assert {"domino", "replicator", "bfgs", "gurobi", "gurobi-integer"} <= {n for n, f in found.items() if f.hits}


def test_the_integer_program_finds_the_heaviest_clique_in_pairs_and_in_rows_of_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    W, clique = planted()
    weight = np.where(np.isin(np.arange(30), clique), 1.0, 10.0)
    most = heaviest_clique(W > 0, weight)
    for rows in (2000, 0):
        monkeypatch.setattr(peers, "_ROWS", rows)
        _, value, support = peers.gurobi_clique(W > 0, weight, 10.0, np.inf)[-1]
        assert value == pytest.approx(1 / (1 - most.q))
        assert weight[support].sum() == pytest.approx(value)


def test_a_solver_of_graphs_stops_at_its_cap_and_tells_when_it_found_what() -> None:
    of = planted_program(None)
    f = searched(domino(of.W), judge_of(of), 0.05, 9)
    assert f.hits == 0
    assert 0 < f.first_s <= f.cpu_s
    assert f.starts % 50 == 0


def test_a_size_without_a_support_counts_as_it_is_told() -> None:
    of = planted_program(None)
    turn = Turn(peers.clique_size_heuristic(of.W))
    sizes, _ = turn.sizes(judge_of(of), 0.1)
    assert sizes.tolist() == [8]
    assert turn.polished(judge_of(of), sizes) == 0


def test_time_to_solution_is_that_of_as_many_runs_as_99_percent_need() -> None:
    assert _tts(0.5, 0.1, 100.0) == pytest.approx(0.1 * np.log(0.01) / np.log(0.5))
    assert _tts(1.0, 0.1, 100.0) == pytest.approx(0.1)
    assert _tts(0.0, 0.1, 100.0) == 100.0
    assert _tts(1e-9, 0.1, 100.0) == 100.0
