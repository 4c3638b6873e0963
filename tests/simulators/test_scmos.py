"""The sensor model against EMVA 1288 and the numbers of a Zyla 5.5 (optical-table.md, section 1).

Statistical tests have fixed seeds and a false-alarm rate of 1e-6 unless they say otherwise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prbm_table import lit_world, parameters
from scipy import stats

from simulators.physics.counter_random import noise_key
from simulators.physics.scmos import digitise
from simulators.worlds.parts.sensor import CameraSensor
from simulators.worlds.prbm.truth import hidden_table

FALSE_ALARM = 1e-6
GAIN = 1 / 0.45  # counts per electron
READ_NOISE_E = 1.45


def read_out(
    mean_e: NDArray[np.float64],
    *,
    number: int = 0,
    seed: int = 7,
    device: str = "camera",
    row: int = 0,
    column: int = 0,
    read_noise_e: float = READ_NOISE_E,
    full_well_e: float = 30_000.0,
    max_count: int = 65_535,
    offset: float = 100.0,
    noise: bool = True,
) -> tuple[NDArray[np.uint16], int, int]:
    counts = np.empty(mean_e.shape, np.uint16)
    saturated, peak = digitise(
        mean_e,
        np.full(mean_e.shape, read_noise_e),
        row,
        column,
        number,
        noise_key(seed, device, "shot"),
        noise_key(seed, device, "read"),
        0.45,
        offset,
        full_well_e,
        max_count,
        noise,
        counts,
    )
    return counts, saturated, peak


def flat(mean_e: float, side: int = 300) -> NDArray[np.float64]:
    return np.full((side, side), mean_e)


# --- photon transfer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean_e", [0.0, 60.0, 1_000.0, 5_000.0, 25_000.0])
def test_variance_is_that_of_the_photon_transfer_curve(mean_e: float) -> None:
    # EMVA 1288: var = K^2 (sigma_d^2 + mu) + 1/12.
    counts = read_out(flat(mean_e))[0].astype(float)
    expected = GAIN**2 * (READ_NOISE_E**2 + mean_e) + 1 / 12
    bound = stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(2 / counts.size)  # 1.6 %
    assert counts.var() == pytest.approx(expected, rel=bound)


def test_mean_is_offset_plus_gain_times_electrons() -> None:
    counts = read_out(flat(5_000.0))[0].astype(float)
    bound = stats.norm.isf(FALSE_ALARM / 2) * GAIN * np.sqrt(5_002.0 / counts.size)
    assert abs(counts.mean() - (100.0 + GAIN * 5_000.0)) < bound


def test_slope_of_the_photon_transfer_curve_is_the_gain() -> None:
    levels = np.array([500.0, 2_000.0, 8_000.0, 20_000.0])
    frames = [read_out(flat(level), number=k)[0].astype(float) for k, level in enumerate(levels)]
    means = np.array([f.mean() for f in frames]) - 100.0
    variances = np.array([f.var() for f in frames]) - GAIN**2 * READ_NOISE_E**2 - 1 / 12
    weights = 1 / variances**2
    slope = (weights * means * variances).sum() / (weights * means**2).sum()
    bound = stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(2 / frames[0].size / len(levels))  # 0.8 %
    assert slope == pytest.approx(GAIN, rel=bound)


def test_frames_of_the_same_light_differ_by_independent_noise() -> None:
    # A noise that is frozen would vanish in the difference.
    first, second = (read_out(flat(1_000.0), number=k)[0].astype(float) for k in (0, 1))
    expected = 2 * (GAIN**2 * (READ_NOISE_E**2 + 1_000.0) + 1 / 12)
    bound = stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(2 / first.size)
    assert (first - second).var() == pytest.approx(expected, rel=bound)


def test_split_halves_of_a_series_fall_as_the_root_of_its_length() -> None:
    # optical-table.md, mistake 8: averaging 64 frames must leave 1/8 of the noise of one.
    stack = np.stack([read_out(flat(1_000.0, 60), number=k)[0] for k in range(128)]).astype(float)
    one = (stack[0] - stack[1]).std()
    halves = (stack[0::2].mean(axis=0) - stack[1::2].mean(axis=0)).std()
    bound = stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(1 / 3600)  # of a ratio of two deviations of 3600 pixels
    assert halves / one == pytest.approx(1 / 8, rel=bound)


# --- ends of the range ------------------------------------------------------------------------------------------------


def test_the_converter_ends_before_the_well() -> None:
    # optical-table.md: 65535 clips at 29.4 ke.
    counts, saturated, peak = read_out(flat(29_950.0, 20), read_noise_e=0.0, full_well_e=1e9)
    assert (counts == 65_535).sum() == saturated
    assert peak == 65_535
    assert saturated > 0.99 * counts.size


def test_light_below_the_end_of_the_converter_is_not_saturated() -> None:
    _, saturated, peak = read_out(flat(28_000.0, 50))
    assert saturated == 0
    assert peak < 65_535


def test_a_full_well_holds_no_more_electrons() -> None:
    counts, saturated, _ = read_out(flat(20_000.0, 20), read_noise_e=0.0, full_well_e=10_000.0)
    assert (counts == round(100 + 10_000 * GAIN)).all()
    assert saturated == counts.size


def test_a_full_well_still_has_read_noise() -> None:
    counts = read_out(flat(20_000.0), full_well_e=10_000.0)[0].astype(float)
    bound = stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(2 / counts.size)
    assert counts.var() == pytest.approx(GAIN**2 * READ_NOISE_E**2 + 1 / 12, rel=bound)


def test_counts_never_fall_below_zero() -> None:
    counts, _, _ = read_out(flat(0.0), offset=0.0)
    zeros = (counts == 0).mean()
    # Half of the read noise, and what rounds to 0: count < 0.5.
    expected = stats.norm.cdf(0.5 / (GAIN * READ_NOISE_E))
    assert abs(zeros - expected) < stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(0.25 / counts.size)


def test_without_read_noise_counts_are_rounded_electrons() -> None:
    counts = read_out(flat(40.0, 50), read_noise_e=0.0)[0]
    electrons = np.rint((counts - 100.0) * 0.45)
    np.testing.assert_array_equal(counts, np.rint(100 + electrons / 0.45))


def test_peak_is_the_largest_count() -> None:
    rng = np.random.default_rng(3)
    counts, _, peak = read_out(rng.uniform(0, 20_000, (30, 40)))
    assert peak == counts.max()


# --- noise belongs to the place and the exposure ----------------------------------------------------------------------


def test_a_region_reads_the_same_counts_as_the_whole_sensor() -> None:
    mean_e = np.random.default_rng(1).uniform(0, 20_000, (40, 50))
    whole = read_out(mean_e, row=7, column=9)[0]
    part = read_out(np.ascontiguousarray(mean_e[5:20, 11:31]), row=12, column=20)[0]
    np.testing.assert_array_equal(part, whole[5:20, 11:31])


def test_counts_repeat_for_the_same_seed_device_and_exposure() -> None:
    np.testing.assert_array_equal(read_out(flat(500.0, 30))[0], read_out(flat(500.0, 30))[0])


@pytest.mark.parametrize("other", [{"seed": 8}, {"device": "camera2"}, {"number": 1}])
def test_counts_differ_for_another_seed_device_or_exposure(other: dict[str, Any]) -> None:
    assert (read_out(flat(500.0, 30))[0] != read_out(flat(500.0, 30), **other)[0]).mean() > 0.9


# --- the world's sensor -----------------------------------------------------------------------------------------------


def dark_noise_e(frames: int) -> NDArray[np.float64]:
    """Temporal standard deviation of every pixel in the dark, electrons, free of rounding."""
    world = lit_world(camera={"dark_current": "0 / s"})
    world.source.emission = False
    stack = np.stack([world.expose("camera", k, 0, 1e-3, 0, 0, 100, 100)[0] for k in range(frames)])
    return 0.45 * np.sqrt(stack.var(axis=0, ddof=1, dtype=np.float64) - 1 / 12)


def test_median_read_noise_is_that_of_the_data_sheet() -> None:
    # Median of 10,000 log-normal pixels (width 0.512), each known to 1/sqrt(2 * 400): standard error 0.0065.
    median = float(np.median(dark_noise_e(400)))
    assert median == pytest.approx(1.45, rel=stats.norm.isf(FALSE_ALARM / 2) * 0.0065)


def test_rms_read_noise_is_1_3_times_the_median() -> None:
    # The mean square of a log-normal of width 0.512 scatters by sqrt(e^(4 s^2) - 1) = 1.36 of itself per pixel.
    ratio = float(np.sqrt((dark_noise_e(400) ** 2).mean()) / 1.45)
    assert ratio == pytest.approx(1.30, rel=stats.norm.isf(FALSE_ALARM / 2) * 1.36 / 2 / 100 + 0.001)


def test_dark_current_grows_with_exposure() -> None:
    world = lit_world(camera={"dark_current": "1000 / s"})
    world.source.emission = False
    counts = world.expose("camera", 0, 0, 2.0, 0, 0, 100, 100)[0]
    bound = stats.norm.isf(FALSE_ALARM / 2) * GAIN * np.sqrt(2_000 / 10_000)
    assert abs(counts.mean() - (100 + GAIN * 2_000)) < bound


def test_the_world_reads_the_same_counts_in_any_region() -> None:
    world = lit_world()
    whole, _, _ = world.expose("camera", 4, 0, 1e-3, 60, 100, 60, 80)
    part, _, _ = world.expose("camera", 4, 0, 1e-3, 85, 130, 10, 20)
    assert np.abs(whole[25:35, 30:50].astype(int) - part).max() == 0


def test_without_noise_counts_are_the_rounded_mean() -> None:
    mean_e = np.array([[0.0, 0.2, 0.3, 1000.0, 29_000.0, 40_000.0]])
    counts, saturated, peak = read_out(mean_e, noise=False)
    np.testing.assert_array_equal(counts, np.minimum(np.rint(100 + mean_e / 0.45), 65_535))
    assert (saturated, peak) == (1, counts.max())


# --- pixels that differ -----------------------------------------------------------------------------------------------


def uneven_camera(**hidden: Any) -> Any:
    """A camera's sensor of 400 x 500 pixels, and what is planted in it."""
    p = parameters(camera={"rows": 400, "columns": 500}, hidden=hidden)
    return CameraSensor(p, hidden_table(p).sensor), hidden_table(p).sensor


def frames_of(sensor: CameraSensor, mean_e: float, frames: int, exposure_s: float = 1e-3) -> NDArray[np.float64]:
    """(frames, rows, columns) electrons above the offset, evenly lit."""
    light = np.full((400, 500), mean_e)
    stack = [sensor.expose("camera", k, exposure_s, (0, 0, 400, 500), light.copy())[0] for k in range(frames)]
    return (np.array(stack, float) - 100) * 0.45


def test_the_response_of_the_pixels_varies_as_planted() -> None:
    sensor, _ = uneven_camera(prnu="0.5 %")
    even, _ = uneven_camera()
    mean = frames_of(sensor, 20_000.0, 12).mean(axis=0)
    shot = frames_of(even, 20_000.0, 12).mean(axis=0).var()
    assert math.sqrt(mean.var() - shot) / mean.mean() == pytest.approx(0.005, rel=0.02)


def test_offsets_vary_from_pixel_to_pixel_and_from_column_to_column() -> None:
    sensor, _ = uneven_camera(dsnu=1.0, dsnu_columns=0.3)
    mean = frames_of(sensor, 0.0, 15).mean(axis=0)
    columns = mean.mean(axis=0)
    assert columns.std() == pytest.approx(0.3, rel=0.15)  # 500 columns, 1 e / sqrt(400) on top
    noise = frames_of(uneven_camera(nonlinearity=1e-9)[0], 0.0, 15).mean(axis=0).var()
    assert math.sqrt((mean - columns).var() - noise) == pytest.approx(1.0, rel=0.02)


def test_hot_pixels_are_where_they_were_planted() -> None:
    sensor, truth = uneven_camera(hot_pixels=1e-4)
    assert len(truth.hot) == 20
    mean = frames_of(sensor, 0.0, 20, exposure_s=1.0).mean(axis=0)
    hot = {(int(r), int(c)) for r, c, _ in truth.hot}
    # 60 e per second is below the least of them, 100, and above what 200,000 pixels' read noise reaches.
    assert {tuple(place) for place in np.argwhere(mean > 60.0)} == hot
    for row, column, rate in truth.hot:
        assert mean[int(row), int(column)] == pytest.approx(min(rate, 29_400), rel=0.15, abs=5)


def test_pixels_that_blink_jump_between_two_levels() -> None:
    sensor, truth = uneven_camera(blinking=1e-4)
    row, column, jump, share = truth.blinking[truth.blinking[:, 2].argmax()]
    stack = [
        (sensor.expose("camera", k, 1e-3, (int(row), int(column), 1, 1), np.zeros((1, 1)))[0].item() - 100) * 0.45
        for k in range(200)
    ]
    pixel = np.array(stack)
    up = pixel > jump / 2
    assert up.mean() == pytest.approx(share, abs=0.17)  # 5 sigma of 200 throws
    assert pixel[up].mean() - pixel[~up].mean() == pytest.approx(jump, rel=0.2)


def test_the_photon_transfer_curve_has_gain_kink_and_clip() -> None:
    # optical-table.md, check 4: slope 1/0.45 below the kink, steeper by the kink above it, nothing at full well.
    sensor, truth = uneven_camera(gain_kink="5 %")
    levels = np.array([100.0, 400.0, 800.0, 1200.0, 4_000.0, 8_000.0, 16_000.0, 24_000.0, 40_000.0])
    pairs = [frames_of(sensor, level, 2) / 0.45 for level in levels]
    mean = np.array([pair.mean() for pair in pairs])
    variance = np.array([(pair[0] - pair[1]).var() / 2 for pair in pairs])
    low = np.polyfit(mean[:4], variance[:4], 1)[0]
    high = np.polyfit(mean[4:8], variance[4:8], 1)[0]
    assert low == pytest.approx(1 / 0.45, rel=0.02)
    assert high == pytest.approx((1 + truth.kink) / 0.45, rel=0.01)
    slope = np.diff(mean) / np.diff(levels)
    assert slope[4] / slope[0] == pytest.approx(1 + truth.kink, rel=1e-3)
    assert variance[8] < 0.1 * variance[7]


def test_the_response_bends_by_the_planted_share_at_full_well() -> None:
    sensor, truth = uneven_camera(nonlinearity="1 %")
    for level in (1_000.0, 10_000.0, 25_000.0):
        mean = frames_of(sensor, level, 4).mean()
        assert mean / level == pytest.approx(1 + truth.nonlinearity * level / 30_000, abs=1e-4)
    assert 0.005 <= abs(truth.nonlinearity) <= 0.01


def test_dust_shades_a_few_pixels() -> None:
    sensor, truth = uneven_camera(dust=20)
    mean = frames_of(sensor, 20_000.0, 4).mean(axis=0)
    for row, column, _, through in truth.dust:
        if 0 <= row < 399 and 0 <= column < 499:
            assert mean[round(row), round(column)] < 20_000 * (through + 0.1)
    assert (mean < 19_000).mean() < 0.05


def test_a_smaller_region_of_an_uneven_sensor_reads_the_same_counts() -> None:
    sensor, _ = uneven_camera(preset="typical")
    whole, _, _ = sensor.expose("camera", 3, 0.5, (0, 0, 400, 500), np.full((400, 500), 500.0))
    part, _, _ = sensor.expose("camera", 3, 0.5, (100, 200, 150, 160), np.full((150, 160), 500.0))
    np.testing.assert_array_equal(part, whole[100:250, 200:360])


def test_every_camera_has_pixels_of_its_own() -> None:
    sensor, _ = uneven_camera(dsnu=5.0)
    one, other = (sensor.uneven(name, (0, 0, 50, 50)).offsets_e for name in ("one", "other"))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1


def test_without_noise_what_is_planted_stays_and_nothing_blinks() -> None:
    p = parameters(camera={"rows": 400, "columns": 500}, hidden="typical", noise=False)
    sensor = CameraSensor(p, hidden_table(p).sensor)
    one, other = (sensor.expose("camera", k, 0.1, (0, 0, 400, 500), np.full((400, 500), 500.0))[0] for k in (1, 2))
    np.testing.assert_array_equal(one, other)
    assert np.unique(one).size > 10
