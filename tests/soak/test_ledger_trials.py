"""Every row of the ledger, 20 trials each, dealt to its benches, within its bounds; several processes side by side."""

from __future__ import annotations

import pytest

from labctl.ledger.row import Row, Tried
from labctl.ledger.run import at_once, rows, run_side_by_side

TRIALS = 20


def _tell(row: Row, tried: Tried) -> None:
    if not tried.left:
        each = f"{tried.lasted_s / tried.trials:.1f} s a trial"
        print(f"{row.fault} ({tried.bench.kind}): {tried.wrong or tried.late or tried.time or 'ok'}, {each}")  # noqa: T201


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_row_ends_as_the_ledger_says_within_its_bound() -> None:
    results = run_side_by_side(rows(), TRIALS, seed=1, workers=at_once(), told=_tell)
    assert {result.row.fault: result.wrong for result in results if not result.ok} == {}
