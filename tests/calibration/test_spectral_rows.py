"""Rows, overlap and power of the spectrum are found with an uncertainty that holds, or the cause is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from interval_coverage import SOAK_TABLES, Measured, Quantity, Table, measured_on_hidden_tables
from slm_small import BENCH, SMALL

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

# More bands than other reduced tables have, so that some lie inside; over so few the same spectrum would be fifty times
# as steep. Fringing fields are as on any table. The order, 50 pixels broad, is not searched for; beside it half a
# period is not half a turn.
TABLE = {
    "world.optics.bands": 6,
    "world.optics.first_row": 6,
    "alignment.prbm.bands": 6,
    "alignment.prbm.first_row": 6,
    "world.hidden.spectrum": 0.05,
    "world.hidden.crosstalk": 0.17,
    "world.hidden.camera_shift": 4,
}
GIVEN = {**SMALL, **TABLE, **SHORT}


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


def _compare(table: Table) -> Iterator[Quantity]:
    found, p = table.found[NAME], table.parameters
    rows, overlaps = _true_rows(p, found["wavelength_m"]), _true_overlaps(p, found["pairs"])
    for name, true in (("row", rows), ("overlap", overlaps)):
        for k, (value, error, right) in enumerate(zip(found[name], found.uncertainty(name), true, strict=True)):
            yield Quantity(f"{name} {k}", value, error, right)
    blur = float(found.uncertainty("row_blur"))
    yield Quantity("row_blur", found.number("row_blur"), blur, table.hidden.panel.crosstalk_px[0])


def _within_bounds(measured: Measured) -> None:
    measured.must_cover()
    for name in measured.quantities:
        if name.startswith("row "):
            assert measured.median_error(name) <= 0.2
        if name.startswith("overlap"):
            assert measured.median_relative_error(name) <= 0.02


@pytest.mark.timeout(600)
def test_rows_and_overlaps_lie_within_the_stated_intervals(tmp_path: Path) -> None:
    _within_bounds(measured_on_hidden_tables(NAME, _compare, tmp_path, bench=BENCH, given=GIVEN))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_on_a_hundred_tables(tmp_path: Path) -> None:
    _within_bounds(measured_on_hidden_tables(NAME, _compare, tmp_path, bench=BENCH, given=GIVEN, tables=SOAK_TABLES))


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
        calibrate(NAME, BENCH, {**GIVEN, **given}, out=tmp_path / "runs")
    assert not list(Store(tmp_path / "calibrations").uses())
