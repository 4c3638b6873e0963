"""What tests of the page share: one bench, one page and one browser for all tests of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.page_stage import Served, Stage, stage


@pytest.fixture(scope="module")
def bench() -> Iterator[Stage]:
    # Not pytest's tmp_path: a socket's path may be no longer than 107 bytes.
    with tempfile.TemporaryDirectory(prefix="labctl-page-", ignore_cleanup_errors=True) as folder, \
            stage(Path(folder)) as made:  # fmt: skip
        yield made


@pytest.fixture(scope="module")
def served(bench: Stage) -> Iterator[Served]:
    with bench.page() as page:
        yield page


@pytest.fixture
def _in_its_folders(bench: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process finds the bench as well."""
    for name, value in bench.environment.items():
        if name.startswith("LABCTL_"):
            monkeypatch.setenv(name, value)
