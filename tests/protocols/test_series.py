"""`bench.series` on a rail: what it keeps, what it goes on with, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError, open_run
from labctl.experiments.execute import execute

BENCH = """
[bench]
name = "series"
world = "rail"

[world]
slm = { rows = 24, columns = 48 }
optics = { first_row = 3, bands = 6, dispersion = 3e3 }
camera = { rows = 40, columns = 64, axis_row = 20, axis_column = 30 }
detector.tap_range = "2 W"

[devices.pump]
kind = "pump"
backend = "simulated"
[devices.camera]
kind = "camera"
backend = "simulated"
exposure = "1 ms"
[devices.meter]
kind = "photodetector"
backend = "simulated"
port = "tap"
"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "series.toml"
    path.write_text(BENCH, encoding="utf-8")
    return path


def test_frames_and_powers_follow_the_laser(bench: Path, tmp_path: Path) -> None:
    given = {"camera": "camera", "detector": "meter", "count": 20}
    dark = execute("labctl.protocols", "bench.series", bench, given, out=tmp_path)
    lit = execute("labctl.protocols", "bench.series", bench, {**given, "laser": "pump", "power": 4.0}, out=tmp_path)
    assert lit.values["power_w"] > 100 * abs(dark.values["power_w"])
    assert lit.values["mean_counts"] > dark.values["mean_counts"]
    assert lit.values["saturated"] == dark.values["saturated"] == 0.0
    with open_run(lit.run_file) as run:
        times = np.asarray(run["steps/time_s"])
    assert len(times) == 20
    assert (np.diff(times) > 1e-3).all()


def test_pixels_are_kept_if_wanted(bench: Path, tmp_path: Path) -> None:
    given = {"camera": "camera", "count": 3, "frames": True}
    outcome = execute("labctl.protocols", "bench.series", bench, given, out=tmp_path)
    with open_run(outcome.run_file) as run:
        assert run["steps/frame"].shape == (3, 40, 64)
        means = np.asarray(run["steps/frame"]).mean(axis=(1, 2))
        np.testing.assert_allclose(run["steps/mean_counts"], means, rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "name a camera or a detector"),
        ({"detector": "meter", "frames": True}, "name the camera"),
        ({"camera": "eye"}, "no device 'eye'"),
        ({"detector": "camera"}, "detector=camera: camera is a camera; name a photodetector"),
        ({"camera": "camera", "laser": "meter"}, "name a pump or supercontinuum"),
        ({"camera": "camera", "laser": "pump", "power": 99.0, "count": 1}, "power_w = 99"),
    ],
)
def test_what_cannot_be_measured_is_said(bench: Path, tmp_path: Path, given: dict[str, object], told: str) -> None:
    from labctl.client import LabError

    with pytest.raises((ConfigurationError, LabError), match=told):
        execute("labctl.protocols", "bench.series", bench, given, out=tmp_path)
