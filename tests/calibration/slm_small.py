"""A reduced table with hidden truths for calibrations of the panel: a few hundred of its pixels are lit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labctl.bench.load import load_bench
from labctl.experiments.calibrate import calibrate
from labctl.store import Calibration
from simulators.worlds.prbm import PrbmParameters

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


def parameters(seed: int, **given: Any) -> PrbmParameters:
    """Of the world of the reduced table of this seed; given: as SMALL, other than it."""
    config = load_bench(BENCH, {**SMALL, **given, "world.seed": seed})
    return PrbmParameters.model_validate(config.world_parameters)


def measured(name: str, seed: int, out: Path, given: dict[str, Any]) -> Calibration:
    """What the routine ``name`` finds on the reduced table of this seed; nothing is kept."""
    return calibrate(name, BENCH, {**SMALL, "world.seed": seed, **given}, out=out, dry_run=True).calibrations[0]
