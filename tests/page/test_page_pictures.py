"""Images as the page shows them, and forms of parameters."""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.page import pictures
from labctl.page.feed.picture import HISTOGRAM_BINS, SATURATED, factor_for, gray, histogram, reduced, render
from labctl.page.runs.form import form_of
from labctl.page.views.detectors import scale_of
from labctl.runfile.file import pictures_of


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_a_reduced_image_has_means_and_peaks(factor: int) -> None:
    image = np.random.default_rng(7).integers(0, 65536, (61, 47), np.uint16)
    mean, peak = reduced(image, factor)
    rows, columns = 61 // factor, 47 // factor
    tiles = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    np.testing.assert_allclose(mean, tiles.mean(axis=(1, 3)), rtol=1e-5)
    np.testing.assert_array_equal(peak, tiles.max(axis=(1, 3)))


def test_one_saturated_pixel_is_seen_however_small_the_picture() -> None:
    image = np.full((2160, 2560), 100, np.uint16)
    image[1234, 987] = 65535
    picture = render(image, factor_for(2160, 2560, 300), 65535.0, stretch=False)
    assert max(picture.levels.shape) <= 300
    assert np.argwhere(picture.levels == SATURATED).tolist() == [[1234 // picture.factor, 987 // picture.factor]]
    assert picture.levels[0, 0] == 0


def test_no_other_pixel_has_the_level_of_saturated_ones() -> None:
    image = np.array([[0, 65534], [65535, 1]], np.uint16)
    assert render(image, 1, 65535.0, stretch=True).levels.tolist() == [[0, 253], [255, 0]]


@pytest.mark.parametrize(
    "image", [np.zeros((3, 4), np.uint16), np.full((3, 4), 1e-3), np.full((1, 1), 65535, np.uint32)]
)
def test_a_flat_image_is_no_trouble(image: np.ndarray) -> None:  # type: ignore[type-arg]
    for stretch in (False, True):
        assert render(image, 4, math.inf, stretch=stretch).levels.size


def test_a_histogram_counts_every_pixel_of_a_small_image() -> None:
    image = np.arange(6400, dtype=np.uint16).reshape(80, 80)
    found = histogram(image, 6400.0)
    assert found["counts"] == [100] * HISTOGRAM_BINS


def test_gray_levels_are_picked_not_averaged() -> None:
    panel = np.tile(np.array([0, 255], np.uint8), (8, 8))
    assert set(np.unique(gray(panel, 2, 256).levels)) == {0}


@pytest.mark.parametrize(
    ("unit", "readings", "name", "drawn"),
    [
        ("W", [0.0042, 0.012], "mW", [4.2, 12]),
        ("W", [10e-3 - 70e-9, 10e-3 + 60e-9], "nW from 10.00 mW", [-70, 60]),
        ("W", [0.01, 0.01], "mW", [10, 10]),
        ("W", [0.0], "W", [0]),
        ("counts", [9476.5, 9478.0], "mean counts from 9477", [-0.5, 1]),
        ("", [], "", []),
    ],
)
def test_readings_are_drawn_in_numbers_of_few_digits(
    unit: str, readings: list[float], name: str, drawn: list[float]
) -> None:
    scale = scale_of(readings, unit)
    assert scale.name == name
    np.testing.assert_allclose([scale.drawn(reading) for reading in readings], drawn, rtol=1e-6)


def test_bytes_for_a_browser_say_what_they_are() -> None:
    message = render(np.eye(4), 2, math.inf, stretch=True).message({"number": 3})
    length = int.from_bytes(message[:4], "little")
    assert b'"number":3' in message[4 : 4 + length]
    assert len(message) == 4 + length + 4


def test_pictures_of_a_run_are_pictures(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file.attrs["labctl_run"] = 1
        file.attrs["pictures"] = json.dumps(["run.h5", "good.png", "text.png"])
    png = b"\x89PNG\r\n\x1a\n..."
    (tmp_path / "good.png").write_bytes(png)
    (tmp_path / "text.png").write_text("what is in this folder besides")
    listed = {picture.name for picture in pictures_of(tmp_path / "run.h5")}
    assert listed == {"run.h5", "good.png", "text.png"}
    assert pictures.run_picture(tmp_path / "run.h5", "good.png") == png
    for name in ("run.h5", "text.png", "none.png"):
        with pytest.raises(ConfigurationError, match="PNG" if name in listed else "has no picture"):
            pictures.run_picture(tmp_path / "run.h5", name)


@pytest.mark.parametrize("name", ["../run.h5", "/etc/passwd", "run.txt", "..", "", "x" * 5000 + ".h5", "none.h5"])
def test_runs_are_files_of_their_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "run.h5").touch()
    with pytest.raises(ConfigurationError, match="there is no run"):
        pictures.run_file(tmp_path / "out", name)


# --- forms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bench.series", "prbm.generate", "nep.train", "domino.solve", "dyad.bits"])
def test_a_form_left_as_it_is_asks_for_the_defaults(name: str) -> None:
    form = form_of(name)
    assert {field.name for field in form.fields} == set(registry.load("labctl.protocols", name).Parameters.model_fields)
    entered = {f.name: f.shown == "true" if f.kind == "switch" else f.shown for f in form.fields}
    needed = {field.name for field in form.fields if field.needed}
    if not needed:
        assert form.given(entered) == {}


def test_what_is_entered_is_read_as_the_command_line_reads_it() -> None:
    form = form_of("prbm.generate")
    assert form.given({"classes": "3,5", "images": "7", "size": "28", "flips": "single"}) == {
        "classes": [3, 5], "images": 7, "size": 28, "flips": "single",
    }  # fmt: skip
    assert form_of("bench.series").given({"frames": True, "camera": " camera ", "count": ""}) == {
        "frames": True, "camera": "camera",
    }  # fmt: skip


def test_what_is_wrong_is_told_by_parameter() -> None:
    form = form_of("bench.series")
    assert form.wrong({"count": "3", "camera": "camera"}) == {}
    wrong = form.wrong({"count": "0", "frames": "perhaps", "camera": "camera"})
    assert wrong.keys() == {"count", "frames"}
    assert wrong["count"] == "Input should be greater than or equal to 1"


def test_a_form_tells_choices_bounds_and_meanings() -> None:
    fields = {field.name: field for field in form_of("bench.series").fields}
    assert fields["count"].kind == "number"
    assert fields["count"].bounds == "at least 1, at most 10000000"
    assert fields["frames"].kind == "switch"
    assert fields["laser"].doc.startswith("role of a laser")
    with pytest.raises(ConfigurationError, match="unknown"):
        form_of("no.such")
