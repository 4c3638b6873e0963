"""`domino.solve` with the ideal loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.domino.ideal import IdealLoop, best_known, largest_eigenvalue
from protocols.domino.problem.networks import clique_network
from simulators.physics.domino.quadratic import maximum
from simulators.physics.domino.support_values import worth


def solve(out: Path, **given: object) -> dict[str, Any]:
    return execute("labctl.figures", "domino.solve", assignments=given, out=out).values


def graph_file(folder: Path, graph: nx.Graph) -> Path:
    lines = [f"p edge {len(graph)} {graph.size()}", *(f"e {i + 1} {j + 1}" for i, j in graph.edges)]
    (folder / "g.clq").write_text("\n".join(lines))
    return folder / "g.clq"


def test_a_drawn_network_is_solved_certified_and_drawn(tmp_path: Path) -> None:
    done = execute("labctl.figures", "domino.solve", assignments={}, out=tmp_path)
    v = done.values
    assert done.ok
    assert v["q"] == pytest.approx(v["q_best"])
    assert v["certificate"]["proved"]
    assert v["is_clique"]
    assert v["support"] == v["best_support"]
    assert v["loss"] == pytest.approx(-0.5 * v["q"] - v["q"] ** 2 / 2)
    assert v["success_polished"] >= v["success"] > 0
    assert v["success"] == np.mean(v["ratios"] >= 1 - 1e-4)
    assert len(list(tmp_path.glob("*solve.png"))) == 1


def test_the_largest_clique_of_an_unweighted_graph_is_found(tmp_path: Path) -> None:
    graph = nx.gnp_random_graph(40, 0.2, seed=3)
    graph.add_edges_from(nx.complete_graph(range(5, 14)).edges)
    found = solve(tmp_path, graph=graph_file(tmp_path, graph), starts=20)
    assert found["support"] == list(range(5, 14))
    assert found["names"] == [str(k + 1) for k in range(5, 14)]
    assert found["q"] == pytest.approx(1 - 1 / 9)
    assert found["weight"] == 36
    assert found["success"] > 0.5


def test_a_given_best_decides_success(tmp_path: Path) -> None:
    file = graph_file(tmp_path, nx.complete_graph(6))
    assert solve(tmp_path, graph=file, starts=5, best=5 / 6)["success"] == 1
    missed = solve(tmp_path, graph=file, starts=5, best=0.9)
    assert missed["success"] == 0
    assert missed["certificate"] == {"by": "given", "proved": False, "limit_s": None}


@pytest.mark.parametrize("unit", [128.0, 0.015625])
def test_weights_in_another_unit_find_the_same(tmp_path: Path, unit: float) -> None:
    W = clique_network(30, 0.5, np.random.default_rng(5))
    found = []
    for name, weights in (("one.npy", W), ("other.npy", unit * W)):
        np.save(tmp_path / name, weights)
        found.append(solve(tmp_path, graph=tmp_path / name, starts=50))
    one, other = found
    assert other["weight_unit"] == unit
    np.testing.assert_allclose(other["ratios"], one["ratios"])
    assert max(one["ratios"]) > 0.9
    assert other["support"] == one["support"]
    assert other["q"] == pytest.approx(unit * one["q"])
    assert other["loss"] == pytest.approx(unit**2 * one["loss"])


def test_a_gain_that_rises_finds_the_same_optimum_and_the_loss_is_of_its_end(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", clique_network(30, 0.5, np.random.default_rng(5)))
    one, other = (
        solve(tmp_path, graph=tmp_path / "w.npy", duration=4, starts=30, gamma_end=end) for end in (None, 2.0)
    )
    assert (one["gamma_end"], other["gamma_end"]) == (0.5, 2.0)
    assert one["q"] == pytest.approx(other["q"])
    assert other["loss"] == pytest.approx(-2.0 * other["q"] - other["q"] ** 2 / 2)


def test_a_local_search_never_counts_less_than_the_support_itself(tmp_path: Path) -> None:
    # So early hardly a node has turned its sign: supports are large, and exact search takes the best of each.
    found = solve(tmp_path, nodes=20, duration=0.001, tau=0.001, starts=20)
    assert found["success_polished"] >= found["success"] > 0.5


def test_equal_seeds_find_equal_subnetworks(tmp_path: Path) -> None:
    one, again, other = (
        execute("labctl.figures", "domino.solve", assignments={"starts": 10}, seed=seed, out=tmp_path).values
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one["ratios"], again["ratios"])
    assert one["edges"] != other["edges"] or one["q_best"] != other["q_best"]


def test_windows_in_which_fields_would_run_away_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tau=5 for 50 nodes.*advised: 5/N"):
        solve(tmp_path, tau=5)
    with pytest.raises(ConfigurationError, match="graph and network: give one of them"):
        solve(tmp_path, graph="x", network="k562")
    with pytest.raises(ConfigurationError, match="loop"):
        solve(tmp_path, loop="magic")


def test_largest_eigenvalues_are_those_of_the_matrix() -> None:
    graphs = [nx.complete_bipartite_graph(4, 7), nx.star_graph(9), nx.gnp_random_graph(60, 0.3, seed=1)]
    for graph in graphs:
        W = nx.to_numpy_array(graph)
        assert largest_eigenvalue(W) == pytest.approx(np.linalg.eigvalsh(W)[-1], rel=1e-4)


def test_what_the_search_has_no_time_to_prove_is_told() -> None:
    W = nx.to_numpy_array(nx.gnp_random_graph(200, 0.9, seed=1))
    known = best_known(W, 0.5, None, 0.0)
    assert not known.proved
    assert known.q > 0.5
    W = nx.to_numpy_array(nx.gnp_random_graph(30, 0.5, seed=1))
    known = best_known(W, maximum(W).q, None, 10.0)
    assert known.proved
    assert known.q == pytest.approx(maximum(W).q)


def test_large_graphs_take_short_steps_and_settle() -> None:
    graph = nx.gnp_random_graph(300, 0.5, seed=2)
    graph.add_edges_from(nx.complete_graph(40).edges)
    W = nx.to_numpy_array(graph)
    ideal = IdealLoop.of(W, 0.5, duration=3.0)
    assert ideal.stages[0].h * np.linalg.eigvalsh(W)[-1] <= 0.5001
    batch = ideal.run(4, np.random.default_rng(0))
    assert np.isfinite(batch.x).all()
    assert batch.supports[:40].mean() > 0.9


def test_large_sparse_networks_end_at_whole_cliques() -> None:
    """With windows of 5/N the best nodes, too, turn their sign at every lock: supports had 1.5 nodes of 6 to 9."""
    W = clique_network(200, 0.3, np.random.default_rng([1, 0]))
    found = IdealLoop.of(W, 0.5).run(20, np.random.default_rng(0))
    assert found.supports.sum(axis=0).min() >= 4
    assert worth(W, found.supports).q.mean() > 0.9 * maximum(W).q


def test_the_course_of_a_start_ends_where_the_start_ended() -> None:
    W = nx.to_numpy_array(nx.gnp_random_graph(30, 0.5, seed=3))
    ideal = IdealLoop.of(W, 0.5)
    batch = ideal.run(3, np.random.default_rng(1))
    times, course = ideal.course(batch.begun[:, 1])
    np.testing.assert_allclose(course[-1], batch.x[:, 1], atol=1e-8)
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(sum(stage.steps * stage.h for stage in ideal.stages))


def test_weights_of_nodes_make_another_program_whose_heaviest_clique_is_found(tmp_path: Path) -> None:
    # A triangle of heavy nodes beside a clique of five light ones.
    graph = nx.complete_graph(5)
    graph.add_edges_from([(5, 6), (6, 7), (5, 7), (4, 5)])
    file = graph_file(tmp_path, graph)
    heavy = [f"n {k + 1} {1 if k < 5 else 4}" for k in range(8)]
    file.write_text(file.read_text().replace("\n", "\n" + "\n".join(heavy) + "\n", 1))
    nodes = solve(tmp_path, graph=file, weights="node", starts=20)
    assert nodes["support"] == [5, 6, 7]
    assert nodes["weight"] == 12
    assert nodes["q"] == pytest.approx(1 - 1 / 12)
    assert nodes["certificate"]["proved"]
    assert "most node weight" in nodes["program"]
    assert nodes["success"] > 0
    assert solve(tmp_path, graph=file, starts=20)["support"] == [0, 1, 2, 3, 4]
    with pytest.raises(ConfigurationError, match=r"node 1 has weight 0; weights=node needs 1 or more"):
        solve(tmp_path, graph=graph_file(tmp_path, graph), weights="node")
