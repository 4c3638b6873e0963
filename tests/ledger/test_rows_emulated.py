"""Rows of the ledger with the drivers of real tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ledger_rows import rows_on

from labctl.ledger.row import Bench, Row, Tried


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("row", "bench"), rows_on("emulated"))
def test_what_comes_of_it_is_what_the_ledger_says(row: Row, bench: Bench, tried: Callable[[Row, Bench], Tried]) -> None:
    assert tried(row, bench).wrong == ""
