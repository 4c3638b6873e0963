"""Networks of the paper, and what of a graph file is solved."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.domino.problem.networks import clique_network, uniform_network
from protocols.domino.problem.program import NetworkParameters, program

RNG = np.random.default_rng


@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("nodes", [20, 50])
def test_linked_cliques_have_the_density_asked_for_and_are_connected(nodes: int, density: float) -> None:
    for seed in range(10):
        W = clique_network(nodes, density, RNG(seed))
        assert nx.is_connected(nx.from_numpy_array(W))
        assert (W == W.T).all()
        assert ((W >= 0) & (W <= 1)).all()
        wanted = round(density * nodes * (nodes - 1) / 2)
        if density >= 0.3:
            assert np.count_nonzero(W) == 2 * wanted


def test_linked_cliques_hold_larger_cliques_than_random_links() -> None:
    def omega(W: np.ndarray) -> int:
        return max(map(len, nx.find_cliques(nx.from_numpy_array(W))))

    linked = [omega(clique_network(50, 0.3, RNG(seed))) for seed in range(10)]
    drawn = [omega(uniform_network(50, 0.3, RNG(seed))) for seed in range(10)]
    assert np.mean(linked) > np.mean(drawn) + 1


def test_random_links_are_as_likely_as_the_density() -> None:
    # 50 networks of 1225 pairs: 5 standard errors, false alarm 6e-7.
    share = np.mean([np.count_nonzero(uniform_network(50, 0.5, RNG(seed))) / 2450 for seed in range(50)])
    assert abs(share - 0.5) < 5 * np.sqrt(0.25 / (50 * 1225))


def test_networks_that_cannot_be_connected_are_told() -> None:
    with pytest.raises(ConfigurationError, match=r"density=0.01: 1000 networks of 50 nodes were not connected"):
        uniform_network(50, 0.01, RNG(0))
    with pytest.raises(ConfigurationError, match=r"density=2; allowed"):
        clique_network(5, 2, RNG(0))


def test_signed_couplings_count_by_their_size_and_that_is_told(tmp_path: Path) -> None:
    file = tmp_path / "g.edges"
    file.write_text("a b -2\nb c 1\n")
    found = program(NetworkParameters(graph=file), RNG(0))
    assert found.W[0, 1] == 2
    assert found.J[0, 1] == -2
    assert found.named(np.array([0, 2])) == ["a", "c"]
    assert "1 couplings are negative, and count as |J|" in found.solves


def test_weights_of_nodes_are_ignored_and_that_is_told(tmp_path: Path) -> None:
    file = tmp_path / "g.clq"
    file.write_text("p edge 3 2\nn 1 50\ne 1 2 3\ne 2 3\n")
    found = program(NetworkParameters(graph=file), RNG(0))
    assert found.W[0].tolist() == [0, 3, 0]
    assert "weights of nodes are ignored" in found.solves
    assert program(NetworkParameters(graph=file, weights="unit"), RNG(0)).W[0].tolist() == [0, 1, 0]


def test_graphs_of_the_benchmark_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cliques" / "weighted").mkdir(parents=True)
    import gzip

    (tmp_path / "cliques" / "weighted" / "tiny.clq.gz").write_bytes(gzip.compress(b"p edge 2 1\ne 1 2\n"))
    monkeypatch.setenv("LABCTL_DATA", str(tmp_path))
    assert len(program(NetworkParameters(graph=Path("tiny")), RNG(0))) == 2
    assert len(program(NetworkParameters(graph=Path("tiny.clq.gz")), RNG(0))) == 2


def test_data_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_DATA", raising=False)
    with pytest.raises(ConfigurationError, match="set LABCTL_DATA"):
        program(NetworkParameters(network="k562"), RNG(0))
    monkeypatch.setenv("LABCTL_DATA", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"K562_TR_386.npz: cannot be read"):
        program(NetworkParameters(network="k562"), RNG(0))
    (tmp_path / "none.edges").write_text("a b 0\n")
    with pytest.raises(ConfigurationError, match="no links"):
        program(NetworkParameters(graph=tmp_path / "none.edges"), RNG(0))
