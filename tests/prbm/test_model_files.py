"""Model files: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.prbm.model import RBM

W = np.arange(6.0).reshape(3, 2) / 7.0


@pytest.fixture
def model() -> RBM:
    return RBM(W, np.array([0.1, -0.2, 0.3]), np.array([1.5, -1.0 / 3.0]))


def write_json(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_saved_model_is_read_back_bit_for_bit(model, tmp_path):
    model.save(tmp_path / "m.npz")
    back = RBM.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(back.weights, model.weights)
    np.testing.assert_array_equal(back.visible_bias, model.visible_bias)
    np.testing.assert_array_equal(back.hidden_bias, model.hidden_bias)


def test_a_json_model_equals_its_npz(model, tmp_path):
    text = json.dumps({"W": W.tolist(), "a": model.visible_bias.tolist(), "b": model.hidden_bias.tolist()})
    assert RBM.load(write_json(tmp_path / "m.json", text)).content_id == model.content_id


def test_absent_fields_are_zero(tmp_path):
    model = RBM.load(write_json(tmp_path / "m.json", '{"W": [[1, 2], [3, 4], [5, 6]]}'))
    np.testing.assert_array_equal(model.visible_bias, np.zeros(3))
    np.testing.assert_array_equal(model.hidden_bias, np.zeros(2))


def test_integers_become_float64(tmp_path):
    np.savez(tmp_path / "m.npz", W=np.ones((3, 2), np.int8))
    assert RBM.load(tmp_path / "m.npz").weights.dtype == np.float64


def test_sizes_are_those_of_the_weights(model):
    assert (model.n_visible, model.n_hidden) == (3, 2)


def test_transposing_exchanges_the_roles(model):
    other = model.transposed
    np.testing.assert_array_equal(other.weights, model.weights.T)
    np.testing.assert_array_equal(other.visible_bias, model.hidden_bias)
    np.testing.assert_array_equal(other.hidden_bias, model.visible_bias)


def test_a_model_cannot_be_changed(model):
    with pytest.raises(ValueError, match="read-only"):
        model.weights[0, 0] = 9.0


def test_a_model_keeps_its_own_copy():
    source = W.copy()
    model = RBM(source, np.zeros(3), np.zeros(2))
    source[0, 0] = 9.0
    assert model.weights[0, 0] == W[0, 0]


def test_equal_models_share_an_id(model):
    same = RBM(np.asfortranarray(model.weights), model.visible_bias, model.hidden_bias)
    assert same.content_id == model.content_id
    assert len(model.content_id) == 16


def test_the_smallest_change_changes_the_id(model):
    moved = model.hidden_bias.copy()
    moved[1] = np.nextafter(moved[1], 1.0)
    assert RBM(model.weights, model.visible_bias, moved).content_id != model.content_id


def test_transposing_changes_the_id_of_a_square_model():
    model = RBM(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(2), np.zeros(2))
    assert model.transposed.content_id != model.content_id


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": [1]}', "key W is missing"),
        ('{"W": [[1]], "bias": [1]}', "unknown key bias"),
        ('{"W": [[1]], "W": [[2]]}', "key W occurs 2 times"),
        ('{"W": [1, 2]}', r"key W: shape \(2,\); allowed: \(N_v, N_h\)"),
        ('{"W": []}', r"key W: shape \(0,\)"),
        ('{"W": [[1, 2], [3]]}', "key W: rows of unequal length"),
        ('{"W": [[1, "2"]]}', r"key W: '2' at \[0, 1\]; allowed: real numbers"),
        ('{"W": [[1, true]]}', r"key W: True at \[0, 1\]; allowed: real numbers"),
        ('{"W": [[1, null]]}', r"key W: None at \[0, 1\]; allowed: real numbers"),
        ('{"W": [[1, NaN]]}', r"key W: nan at \[0, 1\]; allowed: finite"),
        ('{"W": [[1], [-Infinity]]}', r"key W: -inf at \[1, 0\]; allowed: finite"),
        ('{"W": [[1' + "0" * 400 + "]]}", r"key W: inf at \[0, 0\]; allowed: finite"),
        ('{"W": [[1, 2]], "a": [1, 2]}', r"key a: shape \(2,\); allowed with W \(1, 2\): \(1,\)"),
        ('{"W": [[1, 2]], "b": [[1, 2]]}', r"key b: shape \(1, 2\); allowed with W \(1, 2\): \(2,\)"),
        ('{"W": [[1, 2]], "b": {"0": 1}}', "key b: {'0': 1} at"),
        ("[[1, 2]]", "a list; allowed: an object"),
        ('{"W": [[1', "cannot be read as JSON"),
    ],
)
def test_a_bad_json_file_is_named_with_its_fault(tmp_path, text, says):
    path = write_json(tmp_path / "bad.json", text)
    with pytest.raises(ConfigurationError, match=says) as caught:
        RBM.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"a": np.zeros(3)}, "key W is missing"),
        ({"W": W, "c": W}, "unknown key c"),
        ({"W": W[0]}, r"key W: shape \(2,\)"),
        ({"W": W[:0]}, r"key W: shape \(0, 2\)"),
        ({"W": W.astype(complex)}, "key W: complex128 values; allowed: real numbers"),
        ({"W": W > 0}, "key W: bool values"),
        ({"W": W.astype(str)}, "key W: <U32 values"),
        ({"W": np.where(W > 0.5, np.nan, W)}, r"key W: nan at \[2, 0\]"),
        ({"W": W, "a": np.zeros(2)}, r"key a: shape \(2,\); allowed with W \(3, 2\): \(3,\)"),
        ({"W": W.astype(object)}, "cannot be read as .npz"),
    ],
)
def test_a_bad_npz_file_is_named_with_its_fault(tmp_path, arrays, says):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(ConfigurationError, match=says) as caught:
        RBM.load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_archive_is_named(tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(b"not an archive")
    with pytest.raises(ConfigurationError, match=r"bad\.npz: not an \.npz archive"):
        RBM.load(path)


def test_a_damaged_archive_is_named(model, tmp_path):
    path = tmp_path / "bad.npz"
    model.save(path)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"bad\.npz: cannot be read"):
        RBM.load(path)


def test_an_archive_of_something_else_is_named(tmp_path):
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("W", "text")
    with pytest.raises(ConfigurationError, match=r"bad\.npz: key W"):
        RBM.load(path)


@pytest.mark.parametrize("name", ["none.npz", "none.json"])
def test_an_absent_file_is_named(tmp_path, name):
    with pytest.raises(ConfigurationError, match=name):
        RBM.load(tmp_path / name)


@pytest.mark.parametrize("name", ["model.mat", "model"])
def test_another_suffix_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(ConfigurationError, match=r"allowed: \.npz, \.json"):
        RBM.load(tmp_path / name)


def test_saving_under_another_suffix_is_refused(model, tmp_path):
    with pytest.raises(ConfigurationError, match=r"saved as \.npz"):
        model.save(tmp_path / "m.json")


def test_saving_into_an_absent_folder_is_refused(model, tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be written"):
        model.save(tmp_path / "absent" / "m.npz")


def test_a_model_in_memory_is_checked_too():
    with pytest.raises(ConfigurationError, match=r"RBM: key b: shape \(3,\)"):
        RBM(W, np.zeros(3), np.zeros(3))
