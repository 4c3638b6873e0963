"""A reduced table with hidden truths for the photonic RBM's own calibrations: a hundredth of the real one's pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BENCH = str(Path(__file__).resolve().parents[2] / "benches" / "prbm-lab.toml")

# Flicker, fringing fields and dust are off: they multiply the time of an exposure. So small a panel would have a
# hundred times steeper a wavefront, and a table that settles fully needs no phase in motion.
SMALL: dict[str, Any] = {
    "world.slm.rows": 24,
    "world.slm.columns": 48,
    "world.beam.waist": "0.8 mm",
    "world.optics.first_row": 8,
    "world.optics.bands": 4,
    "world.optics.camera_attenuation": "20 %",
    "world.hidden.aberration": "0.02 rad",
    "world.hidden.dust": 0,
    "world.hidden.crosstalk": 0,
    "world.hidden.flicker": 0,
    "world.hidden.camera_shift": 4,
    "world.hidden.beam_shift": 3,
    "alignment.prbm.first_row": 8,
    "alignment.prbm.bands": 4,
    "alignment.prbm.centre_column": 24,
    "devices.slm.base_settle": "300 ms",
    "devices.slm.settle": "300 ms",
}
