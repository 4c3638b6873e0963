"""A folder of runs, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import folders
import pytest


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "runs"
    folders.runs(folder, 12)
    return folder


@pytest.fixture
def folder(_made: Path, tmp_path: Path) -> Path:
    """Twelve runs with their catalogue, to be damaged."""
    shutil.copytree(_made, tmp_path / "runs", copy_function=shutil.copy2)
    return tmp_path / "runs"
