"""How a liquid-crystal panel answers a step, from the light that it sends to the zeroth order.

Half of a pattern's columns step between two gray levels, so light at the zeroth order is, with their phase p(t),

    I = c0 + c1 cos p + c2 sin p,      p = swing (1 - exp(-t / rise)) upwards,  swing exp(-t / fall) downwards,

t from when a row begins. c0 takes up all that does not change, c2 what comes with a phase of its own. Rows begin one
after another, and a frame sees the mean over its exposure; both are averaged over here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import least_squares

from calibration.panels import panels

Numbers = NDArray[np.float64]

_TIMES, _TIME_WEIGHTS = np.polynomial.legendre.leggauss(4)
_ROWS, _ROW_WEIGHTS = np.polynomial.legendre.leggauss(3)


@dataclass(frozen=True, eq=False)
class StepData:
    """Frames after one step. time_s, signal: (n,) middle of each exposure since the pattern arrived, and what was seen.

    group: which rows stepped. rises: to the higher gray level. arrived_s: bench time. spread_s: from the first to the
    last row of the group.
    """

    group: int
    rises: bool
    arrived_s: float
    time_s: Numbers
    signal: Numbers
    exposure_s: float
    spread_s: float


@dataclass(frozen=True)
class Response:
    """rise_s, fall_s: time constants; swing: rad, of each group. start_s: (steps,) from arrival until the middle row of
    the group began. Errors: standard uncertainties. fitted: (n,) of each step."""

    rise_s: float
    rise_error_s: float
    fall_s: float
    fall_error_s: float
    swing: Numbers
    start_s: Numbers
    start_error_s: Numbers
    residual: float
    fitted: list[Numbers]


def resolved(steps: list[StepData]) -> list[StepData]:
    """Steps during which the camera never paused while the light changed."""
    found = []
    for s in steps:
        pause, change = np.diff(s.time_s), np.abs(np.diff(s.signal))
        if not np.any((pause > 3 * np.median(pause)) & (change > 0.15 * np.ptp(s.signal))):
            found.append(s)
    return found


def _basis(step: StepData, start_s: float, tau_s: float, swing: float) -> Numbers:
    """(n, 3): mean of 1, cos p and sin p over exposure and rows."""
    since = step.time_s[:, None, None] - start_s
    since = since + 0.5 * step.exposure_s * _TIMES[None, :, None] - 0.5 * step.spread_s * _ROWS[None, None, :]
    gone = np.exp(-np.maximum(since, 0.0) / tau_s)
    phase = swing * (1 - gone) if step.rises else swing * gone
    weights = _TIME_WEIGHTS[:, None] * _ROW_WEIGHTS[None, :] / 4
    cos, sin = ((f(phase) * weights).sum(axis=(1, 2)) for f in (np.cos, np.sin))
    return np.stack([np.ones_like(cos), cos, sin], axis=1)


def fit(steps: list[StepData], swing: float, latency_s: float) -> Response:
    """All steps together. swing, latency_s: to begin with."""
    groups = sorted({s.group for s in steps})
    scale = max(float(np.ptp(s.signal)) for s in steps)
    unit = np.concatenate([[5e-3, 5e-3], np.full(len(groups), swing), np.full(len(steps), 5e-3)])

    def fitted(z: Numbers) -> list[Numbers]:
        values = z * unit
        found: dict[int, Numbers] = {}
        for k, group in enumerate(groups):
            own = [i for i, s in enumerate(steps) if s.group == group]
            parts = [
                _basis(steps[i], values[2 + len(groups) + i], values[0 if steps[i].rises else 1], values[2 + k])
                for i in own
            ]
            # Whatever the phases are, the best three coefficients follow from them.
            terms, seen = np.vstack(parts), np.concatenate([steps[i].signal for i in own])
            # By normal equations: three terms, and many such sums.
            square = terms.T @ terms
            coefficients = np.linalg.solve(square + 1e-12 * np.trace(square) * np.eye(len(square)), terms.T @ seen)
            found |= {i: part @ coefficients for i, part in zip(own, parts, strict=True)}
        return [found[i] for i in range(len(steps))]

    def residuals(z: Numbers) -> Numbers:
        return np.concatenate([f - s.signal for f, s in zip(fitted(z), steps, strict=True)]) / scale

    best = None
    for tau_s in (5e-3, 20e-3):
        begin = np.concatenate([[tau_s, tau_s], np.full(len(groups), swing), [_begin(s, latency_s) for s in steps]])
        low = np.concatenate([[1e-5, 1e-5], np.full(len(groups), 0.2 * swing), np.full(len(steps), -1.0)])
        high = np.concatenate([[1.0, 1.0], np.full(len(groups), 2.0 * swing), np.full(len(steps), 1.0)])
        # Far more than a fit needs; one that creeps along a bound would go on for minutes.
        tried = least_squares(
            residuals, begin / unit, bounds=(low / unit, high / unit), x_scale="jac", ftol=1e-7, xtol=1e-7, max_nfev=30
        )
        best = tried if best is None or tried.cost < best.cost else best
    assert best is not None
    values, count = best.x * unit, sum(len(s.signal) for s in steps)
    freedom = count - len(values) - 3 * len(groups)
    error = _errors(best, [len(s.signal) for s in steps], freedom) * unit
    first = 2 + len(groups)
    return Response(
        rise_s=float(values[0]),
        rise_error_s=float(error[0]),
        fall_s=float(values[1]),
        fall_error_s=float(error[1]),
        swing=values[2:first],
        start_s=values[first:],
        start_error_s=error[first:],
        residual=float(np.sqrt(2 * best.cost / freedom)),
        fitted=fitted(best.x),
    )


def _errors(best: Any, lengths: list[int], freedom: int) -> Numbers:
    """Standard uncertainties (values,). Light wanders during a step, so frames of one step err together: the scatter
    from step to step counts where it is larger than that of the frames, widened as for so few steps.
    """
    inverse = np.linalg.pinv(best.jac.T @ best.jac)
    plain = np.diag(inverse) * 2 * best.cost / freedom
    ends = np.cumsum([0, *lengths])
    pulls = np.array([best.jac[a:b].T @ best.fun[a:b] for a, b in pairwise(ends)])
    steps = len(lengths)
    few = stats.t.ppf(0.975, max(steps // 2 - 1, 1)) / stats.norm.ppf(0.975)
    together = np.diag(inverse @ (pulls.T @ pulls) @ inverse) * steps / max(steps - 4, 1) * few**2
    found: Numbers = np.sqrt(np.maximum(plain, together))
    return found


def _begin(step: StepData, latency_s: float) -> float:
    """Where the signal first leaves what it was."""
    change = np.abs(step.signal - np.median(step.signal[:3]))
    left = np.flatnonzero(change > 0.08 * np.ptp(step.signal))
    return float(step.time_s[max(left[0] - 1, 0)]) if len(left) else latency_s


@dataclass(frozen=True)
class Timing:
    """period_s: of the refresh. scan_s: from the first to the last row of the panel. latency_s: from a pattern's
    arrival until the first row begins, at least; a refresh must be waited for besides. jitter_s: rms about this."""

    period_s: float
    period_error_s: float
    scan_s: float
    scan_error_s: float
    latency_s: float
    latency_error_s: float
    jitter_s: float


def timing(
    arrived_s: Numbers,
    start_s: Numbers,
    start_error_s: Numbers,
    place: Numbers,
    period_s: float,
    tolerance: float = 5e-3,
) -> Timing:
    """From steps (n,): bench time of arrival, time until the group's middle row began, and where on the panel it lies.

    place: 0 the first row, 1 the last. A pattern waits for the next refresh, so beginnings lie on a grid of the
    refresh's period, of which ``period_s`` is known to within ``tolerance``.
    """
    began = arrived_s + start_s
    origin = began[0]

    def on_grid(z: Numbers) -> Numbers:
        turns = (began - origin - z[1] * period_s - z[2] * period_s * place) / (period_s * (1 + z[0] * tolerance))
        return np.asarray((turns - np.round(turns)) * period_s / error)

    error = np.hypot(np.where(np.isfinite(start_error_s), start_error_s, period_s), 1e-6)
    best = None
    for stretch in np.linspace(-1, 1, 41):
        for scan in (0.25, 0.5, 0.75, 1.0):
            tried = least_squares(on_grid, [stretch, -scan * place[0], scan], method="lm")
            # Only the nearest stretch is meant: a grid of any other period fits a few steps as well.
            cost = tried.cost + 0.5 * (tried.x[0] / 0.5) ** 2 + 0.5 * ((tried.x[2] - 0.75) / 0.5) ** 4
            if best is None or cost < best[0]:
                best = (cost, tried)
    assert best is not None
    found = best[1]
    freedom = max(len(began) - 3, 1)
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * max(2 * found.cost / freedom, 1.0)
    period = period_s * (1 + found.x[0] * tolerance)
    scan_s = found.x[2] * period_s
    delay = start_s - scan_s * place
    scan_error_s = float(np.sqrt(covariance[2, 2])) * period_s
    # No step waits less than the latency, and none a whole period longer.
    low, high = float(delay.max()) - period, float(delay.min())
    middle, width = (low + high) / 2, max(high - low, 0.0)
    own = np.hypot(float(np.median(error)), scan_error_s * float(place.mean()))
    return Timing(
        period_s=float(period),
        period_error_s=float(np.sqrt(covariance[0, 0])) * period_s * tolerance,
        scan_s=float(scan_s),
        scan_error_s=scan_error_s,
        latency_s=middle,
        latency_error_s=float(np.hypot(width / np.sqrt(12), own)),
        jitter_s=float(np.sqrt((on_grid(found.x) * error) @ (on_grid(found.x) * error) / freedom)),
    )


def draw(path: Path, steps: list[StepData], found: Response) -> None:
    """Steps with their fits, upwards and downwards, above the residuals."""
    with panels(path, sharex=True) as axes:
        for step, fitted, start_s in zip(steps, found.fitted, found.start_s, strict=True):
            column = 0 if step.rises else 1
            since = 1e3 * (step.time_s - start_s)
            (line,) = axes[0, column].plot(since, step.signal, ".", ms=2)
            axes[0, column].plot(since, fitted, lw=0.7, color=line.get_color())
            axes[1, column].plot(since, step.signal - fitted, ".", ms=2, color=line.get_color())
        for column, title in enumerate(("to the higher gray level", "to the lower gray level")):
            axes[0, column].set(title=title, ylabel="light at the zeroth order (counts)")
            axes[1, column].set(xlabel="time since the rows began (ms)", ylabel="residual (counts)")
