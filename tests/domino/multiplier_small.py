"""A small multiplier: panels of 128 x 128 pixels, on which six nodes fit, and everything wrong that is typical."""

from __future__ import annotations

BENCH = "benches/domino-sim.toml"

SMALL: dict[str, object] = {
    "world.slm.columns": 128,
    "world.coupling.columns": 128,
    "world.coupling.rows": 128,
    "alignment.domino.camera.row": 961.8,
    "alignment.domino.camera.columns": 2,
    "devices.slm.settle": "120 ms",
    "bench.lease": "60 s",  # what is tested here is not how fast a busy machine answers
}
