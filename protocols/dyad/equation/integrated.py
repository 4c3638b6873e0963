"""`dyad.integrated-intensity`: light of one condensate, integrated over many condensations (Gaussian noise)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.dyad.equation.figure import EquationFigure, Positive, stationary, told_as_configuration, with_picture
from protocols.dyad.equation.trials import TrialParameters, condensed
from simulators.physics.condensates.asymmetric_dyads import asymmetric_state
from simulators.physics.condensates.dyads import DyadState
from simulators.physics.condensates.equation import seeds
from simulators.physics.condensates.integrated_intensity import (
    drawn_events,
    exact_moments,
    formula_moments,
    integrated_intensity,
)

Array = NDArray[np.float64]

_EVENTS_AT_ONCE = 20_000
_FEW = 40
_BY_EQUATION, _MOST_EVENTS = 1000, 10**9


class IntegratedIntensityParameters(TrialParameters):
    """How many events are integrated, and how often."""

    trials: int = Field(
        10_000_000, ge=2, le=10**9, description="integrated intensities that are drawn; method=equation: 1000"
    )
    duration: Positive = Field(60.0, le=10**5, description="time of a condensation, method=equation")
    dt: Positive | None = Field(
        None, description="time step, method=equation; null: 0.02, or less where phases turn faster"
    )
    n: int = Field(1000, ge=1, le=10**6, description="condensations in each of them")
    method: Literal["binomial", "equation"] = Field(
        "binomial", description="events drawn as fair coins, or each integrated by Eq. (1)"
    )
    coherent: bool = Field(True, description="events share a phase, so that fields add; else intensities do")

    LONGEST: ClassVar[float] = 0.02
    USUAL: ClassVar[float] = 0.2
    LARGEST: ClassVar[float] = 0.3
    """Amplitudes are then right to 2e-5: the error is as the phase's fifth power, and up to 9e-4 at 0.65."""

    @model_validator(mode="before")
    @classmethod
    def _fewer(cls, given: Any) -> Any:
        """A coin takes 20 ns, a condensation 20 us."""
        if isinstance(given, Mapping) and given.get("method") == "equation" and "trials" not in given:
            return {**given, "trials": _BY_EQUATION}
        return given

    @model_validator(mode="after")
    def _within_hours(self) -> IntegratedIntensityParameters:
        if self.method == "equation" and self.trials * self.n > _MOST_EVENTS:
            raise ValueError(
                f"trials = {self.trials:,} of n = {self.n:,} condensations are more than the {_MOST_EVENTS:.0e} that "
                f"are integrated within hours; choose trials <= {_MOST_EVENTS // self.n:,}, or method=binomial"
            )
        return self


class IntegratedIntensity(EquationFigure):
    """Mean, standard deviation and skewness of one condensate's integrated intensity, beside formulas and exact sums.

    Values: `mean`, `std`, `skewness` of `trials` draws with standard errors `mean_err`, `std_err`, `skewness_err`; the
    same `_exact`, by the sum over all binomials, and `_formula` (coherent light only); `a`, `b`, `theta` of the states.
    method=equation condenses every dyad from noise; fields are then added with the dyad's mean phase taken out.
    """

    Parameters = IntegratedIntensityParameters

    def targets(self, parameters: IntegratedIntensityParameters) -> dict[str, dict[str, float]] | None:
        """Reproduced independently; bounds of draws are 5 standard errors: false alarm 2e-6."""
        p = parameters
        if p != IntegratedIntensityParameters(trials=p.trials) or p.trials < IntegratedIntensityParameters().trials:
            return None
        sigma = 0.0139675
        known = {
            "mean": (2.002658, sigma / math.sqrt(p.trials)),
            "std": (sigma, sigma / math.sqrt(2 * p.trials)),
            "skewness": (0.1161, math.sqrt(6 / p.trials)),
        }
        drawn_bounds = {name: {"min": x - 5 * e, "max": x + 5 * e} for name, (x, e) in known.items()}
        return drawn_bounds | {
            "mean_formula": {"min": 2.0026575, "max": 2.0026585},
            "std_formula": {"min": 0.01396745, "max": 0.01396755},
            "skewness_exact": {"min": 0.1155, "max": 0.1165},
        }

    def prepare(self, parameters: IntegratedIntensityParameters, record: Recorder) -> None:
        """The states between which a dyad decides."""
        p = parameters
        p.step()
        if not stationary(p):
            raise ConfigurationError(
                f"xi = {p.xi:g}: asymmetric states of (g, J, gamma) = ({p.g:g}, {p.J:g}, {p.gamma:g}) are unstable, "
                "dyads have no constant intensities; choose a larger xi (dyad.phase-diagram shows both bounds)"
            )
        with told_as_configuration():
            self.state = asymmetric_state(p.gamma, p.g, p.xi, p.J)

    def run(self, bench: Bench, parameters: IntegratedIntensityParameters, record: Recorder) -> dict[str, Any]:
        """Draw intensities."""
        p, state = parameters, self.state
        if p.method == "binomial":
            k = np.arange(p.n + 1)
            record.save("intensity", integrated_intensity(k, p.n, state.a, state.b, state.theta, p.coherent))
            record.save("count", drawn_events(p.trials, p.n, record.rng))
            return {}
        at_once = max(1, _EVENTS_AT_ONCE // p.n)
        batches = math.ceil(p.trials / at_once)
        for step in record.steps(batches, "dyads condense, event by event"):
            step.save(intensity=_by_equation(p, at_once, record.rng))
            if record.checkpoint_due:
                record.checkpoint()
        series = record.series("intensity")
        assert series is not None
        record.save("intensity", series.ravel()[: p.trials])
        record.save("count", np.ones(p.trials, np.int64))
        return {}

    def conclude(
        self, results: dict[str, Any], parameters: IntegratedIntensityParameters, record: Recorder
    ) -> dict[str, Any]:
        """Moments with their errors, the picture."""
        p, state = parameters, self.state
        intensity, count = record.saved("intensity"), record.saved("count")
        assert intensity is not None
        assert count is not None
        intensity, count = intensity[count > 0], count[count > 0]
        values: dict[str, Any] = _moments(intensity, count)
        exact = exact_moments(p.n, state.a, state.b, state.theta, coherent=p.coherent)
        values |= {f"{name}_exact": getattr(exact, name) for name in ("mean", "std", "skewness")}
        if p.coherent:
            formula = formula_moments(p.n, state.a, state.b, state.theta)
            values |= {f"{name}_formula": getattr(formula, name) for name in ("mean", "std", "skewness")}
        values |= {"a": state.a, "b": state.b, "theta": abs(state.theta)}
        record.console.done(
            f"mean {values['mean']:.6g} ± {values['mean_err']:.1g} (exact {exact.mean:.7g}), standard deviation "
            f"{values['std']:.5g} ± {values['std_err']:.1g} ({exact.std:.6g}), skewness {values['skewness']:.3g} ± "
            f"{values['skewness_err']:.1g} ({exact.skewness:.4g})"
        )
        with_picture(record, "integrated-intensity", lambda path: _draw(path, p, intensity, count, values, state))
        return values


def _by_equation(p: IntegratedIntensityParameters, count: int, rng: np.random.Generator) -> Array:
    """Integrated intensities (count,) of condensate 1, of dyads that condense from noise."""
    field, power = np.zeros(count, np.complex128), np.zeros(count)
    done = 0
    most = max(1, _EVENTS_AT_ONCE // count)
    while done < p.n:
        events = min(most, p.n - done)
        psi = condensed(p, seeds(count * events, 2, p.amp, rng), 1.0, 1.0)
        # The phase that both condensates share is spontaneous; the common phase of events is the mean of both, which
        # for J < 0 is that of psi_1 and -psi_2.
        mean = np.exp(0.5j * np.angle(psi[:, 0] * psi[:, 1] * np.sign(p.J)))
        aligned = psi[:, 0] * mean.conj()
        aligned *= np.where(aligned.real < 0, -1, 1)
        if p.J < 0:  # q_1 and q_2 are phases of +-theta/2 with theta of the dyad itself
            aligned *= np.exp(0.5j * np.pi * np.sign(np.abs(psi[:, 1]) - np.abs(psi[:, 0])))
        field += aligned.reshape(count, events).sum(axis=1)
        power += (np.abs(psi[:, 0]) ** 2).reshape(count, events).sum(axis=1)
        done += events
    return np.asarray(np.abs(field / p.n) ** 2 if p.coherent else power / p.n)


def _moments(x: Array, count: NDArray[np.int64]) -> dict[str, float]:
    """Of values x that came so often, with standard errors from the moments themselves."""
    n = int(count.sum())
    weights = count / n
    mean = float(weights @ x)
    spread = math.sqrt(float(weights @ (x - mean) ** 2))
    if spread == 0:
        return {"mean": mean} | dict.fromkeys(("std", "skewness", "mean_err", "std_err", "skewness_err"), 0.0)
    z = (x - mean) / spread
    skewness, fourth = float(weights @ z**3), float(weights @ z**4)
    # How far one more value moves the skewness.
    moved = z**3 - 3 * z - 1.5 * skewness * (z**2 - 1) - skewness
    return {
        "mean": mean,
        "std": spread * math.sqrt(n / (n - 1)),
        "skewness": skewness,
        "mean_err": spread / math.sqrt(n),
        "std_err": spread * math.sqrt(max(fourth - 1, 0.0) / n) / 2,
        "skewness_err": math.sqrt(float(weights @ moved**2) / n),
    }


def _draw(
    path: Path,
    p: IntegratedIntensityParameters,
    x: Array,
    count: NDArray[np.int64],
    v: dict[str, Any],
    state: DyadState,
) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9.5, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        _distribution(left, p, x, count, v)
        counts = np.unique(np.geomspace(2, 10 * p.n, 40).round().astype(int))
        exact = [exact_moments(int(n), state.a, state.b, state.theta, coherent=p.coherent) for n in counts]
        right.loglog(counts, [m.std for m in exact], color="C0", label="standard deviation, exact")
        if p.coherent:
            formula = [formula_moments(int(n), state.a, state.b, state.theta) for n in counts]
            right.loglog(counts, [m.skewness for m in exact], color="C1", label="skewness, exact")
            right.loglog(counts, [m.skewness for m in formula], ":", color="C1", label="skewness, formula")
            right.plot(p.n, v["skewness"], "o", color="C1", markersize=5)
        right.plot(p.n, v["std"], "o", color="C0", markersize=5, label="drawn")
        right.set(xlabel="events n")
        right.legend(frameon=False)
        figure.savefig(path, dpi=120)


def _distribution(
    ax: Any, p: IntegratedIntensityParameters, x: Array, count: NDArray[np.int64], v: dict[str, Any]
) -> None:
    ax.set(xlabel="integrated intensity I")
    ax.set_title(f"{count.sum():,} intensities of {p.n:,} events", fontsize=9)
    order = np.argsort(x)
    x, count = x[order], count[order]
    if p.method == "binomial" and len(x) <= _FEW:
        ax.vlines(x, 0, count / count.sum(), color="C0", linewidth=3)
        ax.set(ylabel="share", ylim=(0, None))
        return
    edges = np.linspace(x[0], x[-1], 31)
    if p.method == "binomial":  # n + 1 values at most: bins hold as many of them each
        between = np.unique((x[1:] + x[:-1]) / 2)
        edges = np.unique(np.concatenate(([x[0]], between[:: max(1, len(between) // _FEW)], [x[-1]])))
    ax.hist(x, bins=edges, weights=count, density=True, color="C0", alpha=0.5, label="drawn")
    fine = np.linspace(x[0], x[-1], 300)
    std = v["std_exact"]
    bell = np.exp(-((fine - v["mean_exact"]) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi))
    ax.plot(fine, bell, color="C1", linewidth=1, label="normal")
    ax.set(ylabel="density", xlim=(x[0], x[-1]))
    ax.legend(frameon=False)
