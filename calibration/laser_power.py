"""What the source really emits: power against set-point, warm-up, drift and intensity noise, seen by the power tap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration import power_fit
from calibration.checks import power as power_check
from calibration.lighting import light, limits, most_power, must_emit, set_power
from labctl.client import (
    Bench,
    Calibration,
    CalibrationError,
    Check,
    Condition,
    Finding,
    Measured,
    Parameters,
    Reading,
    Recorder,
    Routine,
)

LEAST_POINTS = 6
"""Of the sweep: four coefficients of the curve, and something left to judge them by."""

MOST_RESIDUAL = 0.01
"""Of the curve, relative: more and a cubic is not what the laser does."""


class LaserPowerParameters(Parameters):
    """How far, how finely and for how long."""

    lowest: float = Field(0.05, gt=0, lt=1, description="set-point at which the sweep begins, fraction of full power")
    highest: float = Field(1.0, gt=0, le=1, description="and ends; the bench's limit on the power cuts it off")
    points: int = Field(12, ge=1, le=200, description="set-points, evenly spaced")
    sweeps: int = Field(2, ge=1, le=100, description="up and down in turn")
    integration_s: float = Field(10.0, gt=0, le=100, description="of a reading; 10 s average the slow noise out")
    settle_s: float = Field(1.0, ge=0, le=60, description="after a new set-point, before its reading")
    watch_s: float = Field(3600.0, ge=0, le=86400, description="at the highest set-point before the sweep: warm-up")
    noise_samples: int = Field(4096, ge=64, le=1_000_000, description="readings in a row for the intensity noise")
    noise_integration_s: float = Field(10e-3, gt=0, le=1, description="of each of them")
    tap_share: float = Field(0.01, gt=0, le=1, description="of the source's output that the power tap takes")
    meter_step: float = Field(
        0.002, ge=0, lt=0.1, description="by which a meter's reading jumps between its ranges, relative (0.2 %, PM100D)"
    )
    check_allowed: float = Field(0.01, gt=0, lt=1, description="relative change of the power that a check lets pass")
    scale_uncertainty: float = Field(
        0.0, ge=0, lt=1, description="relative, of tap_share and the meter's calibration; common to all powers"
    )


class LaserPower(Routine):
    """Emitted power against set-point, with warm-up, drift and intensity noise, from the power tap.

    The source is watched at the highest set-point, then swept, with a reading at that set-point after each other one.
    Those follow warm-up and drift, which is divided out: the curve is that of the middle of the sweep. It is a cubic of
    the set-point, as the readings scatter. A meter's ranges disagree a little, which no repetition shows: half a step
    between them is in every power's uncertainty. The scale of tap and meter is not; its own is kept as a condition.
    """

    Parameters = LaserPowerParameters
    role = "source"
    roles = ("source", "power_tap")
    kinds = ("power_curve", "power_stability")
    valid_for = timedelta(days=7)

    def run(self, bench: Bench, parameters: LaserPowerParameters, record: Recorder) -> dict[str, Any]:
        """Dark, watch, sweep, noise."""
        p = parameters
        tap = bench.power_tap
        set_points = _set_points(p, most_power(bench))
        before_s = float(tap.integration_s)
        tap.integration_s = _within(p.integration_s, limits(bench, "power_tap", "integration_s"))
        integration_s = float(tap.integration_s)
        try:
            bench.source.emission = False
            dark_w = np.array([_read(tap).power_w for _ in range(4)])
            with light(bench, set_points[-1]):
                _must_see(tap, dark_w)
                readings = self._watch_and_sweep(bench, p, set_points, integration_s, record)
                must_emit(bench)
                tap.integration_s = p.noise_integration_s
                noise_s = float(tap.integration_s)
                set_power(bench, set_points[-1])
                begun_s = bench.time_s()
                trace_w = np.concatenate([tap.trace(n) for n in _chunks(p.noise_samples)])
                trace_s = bench.time_s() - begun_s
        finally:
            tap.integration_s = before_s
        record.save("trace_w", trace_w)
        return {
            "pulse_picker": int(bench.source.pulse_picker),
            "readings": readings,
            "dark_w": float(dark_w.mean()),
            "trace_w": trace_w,
            "trace_s": trace_s,
            "noise_integration_s": noise_s,
            "integration_s": integration_s,
        }

    def check(
        self, bench: Bench, parameters: LaserPowerParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        """Power at two set-points of the curve."""
        p, tap, curve = parameters, bench.power_tap, in_force.get("power_curve")
        if curve is None:
            return {}
        before_s = float(tap.integration_s)
        share = curve.conditions["tap_share"].number
        readings = []
        try:
            tap.integration_s = _within(
                curve.conditions["integration"].number, limits(bench, "power_tap", "integration_s")
            )
            bench.source.emission = False
            dark_w = np.array([_read(tap).power_w for _ in range(2)])
            set_points = power_check.set_points(curve, most_power(bench))
            with light(bench, set_points[-1]):
                _must_see(tap, dark_w)
                for step in record.steps(len(set_points), "set-points"):
                    set_power(bench, set_points[step.index])
                    if p.settle_s > 0:
                        _wait(tap, p.settle_s, float(tap.integration_s))
                    reading = _read(tap)
                    power_w = (reading.power_w - float(dark_w.mean())) / share
                    step.save(set_point=set_points[step.index], power_w=power_w)
                    readings.append((set_points[step.index], power_w, reading.standard_power_w / share))
        finally:
            tap.integration_s = before_s
        stability = in_force.get("power_stability")
        checks = power_check.compare(curve, stability, readings, bench.time_s(), p.check_allowed)
        return {"power_curve": checks}

    def _watch_and_sweep(
        self,
        bench: Bench,
        p: LaserPowerParameters,
        set_points: NDArray[np.float64],
        integration_s: float,
        record: Recorder,
    ) -> NDArray[np.float64]:
        """(n, 5): phase (0 watch, 1 reference, 2 sweep), set-point, middle (s), power and its noise (W)."""
        tap, reference = bench.power_tap, float(set_points[-1])
        plan: list[tuple[int, float]] = [(0, reference)] * max(round(p.watch_s / integration_s), 2)
        for sweep in range(p.sweeps):
            for s in set_points if sweep % 2 == 0 else set_points[::-1]:
                plan += [(2, float(s)), (1, reference)]
        rows = []
        now = set_power(bench, reference)
        for step in record.steps(len(plan), "power"):
            phase, wanted = plan[step.index]
            if wanted != now:
                set_power(bench, wanted)
                now = wanted
                if p.settle_s > 0:
                    _wait(tap, p.settle_s, integration_s)
            reading = _read(tap)
            # In bench time: an instrument in real time stamps its readings by another clock.
            middle_s = bench.time_s() - 0.5e-9 * (reading.end_ns - reading.start_ns)
            row = (phase, float(bench.source.power_fraction) if phase == 2 else reference,
                   middle_s, reading.power_w, reading.standard_power_w)  # fmt: skip
            rows.append(row)
            step.save(phase=phase, set_point=row[1], time_s=row[2], power_w=row[3], standard_power_w=row[4])
        return np.array(rows)

    def findings(
        self, results: dict[str, Any], parameters: LaserPowerParameters, record: Recorder
    ) -> Sequence[Finding]:
        """The curve, and how constant it is."""
        p = parameters
        data = results["readings"].copy()
        data[:, 3] -= results["dark_w"]
        data[:, 3:] /= p.tap_share
        steady = data[data[:, 0] < 2]
        stability = power_fit.stability(steady[:, 2], steady[:, 3])
        swept = data[data[:, 0] == 2]
        middle_s = float(swept[:, 2].mean())
        factor = stability.factor(swept[:, 2]) / stability.factor(np.array([middle_s]))
        powers = swept[:, 3] / factor
        error = np.sqrt(swept[:, 4] ** 2 + (stability.scatter * powers) ** 2 + (p.meter_step / 2 * powers) ** 2)
        curve = power_fit.curve(swept[:, 1], powers, error)
        noise, noise_error = power_fit.relative_noise(
            results["trace_w"] - results["dark_w"], float(data[-1, 4]) * p.tap_share * np.sqrt(
                results["integration_s"] / results["noise_integration_s"]))  # fmt: skip
        grid = np.unique(np.round(swept[:, 1], 6))
        emitted, scattered = curve.at(grid)
        emitted_error = np.hypot(scattered, p.meter_step / 2 * emitted)
        picker = results["pulse_picker"]
        residual = powers / curve.at(swept[:, 1])[0] - 1
        power_fit.draw(record.picture("power"), curve, swept[:, 1], powers, error, stability, steady)
        conditions = {
            "time": Measured(middle_s, "s"),
            "integration": Measured(results["integration_s"], "s"),
            "tap_share": Measured(p.tap_share),
            "scale_uncertainty": Measured(p.scale_uncertainty),
        }
        return [
            Finding(
                kind="power_curve",
                values={
                    "set_point": Measured(grid),
                    "emitted_w": Measured(emitted, "W", emitted_error),
                    "coefficients_w": Measured(curve.coefficients, "W", np.sqrt(np.diag(curve.covariance))),
                },
                conditions=conditions,
                checks=(
                    Check(name="largest residual of the curve, relative", value=float(np.abs(residual).max()),
                          high=MOST_RESIDUAL),
                    Check(name="least step of the curve, W", value=float(np.diff(emitted).min()), unit="W", low=0.0),
                    Check(name="scatter about the curve, in its standard errors", value=curve.chi, high=4.0),
                ),
                holds_while=(Condition(setting="source.pulse_picker", low=picker, high=picker),),
            ),
            Finding(
                kind="power_stability",
                values={
                    "warm_up_missing": Measured(stability.missing, "1", stability.errors["missing"]),
                    "warm_up_time_s": Measured(stability.time_s, "s", stability.errors["time_s"]),
                    "drift_per_hour": Measured(stability.drift_per_hour, "1", stability.errors["drift_per_hour"]),
                    "reading_scatter": Measured(stability.scatter, "1", stability.errors["scatter"]),
                    "intensity_noise": Measured(noise, "1", noise_error),
                },
                conditions=conditions
                | {
                    "watch_began": Measured(stability.start_s, "s"),
                    "watch": Measured(float(steady[-1, 2] - steady[0, 2]), "s"),
                    "noise_integration": Measured(results["noise_integration_s"], "s"),
                    "noise_duration": Measured(results["trace_s"], "s"),
                },
                checks=(Check(name="scatter of the readings at one set-point", value=stability.scatter, high=0.02),),
            ),
        ]  # fmt: skip


def _set_points(p: LaserPowerParameters, most: float) -> NDArray[np.float64]:
    highest = min(p.highest, most)
    if highest <= p.lowest:
        raise CalibrationError(
            f"the sweep begins at {p.lowest:.1%}, and the bench limits the power to {most:.1%}: there is nothing to "
            "sweep. Choose a lower `lowest`"
        )
    points: NDArray[np.float64] = np.unique(np.round(np.linspace(p.lowest, highest, p.points), 3))
    if len(points) < LEAST_POINTS:
        raise CalibrationError(
            f"{len(points)} set-points from {p.lowest:.1%} to {highest:.1%}: too few for a curve with residuals; "
            f"{LEAST_POINTS} are needed. Raise `points`, or sweep further"
        )
    return points


def _must_see(tap: Any, dark_w: NDArray[np.float64]) -> None:
    reading = _read(tap)
    noise_w = max(float(dark_w.std(ddof=1)), reading.standard_power_w)
    if reading.power_w - dark_w.mean() < 10 * noise_w:
        raise CalibrationError(
            f"the power tap sees no light with the source on: {reading.power_w:.3g} W, {dark_w.mean():.3g} W without "
            f"(noise {noise_w:.2g} W). Is the source tripped, its shutter closed, or the tap blocked?"
        )


def _read(tap: Any) -> Reading:
    reading: Reading = tap.measure()
    if reading.saturated:
        raise CalibrationError(
            f"the power tap is beyond its range of {float(tap.range_w):.3g} W: put a filter in front of it, or lower "
            "`highest`"
        )
    return reading


def _wait(tap: Any, wait_s: float, integration_s: float) -> None:
    """On a table in virtual time only what instruments do takes time: a reading that nobody looks at does."""
    tap.integration_s = wait_s
    tap.measure()
    tap.integration_s = integration_s


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _chunks(samples: int) -> list[int]:
    """Short enough for a lease to be renewed in between."""
    return [min(256, samples - k) for k in range(0, samples, 256)]
