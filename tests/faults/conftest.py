"""Emulated instruments, each switched on once for all its faults, and the page that is compared or written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_bench import Bench
from fault_page import Ledger
from fault_trials import Keeper

_HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-faults", action="store_true", help="write docs/devices/faults.md from what is found")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One instrument after another."""
    mine = [k for k, item in enumerate(items) if item.path.parent == _HERE and "bench" in _parameters(item)]
    for k, item in zip(mine, sorted((items[k] for k in mine), key=lambda i: _parameters(i)["bench"]), strict=True):
        items[k] = item


def _parameters(item: pytest.Item) -> dict[str, Any]:
    call = getattr(item, "callspec", None)
    return call.params if call is not None else {}


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """What was found, compared with the page cell by cell, or written into it in the end."""
    made = Ledger(writes=bool(request.config.getoption("--write-faults", default=False)))
    yield made
    made.finish()


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The instrument of a driver, for all its faults."""
    made = Bench(request.param, tmp_path_factory.mktemp("bench"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def keeper(bench: Bench) -> Iterator[Keeper]:
    """Of a device on that instrument."""
    made = Keeper(bench)
    yield made
    made.let_go()
