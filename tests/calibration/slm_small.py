"""A reduced table with hidden truths for calibrations of the panel: a few hundred of its pixels are lit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parents[2] / "benches" / "prbm-lab.toml"

# Flicker, fringing fields and dust are off: they multiply the time of an exposure. Aberrations and shifts are smaller,
# since the lit part is: the same wavefront would be a hundred times steeper. All lit rows lie in one row of tiles.
SMALL: dict[str, Any] = {
    "bench.lease": "60 s",
    "world.slm.rows": 24,
    "world.slm.columns": 48,
    "world.beam.waist": "0.4 mm",
    "world.optics.first_row": 8,
    "world.optics.bands": 4,
    "world.optics.camera_attenuation": "20 %",
    "world.hidden.aberration": "0.02 rad",
    "world.hidden.beam_shift": 1,
    "world.hidden.row_offset": 1,
    "world.hidden.dust": 0,
    "world.hidden.crosstalk": 0,
    "world.hidden.flicker": 0,
    "world.hidden.blinking": 0,
    "world.hidden.hot_pixels": 0,
    "alignment.prbm.first_row": 8,
    "alignment.prbm.bands": 4,
    "alignment.prbm.centre_column": 24,
}
