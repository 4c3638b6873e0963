"""`dyad.equal-occupation`: pumping that keeps unequal condensates equally occupied (Fig. 1b)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from labctl.client import Bench, Recorder
from protocols.dyad.equation.figure import (
    Coupling,
    DyadParameters,
    EquationFigure,
    Number,
    Positive,
    one_or_all,
    told_as_configuration,
    with_picture,
)
from simulators.physics.condensates.asymmetric_dyads import balanced_state
from simulators.physics.condensates.dyads import NoSuchState, equal_occupation, equal_occupation_slope

_PUBLISHED = {0.8: 1.047389, 1.1: 0.974375}


class EqualOccupationParameters(DyadParameters):
    """As in Fig. 1b."""

    J: Coupling = Field(0.45, description="coupling of the two condensates, -1 < J < 1 and not 0")
    gamma: Positive = Field(1.8, description="pumping of site 1")
    g: Number = Field(0.4, description="detuning (blueshift) of site 1")
    xi: Positive = Field(2.0, description="relative nonlinearity")
    r_g: tuple[Positive, ...] = Field((0.8,), description="detuning of site 2 in units of g, comma-separated")

    @field_validator("r_g")
    @classmethod
    def _some(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("r_g is one or more numbers, for example 0.8,1.1")
        return value


class EqualOccupation(EquationFigure):
    """Pumping ratio r_gamma that keeps two condensates of detuning ratio r_g equally occupied, beside Eq. (5).

    Values: `r_gamma` at `r_g` (lists where several were given); `first_order`, by Eq. (5), `slope` of it;
    `slope_numeric` of the exact curve at r_g = 1; `imbalance`, the largest |a - b|/a of Eq. (1)'s states at these
    ratios, `rho` and `theta` of them; `r_gamma_at_0.8`, `r_gamma_at_1.1` where these were asked for.
    """

    Parameters = EqualOccupationParameters

    def targets(self, parameters: EqualOccupationParameters) -> dict[str, dict[str, float]] | None:
        """Reproduced independently."""
        p = parameters
        if p != EqualOccupationParameters(r_g=p.r_g):
            return None
        known = {f"r_gamma_at_{r:g}": _PUBLISHED[r] for r in p.r_g if r in _PUBLISHED}
        bounds = {name: {"min": value - 1e-6, "max": value + 1e-6} for name, value in known.items()}
        slopes = {name: {"min": -0.250785, "max": -0.250775} for name in ("slope", "slope_numeric")}
        return {**bounds, **slopes, "imbalance": {"max": 1e-9}}

    def run(self, bench: Bench, parameters: EqualOccupationParameters, record: Recorder) -> dict[str, Any]:
        """The ratio, and the state of Eq. (1) that it belongs to."""
        p, h = parameters, 1e-4
        with told_as_configuration():
            ratios = [equal_occupation(r, p.gamma, p.g, p.J) for r in p.r_g]
            states = [balanced_state(p.gamma, p.g, p.xi, p.J, *pair) for pair in zip(p.r_g, ratios, strict=True)]
            around = [equal_occupation(1 + s * h, p.gamma, p.g, p.J) for s in (1, -1)]
            slope = equal_occupation_slope(p.g, p.J)
        return {
            "r_g": one_or_all(p.r_g),
            "r_gamma": one_or_all(ratios),
            "first_order": one_or_all([1 + slope * (r - 1) for r in p.r_g]),
            "slope": slope,
            "slope_numeric": (around[0] - around[1]) / (2 * h),
            "imbalance": max(abs(s.a - s.b) / s.a for s in states),
            "rho": one_or_all([s.a**2 for s in states]),
            "theta": one_or_all([abs(s.theta) for s in states]),
            **{f"r_gamma_at_{r:g}": x for r, x in zip(p.r_g, ratios, strict=True) if r in _PUBLISHED},
        }

    def conclude(
        self, results: dict[str, Any], parameters: EqualOccupationParameters, record: Recorder
    ) -> dict[str, Any]:
        """Draw Fig. 1b."""
        ratios = ", ".join(f"{x:.6f}" for x in np.atleast_1d(results["r_gamma"]))
        record.console.done(f"r_gamma = {ratios} at r_g = {', '.join(f'{r:g}' for r in parameters.r_g)}")
        with_picture(record, "equal-occupation", lambda path: _draw(path, parameters, results))
        return results


def _draw(path: Path, p: EqualOccupationParameters, v: dict[str, Any]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = []
    for r in np.linspace(min(0.8, *p.r_g) - 0.02, max(1.2, *p.r_g) + 0.02, 201):
        try:
            rows.append((r, equal_occupation(float(r), p.gamma, p.g, p.J)))
        except NoSuchState:
            continue
    r_g, r_gamma = np.array(rows).T
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(5, 3.8), layout="constrained")
        ax = figure.subplots()
        ax.plot(r_g, r_gamma, color="C0", label="equal occupation, Eq. (1)")
        ax.plot(r_g, 1 + v["slope"] * (r_g - 1), "--", color="C1", label=f"Eq. (5): slope {v['slope']:.4f}")
        ax.plot(
            np.atleast_1d(p.r_g), np.atleast_1d(v["r_gamma"]), "o", color="k", fillstyle="none", label="this figure"
        )
        ax.set(xlabel="ratio of detunings $r_g$", ylabel="ratio of pumping $r_γ$")
        ax.set_title(f"J = {p.J:g}, γ = {p.gamma:g}, g = {p.g:g}, ξ = {p.xi:g}", fontsize=9)
        ax.legend(frameon=False)
        figure.savefig(path, dpi=120)
