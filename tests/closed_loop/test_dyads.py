"""A lattice of dyads through real drivers on emulated instruments: screen, SDK library, a laser on a serial line."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.client import open_bench
from protocols.dyad.table.lattice import DyadLattice, plan_of

SMALL = {
    "alignment.dyad.rows": "1",
    "alignment.dyad.columns": "2",
    "devices.pump.settle": "0.1 s",
    "alignment.dyad.pump_settle": 0.15,
    "alignment.dyad.flatten": False,  # a minute of real time
}


@pytest.mark.timeout(300)
def test_dyads_condense_through_real_drivers() -> None:
    """Spots are found and made even, the threshold is found, every shot has one condensate denser than the other, and
    pump ratios far to either side decide which (both shares beyond 10 and 90 %, of 60 shots)."""
    with open_bench("benches/dyad-emulated.toml", SMALL) as bench, bench.control("closed loop"):
        lattice = DyadLattice(bench, plan_of(bench), np.random.default_rng(1), anew=True)
        shares = []
        for ratio in (0.85, 1.18):
            lattice.set_ratios(np.full(2, ratio))
            with lattice.light():
                shots = lattice.shots(60)
            assert shots.lost == 0
            assert shots.intensity.mean() > 100
            shares.append(shots.states.mean(axis=0))
    assert np.all(shares[0] < 0.1)
    assert np.all(shares[1] > 0.9)
