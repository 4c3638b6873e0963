"""`dyad.steady-state`: where a dyad comes to rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from labctl.client import Bench, Recorder
from protocols.dyad.equation.figure import DyadParameters, EquationFigure, Positive, told_as_configuration, with_picture
from protocols.dyad.equation.state_picture import draw_states
from simulators.physics.condensates.asymmetric_dyads import asymmetric_state, balanced_state, lower_bound
from simulators.physics.condensates.dyads import DyadState, NoSuchState, pitchfork_bound, symmetric_state


class SteadyStateParameters(DyadParameters):
    """One dyad; its sites need not be alike."""

    r_g: Positive = Field(1.0, description="detuning of site 2 in units of g")
    r_gamma: Positive = Field(1.0, description="pumping of site 2 in units of gamma")


class SteadyState(EquationFigure):
    """Amplitudes, phase difference and chemical potential of a dyad at rest, and how fast the symmetric state is left.

    Values: `a` of the denser condensate, `b` of the other, `theta` their phase difference (0 to pi), `mu`, with
    condensate 1 denser; `growth_rate` of small disturbances of the symmetric state (of what it has become where sites
    differ), `asymmetric_growth_rate` of the asymmetric one, `stable` whether that is negative. `states` has both
    orientations with signed theta = arg(psi_2/psi_1). `rho_0`, `mu_0` of the symmetric state of equal sites, `xi_c`
    above which dyads are symmetric, `xi_lower` (null: none) below which they do not come to rest. At xi >= xi_c the
    state at rest is the symmetric one, and `asymmetric` is false.
    """

    Parameters = SteadyStateParameters

    def targets(self, parameters: SteadyStateParameters) -> dict[str, dict[str, float]] | None:
        """Reproduced independently: a = 1.6476108, b = 1.3533556, theta = 0.6815359, mu = 2.8588579."""
        if parameters != SteadyStateParameters():
            return None
        known = {"a": 1.6476108, "b": 1.3533556, "theta": 0.6815359, "mu": 2.8588579}
        return {name: {"min": value - 1e-6, "max": value + 1e-6} for name, value in known.items()}

    def run(self, bench: Bench, parameters: SteadyStateParameters, record: Recorder) -> dict[str, Any]:
        """By Newton's method from Eq. (1)."""
        p = parameters
        at = (p.gamma, p.g, p.xi, p.J)
        with told_as_configuration():
            even = symmetric_state(*at)
            bound = float(pitchfork_bound(p.gamma, p.g, p.J))
            balanced = balanced_state(*at, p.r_g, p.r_gamma)
            asymmetric = p.xi < bound
            states = (
                [asymmetric_state(*at, p.r_g, p.r_gamma, denser) for denser in (1, 2)] if asymmetric else [balanced]
            )
        first = states[0]
        return {
            "a": first.a,
            "b": first.b,
            "theta": abs(first.theta),
            "mu": first.mu,
            "growth_rate": balanced.growth_rate,
            "asymmetric": asymmetric,
            "asymmetric_growth_rate": first.growth_rate if asymmetric else None,
            "stable": first.stable,
            "states": [_told(state) for state in states],
            "rho_0": even.a**2,
            "mu_0": even.mu,
            "xi_c": bound,
            "xi_lower": _lower(p) if asymmetric else None,
        }

    def conclude(self, results: dict[str, Any], parameters: SteadyStateParameters, record: Recorder) -> dict[str, Any]:
        """Draw a dyad that gets there."""
        v = results
        kind = "asymmetric" if v["asymmetric"] else f"symmetric (xi is not below xi_c = {v['xi_c']:.4g})"
        if not v["stable"]:
            kind += ", unstable: dyads do not come to rest"
        record.console.done(
            f"{kind}: a = {v['a']:.7g}, b = {v['b']:.7g}, phase difference {v['theta']:.7g}, mu = {v['mu']:.7g}; "
            f"disturbances of the symmetric state grow as exp({v['growth_rate']:.4g} t)"
        )
        with_picture(record, "steady-state", lambda path: draw_states(path, parameters, v))
        return v


def _told(state: DyadState) -> dict[str, Any]:
    denser = 1 if state.a > state.b else 2
    return {"denser": denser if state.a != state.b else None, **asdict(state), "stable": state.stable}


def _lower(p: SteadyStateParameters) -> float | None:
    try:
        return lower_bound(p.gamma, p.g, p.J)
    except NoSuchState:
        return None
