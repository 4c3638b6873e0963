"""Photon transfer (EMVA 1288 release 4, chapters 2 and 6) of a sensor whose response bends and whose gain switches.

With x = e / K the counts of e electrons at gain K (electrons per count) near the dark, a pixel shows

    y = x (1 + b x / Y) + g max(x (1 + b x / Y) - x_s, 0)          (response; Y full scale, x_s where amplifiers switch)
    variance = (dy/dx)^2 x / K + d + c x^2                            (d dark variance with that of rounding, c light)

Means against exposure give b and g, pairs of frames the variances; all are fitted together, so neither the switch nor
the bend is taken for gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibration.panels import panels

Numbers = NDArray[np.float64]

ROUNDING = 1 / 12
"""Variance of rounding to whole counts (EMVA 1288, Eq. 12)."""

NAMES = ("scale", "electrons_per_count", "bend", "gain_change", "dark_variance", "light_variance")


@dataclass(frozen=True)
class Levels:
    """What was measured at each of n exposures: each (n,).

    mean: counts above dark, at one and the same light. variance: counts^2, of a pixel in time. With standard errors.
    """

    exposure_s: Numbers
    mean: Numbers
    mean_error: Numbers
    variance: Numbers
    variance_error: Numbers


@dataclass(frozen=True)
class PhotonTransfer:
    """The fit: values of `NAMES` and their covariance. chi: root of the mean squared weighted residual."""

    values: Numbers
    covariance: Numbers
    full_scale: float
    switch: float
    chi: float
    levels: Levels

    def value(self, name: str) -> float:
        """By name."""
        return float(self.values[NAMES.index(name)])

    def error(self, name: str) -> float:
        """Standard uncertainty by name."""
        return float(np.sqrt(self.covariance[NAMES.index(name), NAMES.index(name)]))

    @property
    def linear(self) -> Numbers:
        """Counts (n,) above dark that a straight response would have shown."""
        return self.value("scale") * self.levels.exposure_s

    def electrons(self, counts: float) -> tuple[float, float]:
        """Electrons that show so many counts above dark, and their standard uncertainty."""

        def of(values: Numbers) -> float:
            x = np.linspace(0.0, 1.2 * counts, 4096)
            return float(values[1] * np.interp(counts, response(x, values, self.full_scale, self.switch)[0], x))

        best = of(self.values)
        steps = 0.1 * np.sqrt(np.diag(self.covariance))
        slopes = np.array([
            (of(self.values + step * unit) - best) / step if step > 0 else 0.0
            for step, unit in zip(steps, np.eye(len(steps)), strict=True)
        ])  # fmt: skip
        return best, float(np.sqrt(slopes @ self.covariance @ slopes))


def response(x: Numbers, values: Numbers, full_scale: float, switch: float) -> tuple[Numbers, Numbers]:
    """Counts above dark and their slope, for counts x of a straight response."""
    bend, change = values[2], values[3]
    bent = x * (1 + bend * x / full_scale)
    above = bent > switch
    y = bent + np.where(above, change * (bent - switch), 0.0)
    slope = (1 + 2 * bend * x / full_scale) * (1 + np.where(above, change, 0.0))
    return y, slope


def variance(x: Numbers, values: Numbers, full_scale: float, switch: float) -> Numbers:
    """Variance in time, counts^2."""
    _, slope = response(x, values, full_scale, switch)
    return np.asarray(slope**2 * x / values[1] + values[4] + values[5] * x**2)


def fit(
    levels: Levels, dark_variance: float, dark_error: float, nominal: float, full_scale: float, switch: float | None
) -> PhotonTransfer:
    """Fit all levels. nominal: the gain to begin with. switch: counts above dark; None for a sensor without."""
    at = np.inf if switch is None else switch
    start = np.array([float(np.median(levels.mean / levels.exposure_s)), nominal, 0.0, 0.0, dark_variance, 0.0])
    unit = np.array([start[0], nominal, 0.01, 0.01, max(dark_variance, ROUNDING), 1e-6])
    free = np.array([True, True, True, switch is not None, True, True])
    variance_error = levels.variance_error.copy()

    def all_of(z: Numbers) -> Numbers:
        values = start.copy()
        values[free] = z * unit[free]
        return values

    def residuals(z: Numbers) -> Numbers:
        values = all_of(z)
        x = values[0] * levels.exposure_s
        y, _ = response(x, values, full_scale, at)
        return np.concatenate([
            (y - levels.mean) / levels.mean_error,
            (variance(x, values, full_scale, at) - levels.variance) / variance_error,
            [(values[4] - dark_variance) / dark_error],
        ])  # fmt: skip

    z = (start / unit)[free]
    for _ in range(3):
        found = least_squares(residuals, z, method="lm")
        z, values = found.x, all_of(found.x)
        # A variance that came out small has not a small error: the error goes with what is expected.
        expected = variance(values[0] * levels.exposure_s, values, full_scale, at)
        variance_error = levels.variance_error / levels.variance * expected
    freedom = 2 * len(levels.mean) + 1 - int(free.sum())
    chi2 = 2 * found.cost / freedom
    covariance = np.zeros((len(start), len(start)))
    scale = np.diag(unit[free])
    covariance[np.ix_(free, free)] = scale @ np.linalg.inv(found.jac.T @ found.jac) @ scale * max(chi2, 1.0)
    return PhotonTransfer(values, covariance, full_scale, at, float(np.sqrt(chi2)), levels)


def draw(path: Path, found: PhotonTransfer) -> None:
    """The curve with its fit above the residuals, of the variance and of the mean."""
    levels = found.levels
    x = np.geomspace(0.5 * found.linear.min(), found.linear.max(), 300)
    with panels(path) as axes:
        axes[0, 0].loglog(levels.mean, levels.variance, "o", ms=3)
        y, _ = response(x, found.values, found.full_scale, found.switch)
        axes[0, 0].loglog(y, variance(x, found.values, found.full_scale, found.switch), lw=1)
        axes[0, 0].set(xlabel="mean above dark (counts)", ylabel="variance (counts²)")
        expected = variance(found.linear, found.values, found.full_scale, found.switch)
        axes[1, 0].errorbar(
            levels.mean, 100 * (levels.variance / expected - 1), 100 * levels.variance_error / expected, fmt="o", ms=3
        )
        axes[1, 0].set(xlabel="mean above dark (counts)", ylabel="residual of the variance (%)", xscale="log")
        y, _ = response(found.linear, found.values, found.full_scale, found.switch)
        error = 100 * levels.mean_error / found.linear
        axes[0, 1].errorbar(levels.mean, 100 * (levels.mean / found.linear - 1), error, fmt="o", ms=3)
        axes[0, 1].plot(levels.mean, 100 * (y / found.linear - 1), lw=1)
        axes[0, 1].set(xlabel="mean above dark (counts)", ylabel="from a straight response (%)", xscale="log")
        axes[1, 1].errorbar(levels.mean, 100 * (levels.mean / y - 1), error, fmt="o", ms=3)
        axes[1, 1].set(xlabel="mean above dark (counts)", ylabel="residual of the mean (%)", xscale="log")
        for ax in (axes[1, 0], axes[1, 1]):
            ax.axhline(0, lw=0.5, color="gray")
