"""The phase of gray levels is found cell by cell, with an uncertainty that holds, or the cause is named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from interval_coverage import SOAK_TABLES, TABLES, Quantity, Table, measured_on_hidden_tables
from slm_small import BENCH, SMALL

from calibration.phase_fit import fit_phase, level_pairs, one_turn
from drivers.correction import nearest_levels
from labctl.client import CalibrationError
from labctl.experiments.calibrate import calibrate
from labctl.store import Store
from simulators.worlds.parts.truth import gray_phases

SHORT = {
    "row_cells": 3, "period": 6, "steps": 16, "references": 3, "window_rows": 1, "window_columns": 1, "search_px": 0,
    "row_table": 8, "power_fraction": 0.1,
}  # fmt: skip
NAME = "slm-phase"


def _compare(table: Table) -> Iterator[Quantity]:
    """Phases of the tiles at the end and in the middle of the range, and the tiles' errors."""
    found = table.found["phase_table"]
    true = _true_phases(table)
    phase, error = found["cell_phase_rad"], found.uncertainty("cell_phase_rad")
    tiles = true[:, -1] / true[:, -1].mean() - 1
    for k in range(len(phase)):
        yield Quantity(f"turn of tile {k}", phase[k, 255], error[k, 255], true[k, 255])
        yield Quantity(f"half of tile {k}", phase[k, 128], error[k, 128], true[k, 128])
        yield Quantity(f"error of tile {k}", found["tile_error"][k], found.uncertainty("tile_error")[k], tiles[k])


def _true_phases(table: Table) -> np.ndarray:
    """Of the cells (tiles of the lit row of tiles, levels) at their wavelengths."""
    at_design = gray_phases(table.parameters, table.hidden.panel, np.arange(256))[1]
    wavelengths_m = table.found["phase_table"]["cell_wavelength_m"]
    return np.asarray(at_design * (table.hidden.panel.lut_wavelength_m / wavelengths_m)[:, None])


def _error_after(measured: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Phase that is shown less phase that is asked for, around the circle, with the levels of a measured table."""
    levels = nearest_levels(one_turn(measured))
    asked = np.arange(len(levels)) * (2 * math.pi / len(levels))
    return np.mod(true[levels] - asked + math.pi, 2 * math.pi) - math.pi


def _must_hold(out: Path, tables: int) -> None:
    left_rad = []

    def compare(table: Table) -> Iterator[Quantity]:
        pairs = zip(table.found["phase_table"]["cell_phase_rad"], _true_phases(table), strict=True)
        left_rad.append(math.sqrt(float(np.mean([np.square(_error_after(*pair)) for pair in pairs]))))
        return _compare(table)

    given = {**SMALL, **SHORT}
    measured_on_hidden_tables(NAME, compare, out, bench=BENCH, given=given, tables=tables).must_cover()
    assert np.median(left_rad) <= 0.03


def test_phases_lie_within_the_stated_intervals_and_the_new_table_corrects(tmp_path: Path) -> None:
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
        ({"world.slm.stuck": True}, "the SLM"),
        ({"world.source.density": "5e10 W/m"}, "lower the source's power"),
    ],
    ids=["beam blocked", "no power", "SLM stuck", "camera saturated"],
)
def test_bad_light_is_named_and_nothing_is_kept(
    given: dict[str, object], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate(NAME, BENCH, {**SMALL, **SHORT, **given}, out=tmp_path / "runs")
    assert not list(Store(tmp_path / "calibrations").uses())


def test_what_is_found_reaches_the_panel_and_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    done = calibrate(NAME, BENCH, {**SMALL, **SHORT}, out=tmp_path / "runs")
    (use,) = Store(tmp_path / "calibrations").uses()
    assert (use.role, use.kind, use.id) == ("slm", "phase_table", done.calibrations[0].id)
    assert list((tmp_path / "runs").glob("*-phase-curve.png"))
    # The table in force does not bend what calibrations show: a second one finds the same.
    again = calibrate(NAME, BENCH, {**SMALL, **SHORT}, out=tmp_path / "runs", dry_run=True).calibrations[0]
    np.testing.assert_allclose(again["cell_phase_rad"], done.calibrations[0]["cell_phase_rad"], atol=0.1)


def test_light_that_follows_no_phase_is_refused() -> None:
    pairs = level_pairs(256, 17, 3)
    noise = np.random.default_rng(1).uniform(0, 1, len(pairs))
    with pytest.raises(CalibrationError, match="follows no phase"):
        fit_phase(pairs[:, 0], pairs[:, 1], noise, 256)


def test_levels_beyond_a_turn_are_left_out() -> None:
    left = one_turn(np.linspace(0, 1.1 * 2 * math.pi, 256))
    assert np.isnan(left[-1])
    assert np.isfinite(left[:230]).all()
