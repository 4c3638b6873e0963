"""`domino.group`: a group beside what solvers and an exact ranking find in its network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.domino.assess.all_cliques import ranked
from protocols.domino.assess.group import GroupParameters
from protocols.domino.assess.quasi_newton import living, minima
from protocols.domino.problem.networks import clique_network
from simulators.physics.domino.quadratic import maximum


def group(out: Path, **given: object) -> dict[str, Any]:
    return execute("labctl.figures", "domino.group", assignments=given, out=out).values


def network_file(folder: Path) -> Path:
    """A heavy pair of near-duplicates, a square of weight 0.6, a large clique of weight 0.4, and a chain b-c-e."""
    lines = ["x y 0.98", "x a1 0.1", "y a2 0.1"]
    for nodes, w in ((["a1", "a2", "a3", "a4"], 0.6), ([f"f{k}" for k in range(8)], 0.4)):
        lines += [f"{a} {b} {w}" for a, b in nx.complete_graph(nodes).edges]
    lines += ["a4 f0 0.1", "b c 0.3", "c e 0.3", "e f1 0.1"]
    (folder / "g.edges").write_text("\n".join(lines))
    return folder / "g.edges"


def test_the_ranking_has_the_optimum_first_and_all_maximal_cliques() -> None:
    W = clique_network(25, 0.5, np.random.default_rng(3))
    everything = ranked(W, 10**6)
    assert everything.complete
    assert len(everything.weight) == sum(1 for _ in nx.find_cliques(nx.from_numpy_array(W)))
    best = maximum(W)
    first, q = next(iter(everything.q.items()))
    assert first == tuple(best.support)
    assert q == pytest.approx(best.q)
    assert everything.rank_q(q) == 1
    assert everything.rank_q(0.0) == 1 + len(everything.q)
    assert list(everything.weight.values()) == sorted(everything.weight.values(), reverse=True)
    assert not ranked(W, 5).complete


@pytest.mark.filterwarnings("ignore:.*precision loss.*")
def test_merging_near_duplicates_changes_what_is_best(tmp_path: Path) -> None:
    v = group(tmp_path, graph=network_file(tmp_path), group="b,c,e", starts=20, bfgs_gammas="0.5", count=3)
    whole, joined = v["networks"]
    assert whole["best"] == ["x", "y"]
    assert whole["q_best"] == pytest.approx(0.49)
    assert joined["merged"] == [["x", "y"]]
    assert joined["best"] == ["a1", "a2", "a3", "a4"]
    assert joined["q_best"] == pytest.approx(0.6 * 3 / 4)
    for row in (whole, joined):
        assert row["proved"] and row["complete"]  # noqa: PT018
        assert row["heaviest"] == [f"f{k}" for k in range(8)]
        assert row["weight"] == pytest.approx(28 * 0.4)
        assert [solver["kind"].split(",")[0] for solver in row["solvers"]] == [
            "spread 1", "spread 64", "pins 1", "pins 2", "BFGS",
        ]  # fmt: skip
        assert row["next"][0]["q"] <= row["q_best"]
    assert len(list(tmp_path.glob("*group.png"))) == 1


def test_a_group_that_is_no_clique_is_ranked_by_its_best_part(tmp_path: Path) -> None:
    v = group(tmp_path, graph=network_file(tmp_path), group="b,c,e", starts=10, bfgs_gammas=(), merge=None, spreads="1")
    (row,) = v["networks"]
    here = row["group"]
    assert (here["links"], here["of"]) == (2, 3)
    assert here["missing"] == ["b-e"]
    assert here["q"] == pytest.approx(0.15)
    assert here["weight"] == pytest.approx(0.6)
    assert here["with_best"] == 0
    assert here["nearest"] in (["b", "c"], ["c", "e"])
    assert here["shared"] == 2
    assert here["rank_q"] == 4  # behind x-y, the square and the large clique


def test_names_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="group: nobody: no such node"):
        group(tmp_path, graph=network_file(tmp_path), group="b,nobody")


def test_names_may_be_numbers() -> None:
    assert GroupParameters(group=[1, 2, "3a"]).group == ("1", "2", "3a")


def test_a_quasi_newton_run_whose_field_died_has_no_support() -> None:
    W = clique_network(25, 0.5, np.random.default_rng(3))
    x = np.random.default_rng(4).uniform(0, 2 / 25, (25, 10))
    ends = minima(W, 0.5, x)
    assert living(W, 0.5, ends).all()
    np.testing.assert_allclose(ends.sum(axis=0) ** 2, 0.5 + _q(W, ends), rtol=1e-3)
    assert not living(W, 0.0, 1e-4 * x).any()


def _q(W: np.ndarray, x: np.ndarray) -> np.ndarray:
    share = x / x.sum(axis=0)
    return np.asarray((share * (W @ share)).sum(axis=0))
