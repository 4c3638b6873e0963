"""A reduced hologram table with hidden truths: a sixty-fourth of the real one's pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BENCH = str(Path(__file__).resolve().parents[2] / "benches" / "hologram-lab.toml")

# Fringing fields, flicker and dust are off: they multiply the time of an exposure. The beam is smaller as the panel is;
# light goes further out, so that a block of the panel has some periods of its blaze.
SMALL: dict[str, Any] = {
    "bench.lease": "60 s",
    "world.slm.rows": 64,
    "world.slm.columns": 64,
    "world.beam.waist": "0.22 mm",
    "world.hidden.beam_shift": "0.03 mm",
    "world.hidden.crosstalk": 0,
    "world.hidden.flicker": 0,
    "world.hidden.dust": 0,
    "alignment.hologram.spot.row": -300,
    "alignment.hologram.spot.column": 400,
}
