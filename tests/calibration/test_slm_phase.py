"""The phase of gray levels is found cell by cell, with an uncertainty that holds, or the cause is named."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from slm_small import BENCH, SMALL, measured, parameters

from calibration.phase_fit import fit_phase, level_pairs, one_turn
from drivers.correction import nearest_levels
from labctl.client import CalibrationError
from labctl.experiments.calibrate import calibrate
from labctl.store import Store
from simulators.worlds.prbm.truth import gray_phases, hidden_table

SHORT = {
    "row_cells": 3, "period": 6, "steps": 16, "references": 3, "window_rows": 1, "window_columns": 1, "search_px": 0,
    "row_table": 8, "power_fraction": 0.1,
}  # fmt: skip
NAME = "slm-phase"


def _deviations(seed: int, out: Path) -> dict[str, np.ndarray]:
    """Deviations in standard uncertainties of the phases (tiles,) at the end and in the middle of the range and of the
    tiles' errors, and the rms error (1,) of the panel with the new table, rad."""
    found, p = measured(NAME, seed, out, SHORT), parameters(seed)
    table = hidden_table(p).panel
    at_design = gray_phases(p, table, np.arange(256))[1]  # the lit row of tiles
    true = at_design * (table.lut_wavelength_m / found["cell_wavelength_m"])[:, None]
    phase, error = found["cell_phase_rad"], found.uncertainty("cell_phase_rad")
    z = (phase - true)[:, 1:] / error[:, 1:]
    tiles = true[:, -1] / true[:, -1].mean() - 1
    wrong = [_error_after(p, t) for p, t in zip(phase, true, strict=True)]
    return {
        "turn": z[:, 254],
        "middle": z[:, 127],
        "tile": (found["tile_error"] - tiles) / found.uncertainty("tile_error"),
        "rms": np.array([math.sqrt(float(np.mean(np.square(wrong))))]),
    }


def _error_after(measured: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Phase that is shown less phase that is asked for, around the circle, with the levels of a measured table."""
    levels = nearest_levels(one_turn(measured))
    asked = np.arange(len(levels)) * (2 * math.pi / len(levels))
    return np.mod(true[levels] - asked + math.pi, 2 * math.pi) - math.pi


def _tables(seeds: range, out: Path) -> dict[str, np.ndarray]:
    found = [_deviations(seed, out) for seed in seeds]
    return {name: np.stack([f[name] for f in found]) for name in found[0]}


def test_phases_lie_within_the_stated_intervals_and_the_new_table_corrects(tmp_path: Path) -> None:
    found = _tables(range(20), tmp_path)
    for name in ("turn", "middle", "tile"):
        for tile, z in enumerate(found[name].T):
            assert np.count_nonzero(np.abs(z) < 1.96) >= 16, (name, tile, z.round(1))
    assert np.median(found["rms"]) <= 0.03


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_over_a_hundred_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _tables(range(100, 200), tmp_path)
    for name in ("turn", "middle", "tile"):
        z = found[name]
        covered = np.count_nonzero(np.abs(z) < 1.96, axis=0)
        with capsys.disabled():
            print(f"\n{NAME} {name}: {covered} of 100 within the 95 % interval, rms deviation {z.std():.2f}")  # noqa: T201
        assert covered.min() >= 86, name  # 95 less four standard deviations
    with capsys.disabled():
        print(f"\n{NAME}: median rms error after {np.median(found['rms']):.4f} rad")  # noqa: T201


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
