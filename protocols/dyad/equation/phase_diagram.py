"""`dyad.phase-diagram`: up to which xi dyads are asymmetric (Fig. 1a), found numerically, beside the closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from labctl.client import Bench, ConfigurationError, Parameters, Recorder
from protocols.dyad.equation.diagram_picture import draw_diagram
from protocols.dyad.equation.figure import Coupling, EquationFigure, Number, Positive, time_step, with_picture
from simulators.physics.condensates.asymmetric_dyads import lasting_below, lower_bound, phase_boundary
from simulators.physics.condensates.dyad_kernel import evolve_dyads
from simulators.physics.condensates.dyads import NoSuchState, pitchfork_bound

Array = NDArray[np.float64]

_LISTED = 1000
_ASIDE = 0.01
"""How far beside the bound Eq. (1) is integrated, relative to it: the accuracy that is promised."""


class PhaseDiagramParameters(Parameters):
    """Fig. 1a, or one point, or any grid."""

    gamma: tuple[Positive, ...] = Field((1.8, 2.8, 3.8), description="pumping, comma-separated")
    g: tuple[Number, ...] = Field(
        tuple(np.linspace(0.05, 1, 125).tolist()), description="detunings, comma-separated (125 of 0.05 to 1)"
    )
    J: tuple[Coupling, ...] = Field(
        tuple(np.linspace(0.05, 0.95, 100).tolist()), description="couplings, comma-separated (100 of 0.05 to 0.95)"
    )
    integrate: int = Field(5, ge=0, description="points of each row at which Eq. (1) is integrated beside the bound")

    lower: bool = Field(False, description="also the lower bound, for a single point: it takes longer")

    @field_validator("gamma", "g", "J")
    @classmethod
    def _some(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("give one or more numbers")
        return value


class PhaseDiagram(EquationFigure):
    """Upper bound xi_c of asymmetric dyads over g, J and gamma: from Eq. (1)'s Jacobian by bisection.

    Values: `xi_c` (a number for one point, else lists by gamma, J and g, up to 1000 of them, null where there is none;
    always in the run file) and `closed_form`; `points`, and `bounded`, of which there is a bound; `deviation`, the
    largest |xi_c/closed form - 1|; `lasting`, the share of bounds right below which asymmetric states are stable
    (elsewhere dyads oscillate there); `integrated`, points at which Eq. (1) was integrated from next to the symmetric
    state, 1 % below and above the bound, and `agreeing`, the share of these that left it below and came back above.
    With lower=true also `xi_lower` of a single point, below which asymmetric states are unstable (null: no such bound).
    """

    Parameters = PhaseDiagramParameters

    def targets(self, parameters: PhaseDiagramParameters) -> dict[str, dict[str, float]] | None:
        """All 37,500 points within 1 % of the closed form."""
        if parameters != PhaseDiagramParameters():
            return None
        return {
            "points": {"min": 37_500},
            "bounded": {"min": 37_500},
            "deviation": {"max": 0.01},
            "lasting": {"min": 1.0},
            "agreeing": {"min": 1.0},
        }

    def prepare(self, parameters: PhaseDiagramParameters, record: Recorder) -> None:
        """Whether any point has a bound at all."""
        p = parameters
        largest = max((abs(J) for J in p.J if J), default=0.0)
        if not (max(p.gamma) + largest > 1 and largest > 0 and max(p.g) > 0):
            raise ConfigurationError(
                "no point has asymmetric dyads: they need gamma > 1 - |J|, 0 < |J| < 1 and g > 0; given were gamma = "
                f"{_span(p.gamma)}, J = {_span(p.J)}, g = {_span(p.g)}"
            )

    def run(self, bench: Bench, parameters: PhaseDiagramParameters, record: Recorder) -> dict[str, Any]:
        """Row by row, of one gamma and J."""
        p, g = parameters, np.array(parameters.g)
        rows = [(gamma, J) for gamma in p.gamma for J in p.J]
        for step in record.steps(len(rows), "bounds of asymmetric dyads"):
            gamma, J = rows[step.index]
            bound = phase_boundary(gamma, g, J)
            known = np.flatnonzero(np.isfinite(bound))
            lasting = np.zeros(g.shape, np.bool_)
            lasting[known] = lasting_below(gamma, g[known], J)
            chosen = known[np.unique(np.linspace(0, len(known) - 1, min(p.integrate, len(known))).round().astype(int))]
            agree = _agreeing(gamma, g[chosen], J, bound[chosen]) if len(chosen) else np.zeros(0, np.bool_)
            step.save(xi_c=bound, lasting=lasting, integrated=len(agree), agreeing=int(agree.sum()))
            if record.checkpoint_due:
                record.checkpoint()
        return {}

    def conclude(self, results: dict[str, Any], parameters: PhaseDiagramParameters, record: Recorder) -> dict[str, Any]:
        """Beside the closed form; the picture."""
        p = parameters
        saved: Any = {name: record.series(name) for name in ("xi_c", "lasting", "integrated", "agreeing")}
        shape = (len(p.gamma), len(p.J), len(p.g))
        bound = saved["xi_c"].reshape(shape)
        gamma, J, g = np.meshgrid(p.gamma, p.J, p.g, indexing="ij")
        closed = pitchfork_bound(gamma, g, J)
        known = np.isfinite(bound)
        record.save("xi_c", bound)
        record.save("closed_form", np.where(known, closed, np.nan))
        integrated = int(saved["integrated"].sum())
        values: dict[str, Any] = {
            "points": bound.size,
            "bounded": int(known.sum()),
            "deviation": float(np.abs(bound[known] / closed[known] - 1).max()),
            "lasting": float(saved["lasting"].reshape(shape)[known].mean()),
            "integrated": integrated,
            "agreeing": float(saved["agreeing"].sum() / integrated) if integrated else None,
        }
        if bound.size <= _LISTED:
            values["xi_c"], values["closed_form"] = _listed(bound), _listed(np.where(known, closed, np.nan))
        told = f"{bound.size} points, the bound within {values['deviation']:.1e} of the closed form"
        if bound.size == 1:
            if p.lower:
                values["xi_lower"] = _lower(p.gamma[0], p.g[0], p.J[0])
            told = f"asymmetric up to xi = {values['xi_c']:.6g}, closed form {values['closed_form']:.6g}"
        if values["lasting"] < 1:
            told += f"; below {1 - values['lasting']:.1%} of the bounds dyads oscillate instead of coming to rest"
        record.console.done(told)
        if bound.size > 1:
            with_picture(record, "phase-diagram", lambda path: draw_diagram(path, p, bound))
        return values


def _lower(gamma: float, g: float, J: float) -> float | None:
    try:
        return lower_bound(gamma, g, J)
    except NoSuchState:
        return None


def _agreeing(gamma: float, g: Array, J: float, bound: Array) -> NDArray[np.bool_]:
    """Whether a small difference of the condensates grows below the bound and fades above, by integration."""
    xi = np.stack((1 - _ASIDE, 1 + _ASIDE))[:, None] * bound
    detuning = np.broadcast_to(g, xi.shape)
    a = np.sqrt((gamma + abs(J) - 1) / ((1 - abs(J)) * xi)).ravel()
    psi = a[:, None] * np.array([1 + 1e-5, np.sign(J) * (1 - 1e-5)], np.complex128)
    dt = min(time_step(gamma, float(d), float(x), J, 0.05) for d, x in zip(detuning.ravel(), xi.ravel(), strict=True))
    spans = []
    for _ in range(2):  # what fades fast has faded after the first
        psi = evolve_dyads(psi, gamma, detuning.reshape(-1, 1), xi.reshape(-1, 1), J, 30.0, dt / 2)
        spans.append(np.abs(psi[:, 0] - np.sign(J) * psi[:, 1]).reshape(xi.shape))
    below, above = spans[1] / spans[0]
    return np.asarray((below > 1) & (above < 1))


def _listed(points: Array) -> Any:
    """Without the axes that have one value only; null where there is no bound."""
    found = points.astype(np.object_)
    found[~np.isfinite(points)] = None
    return np.squeeze(found).tolist()


def _span(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{min(values):g} to {max(values):g}"
