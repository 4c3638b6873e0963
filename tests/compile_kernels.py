"""Compiles what the multiplier and the photonic RBM compute with: `make test` runs it beside the checks of the text.

A kernel is compiled once and kept on disk. In a fresh clone the tests that run side by side, and each process of a
bench that they start, would otherwise compile the same ones at the same time. Others are compiled where they are
needed first.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from labctl import registry
from labctl.bench.load import load_bench, packaged_benches
from labctl.experiments.execute import execute
from simulators.clock import VirtualClock
from simulators.physics.sheet.equation import Sheet
from simulators.physics.sheet.steady import steady_state

SMALL = {"world.slm.rows": 24, "world.slm.columns": 48, "world.optics.first_row": 8, "world.optics.bands": 4}
"""A panel of the photonic RBM whose exposures take no time."""

BENCHES: dict[str, dict[str, object]] = {
    "domino-injection": {},
    "domino-shot": {},
    "domino-sim": {},
    "dyad-sim": {},
    "nep-sim": {},
    "prbm-lab": SMALL,
    "prbm-sim": SMALL,
}
"""Of the multiplier, each way in which it computes its light; dyads; a sheet; the photonic RBM; what is set."""

PATIENT = {"bench.lease": "60 s"}
"""Nothing renews a lease in time while kernels are compiled beside other work."""


def main() -> None:
    """Expose a few times on each table; whatever goes wrong ends this with an error."""
    for name, given in BENCHES.items():
        config = load_bench(packaged_benches()[name], given)
        assert config.world_name is not None
        world = registry.load("labctl.worlds", config.world_name)
        world(config.world_parameters, VirtualClock()).warm_up()
    steady_state(0.0, np.ones(9), Sheet((9,)))
    with tempfile.TemporaryDirectory() as out:  # bursts of patterns, and what reads them
        execute("labctl.figures", "prbm.local-fields", None, {"N": 8, **PATIENT}, seed=1, out=Path(out))


if __name__ == "__main__":
    main()
