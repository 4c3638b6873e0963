"""Rows as parameters of tests."""

from __future__ import annotations

import pytest

from labctl import registry


def rows_of(*names: str) -> list[object]:
    """Those registered under these names, as parameters."""
    return [pytest.param(row, id=row.fault) for name in names for row in registry.load("labctl.ledger", name)]
