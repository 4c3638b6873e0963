"""Real drivers on emulated instruments: run by `make hil`, as their timeouts want a machine that is not busy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "simulators"))

from prbm_table import parameters

from simulators.worlds.prbm import PrbmWorld

_HERE = Path(__file__).parent


@pytest.fixture
def world() -> PrbmWorld:
    """A small table in real time with its source at full power."""
    made = PrbmWorld(parameters(), PrbmWorld.clock_of_kind("real"))
    made.source.emission = True
    made.source.power_fraction = 1.0
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.hil)
