"""Rows as parameters of tests."""

from __future__ import annotations

import pytest

from labctl import registry

LEFT_TO_SOAK = ("server out of memory", "configuration edited while running")
"""Each passes by itself; as the last ones of a file, whose bench has died many times, they waited for the bench for a
minute in vain, for a reason that is not known yet."""


def rows_of(*names: str) -> list[object]:
    """Those registered under these names, as parameters; of one stage one after another, so that it is set once."""
    rows = [row for name in names for row in registry.load("labctl.ledger", name)]
    stages = list(dict.fromkeys(row.stage for row in rows))
    return [
        pytest.param(row, id=row.fault, marks=[pytest.mark.soak] if row.fault in LEFT_TO_SOAK else [])
        for row in sorted(rows, key=lambda row: stages.index(row.stage))
    ]
