"""The photonic RBM's window is found where the table has it, with an uncertainty that holds, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from interval_coverage import SOAK_TABLES, Quantity, Table, measured_on_hidden_tables
from prbm_small import BENCH, SMALL
from prbm_truth import macro_pixel

from labctl.client import CalibrationError
from labctl.experiments.calibrate import calibrate
from labctl.store import Store

SHORT = {
    "N": 18, "reach": 6, "piece": 13, "scan_rows": 1, "slit": 1, "repeats": 3, "scan_bands": 2, "blocks": 5,
    "cycles": 4,
}  # fmt: skip
NAME = "prbm-window"


def _compare(table: Table) -> list[Quantity]:
    found, hidden = table.found[NAME], table.hidden.geometry
    camera = table.parameters.camera
    true_light = macro_pixel(table.parameters, found.conditions["power"].number, found, SHORT["blocks"])
    i0 = true_light.unit_counts_per_s * table.parameters.optics.bands * (SHORT["N"] + 2) ** 2
    true = {
        "column": camera.axis_column + hidden.shift_px[1],
        "row": camera.axis_row + hidden.shift_px[0],
        "tilt": hidden.rotation_rad,
        "unit_counts_per_s": true_light.unit_counts_per_s,
        "i0_counts_per_s": i0,
        "bias": true_light.bias,
    }
    return [Quantity(name, found.number(name), float(found.uncertainty(name)), value) for name, value in true.items()]


@pytest.mark.timeout(1200)
def test_the_zeroth_order_lies_within_the_stated_intervals(tmp_path: Path) -> None:
    measured_on_hidden_tables(NAME, _compare, tmp_path, bench=BENCH, given={**SMALL, **SHORT}).must_cover()


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_on_a_hundred_tables(tmp_path: Path) -> None:
    measured = measured_on_hidden_tables(
        NAME, _compare, tmp_path, bench=BENCH, given={**SMALL, **SHORT}, tables=SOAK_TABLES
    )
    measured.must_cover()


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.beam.blocked": True}, "beam block"),
        ({"world.slm.stuck": True}, "the SLM"),
        ({"world.optics.camera_attenuation": "100 %", "world.source.density": "5e10 W/m"}, "lower the source's power"),
        ({"devices.source.power": "0 %"}, "emission"),
    ],
    ids=["beam blocked", "SLM stuck", "camera saturated", "no power"],
)
def test_bad_light_is_named_and_nothing_is_kept(
    given: dict[str, object], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate(NAME, BENCH, {**SMALL, **SHORT, **given}, out=tmp_path / "runs")
    assert not list(Store(tmp_path / "calibrations").list())
