"""Rows of the ledger: disk, files, frames, clock, network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ledger_rows import rows_of

from labctl.ledger.row import Result, Row


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", rows_of("disk", "files", "frames", "clock", "network"))
def test_what_comes_of_it_is_what_the_ledger_says(row: Row, tried: Callable[[Row], Result]) -> None:
    assert tried(row).wrong == ""
