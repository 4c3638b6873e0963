"""Planted aberrations are found within the stated intervals and cured, on tables in one colour and in many."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hologram_small import BENCH, SMALL
from interval_coverage import SOAK_TABLES, Measured, Quantity, Table, measured_on_hidden_tables, one_hidden_table
from prbm_small import BENCH as PRBM_BENCH
from prbm_small import SMALL as PRBM_SMALL

from calibration.wavefront_fit import panel_phase, smooth_phase, unwrapped, weighted_fit, zernike_terms
from labctl.client import CalibrationError
from labctl.experiments.calibrate import calibrate
from labctl.store import Store
from simulators.physics.gray_phase import wavefront
from simulators.worlds.hologram.truth import ABERRATIONS, panel_wavefront
from simulators.worlds.prbm.truth import disc_radius, lit_rectangle

NAME = "wavefront"
BLOCKS = {"row_blocks": 5, "column_blocks": 5, "dark_px": 2, "search_px": 60}
PRBM = {
    **PRBM_SMALL,
    # A block has three periods of its blaze.
    "world.slm.columns": 120,
    "world.beam.waist": "1.2 mm",
    "alignment.prbm.centre_column": 60,
    "world.hidden.aberration": "0.5 rad",
    "row_blocks": 2, "column_blocks": 5, "period_px": 8, "search_px": 30, "window_rows": 1, "window_px": 1,
}  # fmt: skip


def _compare(table: Table) -> list[Quantity]:
    found = table.found[NAME]
    value = dict(zip(found["noll"], found["zernike_rad"], strict=True))
    error = dict(zip(found["noll"], found.uncertainty("zernike_rad"), strict=True))
    strehl = Quantity("Strehl ratio", found.number("strehl"), 0.03, 1.0)
    modes = zip(ABERRATIONS, table.hidden.beam.wavefront, strict=True)
    return [strehl, *(Quantity(f"Z{j}", float(value[j]), float(error[j]), true) for j, true in modes)]


def _found_on(tables: int, out: Path) -> Measured:
    given = {**SMALL, **BLOCKS}
    return measured_on_hidden_tables(NAME, _compare, out, bench=BENCH, given=given, tables=tables)


@pytest.mark.timeout(600)
def test_aberrations_lie_within_the_stated_intervals_and_are_cured(tmp_path: Path) -> None:
    measured = _found_on(20, tmp_path)
    measured.must_cover()
    assert np.median([q.value for q in measured.quantities["Strehl ratio"]]) >= 0.95


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_on_a_hundred_tables(tmp_path: Path) -> None:
    measured = _found_on(SOAK_TABLES, tmp_path)
    print(measured.report())  # noqa: T201
    measured.must_cover()


def _bend(phase: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Half the second difference (rows,) between outer and inner columns, to which piston and tilt do not matter."""
    weights = place**2 - (place**2).mean()
    return np.asarray(phase @ weights / (weights**2).sum() * weights.max())


def _compare_rows(table: Table) -> list[Quantity]:
    found, p = table.found[NAME], table.parameters
    columns_m, lit_m = lit_rectangle(p)
    rows_m = (found["row_px"] - p.optics.first_row) * p.slm.pitch + lit_m[0]
    blocks_m = np.interp(found["column_px"], np.arange(p.slm.columns), columns_m)
    true = wavefront(blocks_m, rows_m, disc_radius(p), table.hidden.panel.wavefront_modes)
    error = found.uncertainty("phase_rad")
    bends = _bend(found["phase_rad"], blocks_m), _bend(true, blocks_m)
    uncertain = math.sqrt(float((_bend(np.eye(len(blocks_m)) * error[0], blocks_m) ** 2).sum()))
    return [Quantity("bend of the first rows", float(bends[0][0]), uncertain, float(bends[1][0])),
            Quantity("Strehl ratio", found.number("strehl"), 0.03, 1.0)]  # fmt: skip


@pytest.mark.timeout(600)
def test_waves_of_rows_of_many_colours_lie_within_the_stated_intervals(tmp_path: Path) -> None:
    measured = measured_on_hidden_tables(NAME, _compare_rows, tmp_path, bench=PRBM_BENCH, given=PRBM, tables=8)
    measured.must_cover()


def test_a_laser_that_can_be_dimmed_no_further_is_taken_as_it_is(tmp_path: Path) -> None:
    # An exposure with room below it would need a third of the least step of the source's power.
    table = one_hidden_table(NAME, tmp_path, 3, bench=PRBM_BENCH, given={**PRBM, "world.source.density": "6e8 W/m"})
    assert table.found[NAME].number("strehl") == pytest.approx(1.0, abs=0.1)


def test_the_stored_phase_makes_the_panels_wave_flat(tmp_path: Path) -> None:
    table = one_hidden_table(NAME, tmp_path, 3, bench=BENCH, given={**SMALL, **BLOCKS})
    every = np.arange(64.0)
    left = panel_wavefront(table.parameters) - panel_phase(table.found[NAME], every, every)
    terms = zernike_terms((1, 2, 3), every, every, (64, 64)).reshape(3, -1)
    beam = np.exp(np.hypot(every[:, None] - 31.5, every - 31.5) ** 2 / 27.5**2).ravel()
    found, _, _ = weighted_fit(terms, left.ravel(), beam)
    flat = left.ravel() - found @ terms
    assert math.sqrt(float((flat**2 / beam**2).sum() / (beam**-2.0).sum())) < 0.15  # 0.98 in Strehl's ratio
    assert table.found[NAME].number("strehl_before") < 0.75


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.beam.blocked": True}, "beam blocks"),
        ({"world.pump.tripped": True}, "open interlock"),
        ({"world.optics.camera_attenuation": "100 %"}, "lower the source's power"),
        ({"world.optics.focal_length": "0.3 m"}, "focal length"),
        ({"world.optics.focal_length": "0.15 m"}, "another lens"),
        ({"world.hidden.camera_flip": True}, "mirrored"),
        ({"world.slm.stuck": True}, "the SLM does not show"),
    ],
    ids=["beam blocked", "laser off", "camera saturated", "a longer lens", "a shorter lens", "mirrored", "SLM stuck"],
)
def test_bad_light_is_named_and_nothing_is_kept(
    given: dict[str, object], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate(NAME, BENCH, {**SMALL, **BLOCKS, **given}, out=tmp_path / "runs")
    assert not list(Store(tmp_path / "calibrations").uses())


def test_a_wave_of_many_turns_is_unwrapped_past_blocks_without_light() -> None:
    y, x = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), indexing="ij")
    wave = 6 * (x**2 + y**2) + 3 * x * y
    wave -= wave[4, 4]
    wrapped = np.angle(np.exp(1j * wave))
    error = np.full(wave.shape, 0.01)
    error[2, 6], wrapped[2, 6] = 1.8, 2.5
    found = unwrapped(wrapped, error, (4, 4), together=True)
    good = error < 1
    np.testing.assert_allclose(found[good], wave[good], atol=1e-9)


def test_a_smooth_phase_follows_polynomials_beyond_the_blocks_centres() -> None:
    rows, columns = np.arange(4, 64, 8.0), np.arange(4, 64, 8.0)
    every = np.arange(64.0)

    def wave(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        y, x = (y[:, None] - 30) / 32, (x[None, :] - 35) / 32
        return np.asarray(2 * x**2 - y**2 + x**3 * y + 0.3 * y)

    found = smooth_phase(rows, columns, wave(rows, columns), np.full((8, 8), 0.02), every, every)
    np.testing.assert_allclose(found, wave(every, every), atol=1e-6)
