"""Rows, overlap and power of the spectrum are found with an uncertainty that holds, or the cause is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from slm_small import BENCH, SMALL, measured, parameters

from labctl.client import CalibrationError
from labctl.experiments.calibrate import calibrate
from labctl.store import Store
from simulators.worlds.prbm import PrbmParameters
from simulators.worlds.prbm.optics import OpticsInTime
from simulators.worlds.prbm.truth import hidden_table

SHORT = {
    "period": 12, "window_rows": 1, "window_columns": 1, "search_px": 0, "power_fraction": 0.4, "probes": 3,
    "probe_nm": 0.12, "reach_rows": 5, "overlaps": 2, "repeats": 3,
}  # fmt: skip
NAME = "spectral-rows"


def _true_rows(p: PrbmParameters, wavelengths_m: np.ndarray) -> np.ndarray:
    o, s = p.optics, hidden_table(p).spectrum
    middle = o.bands * o.rows_per_wavelength / 2
    row = (wavelengths_m - o.wavelength_first) * o.dispersion / p.slm.pitch
    return o.first_row + middle + s.row_offset + (row - middle) * (1 + s.row_slope)


def _true_overlaps(p: PrbmParameters, pairs: np.ndarray) -> np.ndarray:
    optics = OpticsInTime(p).at(0.0)
    coupling = optics.coupling(np.ones(len(optics.samples_m)))
    n, first = p.optics.rows_per_wavelength, p.optics.first_row - optics.first_row

    def shared(a: int, b: int) -> float:
        rows = [(first + a * n + i, first + b * n + j) for i in range(n) for j in range(n)]
        return float(sum(coupling[min(r), abs(r[0] - r[1])] for r in rows if abs(r[0] - r[1]) < coupling.shape[1]))

    return np.array([2 * shared(j, j + 1) / (shared(j, j) + shared(j + 1, j + 1)) for j in pairs])


def _deviations(seeds: range, out: Path) -> dict[str, np.ndarray]:
    """Of rows, px, and overlaps, and both in standard uncertainties, (seeds, bands) and (seeds, pairs)."""
    told: dict[str, list[np.ndarray]] = {"row": [], "row z": [], "overlap": [], "overlap z": []}
    for seed in seeds:
        found, p = measured(NAME, seed, out, SHORT), parameters(seed)
        for name, true in (
            ("row", _true_rows(p, found["wavelength_m"])),
            ("overlap", _true_overlaps(p, found["pairs"])),
        ):
            told[name].append(found[name] - true)
            told[f"{name} z"].append((found[name] - true) / found.uncertainty(name))
    return {name: np.array(values) for name, values in told.items()}


@pytest.mark.timeout(600)
def test_rows_and_overlaps_lie_within_the_stated_intervals(tmp_path: Path) -> None:
    told = _deviations(range(20), tmp_path)
    for name in ("row", "overlap"):
        for z in told[f"{name} z"].T:
            assert np.count_nonzero(np.abs(z) < 1.96) >= 16, (name, z.round(1), told[name].round(3))
    assert np.median(np.abs(told["row"]).max(axis=1)) <= 0.2
    assert np.median(np.abs(told["overlap"]).max(axis=1)) <= 0.02


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_over_a_hundred_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _deviations(range(100, 200), tmp_path)
    for name in ("row", "overlap"):
        z = told[f"{name} z"]
        covered = np.count_nonzero(np.abs(z) < 1.96, axis=0)
        with capsys.disabled():
            print(f"\n{NAME} {name}: {covered} of 100 within the 95 % interval, rms deviation {z.std():.2f}")  # noqa: T201
        assert covered.min() >= 86, name  # 95 less four standard deviations


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.beam.blocked": True}, "beam blocks"),
        ({"devices.source.power": "0 %", "power_fraction": 1e-12}, "check emission"),
        ({"world.source.density": "5e10 W/m"}, "lower the source's power"),
        ({"alignment.prbm.first_row": 0, "reach_rows": 3}, "is not on rows"),
    ],
    ids=["beam blocked", "no power", "camera saturated", "another row"],
)
def test_bad_light_is_named_and_nothing_is_kept(
    given: dict[str, object], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate(NAME, BENCH, {**SMALL, **SHORT, **given}, out=tmp_path / "runs")
    assert not list(Store(tmp_path / "calibrations").uses())
