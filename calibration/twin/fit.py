"""Fits the unknowns of a world to calibrations: least squares with bounds, in units of what each value is known to.

What is known of an unknown before counts as one more datum: a spread about where it starts, or that of an even chance
between its bounds. So it is as uncertain as the data and what they do not tell together leave it, also where only a sum
of two shows. It is *determined* if that is less than seven tenths of what was known before. Where the fit leaves more
than the uncertainties allow, those of the unknowns grow with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calibration.twin.model import Observable, TwinModel, Unknown
from labctl.client import Calibration, CalibrationError

Numbers = NDArray[np.float64]

DETERMINED = 0.7
"""Share of what is known before, below which the data have told something."""

STEP = 1e-6
"""Of what is known of an unknown before, by which it is moved to see what follows."""

AT_BOUND = 0.05
"""Standard uncertainties of an unknown, within which it lies at a bound."""


@dataclass(frozen=True)
class Fitted:
    """An unknown: what it was taken for, what it was found to be, and the standard uncertainty of that.

    determined: by the data. at_bound: of what it may be.
    """

    key: str
    start: float
    value: float
    error: float
    unit: str
    determined: bool
    at_bound: bool


@dataclass(frozen=True)
class Residual:
    """What the fit leaves of a calibration's value, in its standard uncertainties: rms and largest of ``count``."""

    kind: str
    name: str
    count: int
    rms: float
    largest: float


@dataclass(frozen=True)
class TwinFit:
    """The fit. chi2, freedom: of all residuals. untold: keys of unknowns on which no value depends.

    unexplained: kind and name of values with an uncertainty that the world's model does not explain.
    """

    fitted: tuple[Fitted, ...]
    residuals: tuple[Residual, ...]
    chi2: float
    freedom: int
    untold: tuple[str, ...]
    unexplained: tuple[tuple[str, str], ...]

    @property
    def values(self) -> dict[str, float]:
        """By key."""
        return {f.key: f.value for f in self.fitted}


def fit(model: TwinModel, calibrations: Sequence[Calibration]) -> TwinFit:
    """Fit a world's unknowns to calibrations. CalibrationError if they tell nothing of it."""
    observed = [o for c in calibrations for o in _observables(model, c)]
    if not observed:
        kinds = ", ".join(sorted({c.kind for c in calibrations})) or "none"
        raise CalibrationError(
            f"none of the calibrations ({kinds}) tells anything about this world; calibrate the bench first: "
            "`labctl calibrate --all`"
        )
    every = {u.key: u for u in model.unknowns()}
    start = {key: u.start for key, u in every.items()}
    asked = set().union(*(_asked(o, start) for o in observed))
    problem = _Problem([u for key, u in every.items() if key in asked], start, observed)
    solution, error, told = problem.solve()
    z = problem.deviations(solution)
    freedom = max(sum(len(part) for part in z) - int(told.sum()), 0)
    chi2 = float(sum((part**2).sum() for part in z))
    stretch = math.sqrt(max(chi2 / freedom, 1.0)) if freedom else 1.0
    explained = {(o.kind, o.name) for o in observed}
    return TwinFit(
        fitted=tuple(
            Fitted(u.key, u.start, v, e * (stretch if d else 1.0), u.unit, d, _at_bound(u, v, e))
            for u, v, e, d in zip(
                problem.unknowns, problem.values(solution).tolist(), error.tolist(), told.tolist(), strict=True
            )
        ),
        residuals=tuple(
            Residual(o.kind, o.name, len(part), float(np.sqrt((part**2).mean())), float(part[np.abs(part).argmax()]))
            for o, part in zip(observed, z, strict=True)
        ),
        chi2=chi2,
        freedom=freedom,
        untold=tuple(key for key in every if key not in asked),
        unexplained=tuple(
            (c.kind, name)
            for c in calibrations
            for name, m in c.values.items()
            if m.uncertainty is not None and (c.kind, name) not in explained
        ),
    )


def _observables(model: TwinModel, c: Calibration) -> Sequence[Observable]:
    values = {name: m.value for name, m in c.values.items()}
    errors = {name: c.uncertainty(name) for name, m in c.values.items() if m.uncertainty is not None}
    return model.observables(c.kind, values, errors, {name: m.number for name, m in c.conditions.items()})


def _at_bound(u: Unknown, value: float, error: float) -> bool:
    return min(value - u.low, u.high - value) < AT_BOUND * error


class _Problem:
    """Some unknowns free, each in units of what is known of it before; the others as they start."""

    def __init__(self, unknowns: list[Unknown], start: Mapping[str, float], observed: list[Observable]) -> None:
        self.unknowns, self._start, self._observed = unknowns, start, observed
        # Between two bounds everything is as likely: a standard deviation of the distance over the root of 12.
        self._before = np.array([u.spread or (u.high - u.low) / math.sqrt(12) for u in unknowns])
        self._origin = np.array([u.start for u in unknowns])
        self._asks = [_asked(o, start) for o in observed]

    def values(self, x: Numbers) -> Numbers:
        """Of the free unknowns."""
        return np.asarray(self._origin + self._before * x)

    def deviations(self, x: Numbers) -> list[Numbers]:
        """Of each observable from its prediction, in standard uncertainties."""
        values = self._all(x)
        return [_deviation(o, values) for o in self._observed]

    def _all(self, x: Numbers) -> dict[str, float]:
        return {**self._start, **dict(zip([u.key for u in self.unknowns], self.values(x).tolist(), strict=True))}

    def _slopes(self, x: Numbers) -> Numbers:
        """Jacobian of the residuals, by differences; of each observable by those unknowns alone that it asks for."""
        now = self._all(x)
        _, high = self._bounds()
        blocks = []
        for observable, asked in zip(self._observed, self._asks, strict=True):
            here = _deviation(observable, now)
            block = np.zeros((len(here), len(x)))
            for k, unknown in enumerate(self.unknowns):
                if unknown.key in asked:
                    step = STEP if x[k] + STEP <= high[k] else -STEP
                    moved = {**now, unknown.key: float(self._origin[k] + self._before[k] * (x[k] + step))}
                    block[:, k] = (_deviation(observable, moved) - here) / step
            blocks.append(block)
        return np.vstack([*blocks, np.eye(len(x))])

    def _bounds(self) -> tuple[Numbers, Numbers]:
        low = (np.array([u.low for u in self.unknowns]) - self._origin) / self._before
        high = (np.array([u.high for u in self.unknowns]) - self._origin) / self._before
        return low, high

    def solve(self) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
        """The solution, the standard uncertainty of each unknown in its own unit, and which are determined."""
        low, high = self._bounds()
        inside = np.clip(0.0, low + 1e-9 * (high - low), high - 1e-9 * (high - low))

        def residuals(x: Numbers) -> Numbers:
            return np.concatenate([*self.deviations(x), x])

        found = least_squares(residuals, inside, self._slopes, bounds=(low, high), x_scale="jac", ftol=1e-10)
        posterior = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
        return found.x, posterior * self._before, posterior < DETERMINED


def _deviation(observable: Observable, values: Mapping[str, float]) -> Numbers:
    return np.ravel(np.asarray(observable.predict(values)) - observable.value) / observable.error


class _Asked(dict[str, float]):
    """Values that notes which of them are asked for."""

    def __init__(self, values: Mapping[str, float]) -> None:
        super().__init__(values)
        self.keys_asked: set[str] = set()

    def __getitem__(self, key: str) -> float:
        self.keys_asked.add(key)
        return super().__getitem__(key)


def _asked(observable: Observable, values: Mapping[str, float]) -> set[str]:
    """Keys that an observable depends on."""
    asked = _Asked(values)
    observable.predict(asked)
    return asked.keys_asked
