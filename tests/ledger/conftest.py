"""Rows of the ledger, each tried once; times are for `make soak`, on a machine with nothing else to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from labctl.ledger.row import Bench, Row, Tried
from labctl.ledger.theatre import Theatre


@pytest.fixture(autouse=True)
def _own_folders() -> None:
    """In the place of the suite's, which change from test to test: the theatre has its own, and its benches stay up."""


@pytest.fixture(scope="module")
def tried() -> Iterator[Callable[[Row, Bench], Tried]]:
    """Tries a row. Its stage stays for the next one."""
    with Theatre() as theatre:
        yield theatre.tried
