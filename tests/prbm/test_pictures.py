"""Pictures of images show what they say: every pixel in its place, damaged ones blue, wrong ones red."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from protocols.prbm.images.damage import Damage
from protocols.prbm.images.pictures import draw_generation, draw_restoration


def share(picture: np.ndarray, colour: tuple[float, float, float]) -> float:
    return float((np.abs(picture[..., :3] - np.array(colour)).max(axis=-1) < 0.03).mean())


def draw(path: Path, rows: int) -> np.ndarray:
    truth = np.ones((rows, 16), np.int8)
    damaged = np.zeros((rows, 16), bool)
    damaged[:, :8] = True
    damage = Damage(np.where(damaged, -1, truth).astype(np.int8), damaged)
    history = np.stack([damage.shown, *[truth] * 5], axis=1)
    wrong = truth.copy()
    wrong[:, 12:] = -1
    draw_restoration(path, truth, damage, history, {"result": truth, "nearest": wrong}, "a title")
    return imread(path)


def test_damaged_pixels_are_blue_and_wrong_ones_red(tmp_path: Path) -> None:
    picture = draw(tmp_path / "restored.png", 3)
    dark_blue, light_blue = share(picture, (0.05, 0.15, 0.45)), share(picture, (0.55, 0.75, 1.0))
    dark_red = share(picture, (0.5, 0.0, 0.0))
    # Half of the damaged image is dark blue, half of each of the five iterations light blue, a quarter of the last red.
    assert light_blue / dark_blue == np.clip(light_blue / dark_blue, 4.7, 5.3)
    assert dark_red / dark_blue == np.clip(dark_red / dark_blue, 0.45, 0.55)
    assert share(picture, (1.0, 0.55, 0.5)) == 0.0


def test_many_images_are_shown_ten_at_a_time(tmp_path: Path) -> None:
    assert draw(tmp_path / "many.png", 40).shape == draw(tmp_path / "ten.png", 10).shape


def test_generated_images_have_the_exact_ones_beside_them(tmp_path: Path) -> None:
    training = np.ones((20, 9), np.int8)
    history = -np.ones((2, 4, 9), np.int8)
    draw_generation(tmp_path / "a.png", training, history, "a title")
    draw_generation(tmp_path / "b.png", training, history, "a title", -np.ones((2, 9), np.int8))
    a, b = imread(tmp_path / "a.png"), imread(tmp_path / "b.png")
    assert b.shape[1] > a.shape[1]
    black = [share(picture, (0.0, 0.0, 0.0)) * picture.size for picture in (a, b)]
    assert black[1] / black[0] == np.clip(black[1] / black[0], 1.15, 1.35)  # ten black images for eight
