"""The map from the SLM's Fourier plane to the camera is found with an uncertainty that holds, or the cause is named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from interval_coverage import SOAK_TABLES, TABLES, Quantity, Table, measured_on_hidden_tables
from slm_small import BENCH, SMALL

from calibration.slm_camera import SlmCamera, line_centre
from labctl.client import CalibrationError, Recorder
from labctl.experiments.calibrate import calibrate
from labctl.store import Store

# More columns than other reduced tables have, so that a line is 18 camera pixels wide and not 50.
WIDE = {
    "world.slm.columns": 128,
    "world.beam.waist": "1 mm",
    "world.hidden.camera_shift": 4,
    "alignment.prbm.centre_column": 64,
}
SHORT = {
    "periods": [16, 8], "verified": [11, 9], "heights_px": [-300, 300], "samples": 17, "stride": 4, "window_rows": 1,
    "frames": 1, "power_fraction": 0.4,
    # A line is 18 pixels wide here, 1.2 on the whole table; the median over tables is what must keep 0.2.
    "residual_limit_px": 0.5,
}  # fmt: skip
NAME = "slm-camera"


def _compare(table: Table) -> Iterator[Quantity]:
    found, g = table.found[NAME], table.hidden.geometry
    # The line X = 0 leans: at the plan's row it is this far from where it crosses the zeroth order.
    column = 1280 + g.shift_px[1] + math.tan(g.rotation_rad) * g.shift_px[0]
    for name, true in (("scale", g.scale), ("rotation", g.rotation_rad), ("column", column)):
        yield Quantity(name, found.number(name), float(found.uncertainty(name)), true)


def _must_hold(out: Path, tables: int) -> None:
    residuals_px = []

    def compare(table: Table) -> Iterator[Quantity]:
        residuals_px.append(table.found[NAME].number("residual"))
        return _compare(table)

    given = {**SMALL, **WIDE, **SHORT}
    measured_on_hidden_tables(NAME, compare, out, bench=BENCH, given=given, tables=tables).must_cover()
    assert np.median(residuals_px) <= 0.2


@pytest.mark.timeout(600)
def test_the_map_lies_within_the_stated_intervals(tmp_path: Path) -> None:
    _must_hold(tmp_path, TABLES)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_on_a_hundred_tables(tmp_path: Path) -> None:
    _must_hold(tmp_path, SOAK_TABLES)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.beam.blocked": True}, "beam blocks"),
        ({"devices.source.power": "0 %", "power_fraction": 1e-12}, "check emission"),
        ({"world.source.density": "5e10 W/m"}, "lower the source's power"),
        ({"world.hidden.camera_flip": True}, "mirrored"),
        ({"world.optics.focal_length": "0.21 m", "scale_limit": 0.02}, "another lens"),
        ({"world.optics.focal_length": "0.3 m"}, "another lens|not where they are planned|no light"),
        ({"world.slm.stuck": True}, "the SLM|not where they are planned|no light"),
    ],
    ids=["beam blocked", "no power", "camera saturated", "mirrored", "another lens", "a far other lens", "SLM stuck"],
)
def test_a_wrong_map_is_refused_and_nothing_is_kept(
    given: dict[str, object], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate(NAME, BENCH, {**SMALL, **WIDE, **SHORT, **given}, out=tmp_path / "runs")
    assert not list(Store(tmp_path / "calibrations").uses())


def test_half_the_lines_missing_is_told(tmp_path: Path) -> None:
    x_px = np.repeat([-280.0, -140.0, 140.0, 280.0], 3)
    columns = np.stack([np.arange(-20, 21) + round(1280 + x) for x in x_px])
    line = 3e4 * np.exp(-0.5 * ((columns - 1280 - x_px[:, None]) / 5) ** 2)
    profiles = np.where(x_px[:, None] > 0, line, 0.0) + np.random.default_rng(3).normal(0, 5, line.shape)
    results = {
        "x_m": x_px * 6.5e-6, "rows": np.tile([800.0, 1080.0, 1300.0], 4), "columns": columns, "profiles": profiles,
        "verify": np.abs(x_px) < 200, "pitch_m": 6.5e-6, "width_px": 12.0, "wavelength_error": 1e-4,
        "origin": [1080, 1280],
    }  # fmt: skip
    with Recorder("lines", tmp_path, 0) as record, pytest.raises(CalibrationError, match="those on one side"):
        SlmCamera().findings(results, SlmCamera.Parameters(), record)


def test_a_line_is_found_where_it_is_and_nowhere_if_there_is_none() -> None:
    columns = 100.0 + np.arange(41)
    line = 3e4 * np.exp(-0.5 * ((columns - 119.3) / 5) ** 2)
    assert line_centre(columns, line, 12.0)[0] == pytest.approx(119.3, abs=0.01)
    noise = np.random.default_rng(2).normal(0, 5, 41)
    assert math.isnan(line_centre(columns, noise, 12.0)[0])
