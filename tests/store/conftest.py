"""A bench in a folder of its own, and made-up routines that run on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up_routines import installed
from table import write_bench

from labctl import registry


@pytest.fixture
def routines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The made-up routines are registered."""
    with installed(tmp_path / "site", monkeypatch):
        yield


@pytest.fixture
def only_made_up(routines: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other routines are registered."""
    names = registry.names

    def made_up(group: registry.Group) -> tuple[str, ...]:
        return tuple(n for n in names(group) if group != "labctl.calibrations" or n.startswith("t."))

    monkeypatch.setattr(registry, "names", made_up)


@pytest.fixture
def bench_file(tmp_path: Path) -> Path:
    """A small simulated bench."""
    return write_bench(tmp_path)
