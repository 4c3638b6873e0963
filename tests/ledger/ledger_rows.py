"""Rows as parameters of tests."""

from __future__ import annotations

import pytest

from labctl import registry


def rows_of(*names: str) -> list[object]:
    """Those registered under these names, as parameters; of one stage one after another, so that it is set once."""
    rows = [row for name in names for row in registry.load("labctl.ledger", name)]
    stages = list(dict.fromkeys(row.stage for row in rows))
    return [pytest.param(row, id=row.fault) for row in sorted(rows, key=lambda row: stages.index(row.stage))]
