"""With a calibrated window, the protocol reads local fields on a table where the plan's window reads none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prbm_small import BENCH, SMALL
from test_prbm_window import SHORT

from labctl.client import LabError
from labctl.experiments.calibrate import calibrate
from labctl.experiments.execute import execute

# What the window does not cure - gray levels, spectrum and rows - is off; where light lands and what no gray level
# reaches (dead area, front face, wrong polarisation) is as on any table.
TABLE: dict[str, Any] = {
    **SMALL,
    "world.seed": 3,
    "world.hidden.camera_shift": 20,
    "world.hidden.lut_error": 0,
    "world.hidden.lut_tile_error": 0,
    "world.hidden.lut_wavelength": 0,
    "world.hidden.aberration": 0,
    "world.hidden.coupling": 0,
    "world.hidden.spectrum": 0,
    "world.hidden.row_offset": 0,
    "world.hidden.row_slope": 0,
    "world.hidden.rows_per_kelvin": 0,
}
FIELDS = {"N": 18, "slit": 3, "reference_repeats": 6}


def test_window_and_symmetric_difference_bring_the_fields_back(tmp_path: Path) -> None:
    with pytest.raises(LabError):  # light from the glass outshines the reference patterns
        execute("labctl.figures", "prbm.local-fields", BENCH, {**TABLE, **FIELDS}, out=tmp_path)
    calibrate("prbm-window", BENCH, {**TABLE, **SHORT, "reach": 21, "piece": 43}, out=tmp_path)
    after = execute("labctl.figures", "prbm.local-fields", BENCH, {**TABLE, **FIELDS}, out=tmp_path).values
    # 18 fields: their rms error scatters by 17 % about the predicted one, so four deviations are 1.7 times.
    assert after["rms"] < 1.7 * after["sigma_predicted"]
    assert after["r"] > 0.98
    assert after["slope"] == pytest.approx(1.0, abs=0.1)
