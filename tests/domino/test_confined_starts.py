"""Starts that are confined to common neighbours of drawn nodes."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from labctl.experiments.execute import execute
from protocols.domino.ideal import IdealLoop
from protocols.domino.solve.confined import TOGETHER, ConfinedLoop, common_neighbours
from simulators.physics.domino.support_values import worth


def small_group_beside_a_large_one() -> np.ndarray:
    """24 nodes linked by weights about 0.5, and a triangle of weights 1 whose nodes each have one link into them: the
    triangle's q is 2/3, that of the large group less."""
    rng = np.random.default_rng(0)
    W = np.zeros((27, 27))
    W[:24, :24] = rng.uniform(0.45, 0.55, (24, 24))
    W[24:, 24:] = 1
    W[[24, 25, 26], [0, 1, 2]] = 0.1
    W = np.triu(W, 1)
    return W + W.T


def loop(W: np.ndarray) -> IdealLoop:
    return IdealLoop.of(W, 0.5)


def test_pins_are_linked_and_all_other_sites_are_linked_with_every_pin() -> None:
    W = nx.to_numpy_array(nx.gnp_random_graph(40, 0.5, seed=1))
    for seed in range(20):
        sites = common_neighbours(W, 2, np.random.default_rng(seed))
        links = W[np.ix_(sites, sites)].sum(axis=0)
        assert (links == len(sites) - 1).sum() >= 2


def test_without_further_neighbours_fewer_pins_are_drawn() -> None:
    star = nx.to_numpy_array(nx.star_graph(5))
    sites = common_neighbours(star, 7, np.random.default_rng(0))
    assert len(sites) == 2
    assert 0 in sites


def test_confined_starts_find_a_group_that_even_ones_never_meet() -> None:
    W = small_group_beside_a_large_one()
    best = 2 / 3
    free = loop(W).run(100, np.random.default_rng(1))
    confined = ConfinedLoop(W, 1, loop).run(300, np.random.default_rng(1))
    assert worth(W, free.supports).q.max() < best - 1e-3
    assert worth(W, confined.supports).q.max() == pytest.approx(best)


def test_dark_sites_stay_dark_and_starts_together_share_their_sites() -> None:
    W = nx.to_numpy_array(nx.gnp_random_graph(30, 0.5, seed=2))
    batch = ConfinedLoop(W, 2, loop).run(2 * TOGETHER + 3, np.random.default_rng(3))
    assert batch.x.shape == (30, 2 * TOGETHER + 3)
    lit = batch.begun > 0
    assert (batch.x[~lit] == 0).all()
    assert not batch.supports[~lit].any()
    for first in (0, TOGETHER, 2 * TOGETHER):
        assert (lit[:, first : first + TOGETHER] == lit[:, [first]]).all()
    assert (lit[:, 0] != lit[:, TOGETHER]).any()


def test_a_network_is_solved_by_confined_starts_and_the_result_tells(tmp_path: Path) -> None:
    given = {"pins": 1, "starts": 30, "nodes": 30}
    v = execute("labctl.figures", "domino.solve", assignments=given, out=tmp_path).values
    assert v["pins"] == 1
    assert v["solved"] == 1
    assert v["success"] == np.mean(v["ratios"] >= 1 - 1e-4)
    assert len(list(tmp_path.glob("*solve.png"))) == 1
