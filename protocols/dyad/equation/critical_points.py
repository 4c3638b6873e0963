"""`dyad.critical-points`: where unequal sites are fair again (inset of Fig. 1d)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from labctl.client import Bench, Recorder
from protocols.dyad.equation.crossing import POINTS, crossing
from protocols.dyad.equation.figure import EquationFigure, Positive, one_or_all, stationary, with_picture
from protocols.dyad.equation.trials import TrialParameters, tell_undecided
from simulators.physics.condensates.dyads import equal_occupation_slope

_WIDE = (0.94, 0.98, 1.02, 1.06)
_BELOW = (0.9, 0.92, 0.94, 0.96, 0.98, 1.0)
_NUMBERS = ("r_g", "r_g_err", "dp1_dr_g", "undecided", "turned")
_PUBLISHED = {0.94: 1.1327, 0.98: 1.0442, 1.02: 0.9551}


class CriticalPointsParameters(TrialParameters):
    """Which pumping ratios, and how many dyads for each."""

    trials: int = Field(40_000, ge=100, le=10**8, description="dyads at each of nine settings around a critical point")
    r_gamma: tuple[Positive, ...] = Field(_WIDE, description="pumpings of site 2 in units of gamma, comma-separated")

    @field_validator("r_gamma")
    @classmethod
    def _different(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("r_gamma is one or more different numbers, for example 0.98,1.02")
        return value


class CriticalPoints(EquationFigure):
    """Detuning ratios r_g at which p1 = 1/2 for given pumping ratios, and the slope of r_gamma against them.

    Values: `r_g` and `r_g_err` (standard error) at `r_gamma` (lists where several were given), `dp1_dr_g` and the share
    `undecided` there (amplitudes that differ by less than 2 %), and `turned`, which have the other orientation after
    twice the time (a point with more than 5 % is refused: dyads oscillate there); `slope` of r_gamma against r_g by a
    straight line, and `slope_err`, where there are two points or more (else null); `first_order`, the slope of equal
    occupation by Eq. (5); `stationary`, whether the asymmetric states are stable. At the paper's parameters also
    `r_g_at_0.94` and so on.
    """

    Parameters = CriticalPointsParameters

    def targets(self, parameters: CriticalPointsParameters) -> dict[str, dict[str, float]] | None:
        """Reproduced independently: r_g to 0.0006, the slope to 0.0004, and what a line through other ratios of the
        same range makes of it, since the points lie on a curve; other ranges give another slope."""
        p = parameters
        usual = CriticalPointsParameters()
        if p != CriticalPointsParameters(r_gamma=p.r_gamma, trials=p.trials) or p.trials < usual.trials:
            return None
        bounds = {
            f"r_g_at_{r:g}": {"min": _PUBLISHED[r] - 6e-4, "max": _PUBLISHED[r] + 6e-4}
            for r in p.r_gamma
            if r in _PUBLISHED
        }
        slopes = {_WIDE: (-0.4475, 4.5e-4), _BELOW: (-0.4506, 8e-4)}
        if p.r_gamma in slopes:
            slope, off = slopes[p.r_gamma]
            bounds["slope"] = {"min": slope - off, "max": slope + off}
        return bounds or None

    def prepare(self, parameters: CriticalPointsParameters, record: Recorder) -> None:
        """Whether there are orientations at all."""
        parameters.step(r_gamma=max(parameters.r_gamma))
        self.stationary = stationary(parameters)
        if not self.stationary:
            record.console.say("asymmetric states are unstable here: orientations are those of oscillating dyads")

    def run(self, bench: Bench, parameters: CriticalPointsParameters, record: Recorder) -> dict[str, Any]:
        """One critical point after the other."""
        p = parameters
        for step in record.steps(len(p.r_gamma), "critical points"):
            found = crossing(p, p.r_gamma[step.index], record.rng)
            step.save(
                r_g=found.r_g,
                r_g_err=found.error,
                dp1_dr_g=found.slope,
                undecided=found.undecided,
                turned=found.turned,
                at=found.at,
                p1=found.p1,
            )
            step.note(f"r_g = {found.r_g:.4f} ± {found.error:.4f}")
            record.checkpoint()
        return {}

    def conclude(
        self, results: dict[str, Any], parameters: CriticalPointsParameters, record: Recorder
    ) -> dict[str, Any]:
        """The slope, the picture."""
        p = parameters
        saved: Any = {name: record.series(name) for name in (*_NUMBERS, "at", "p1")}
        slope, slope_err = line(saved["r_g"], np.array(p.r_gamma), saved["r_g_err"])
        values: dict[str, Any] = {
            "r_gamma": one_or_all(p.r_gamma),
            **{name: one_or_all(saved[name].tolist()) for name in _NUMBERS},
            "slope": slope,
            "slope_err": slope_err,
            "first_order": equal_occupation_slope(p.g, p.J),
            "stationary": self.stationary,
        }
        if p == CriticalPointsParameters(r_gamma=p.r_gamma, trials=p.trials):
            values |= {f"r_g_at_{r:g}": float(x) for r, x in zip(p.r_gamma, saved["r_g"], strict=True)}
        told = ", ".join(f"{x:.4f} ± {e:.4f}" for x, e in zip(saved["r_g"], saved["r_g_err"], strict=True))
        if slope is not None:
            told += f"; slope of r_gamma {slope:.4f} ± {slope_err:.4f}, Eq. (5) {values['first_order']:.4f}"
        tell_undecided(record, float(saved["undecided"].max()), p)
        record.console.done(f"fair at r_g = {told}")
        with_picture(record, "critical-points", lambda path: _draw(path, p, saved, values))
        return values


def line(x: np.ndarray, y: np.ndarray, x_error: np.ndarray) -> tuple[float | None, float | None]:
    """Slope of y (n,) against x (n,) by least squares, and its standard error; None for a single point.

    x_error: standard errors of x (n,), which are taken for the only ones: sigma_slope = |slope| |w x_error|, with the
    weights w of y in the slope.
    """
    if len(x) < 2:
        return None, None
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    slope = float(weights @ y)
    return slope, abs(slope) * math.sqrt(float((weights**2) @ x_error**2))


def _draw(path: Path, p: CriticalPointsParameters, saved: dict[str, np.ndarray], v: dict[str, Any]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9.5, 3.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.9, len(p.r_gamma)))
        for colour, r_gamma, r_g, at, p1 in zip(
            colours, p.r_gamma, saved["r_g"], saved["at"], saved["p1"], strict=True
        ):
            fine = np.linspace(at[0], at[-1], 60)
            left.plot(at - r_g, p1, "o", color=colour, markersize=3, label=f"{r_gamma:g}")
            left.plot(fine - r_g, np.polyval(np.polyfit(at - r_g, p1, 3), fine - r_g), color=colour, linewidth=0.9)
        left.axhline(0.5, color="0.6", linewidth=0.7, linestyle=":")
        left.set(xlabel="$r_g$ from the critical point", ylabel="share $p_1$ with condensate 2 denser")
        left.locator_params(axis="x", nbins=5)
        left.set_title(f"{POINTS} settings of {p.trials:,} dyads, and cubics", fontsize=9)
        left.legend(title="$r_γ$", frameon=False, fontsize=8)
        right.errorbar(
            saved["r_g"], p.r_gamma, xerr=saved["r_g_err"], fmt="o", color="C0", markersize=4, label="$p_1$ = ½"
        )
        span = np.array([saved["r_g"].min(), saved["r_g"].max()]) + np.array([-0.01, 0.01])
        if v["slope"] is not None:
            middle = np.mean(p.r_gamma) + v["slope"] * (span - saved["r_g"].mean())
            right.plot(span, middle, color="C0", linewidth=0.9, label=f"slope {v['slope']:.5f} ± {v['slope_err']:.5f}")
        right.plot(span, 1 + v["first_order"] * (span - 1), "--", color="C1", linewidth=0.9, label="Eq. (5)")
        right.set(xlabel="critical ratio of detunings $r_g^*$", ylabel="ratio of pumping $r_γ^*$")
        right.set_title(f"J = {p.J:g}, γ = {p.gamma:g}, g = {p.g:.4g}, ξ = {p.xi:.4g}, noise {p.amp:g}", fontsize=9)
        right.legend(frameon=False)
        figure.savefig(path, dpi=120)
