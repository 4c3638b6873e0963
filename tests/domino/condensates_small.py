"""Small tables of four condensates, and everything wrong with them that is typical."""

from __future__ import annotations

FOUR: dict[str, object] = {
    "world.slm.columns": 208,
    "world.coupling.columns": 208,
    "world.coupling.rows": 128,
    "world.oscillators.sites": 4,
    "world.oscillators.shots": 300,
    "alignment.domino.camera.row": 971.7,
    "bench.lease": "60 s",  # what is tested here is not how fast a busy machine answers
}
