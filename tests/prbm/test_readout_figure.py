"""`prbm.readout`: camera and slit detector on one bench in one run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.prbm.assess.two_readouts import compare


def figure(tmp_path: Path, **assignments: Any) -> Mapping[str, Any]:
    given = {k.replace("__", "."): v for k, v in assignments.items()}
    return execute("labctl.figures", "prbm.readout", assignments=given, out=tmp_path).values


@pytest.mark.parametrize("flips", ["hadamard", "single"])
def test_camera_and_slit_detector_differ_by_their_noise_only(tmp_path: Path, flips: str) -> None:
    # False alarm 1e-4 by the p value and as much by 4 standard errors of the slope; seeds are fixed.
    values = figure(tmp_path, N=40, repeats=8, flips=flips, reference_repeats=30)
    assert values["agreement_p"] > 1e-4
    assert values["slope_deviation"] < 4
    assert values["difference_rms"] < 2 * values["difference_expected"]
    assert values["r_photodetector"] > 0.99


def test_scatter_of_both_is_what_their_instruments_say(tmp_path: Path) -> None:
    # 60 fields, 40 repeats: the scatter is known to 1.5 %, so 8 % are exceeded with probability below 1e-6.
    values = figure(tmp_path, N=60, repeats=40, reference_repeats=10)
    assert values["sigma_ratio_camera"] == pytest.approx(1, abs=0.08)
    assert values["sigma_ratio_photodetector"] == pytest.approx(1, abs=0.08)


def test_time_on_the_table_is_settling_and_integration(tmp_path: Path) -> None:
    values = figure(tmp_path, N=30, repeats=2, reference_repeats=2)
    patterns = 32
    settling_s = 0.225 + (patterns - 1) * 0.075
    # Without a camera there is no frame to read out. The bench counts whole nanoseconds.
    assert values["bench_s_photodetector"] == pytest.approx(settling_s + patterns * 0.0167, abs=1e-3)
    camera_s = settling_s + patterns * values["exposure_s_camera"]
    assert values["bench_s_camera"] > camera_s
    assert values["bench_s_camera"] < camera_s + patterns * 0.0101


def test_on_the_ideal_table_both_measure_the_same_number(tmp_path: Path) -> None:
    values = figure(tmp_path, noise="off", N=30, repeats=2, world__slm__levels=None)
    np.testing.assert_allclose(values["L_photodetector"], values["L_exact"], atol=1e-9)
    np.testing.assert_allclose(values["L_camera"], values["L_photodetector"], atol=1e-12)
    assert values["agreement_p"] is None


def test_a_slit_that_is_wider_than_the_cameras_is_told_from_noise(tmp_path: Path) -> None:
    values = figure(tmp_path, N=120, repeats=3, reference_repeats=5, world__detector__slit_columns=3)
    assert values["agreement_p"] < 1e-4


def test_one_readout_alone_is_measured_without_the_other(tmp_path: Path) -> None:
    values = figure(tmp_path, readout="photodetector", N=20, repeats=2, reference_repeats=2)
    assert values["rms_photodetector"] < 0.1
    assert not any("camera" in name for name in values)


def test_a_bench_without_a_slit_detector_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no slit detector.*\[devices.slit_detector\].*readout=camera"):
        figure(tmp_path, devices__sequencer__photodetector=None)


def test_comparison_finds_a_difference_beyond_noise_and_no_other() -> None:
    rng = np.random.default_rng(1)
    exact = rng.normal(0, 1.4, 100)
    shape = (12, 100)
    first = exact + 0.03 * rng.normal(size=shape) + 0.2 * rng.normal(size=(12, 1))  # noise of a frame is common
    second = 1.1 * exact + 0.1 + 0.01 * rng.normal(size=shape)
    same = compare(first, second, exact, unit_error=0.05)
    assert same.p_value > 1e-4  # its false alarm
    assert same.slope == pytest.approx(1.1, abs=0.01)
    assert compare(first, second + 0.03 * rng.normal(size=100), exact).p_value < 1e-6


@pytest.mark.parametrize("shape", [(1, 10), (5, 2)])
def test_comparison_needs_repeats_and_fields(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        compare(np.zeros(shape), np.zeros(shape), np.zeros(shape[1]))
