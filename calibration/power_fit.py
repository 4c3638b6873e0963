"""Fits of a source's power: how it depends on time and on the set-point, and how much it fluctuates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibration.panels import panels

HOUR_S = 3600.0

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Stability:
    """Power at one set-point in time: level (1 - missing exp(-t / time_s) + drift_per_hour t / 3600), t from start_s.

    missing, time_s: of the warm-up; 0 where none was seen. scatter: relative, of one reading about this. errors:
    standard uncertainties by name.
    """

    level_w: float
    missing: float
    time_s: float
    drift_per_hour: float
    start_s: float
    scatter: float
    errors: dict[str, float]

    def factor(self, time_s: Numbers) -> Numbers:
        """Power relative to ``level_w``."""
        return _factor(time_s - self.start_s, self.missing, self.time_s, self.drift_per_hour)


def _factor(elapsed_s: Numbers, missing: float, time_s: float, drift_per_hour: float) -> Numbers:
    found: Numbers = 1 - missing * np.exp(-elapsed_s / time_s) + drift_per_hour * elapsed_s / HOUR_S
    return found


def stability(time_s: Numbers, power_w: Numbers) -> Stability:
    """Fit of readings at one set-point. Without a warm-up that shows, a straight line."""
    start_s = float(time_s[0])
    elapsed, scale = time_s - start_s, float(power_w.mean())
    relative = power_w / scale
    span_s = max(float(elapsed[-1]), 1.0)

    def line(x: Numbers) -> Numbers:
        return np.asarray(x[0] * _factor(elapsed, 0.0, 1.0, x[1]) - relative)

    def warming(x: Numbers) -> Numbers:
        return np.asarray(x[0] * _factor(elapsed, x[2], x[3], x[1]) - relative)

    straight = least_squares(line, [1.0, 0.0], x_scale=[1.0, 0.01])
    best, n = straight, len(relative)
    names = ["level", "drift_per_hour"]
    for begin_s in (span_s / 20, span_s / 5):
        bent = least_squares(
            warming, [*straight.x, 0.01, begin_s], x_scale=[1.0, 0.01, 0.01, begin_s],
            bounds=([0, -10, -1, span_s / 200], [10, 10, 1, 2 * span_s]),
        )  # fmt: skip
        # Two more parameters must gain more than chance does: 14 is 3 standard deviations of chi-square with two.
        if n > 8 and (best.cost - bent.cost) * 2 > 14 * 2 * bent.cost / (n - 4):
            best, names = bent, ["level", "drift_per_hour", "missing", "time_s"]
    scatter = float(np.sqrt(2 * best.cost / (n - len(best.x))))
    covariance = np.linalg.pinv(best.jac.T @ best.jac) * scatter**2
    errors = dict(zip(names, np.sqrt(np.diag(covariance)), strict=True))
    found = dict(zip(names, best.x, strict=True))
    return Stability(
        level_w=found["level"] * scale,
        missing=float(found.get("missing", 0.0)),
        time_s=float(found.get("time_s", span_s)),
        drift_per_hour=float(found["drift_per_hour"]),
        start_s=start_s,
        scatter=scatter,
        errors={
            "missing": float(errors.get("missing", 3 * scatter / np.sqrt(n))),
            "time_s": float(errors.get("time_s", span_s)),
            "drift_per_hour": float(errors["drift_per_hour"]),
            "scatter": scatter / np.sqrt(2 * n),
        },
    )


@dataclass(frozen=True)
class Curve:
    """Power against set-point s: coefficients (4,), W, of 1, s, s^2, s^3 and their covariance. chi: root of the
    scatter about it relative to what was expected."""

    coefficients: Numbers
    covariance: Numbers
    chi: float

    def at(self, set_point: Numbers) -> tuple[Numbers, Numbers]:
        """Power at set-points and its standard uncertainty, W."""
        powers = np.vander(set_point, 4, increasing=True)
        return powers @ self.coefficients, np.sqrt(np.einsum("ij,jk,ik->i", powers, self.covariance, powers))


def curve(set_point: Numbers, power_w: Numbers, error_w: Numbers) -> Curve:
    """Weighted fit; where the readings scatter more than their errors say, the uncertainty grows with it."""
    terms = np.vander(set_point, 4, increasing=True)
    scale = float(power_w.max())
    error = np.maximum(error_w, 1e-12 * scale)
    fit = least_squares(lambda c: (terms @ c * scale - power_w) / error, np.array([0.0, 1.0, 0.0, 0.0]), method="lm")
    chi2 = 2 * fit.cost / max(len(power_w) - 4, 1)
    covariance = np.linalg.inv(fit.jac.T @ fit.jac) * max(chi2, 1.0)
    return Curve(fit.x * scale, covariance * scale**2, float(np.sqrt(chi2)))


def relative_noise(trace_w: Numbers, instrument_w: float) -> tuple[float, float]:
    """Relative rms of a trace without its straight trend and the instrument's own noise, and its uncertainty.

    Slow noise has few independent samples. Their number follows from the periodogram I: the relative variance of a
    variance is sum S^2 / (sum S)^2, and the mean of I^2 is 2 S^2.
    """
    n = np.arange(len(trace_w))
    mean = float(trace_w.mean())
    rest = trace_w - np.polyval(np.polyfit(n, trace_w, 1), n)
    total = float((rest**2).mean())
    periodogram = np.abs(np.fft.rfft(rest)[1:]) ** 2
    relative = float((periodogram**2).sum() / 2 / max(periodogram.sum() ** 2, 1e-300))
    own = max(total - instrument_w**2, 0.0)
    noise = np.sqrt(own) / mean
    # d(sqrt(own)) = d(total) / (2 sqrt(own)); where the instrument drowns the light, the bound is what it could hide.
    spread = total * np.sqrt(relative)
    error = spread / (2 * np.sqrt(own)) if own > spread else np.sqrt(spread)
    return float(noise), float(error / mean)


def draw(
    path: Path, fit: Curve, set_point: Numbers, power_w: Numbers, error_w: Numbers, steady: Stability, data: Numbers
) -> None:
    """Curve with residuals above, the watch with its fit below."""
    with panels(path) as axes:
        fine = np.linspace(set_point.min(), set_point.max(), 200)
        at, _ = fit.at(set_point)
        axes[0, 0].plot(100 * set_point, 1e3 * power_w, "o", ms=3)
        axes[0, 0].plot(100 * fine, 1e3 * fit.at(fine)[0], lw=1)
        axes[0, 0].set(xlabel="set-point (%)", ylabel="emitted power (mW)")
        axes[0, 1].errorbar(100 * set_point, 100 * (power_w / at - 1), 100 * error_w / at, fmt="o", ms=3)
        axes[0, 1].axhline(0, lw=0.5, color="gray")
        axes[0, 1].set(xlabel="set-point (%)", ylabel="residual (%)")
        minutes = (data[:, 2] - steady.start_s) / 60
        expected = steady.level_w * steady.factor(data[:, 2])
        axes[1, 0].plot(minutes, 1e3 * data[:, 3], ".", ms=2)
        axes[1, 0].plot(minutes, 1e3 * expected, lw=1)
        axes[1, 0].set(xlabel="time (min)", ylabel="power at one set-point (mW)")
        axes[1, 1].plot(minutes, 100 * (data[:, 3] / expected - 1), ".", ms=2)
        axes[1, 1].set(xlabel="time (min)", ylabel="residual (%)")
