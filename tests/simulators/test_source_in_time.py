"""Power of the source over time (optical-table.md, section 1): set-point curve, warm-up, drift, slow and pulse noise.

Statistical tests have fixed seeds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prbm_table import lit_world, parameters

from simulators.worlds.prbm import PrbmWorld
from simulators.worlds.prbm.source import SourceInTime
from simulators.worlds.prbm.truth import hidden_table

EXPOSURE_S = 16.7e-3


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def source(**hidden: Any) -> SourceInTime:
    return SourceInTime(parameters(hidden=hidden))


def tap(world: PrbmWorld, start_s: float, duration_s: float = EXPOSURE_S) -> float:
    return world.tap_power("tap", 0, ns(start_s), duration_s)[0]


def quiet_tap(**hidden: Any) -> PrbmWorld:
    return lit_world(hidden=hidden, detector={"tap_nep": "0 W/Hz**0.5", "tap_range": "1 W"})


def test_a_source_without_imperfections_emits_what_it_is_set_to() -> None:
    assert source().steady
    plain, world = lit_world(), lit_world(hidden={"crosstalk": 0.17})
    assert tap(plain, 1.0) == pytest.approx(tap(world, 1.0), rel=1e-6)


def test_emitted_power_bends_over_the_set_point() -> None:
    hidden: dict[str, Any] = {"power_curve": "5 %"}
    bend, skew = hidden_table(parameters(hidden=hidden)).source.curve
    world = quiet_tap(**hidden)
    full = tap(world, 0.0)
    for set_point in (0.05, 0.3, 0.7):
        world.source.power_fraction = set_point
        expected = set_point * (1 + bend * (1 - set_point) + skew * (1 - set_point) * (1 - 2 * set_point))
        assert tap(world, 0.0) / full == pytest.approx(expected, rel=1e-6)
    world.source.power_fraction = 0.0
    assert tap(world, 0.0) == 0.0
    assert 1e-3 < max(abs(bend), abs(skew)) <= 0.05


def test_it_warms_up_within_half_an_hour() -> None:
    lamp = source(warm_up="3 %")
    missing = [1 - lamp.common(t, 1e-3) for t in (0.0, 600.0, 1800.0, 36000.0)]
    assert 0.015 <= missing[0] <= 0.03
    assert missing[1] == pytest.approx(missing[0] * math.exp(-1), rel=1e-4)
    assert missing[2] == pytest.approx(0.05 * missing[0], rel=0.01)
    assert missing[3] < 1e-9


def test_it_drifts_by_half_a_per_cent_an_hour() -> None:
    lamp = source(power_drift="0.5 %")
    hour = lamp.common(3600.0, 1e-3) - 1
    assert 0.0025 <= abs(hour) <= 0.0051
    assert lamp.common(7200.0, 1e-3) == pytest.approx((1 + hour) ** 2, rel=1e-6)


def test_slow_noise_has_the_planted_spread_and_octaves() -> None:
    lamp = source(slow_noise="0.2 %")
    power = np.array([lamp.common(t, 1e-3) for t in np.arange(0, 400, 0.05)])
    assert power.std() == pytest.approx(0.002, rel=0.05)
    assert power.mean() == pytest.approx(1.0, abs=1e-4)
    spectrum = np.abs(np.fft.rfft(power - power.mean())) ** 2
    frequency = np.fft.rfftfreq(len(power), 0.05)
    assert spectrum[(frequency >= 0.09) & (frequency <= 10)].sum() > 0.98 * spectrum.sum()


def test_pulse_noise_falls_with_the_root_of_the_exposure_and_is_each_slices_own() -> None:
    lamp = source(pulse_noise=1.3e-3)
    for duration_s, expected in ((EXPOSURE_S, 1.3e-3), (4 * EXPOSURE_S, 0.65e-3), (EXPOSURE_S / 100, 13e-3)):
        gains = np.array([lamp.gains(k * 10**8, duration_s) for k in range(2000)])
        assert gains.std() == pytest.approx(expected, rel=0.03)  # 12,000 numbers: 5 sigma
        assert np.abs(np.corrcoef(gains.T) - np.eye(6)).max() < 0.12  # 5 sigma of 1 / sqrt(2000)


def test_detectors_that_look_at_the_same_time_see_the_same() -> None:
    lamp = source(pulse_noise=1.3e-3, slow_noise="0.2 %")
    np.testing.assert_array_equal(lamp.gains(ns(3.0), 1e-3), lamp.gains(ns(3.0), 1e-3))
    assert (lamp.gains(ns(3.0), 1e-3) != lamp.gains(ns(3.1), 1e-3)).all()


def window_sums(frames: int, **hidden: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts of two windows apart from each other in the same frames, a tenth of a second between them."""
    world = lit_world(
        hidden=hidden, slm={"rise_time": "0 s", "fall_time": "0 s"}, optics={"camera_attenuation": "100 %"}
    )
    brightest_e = world.mean_electrons(0, 20e-6, 60, 139, 60, 3).max()
    world.source.power_fraction = 15_000 / brightest_e
    one, other = [], []
    for k in range(frames):
        counts = world.expose("camera", k, ns(0.1 * k), 20e-6, 60, 139, 60, 3)[0].astype(float) - 100
        one.append(counts[:30].sum())
        other.append(counts[30:].sum())
    return np.array(one), np.array(other)


def test_window_sums_correlate_through_the_source() -> None:
    # optical-table.md, check 5: shot noise alone leaves windows independent.
    one, other = window_sums(400, slow_noise="2 %")
    assert np.corrcoef(one, other)[0, 1] > 0.8
    one, other = window_sums(400)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.25  # 5 sigma of 1 / sqrt(400)


def allan_deviation(power: NDArray[np.float64], block: int) -> float:
    means = power[: len(power) // block * block].reshape(-1, block).mean(axis=1)
    return float(np.sqrt(0.5 * np.mean(np.diff(means) ** 2)) / power.mean())


def test_the_allan_deviation_falls_and_turns_up() -> None:
    lamp = source(preset="typical", power_curve=0)
    power = np.array([lamp.gains(ns(0.1 * k), EXPOSURE_S).mean() for k in range(40_000)])
    blocks = [1, 100, 10_000]  # 0.1 s, 10 s, 1000 s
    short, middle, long = (allan_deviation(power, block) for block in blocks)
    assert middle < 0.5 * short
    assert long > 2 * middle


def test_without_random_numbers_only_warm_up_and_drift_are_left() -> None:
    lamp = SourceInTime(parameters(noise=False, hidden="typical"))
    gains = lamp.gains(0, EXPOSURE_S)
    assert np.ptp(gains) == 0
    assert gains[0] == lamp.common(0.0, EXPOSURE_S)
    power = [lamp.common(t, EXPOSURE_S) for t in np.arange(0, 100, 1.0)]
    assert np.abs(np.diff(power, 2)).max() < 1e-6
