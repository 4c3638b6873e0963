"""Devices on their stands, each opened once for all its checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.conformance.stand import Case, Stand, own_folders, standing


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with own_folders() as found:
        yield found


@pytest.fixture(scope="module")
def stand(request: pytest.FixtureRequest, folder: Path) -> Iterator[Stand]:
    case: Case = request.param
    with standing(case, folder) as found:
        yield found
