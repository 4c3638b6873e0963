"""Experiments to sweep over are registered for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sweepable import installed
from table import write_bench


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, installed(tmp_path_factory.mktemp("site") / "site", patch):
        yield


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The file of a sweep, not there yet."""
    return tmp_path / "sweep.h5"


@pytest.fixture
def noisy_bench(tmp_path: Path) -> Path:
    """A small simulated bench with noise."""
    path = write_bench(tmp_path)
    path.write_text(path.read_text().replace("noise = false", "noise = true"))
    return path
