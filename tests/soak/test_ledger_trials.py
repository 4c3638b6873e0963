"""Every row of the ledger, 20 trials each, dealt to its benches, within its bounds; several processes side by side."""

from __future__ import annotations

import pytest

from labctl.ledger.run import at_once, rows, run_side_by_side

TRIALS = 20


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_row_ends_as_the_ledger_says_within_its_bound() -> None:
    results = run_side_by_side(rows(), TRIALS, seed=1, workers=at_once())
    for result in results:
        print(f"{result.row.fault}: {result.outcome}")  # noqa: T201
    assert {result.row.fault: result.wrong for result in results if not result.ok} == {}
