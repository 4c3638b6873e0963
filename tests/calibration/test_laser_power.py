"""The power routine finds the emitted power, warm-up, drift and intensity noise that were planted in the source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from interval_coverage import SOAK_TABLES, Measured, Quantity, Table, measured_on_hidden_tables, one_hidden_table

from calibration import power_fit
from labctl.client import CalibrationError
from labctl.experiments.calibrate import calibrate
from simulators.worlds.prbm.source import SourceInTime

# The source as on the typical table; what lies behind it does not reach the power tap, and stays small.
TABLE = {
    "world.hidden.pulse_noise": 1.3e-3,
    "world.hidden.slow_noise": 0.002,
    "world.hidden.power_curve": 0.05,
    "world.hidden.power_drift": 0.005,
    "world.hidden.warm_up": 0.03,
    "devices.source.limits.power": {"max": "100 %"},
    "bench.lease": "30 s",  # tests share the machine with others
    "meter_step": 0,  # the simulated tap has one range
}
QUICK = {"integration_s": 30, "noise_samples": 1024, "points": 8}
SHARES = (0.05, 0.1, 0.3, 0.5, 1.0)


def compare(table: Table) -> Iterator[Quantity]:
    curve, stability = table.found["power_curve"], table.found["power_stability"]
    p, truth = table.parameters, table.hidden.source
    full_w = p.source.density * p.band_width_m * p.optics.bands
    when_s = float(curve.conditions["time"].number)
    quiet = SourceInTime(p.model_copy(update={"noise": False}))
    for share in SHARES:
        k = int(np.argmin(np.abs(curve["set_point"] - share)))
        s = float(curve["set_point"][k])
        emitted_w = full_w * quiet.emitted(s) * quiet.common(when_s, 0.0)
        yield Quantity(f"power at {share:.0%}", curve["emitted_w"][k], curve.uncertainty("emitted_w")[k], emitted_w)
    began_s = stability.conditions["watch_began"].number
    rms = math.sqrt(len(truth.slow_hz) / 2) * truth.slow_amplitude
    pulses = truth.pulse_noise * math.sqrt(16.7e-3 / 10e-3 / p.optics.bands)
    for name, true in (
        ("warm_up_missing", truth.warm_up * math.exp(-began_s / truth.warm_up_s)),
        ("warm_up_time_s", truth.warm_up_s),
        ("drift_per_hour", truth.drift_per_hour),
        ("intensity_noise", math.hypot(rms, pulses)),
    ):
        yield Quantity(name, stability.number(name), float(stability.uncertainty(name)), true)


def within_bounds(measured: Measured) -> None:
    measured.must_cover()
    for share in SHARES:
        assert measured.median_relative_error(f"power at {share:.0%}") < 0.01


def test_stated_intervals_cover_the_planted_source(tmp_path: Path) -> None:
    within_bounds(measured_on_hidden_tables("laser-power", compare, tmp_path, given=TABLE | QUICK))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_coverage_on_a_hundred_tables(tmp_path: Path) -> None:
    measured = measured_on_hidden_tables("laser-power", compare, tmp_path, given=TABLE, tables=SOAK_TABLES)
    within_bounds(measured)


def test_the_sweep_stays_within_the_limit_of_the_bench(tmp_path: Path) -> None:
    given = TABLE | {"devices.source.limits.power": {"max": "40 %"}, "watch_s": 60}
    table = one_hidden_table("laser-power", tmp_path, 3, given=given)
    assert table.found["power_curve"]["set_point"].max() == pytest.approx(0.4)


def test_a_source_that_never_changes_has_no_warm_up(tmp_path: Path) -> None:
    found = calibrate("laser-power", None, {"watch_s": 600}, out=tmp_path, dry_run=True).calibrations[1]
    assert found.number("warm_up_missing") == 0
    assert abs(found.number("drift_per_hour")) < 5 * float(found.uncertainty("drift_per_hour"))


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.source.tripped": True}, "interlock"),
        ({"world.optics.tap_share": 1e-9}, "tripped, its shutter closed, or the tap blocked"),
        ({"world.detector.tap_range": "10 uW"}, "beyond its range"),
        ({"points": 3}, "too few for a curve"),
        ({"lowest": 0.5}, "nothing to sweep"),
    ],
    ids=["tripped", "no light", "too much light", "too few set-points", "limit below the sweep"],
)
def test_what_cannot_be_measured_is_told_and_nothing_is_kept(
    tmp_path: Path, given: dict[str, object], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "store"))
    with pytest.raises(CalibrationError, match=cause):
        calibrate("laser-power", None, {"watch_s": 20, **given}, out=tmp_path)
    assert not list((tmp_path / "store").rglob("*.h5"))


def test_a_curve_with_a_threshold_is_not_passed_off_as_a_cubic() -> None:
    s = np.repeat(np.linspace(0.05, 1, 12), 2)
    powers = np.maximum(s - 0.3, 0.01)
    fit = power_fit.curve(s, powers, 1e-4 * powers)
    assert fit.chi > 4  # the routine's own check refuses it


def test_noise_of_the_instrument_is_not_the_light_s() -> None:
    rng = np.random.default_rng(5)
    trace = 1 + rng.normal(0, 0.01, 4096)
    noise, error = power_fit.relative_noise(trace, 0.01)
    assert noise < 3 * error
    noise, error = power_fit.relative_noise(trace, 0.0)
    assert noise == pytest.approx(0.01, abs=4 * error)
    assert error == pytest.approx(0.01 / math.sqrt(2 * 4096), rel=0.2)
