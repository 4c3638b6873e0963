"""Made-up protocols on a small bench."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from resumable import installed
from table import write_bench


@pytest.fixture
def walks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The made-up protocols are registered."""
    with installed(tmp_path / "site", monkeypatch):
        yield


@pytest.fixture
def small_bench(tmp_path: Path) -> Path:
    """A small simulated bench."""
    return write_bench(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where runs go."""
    return tmp_path / "out"
