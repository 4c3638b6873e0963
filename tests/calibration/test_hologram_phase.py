"""The reference's carrier and phase are found within the stated intervals, or the cause is named."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hologram_small import BENCH, SMALL
from interval_coverage import SOAK_TABLES, Measured, Quantity, Table, measured_on_hidden_tables

from calibration.side_band import brightest_carrier, filter_px, plane_fit, side_band, unwrapped_map
from labctl.client import CalibrationError
from labctl.experiments.calibrate import calibrate
from labctl.store import Store
from simulators.worlds.hologram.truth import reference_phase

NAME = "hologram-phase"
# The sensor is smaller, so that the reference's wave bends within the window; the block is a pixel's share of it.
WINDOW = {
    "world.camera.rows": 960, "world.camera.columns": 1280,
    "world.camera.axis_row": 500, "world.camera.axis_column": 620,
    "world.hidden.reference_wavefront": "20 rad",
    "alignment.hologram.zeroth_order.row": 500, "alignment.hologram.zeroth_order.column": 620,
    "alignment.hologram.spot.row": -160, "alignment.hologram.spot.column": 240,
    "window_px": 96, "block_px": 8, "dark_px": 2, "search_px": 60, "frames": 5,
}  # fmt: skip


def truth_of(table: Table) -> tuple[np.ndarray, tuple[float, float]]:
    """Phase of the reference in the window without piston and tilt, and its carrier there."""
    found = table.found[NAME]
    rows, columns = found["phase_rad"].shape
    at = found.number("row") + np.arange(rows), found.number("column") + np.arange(columns)
    phase = reference_phase(table.parameters, *at)
    piston, down, across = plane_fit(phase, np.ones(phase.shape))
    y, x = np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2
    return phase - piston - down * y[:, None] - across * x, (down / (2 * math.pi), across / (2 * math.pi))


def _compare(table: Table) -> list[Quantity]:
    found = table.found[NAME]
    true, carrier = truth_of(table)
    carriers = [
        Quantity(
            f"carrier along {words}", float(found["carrier"][k]), float(found.uncertainty("carrier")[k]), carrier[k]
        )
        for k, words in enumerate(("rows", "columns"))
    ]
    off = found["phase_rad"] - true
    _, down, across = plane_fit(off, np.ones(off.shape))
    y, x = (np.arange(n) - (n - 1) / 2 for n in off.shape)
    off = off - off.mean() - down * y[:, None] - across * x
    places = {"middle": (48, 48), "left": (40, 12), "corner": (80, 84)}
    error = found.uncertainty("phase_rad")
    points = [Quantity(f"phase {words}", off[at], float(error[at]), 0.0) for words, at in places.items()]
    assert np.ptp(true) > 0.1
    return [*carriers, *points, Quantity("rms of the phase", float(off.std()), 0.02, 0.0)]


def _found_on(tables: int, out: Path) -> Measured:
    return measured_on_hidden_tables(NAME, _compare, out, bench=BENCH, given={**SMALL, **WINDOW}, tables=tables)


@pytest.mark.timeout(600)
def test_carrier_and_phase_lie_within_the_stated_intervals(tmp_path: Path) -> None:
    measured = _found_on(20, tmp_path)
    measured.must_cover()
    assert measured.median_error("rms of the phase") <= 0.02


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_on_a_hundred_tables(tmp_path: Path) -> None:
    measured = _found_on(SOAK_TABLES, tmp_path)
    print(measured.report())  # noqa: T201
    measured.must_cover()


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.beam.blocked": True}, "beam blocks"),
        ({"world.pump.tripped": True}, "open interlock"),
        ({"world.reference.blocked": True}, "the reference: check its shutter"),
        ({"world.optics.camera_attenuation": "100 %"}, "lower the source's power"),
        ({"world.optics.focal_length": "0.1 m"}, "focal length|no spot of light"),
        ({"world.hidden.camera_flip": True}, "mirrored"),
        ({"world.slm.stuck": True}, "the SLM does not show"),
        ({"world.reference.carrier_rows": -0.12}, "mirrored"),
        ({"world.reference.carrier_rows": 0.3}, "inclined otherwise"),
        ({"world.reference.carrier_rows": 0.2, "world.reference.carrier_columns": 0.2,
          "alignment.hologram.carrier.row": 0.2, "alignment.hologram.carrier.column": 0.2}, "pixels per fringe"),
    ],
    ids=["beam blocked", "laser off", "reference blocked", "camera saturated", "another lens", "mirrored", "SLM stuck",
         "reference from the other side", "reference otherwise inclined", "fringes too fine"],
)  # fmt: skip
def test_bad_light_is_named_and_nothing_is_kept(
    given: dict[str, object], cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate(NAME, BENCH, {**SMALL, **WINDOW, **given}, out=tmp_path / "runs")
    assert not list(Store(tmp_path / "calibrations").uses())


def test_a_side_band_gives_the_product_of_two_waves() -> None:
    y, x = np.indices((120, 140))
    wave = 0.8 * np.exp(-(((y - 60) / 90) ** 2))
    phase = 1.5 * np.sin(x / 40) + 0.4 * y / 60
    carrier = 0.13, -0.15
    fringes = 2 * wave * np.cos(2 * np.pi * (carrier[0] * y + carrier[1] * x) + phase)
    seen, share = brightest_carrier(fringes)
    assert (-seen[0], -seen[1]) == pytest.approx(carrier, abs=0.01)  # columns' part is counted positive
    assert share > 0.9
    found = side_band(fringes, carrier)
    inner = np.s_[15:-15, 15:-15]
    np.testing.assert_allclose(np.abs(found)[inner], wave[inner], rtol=0.02)
    np.testing.assert_allclose(unwrapped_map(np.angle(found))[inner], phase[inner], atol=0.02)
    assert 3 < filter_px(carrier) < 6


def test_noise_has_no_side_band() -> None:
    noise = np.random.default_rng(1).normal(0, 1, (120, 140))
    assert brightest_carrier(noise)[1] < 0.1
