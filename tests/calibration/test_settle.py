"""The settling routine finds the panel's time constants, latency and scan, and the camera's pace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interval_coverage import SOAK_TABLES, Measured, Quantity, Table, measured_on_hidden_tables

from calibration import step_response
from labctl.client import CalibrationError
from labctl.experiments.calibrate import calibrate

# A small panel with a source as on the typical table.
TABLE: dict[str, Any] = {
    "world.slm.rows": 48,
    "world.slm.columns": 128,
    "world.beam.waist": "1 mm",
    "world.optics.first_row": 8,
    "world.optics.bands": 16,
    "world.optics.camera_attenuation": "100 %",
    "alignment.prbm.first_row": 8,
    "alignment.prbm.bands": 16,
    "alignment.prbm.centre_column": 64,
    "world.hidden.pulse_noise": 1.3e-3,
    "world.hidden.slow_noise": 0.002,
    "world.hidden.prnu": 0.005,
    "bench.lease": "30 s",  # tests share the machine with others
    "window_columns": 31,
    "group_rows": 2,
}
FRAME_S = 1 / 60


def table_of(seed: int) -> dict[str, Any]:
    """Timing is no hidden truth of a seed, so each table gets its own here."""
    rng = np.random.default_rng(seed)
    return TABLE | {
        "world.slm.rise_time": f"{rng.uniform(3e-3, 10e-3)} s",
        "world.slm.fall_time": f"{rng.uniform(8e-3, 20e-3)} s",
        "world.slm.controller_latency": f"{rng.uniform(0, 16e-3)} s",
        "world.slm.scan_time": f"{rng.uniform(8e-3, 16.6e-3)} s",
    }


def compare(table: Table) -> Iterator[Quantity]:
    slm, c = table.parameters.slm, table.parameters.camera
    panel, camera = table.found["slm_timing"], table.found["camera_timing"]
    for found, name, true in (
        (panel, "rise_time_s", slm.rise_time),
        (panel, "fall_time_s", slm.fall_time),
        (panel, "latency_s", slm.controller_latency),
        (panel, "scan_time_s", slm.scan_time),
        (panel, "refresh_period_s", 1 / slm.refresh_rate),
        (camera, "trigger_delay_s", 0.0),
        (camera, "frame_gap_s", 5 * c.row_time),  # five rows are read from the middle outwards: 3 and 2 more
    ):
        yield Quantity(name, found.number(name), float(found.uncertainty(name)), true)


def within_bounds(measured: Measured) -> None:
    measured.must_cover()
    for name in ("rise_time_s", "fall_time_s"):
        assert measured.median_relative_error(name) < 0.05
    for name in ("latency_s", "scan_time_s", "trigger_delay_s", "frame_gap_s"):
        assert measured.median_error(name) < FRAME_S


def test_stated_intervals_cover_the_timing(tmp_path: Path) -> None:
    quick = {"steps": 8, "watch_s": 0.12}
    within_bounds(measured_on_hidden_tables("settle", compare, tmp_path, given=lambda seed: table_of(seed) | quick))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_coverage_on_a_hundred_tables(tmp_path: Path) -> None:
    measured = measured_on_hidden_tables("settle", compare, tmp_path, given=table_of, tables=SOAK_TABLES)
    within_bounds(measured)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.source.tripped": True}, "interlock"),
        ({"world.beam.blocked": True}, "no light in the camera's region"),
        ({"world.source.density": "1e13 W/m"}, "saturates even at its shortest exposure"),
        ({"world.slm.stuck": True}, "the SLM does not show what it is sent"),
        ({"steps": 2}, "too few frames"),
        ({"watch_s": 0.01}, "too few frames"),
        ({"world.slm.fall_time": "0.2 s"}, "still to come"),
        ({"group_rows": 20}, "fewer `group_rows`"),
    ],
    ids=["tripped", "blocked", "saturated", "stuck", "few steps", "few frames", "too slow", "too many rows"],
)
def test_what_cannot_be_measured_is_told_and_nothing_is_kept(
    tmp_path: Path, given: dict[str, object], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "store"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate("settle", None, TABLE | {"steps": 4} | given, out=tmp_path)
    assert not list((tmp_path / "store").rglob("*.h5"))


# --- the arithmetic -------------------------------------------------------------------------------------------------


def made_step(rises: bool, start_s: float, tau_s: float, noise: np.random.Generator) -> step_response.StepData:
    time_s = np.arange(-0.001, 0.15, 0.002)
    gone = np.exp(-np.maximum(time_s - start_s, 0) / tau_s)
    phase = 4.7 * ((1 - gone) if rises else gone)
    signal = 1e5 * (1.2 + np.cos(phase + 0.3)) + 500 * noise.standard_normal(len(time_s))
    return step_response.StepData(0, rises, 0.0, time_s, signal, 1e-5, 0.0)


def test_time_constants_are_those_of_the_phase_and_not_of_the_light() -> None:
    rng = np.random.default_rng(3)
    steps = [made_step(k % 2 == 0, 0.02 + 0.001 * k, (0.006, 0.015)[k % 2], rng) for k in range(6)]
    found = step_response.fit(steps, 4.5, 0.025)
    assert found.rise_s == pytest.approx(0.006, abs=4 * found.rise_error_s)
    assert found.fall_s == pytest.approx(0.015, abs=4 * found.fall_error_s)
    assert found.rise_error_s < 3e-4
    np.testing.assert_allclose(found.start_s, 0.02 + 0.001 * np.arange(6), atol=5e-4)


def test_a_step_that_the_camera_slept_through_tells_nothing() -> None:
    whole = made_step(True, 0.02, 0.006, np.random.default_rng(1))
    seen = (whole.time_s < 0.02) | (whole.time_s > 0.045)
    gap = replace(whole, time_s=whole.time_s[seen], signal=whole.signal[seen])
    assert step_response.resolved([whole, gap]) == [whole]


def test_beginnings_on_a_grid_give_latency_and_scan() -> None:
    rng = np.random.default_rng(8)
    period_s, scan_s, latency_s = 1 / 59.94, 15e-3, 7e-3
    arrived = np.cumsum(rng.uniform(0.25, 0.3, 24))
    place = np.where(np.arange(24) % 4 < 2, 0.2, 0.8)
    began = np.ceil(arrived / period_s) * period_s + latency_s + scan_s * place
    start = began - arrived + 1e-4 * rng.standard_normal(24)
    found = step_response.timing(arrived, start, np.full(24, 1e-4), place, 1 / 60)
    assert found.period_s == pytest.approx(period_s, rel=1e-4)
    assert found.scan_s == pytest.approx(scan_s, abs=4e-4)
    assert abs(found.latency_s - latency_s) < 2 * found.latency_error_s
    assert found.latency_error_s < 2e-3
