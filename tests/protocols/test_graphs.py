"""Graph files: every format gives the same graph, names are kept, mistakes are told with their line."""

from __future__ import annotations

import gzip
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.graphs import Graph, read_graph

EDGES = {(0, 1): 1.0, (1, 2): -2.0, (0, 3): 0.5}
TEXTS = {
    "g.clq": "c a comment\np edge 4 3\nn 2 7\ne 1 2\ne 2 3 -2\ne 1 4 0.5\n",
    "g.txt": "4 3\n1 2 1\n2 3 -2\n1 4 0.5\n",
    "g.edges": "# named\na b\nb c -2\na d 0.5\n",
    "g.json": '{"edges": [[0, 1], [1, 2, -2], [0, 3, 0.5]]}',
    "g.csv": ",a,b,c,d\na,0,1,0,0.5\nb,1,0,-2,0\nc,0,-2,0,0\nd,0.5,0,0,0\n",
}


def as_dict(graph: Graph) -> dict[tuple[int, int], float]:
    return {(min(e), max(e)): w for e, w in zip(graph.edges.tolist(), graph.weights.tolist(), strict=True)}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_text_format_gives_the_same_graph(tmp_path: Path, name: str, zipped: bool) -> None:
    path = tmp_path / (name + ".gz" * zipped)
    path.write_bytes(gzip.compress(TEXTS[name].encode()) if zipped else TEXTS[name].encode())
    graph = read_graph(path)
    assert len(graph) == 4
    assert as_dict(graph) == EDGES
    np.testing.assert_array_equal(graph.matrix().toarray(), graph.matrix().toarray().T)


def test_names_and_node_weights_are_kept(tmp_path: Path) -> None:
    for name, expected in (("g.edges", "abcd"), ("g.csv", "abcd"), ("g.clq", "1234")):
        (tmp_path / name).write_text(TEXTS[name])
        assert "".join(read_graph(tmp_path / name).names) == expected
    assert read_graph(tmp_path / "g.clq").node_weights.tolist() == [0, 7, 0, 0]


def test_matrices_and_networkx_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "g.edges").write_text(TEXTS["g.edges"])
    matrix = read_graph(tmp_path / "g.edges").matrix().toarray()
    np.save(tmp_path / "g.npy", matrix)
    np.savez(tmp_path / "g.npz", jaccard=matrix, names=np.array(list("wxyz")))
    assert as_dict(read_graph(tmp_path / "g.npy")) == EDGES
    assert "".join(read_graph(tmp_path / "g.npz").names) == "wxyz"
    graph = nx.Graph()
    graph.add_nodes_from("abcd")
    graph.add_weighted_edges_from([("a", "b", 1.0), ("b", "c", -2.0), ("a", "d", 0.5)])
    nx.write_gml(graph, tmp_path / "g.gml")
    nx.write_graphml(graph, tmp_path / "g.graphml")
    for name in ("g.gml", "g.graphml"):
        assert as_dict(read_graph(tmp_path / name)) == EDGES


@pytest.mark.parametrize("text", ["1 2\n2 3\n1 3\n", "0 1\n1 2\n"])
def test_edges_whose_first_might_be_a_head_of_numbers_are_edges(tmp_path: Path, text: str) -> None:
    (tmp_path / "g.edges").write_text(text)
    assert len(read_graph(tmp_path / "g.edges")) == 3
    assert len(read_graph(tmp_path / "g.edges").edges) == text.count("\n")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (",1,2\n1,1,0.5\n2,0.5,1\n", "12"),  # as pandas writes it
        ("gene,a,b\na,1,0.5\nb,0.5,1\n", "ab"),
        ("\ufeffa,b\r\n1,0.5\r\n0.5,1\r\n", "ab"),
        ('"","a","b"\n"a",1,0.5\n"b",0.5,1\n', "ab"),  # as R writes it
        ("1,0.5\n0.5,1\n", "01"),
    ],
)
def test_matrices_of_spreadsheets_are_read_with_their_names(tmp_path: Path, text: str, names: str) -> None:
    (tmp_path / "g.csv").write_text(text, encoding="utf-8")
    graph = read_graph(tmp_path / "g.csv")
    assert "".join(graph.names) == names
    assert as_dict(graph) == {(0, 1): 0.5}


def test_matrices_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("0,1,2\n1,0\n2,1,0\n")
    with pytest.raises(ConfigurationError, match="row 2 has 2 numbers, the first 3"):
        read_graph(tmp_path / "g.csv")
    np.save(tmp_path / "g.npy", np.array([[0, 1j], [-1j, 0]]))
    with pytest.raises(ConfigurationError, match="an array of complex128; allowed: real numbers"):
        read_graph(tmp_path / "g.npy")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no edges"),
        ("p edge 3 1\ne 1 4\n", r"line 2: node '4'; allowed: 1 to 3"),
        ("p edge 3 1\nx 1 2\n", "line 2"),
        ("a b nan\n", "line 1: weight 'nan'"),
        ("a b\nb a 2\n", "the edge a - b is given 2 times"),
        ("a a\n", "joined to itself"),
        ("a b c d\n", "line 1: 4 words"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        read_graph(tmp_path / "bad.txt")


def test_colour_classes_have_no_edges_inside_and_are_two_where_possible() -> None:
    grid = nx.grid_2d_graph(4, 6)
    for graph, most in ((grid, 2), (nx.complete_graph(5), 5), (nx.gnp_random_graph(40, 0.2, seed=1), 8)):
        numbers = {node: k for k, node in enumerate(graph)}
        edges = np.array([(numbers[i], numbers[j]) for i, j in graph.edges()])
        found = Graph.of(edges, np.ones(len(edges)), len(numbers))
        classes = found.colours()
        assert sorted(np.concatenate(classes).tolist()) == list(range(len(numbers)))
        assert len(classes) <= most
        colour = np.empty(len(numbers))
        for k, nodes in enumerate(classes):
            colour[nodes] = k
        assert (colour[edges[:, 0]] != colour[edges[:, 1]]).all()


def test_edges_that_join_one_pair_twice_are_added_up() -> None:
    graph = Graph.of(np.array([[0, 1], [1, 0], [1, 2]]), np.array([1.0, 2.0, 5.0]), 3)
    assert as_dict(graph) == {(0, 1): 3.0, (1, 2): 5.0}


def test_a_node_of_an_edge_list_may_have_a_name_that_begins_with_c(tmp_path: Path) -> None:
    """Comments that begin so are DIMACS's."""
    (tmp_path / "list.txt").write_text("a b 1\nc d 2\ncat a 3\n")
    assert read_graph(tmp_path / "list.txt").names == ("a", "b", "c", "d", "cat")
    (tmp_path / "graph.clq").write_text("c a graph\np edge 3 1\nc more\ne 1 2\n")
    assert len(read_graph(tmp_path / "graph.clq")) == 3
