"""Rows as parameters of tests, each on one of its benches: `make soak` and `labctl ledger` try them on all."""

from __future__ import annotations

import pytest

from labctl import registry
from labctl.ledger.rail import emulated, simulated
from labctl.ledger.row import Bench, Row

KIND = {"clock": "simulated", "network": "simulated", "interlocks": "emulated"}
"""Of rows with benches of their own: a second one would take more time than all their trials."""
SOONER = {"laser's server stopped": "emulated", "client in a busy loop": "simulated", "disk slow": "simulated"}
"""Where the other kind takes ten seconds of silence, or several leases of two seconds."""
LAST = ("supervisor killed",)
"""After which the whole bench must come up again, if anything follows."""
SHARED = {"simulated": simulated, "emulated": emulated}


def each_on_one() -> list[tuple[Row, Bench]]:
    """Every row; on a simulated and an emulated bench in turn where it has both."""
    found: list[tuple[Row, Bench]] = []
    turn = 0
    for name in registry.names("labctl.ledger"):
        for row in registry.load("labctl.ledger", name):
            kind = SOONER.get(row.fault) or KIND.get(name, ("simulated", "emulated")[turn % 2])
            found.append((row, next((bench for bench in row.benches if bench.kind == kind), row.benches[0])))
            turn += len(row.benches) > 1
    return found


def rows_on(stage: str) -> list[object]:
    """Those of a shared stage, or of all the "others", as parameters; of one stage one after another."""
    some = [
        (row, bench)
        for row, bench in each_on_one()
        if (bench.stage is SHARED[stage] if stage in SHARED else bench.stage not in SHARED.values())
    ]
    stages = list(dict.fromkeys(bench.stage for _, bench in some))
    some.sort(key=lambda pair: (stages.index(pair[1].stage), pair[0].fault in LAST))
    return [pytest.param(row, bench, id=f"{row.fault}, {bench.kind}") for row, bench in some]
