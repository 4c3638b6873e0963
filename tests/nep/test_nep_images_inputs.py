"""Digits as inputs of cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from digit_files import write_digits, write_idx
from PIL import Image

from labctl.client import ConfigurationError
from protocols.nep.images.inputs import antialiased, encode, load


def some_images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28)).astype(np.uint8)


@pytest.mark.parametrize("side", [5, 15])
def test_images_are_shrunk_as_an_image_library_does_it(side: int) -> None:
    images = some_images()
    ours = 255 * encode(images, side, "max").reshape(-1, side, side)
    theirs = [
        np.asarray(Image.fromarray(i.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR))
        for i in images
    ]
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_blank_paper_stays_blank_and_full_ink_full() -> None:
    assert antialiased(15).sum(axis=1) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(antialiased(28), np.eye(28))


def test_standardised_inputs_are_negative_on_paper() -> None:
    blank = np.zeros((1, 28, 28), np.uint8)
    assert encode(blank, 5, "std") == pytest.approx(-0.1307 / 0.3081)
    assert not encode(blank, 5, "max").any()


def test_training_has_as_many_images_of_each_digit(tmp_path: Path) -> None:
    found = load(str(write_digits(tmp_path / "digits")), 50, 5, "max")
    assert found.train.x.shape == (50, 25)
    assert np.bincount(found.train.labels).tolist() == [5] * 10
    assert len(found.test) == 100


@pytest.mark.parametrize("samples", [0, 15])
def test_samples_that_the_ten_digits_cannot_share_are_refused(samples: int) -> None:
    with pytest.raises(ConfigurationError, match=f"samples={samples}: allowed: a multiple of 10"):
        load(None, samples, 5, "max")


def test_too_few_images_of_a_digit_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"samples=300: .* has 20 images of some digit; choose samples=200 or less"
    ):
        load(str(write_digits(tmp_path / "digits")), 300, 5, "max")


def test_files_of_images_of_another_size_are_refused(tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "digits")
    write_idx(folder / "train-images-idx3-ubyte.gz", np.zeros((200, 27, 27), np.uint8))
    with pytest.raises(ConfigurationError, match=r"images of \(27, 27\) pixels; allowed: \(28, 28\)"):
        load(str(folder), 50, 5, "max")


@pytest.mark.parametrize(
    "images", [np.zeros((2, 27, 27), np.uint8), np.zeros((2, 28, 28), np.float32), np.zeros((28, 28), np.uint8)]
)
def test_images_of_another_size_or_type_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ConfigurationError, match=r"allowed: uint8 of shape \(n, 28, 28\)"):
        encode(images, 15, "max")


def test_cells_larger_than_images_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="cells=29: allowed: 1 to 28"):
        antialiased(29)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="encoding=other: allowed: max, std"):
        encode(some_images(), 5, "other")  # type: ignore[arg-type]
