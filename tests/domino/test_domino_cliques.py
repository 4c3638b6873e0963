"""`domino.cliques`: cliques ranked by repeated removal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.domino.problem.program import NetworkParameters, program
from protocols.domino.solve.cliques import merged
from simulators.physics.domino.quadratic import maximum


def cliques(out: Path, **given: object) -> dict[str, Any]:
    return execute("labctl.figures", "domino.cliques", assignments=given, out=out).values


def weighted_file(folder: Path) -> Path:
    """Three cliques, apart but for single weak links, of weights 1, 0.8 and 0.6."""
    lines = []
    for nodes, w in (("abde", 1.0), ("fghij", 0.8), ("klm", 0.6)):
        lines += [f"{a} {b} {w}" for a, b in nx.complete_graph(list(nodes)).edges]
    lines += ["a f 0.1", "j k 0.1"]
    (folder / "g.edges").write_text("\n".join(lines))
    return folder / "g.edges"


def test_cliques_apart_are_ranked_by_what_they_are_worth(tmp_path: Path) -> None:
    v = cliques(tmp_path, graph=weighted_file(tmp_path), starts=20, searches=30, count=100)
    names = ["".join(row["names"]) for row in v["cliques"]]
    q = [row["q"] for row in v["cliques"]]
    assert names[0] == "abde"
    assert q[0] == pytest.approx(0.75)
    assert q == sorted(q, reverse=True)
    assert len(set(names)) == len(names)
    assert v["certified"]
    assert "fghij" in names
    assert len(list(tmp_path.glob("*cliques.png"))) == 1


def test_by_weight_the_largest_clique_is_first(tmp_path: Path) -> None:
    v = cliques(tmp_path, graph=weighted_file(tmp_path), starts=20, searches=30, rank="weight")
    assert "".join(v["cliques"][0]["names"]) == "fghij"
    assert v["cliques"][0]["weight"] == pytest.approx(8.0)


def test_a_first_that_is_not_the_optimum_is_not_certified(tmp_path: Path) -> None:
    v = cliques(tmp_path, nodes=40, density=0.9, starts=1, searches=1, polish=False)
    best = maximum(program(NetworkParameters(nodes=40, density=0.9), np.random.default_rng(0)).W).q
    assert v["certified"] == (v["cliques"][0]["q"] >= best * (1 - 1e-9))


def test_near_duplicates_become_one_node_with_the_links_of_both(tmp_path: Path) -> None:
    (tmp_path / "g.edges").write_text("a b 0.95\nb d 0.5\na e -0.3\nd e 0.2\n")
    found, groups = merged(program(NetworkParameters(graph=tmp_path / "g.edges"), np.random.default_rng(0)), 0.9)
    assert groups == [["a", "b"]]
    assert found.names == ("a/b", "d", "e")
    np.testing.assert_array_equal(found.J, [[0, 0.5, -0.3], [0.5, 0, 0.2], [-0.3, 0.2, 0]])
    np.testing.assert_array_equal(found.W, np.abs(found.J))


def test_merging_everything_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g.edges").write_text("a b 1\nc d 0.95\n")
    with pytest.raises(ConfigurationError, match=r"merge=0.9: no links are left .* the largest weight is 1"):
        cliques(tmp_path, graph=tmp_path / "g.edges", merge=0.9)


def test_searches_that_end_without_a_clique_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no clique of two nodes or more: choose gamma=50 smaller"):
        cliques(tmp_path, nodes=20, gamma=50, polish=False, searches=2, starts=5)
