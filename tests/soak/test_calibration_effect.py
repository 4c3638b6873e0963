"""All calibrations of a table with everything hidden in it, one after the other, and what they are worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.experiments.execute import execute


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [7, 1, 2])
def test_local_fields_are_right_after_all_calibrations(seed: int, tmp_path: Path) -> None:
    given = {"world.seed": seed, "store": tmp_path / "calibrations"}
    found = execute("labctl.figures", "calibration.effect", None, given, out=tmp_path)
    values = found.values
    assert values["r_before"] < 0.95
    assert values["r_after"] >= 0.998
    assert values["rms_after"] <= 0.08
    assert values["slope_after"] == pytest.approx(1.0, abs=0.02)
