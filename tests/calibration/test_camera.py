"""The camera routine finds gain, noise, offsets, full well, response and the pixels not to trust of a hidden sensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interval_coverage import (
    SOAK_TABLES,
    Measured,
    Quantity,
    Table,
    measured_on_hidden_tables,
    one_hidden_table,
)

from calibration import flat_field, photon_transfer
from calibration.pixel_sums import PixelSums, blinking, hot
from labctl.bench.load import load_bench
from labctl.client import ROI, CalibrationError, correct, open_bench
from labctl.experiments.calibrate import calibrate

# Sensor and source as on the typical table; a panel of full width but few rows, a sensor of 128 x 128 pixels, which
# has ten times the share of hot pixels, so that there are some.
TABLE: dict[str, Any] = {
    "world.slm.rows": 24,
    "world.optics.first_row": 8,
    "world.optics.bands": 6,
    "world.source.density": "108 mW/nm",
    "world.camera.rows": 128,
    "world.camera.columns": 128,
    "world.camera.axis_row": 64,
    "world.camera.axis_column": 64,
    "alignment.prbm.first_row": 8,
    "alignment.prbm.bands": 6,
    "alignment.prbm.zeroth_order.row": 64,
    "alignment.prbm.zeroth_order.column": 64,
    "world.hidden.prnu": 0.005,
    "world.hidden.dsnu": 1,
    "world.hidden.dsnu_columns": 0.3,
    "world.hidden.hot_pixels": 1e-3,
    "world.hidden.blinking": 1e-3,
    "world.hidden.nonlinearity": 0.002,
    "world.hidden.gain_kink": 0.005,
    "world.hidden.pulse_noise": 1.3e-3,
    "world.hidden.slow_noise": 0.002,
    "world.hidden.power_drift": 0.005,
    "world.hidden.warm_up": 0.03,
    "bench.lease": "30 s",  # tests share the machine with others
}
QUICK = {"dark_frames": 32, "pairs": 5, "flat_patterns": 8, "flat_frames": 3, "levels": 10, "flat_rows": 96}
ENOUGH_FRAMES = {"dark_frames": 16, "pairs": 2, "levels": 8, "flat_patterns": 2, "flat_frames": 1}


def compare(table: Table) -> Iterator[Quantity]:
    found, c, truth = table.found, table.parameters.camera, table.hidden.sensor
    transfer, dark, flat = found["photon_transfer"], found["dark"], found["flat"]
    electrons = np.linspace(0, c.full_well, 100001)
    bent = electrons * (1 + truth.nonlinearity * electrons / c.full_well)
    signal = bent + truth.kink * np.maximum(bent - truth.kink_e, 0)
    end = min((2**c.bit_depth - 1 - c.offset) * c.electrons_per_count, signal[-1])
    scale = (2**c.bit_depth - 1 - c.offset) * c.electrons_per_count / c.full_well
    for calibration, name, true in (
        (transfer, "electrons_per_count", c.electrons_per_count),
        (transfer, "read_noise_median_e", c.read_noise),
        (transfer, "read_noise_rms_e", c.read_noise * math.exp(c.read_noise_spread**2)),
        (transfer, "full_well_e", float(np.interp(end, signal, electrons))),
        (transfer, "nonlinearity", truth.nonlinearity * scale),
        (transfer, "gain_change", truth.kink),
        (dark, "offset_mean_counts", c.offset),
        (dark, "dsnu_e", truth.dsnu_e),
        (dark, "dsnu_columns_e", truth.dsnu_columns_e),
        (dark, "dark_current_e_per_s", c.dark_current),
        (flat, "prnu", truth.prnu),
    ):
        yield Quantity(name, calibration.number(name), float(calibration.uncertainty(name)), true)
    must_find_hot_pixels(table)


def must_find_hot_pixels(table: Table) -> None:
    """All that are planted above 10 read noises, and hardly any that is neither hot nor blinking."""
    map_, c, truth = table.found["hot_pixels"], table.parameters.camera, table.hidden.sensor
    marked = {(int(r), int(k)) for r, k in map_["pixels"]}
    row, column, rows, columns = (map_.conditions[n].number for n in ("row", "column", "rows", "columns"))

    def here(pixels: Any) -> set[tuple[int, int]]:
        places = {(int(r), int(k)) for r, k in pixels[:, :2]}
        return {p for p in places if row <= p[0] < row + rows and column <= p[1] < column + columns}

    signal_e = truth.hot[:, 2] * map_.conditions["exposure"].number
    planted = here(truth.hot[signal_e > 10 * c.read_noise])
    assert planted <= marked, f"seed {table.seed}: hot pixels {planted - marked} were not found"
    false = marked - here(truth.hot) - here(truth.blinking)
    assert len(false) < 1e-4 * rows * columns, f"seed {table.seed}: {false} are neither hot nor blinking"


def within_bounds(measured: Measured) -> None:
    measured.must_cover()
    assert measured.median_relative_error("electrons_per_count") < 0.01
    assert measured.median_relative_error("read_noise_median_e") < 0.05
    assert measured.median_relative_error("read_noise_rms_e") < 0.05


def test_stated_intervals_cover_the_hidden_sensor(tmp_path: Path) -> None:
    within_bounds(measured_on_hidden_tables("camera", compare, tmp_path, given=TABLE | QUICK))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_coverage_on_a_hundred_tables(tmp_path: Path) -> None:
    measured = measured_on_hidden_tables("camera", compare, tmp_path, given=TABLE, tables=SOAK_TABLES)
    within_bounds(measured)


def test_a_strong_kink_does_not_bias_the_gain(tmp_path: Path) -> None:
    given = TABLE | QUICK | {"world.hidden.gain_kink": 0.1, "world.hidden.nonlinearity": 0.03}
    transfer = one_hidden_table("camera", tmp_path, 5, given=given).found["photon_transfer"]
    error = float(transfer.uncertainty("electrons_per_count"))
    assert transfer.number("electrons_per_count") == pytest.approx(0.45, abs=4 * error)
    assert error < 0.01 * 0.45


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.source.tripped": True}, "interlock"),
        ({"world.beam.blocked": True}, "no light in the camera's region"),
        ({"world.source.density": "5e11 W/m"}, "saturates even at its shortest exposure"),
        ({"world.camera.offset": 10000, "world.camera.bit_depth": 12}, "saturate in the dark"),
        ({"dark_frames": 4}, "too few frames"),
        ({"pairs": 1}, "too few frames"),
        ({"world.camera.ideal": True}, "ideal"),
    ],
    ids=["tripped", "blocked", "saturated", "light in the dark", "few dark frames", "few pairs", "ideal camera"],
)
def test_what_cannot_be_measured_is_told_and_nothing_is_kept(
    tmp_path: Path, given: dict[str, object], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "store"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate("camera", None, TABLE | ENOUGH_FRAMES | given, out=tmp_path)
    assert not list((tmp_path / "store").rglob("*.h5"))


def test_a_camera_uses_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "store"))
    given = TABLE | {"world.seed": 11}
    done = calibrate("camera", None, given | ENOUGH_FRAMES, out=tmp_path)
    config = load_bench("prbm-sim", given)
    with open_bench(config) as bench, bench.control("test"):
        bench.camera.roi = ROI(row=10, column=20, rows=32, columns=48)
        correction = bench.camera.correction()
        frame = correct(bench.camera.trigger(), correction)
    assert set(correction.calibration_ids.values()) == {
        i for place, i in done.ids.items() if place != "camera.photon_transfer"
    }
    assert abs(float(np.median(frame.counts[~frame.hot]))) < 2.0


# --- the arithmetic -------------------------------------------------------------------------------------------------


def test_photon_transfer_recovers_all_of_a_response_with_kink_and_bend() -> None:
    values = np.array([1e6, 0.45, 0.01, -0.02, 12.0, 0.0])
    exposure_s = np.geomspace(1e-4, 5e-2, 14)
    full_scale, switch = 65000.0, 3300.0
    mean, _ = photon_transfer.response(values[0] * exposure_s, values, full_scale, switch)
    noise = photon_transfer.variance(values[0] * exposure_s, values, full_scale, switch)
    levels = photon_transfer.Levels(exposure_s, mean, 1e-4 * mean, noise, 1e-3 * noise)
    found = photon_transfer.fit(levels, 12.0, 0.01, 0.5, full_scale, switch)
    np.testing.assert_allclose(found.values[:5], values[:5], rtol=1e-6)
    assert found.electrons(float(mean[-1]))[0] == pytest.approx(0.45 * values[0] * exposure_s[-1], rel=1e-4)


def test_pixels_that_jump_are_told_from_those_that_are_noisy() -> None:
    rng = np.random.default_rng(2)
    noise = np.full((20, 20), 1.5)
    noise[5:10] = 9.0  # Gaussian, but loud
    sums = [PixelSums(), PixelSums()]
    for _ in range(64):
        for k in range(2):
            counts = 100 + noise * rng.standard_normal(noise.shape)
            counts[0, :5] += 30 * (rng.random(5) < 0.3)
            counts[15, 3] += 300 * k
            sums[k].add(counts)
    assert np.argwhere(blinking(sums, 1.5)).tolist() == [[0, k] for k in range(5)]
    assert np.argwhere(hot(sums[0], sums[1], 15.0)).tolist() == [[15, 3]]


def test_response_and_its_spread_are_found_beneath_uneven_light() -> None:
    rng = np.random.default_rng(4)
    true = 1 + 0.005 * rng.standard_normal((96, 64))
    true[40:44, 30:34] = 0.6  # dust
    x = np.linspace(-1, 1, 64)[None, :]
    y = np.linspace(-1, 1, 96)[:, None]
    light = 3e4 * (1 + 0.05 * x - 0.1 * y * x) * (1 + 0.02 * np.sin(40 * x))
    halves = [light * true * (1 + 1e-3 * rng.standard_normal(true.shape)) for _ in range(2)]
    found = flat_field.response(halves, np.ones(true.shape, bool))
    assert found.spread == pytest.approx(0.005, abs=4 * found.spread_error)
    assert found.response[42, 32] == pytest.approx(0.6, rel=0.01)
    plain = np.ones(true.shape, bool)
    plain[40:44, 30:34] = False
    assert np.std((found.response / true)[plain]) < 1.5e-3
