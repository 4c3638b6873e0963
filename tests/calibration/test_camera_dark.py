"""The dark calibration finds the world's planted offset and read noise; the exposure metering its bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.exposure import metered_exposure_s
from calibration.prbm_reference import measure_reference
from labctl.client import CalibrationError, ConfigurationError
from labctl.experiments.calibrate import calibrate


def test_dark_frames_give_the_offset_and_read_noise_of_the_world(tmp_path: Path) -> None:
    found = calibrate("camera.dark", out=tmp_path, dry_run=True).calibrations[0]
    # 64 frames of 128 x 128 pixels: standard errors below 0.2 %; the pixels' own log-normal draw adds 0.7 % to the rms.
    offset = found.values["offset_mean_counts"]
    assert offset.number == pytest.approx(100.0, abs=6 * float(offset.uncertainty or 0) + 0.01)
    assert found.number("read_noise_median_e") == pytest.approx(1.45, rel=0.02)
    assert found.number("read_noise_rms_e") == pytest.approx(1.45 * 1.3, rel=0.04)
    # 0.019 electrons a second are 0.042 counts; the mean over 16384 pixels is good to 1.3 / 128.
    assert found["rate_counts_per_s"].mean() == pytest.approx(0.042, abs=6 * 1.3 / 128)


def test_stated_uncertainties_are_those_of_the_pixels(tmp_path: Path) -> None:
    small = {"rows": 32, "columns": 32, "frames": 16}
    first, second = (
        calibrate("camera.dark", None, {**small, "world.seed": seed}, out=tmp_path, dry_run=True).calibrations[0]
        for seed in (7, 8)
    )
    # Offset and dark current are the same for every pixel of this world, so two tables differ by noise alone.
    for name in ("offset_counts", "rate_counts_per_s"):
        error = np.hypot(first.uncertainty(name), second.uncertainty(name))
        z = (first[name] - second[name]) / error
        assert np.sqrt(np.median(z**2) / 0.4549) == pytest.approx(1.0, abs=0.15)  # 1024 pixels: 0.03


def test_light_in_the_dark_is_told_and_kept_out(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="saturate in the dark"):
        calibrate("camera.dark", None, {"world.camera.offset": 10000, "world.camera.bit_depth": 12}, out=tmp_path)


def test_exposures_must_tell_the_dark_current(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="10 times as long"):
        calibrate("camera.dark", None, {"long_exposure_s": 2e-3}, out=tmp_path)


def test_metering_reaches_the_wanted_fill() -> None:
    def peak_at(exposure_s: float) -> tuple[float, bool]:
        counts = 2e7 * exposure_s
        return min(counts, 65535.0), counts >= 65535

    exposure_s = metered_exposure_s(peak_at, 65535.0, 1.0, 1e-5, 30.0, 0.75)
    assert 0.6 < peak_at(exposure_s)[0] / 65535 < 0.94


@pytest.mark.parametrize(
    ("peak", "saturated", "cause"), [(0.0, False, "no light"), (65535.0, True, "lower the source's power")]
)
def test_metering_names_the_cause_when_no_exposure_suits(peak: float, saturated: bool, cause: str) -> None:
    with pytest.raises(CalibrationError, match="no light" if cause == "no light" else "saturates even at its shortest"):
        metered_exposure_s(lambda _: (peak, saturated), 65535.0, 0.01, 1e-5, 1.0)


def test_reference_recovers_unit_and_dark() -> None:
    rng = np.random.default_rng(0)
    unit, dark, bands, lit = 350.0, 3100.0, 196, 3
    noise = rng.normal(0, 5, (3, 50))
    bright = dark + unit * 0.02 * bands * 16 + noise[0]
    flipped = dark + unit * 0.02 * bands * 4 + noise[1]
    found = measure_reference(bright, flipped, dark + noise[2], bands, lit, 0.02)
    # five standard errors: false alarm below 1e-6, seed fixed
    assert found.unit == pytest.approx(unit, abs=5 * found.unit_error)
    assert found.dark == pytest.approx(dark, abs=5 * 5 / np.sqrt(50))


@pytest.mark.parametrize(
    ("bright", "flipped", "dark"),
    [(3100.0, 3100.0, 3100.0), (9000.0, 9000.0, 3100.0), (9000.0, 12000.0, 3100.0)],
    ids=["no light", "SLM stuck", "flip brightens"],
)
def test_a_reference_that_contradicts_the_patterns_is_refused(bright: float, flipped: float, dark: float) -> None:
    jitter = np.array([-1.0, 1.0])
    with pytest.raises(CalibrationError):
        measure_reference(bright + jitter, flipped + jitter, dark + jitter, 196, 3, 0.02)
