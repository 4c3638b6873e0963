"""`dyad.steady-state`: where a dyad comes to rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field

from labctl.client import Bench, Recorder
from protocols.dyad.equation.figure import DyadParameters, EquationFigure, Positive, told_as_configuration, with_picture
from protocols.dyad.equation.state_picture import draw_states
from simulators.physics.condensates.asymmetric_dyads import asymmetric_state, balanced_state, lower_bound
from simulators.physics.condensates.dyad_states import Dyad
from simulators.physics.condensates.dyads import DyadState, NoSuchState, pitchfork_bound, symmetric_state
from simulators.physics.condensates.reached_states import Reached, reached_states

_SAME = 1e-6
"""Difference of amplitudes and phase of one state that was found twice."""


class SteadyStateParameters(DyadParameters):
    """One dyad; its sites need not be alike."""

    r_g: Positive = Field(1.0, description="detuning of site 2 in units of g")
    r_gamma: Positive = Field(1.0, description="pumping of site 2 in units of gamma")


class SteadyState(EquationFigure):
    """Amplitudes, phase difference and chemical potential of a dyad at rest, and how fast the symmetric state is left.

    Values: `a`, `b` amplitudes of condensates 1 and 2, `theta` their phase difference (0 to pi), `mu`: of the stable
    state with condensate 1 denser, or, where sites are so unlike that there is none, of the one that there is. They
    are null where no state is stable: then dyads oscillate, and `oscillates` is true. `growth_rate` of small
    disturbances of the symmetric state (of what it has become where sites differ; null where that has ended),
    `asymmetric_growth_rate` of the state that is told, `stable` whether one is. `states` has all that were found,
    unstable ones too, with `denser`, signed theta = arg(psi_2/psi_1), and `share` of 32 dyads that came to rest in it
    from noise; `moving` is the share that did not. `rho_0`, `mu_0` of the symmetric state of equal sites (null below
    their threshold), `xi_c` above which equal sites are symmetric, `xi_lower` (null: none) below which they do not
    come to rest. At xi >= xi_c the state at rest is the symmetric one, and `asymmetric` is false.
    """

    Parameters = SteadyStateParameters

    def targets(self, parameters: SteadyStateParameters) -> dict[str, dict[str, float]] | None:
        """Reproduced independently: a = 1.6476108, b = 1.3533556, theta = 0.6815359, mu = 2.8588579."""
        if parameters != SteadyStateParameters():
            return None
        known = {"a": 1.6476108, "b": 1.3533556, "theta": 0.6815359, "mu": 2.8588579}
        return {name: {"min": value - 1e-6, "max": value + 1e-6} for name, value in known.items()}

    def run(self, bench: Bench, parameters: SteadyStateParameters, record: Recorder) -> dict[str, Any]:
        """States followed from those of equal sites, and those that dyads reach from noise, all by Newton's method."""
        p = parameters
        alike = (p.r_g, p.r_gamma) == (1, 1)
        dyad = Dyad(p.gamma, p.r_gamma * p.gamma, p.g, p.r_g * p.g, p.xi, p.J)
        with told_as_configuration():
            even = _unless_missing(symmetric_state, p) if not alike else symmetric_state(p.gamma, p.g, p.xi, p.J)
            reached = reached_states(dyad, record.rng)
        bound = float(pitchfork_bound(p.gamma, p.g, p.J))
        asymmetric = p.xi < bound
        balanced = _unless_missing(balanced_state, p, p.r_g, p.r_gamma)
        if asymmetric:
            followed = [_unless_missing(asymmetric_state, p, p.r_g, p.r_gamma, denser) for denser in (1, 2)]
        else:
            followed = [balanced]
        states = _with_shares([state for state in followed if state is not None], reached)
        stable = [state for state, _ in states if state.stable]
        told = next((state for state in stable if state.a > state.b), stable[0] if stable else None)
        return {
            "a": told and told.a,
            "b": told and told.b,
            "theta": told and abs(told.theta),
            "mu": told and told.mu,
            "growth_rate": balanced and balanced.growth_rate,
            "asymmetric": asymmetric,
            "asymmetric_growth_rate": told.growth_rate if told and asymmetric else None,
            "stable": told is not None,
            "oscillates": told is None,
            "states": [_described(state, share) for state, share in states],
            "moving": reached.moving,
            "rho_0": even and even.a**2,
            "mu_0": even and even.mu,
            "xi_c": bound,
            "xi_lower": _unless_missing(_lower, p) if asymmetric else None,
        }

    def conclude(self, results: dict[str, Any], parameters: SteadyStateParameters, record: Recorder) -> dict[str, Any]:
        """Draw a dyad that gets there."""
        v = results
        kind = "asymmetric" if v["asymmetric"] else f"symmetric (xi is not below xi_c = {v['xi_c']:.4g})"
        if v["oscillates"]:
            record.console.done("no state is stable: dyads oscillate and do not come to rest")
        else:
            record.console.done(
                f"{kind}: a = {v['a']:.7g}, b = {v['b']:.7g}, phase difference {v['theta']:.7g}, mu = {v['mu']:.7g}"
            )
        if v["growth_rate"] is None:
            record.console.say("sites are so unlike that nothing is left of the symmetric state")
        else:
            record.console.say(f"disturbances of the symmetric state grow as exp({v['growth_rate']:.4g} t)")
        with_picture(record, "steady-state", lambda path: draw_states(path, parameters, v))
        return v


def _unless_missing(find: Any, p: SteadyStateParameters, *unlike: float) -> Any:
    """What find(gamma, g, xi, J, …) gives; None where there is no such state."""
    try:
        return find(p.gamma, p.g, p.xi, p.J, *unlike)
    except NoSuchState:
        return None


def _lower(gamma: float, g: float, xi: float, J: float) -> float:
    return lower_bound(gamma, g, J)


def _with_shares(followed: list[DyadState], reached: Reached) -> list[tuple[DyadState, float]]:
    """All states once, each with the share of dyads that came to rest in it."""
    shares = dict.fromkeys(range(len(followed)), 0.0)
    others = []
    for state, share in reached.states:
        same = [k for k, known in enumerate(followed) if _same(known, state)]
        if same:
            shares[same[0]] = share
        else:
            others.append((state, share))
    return [(state, shares[k]) for k, state in enumerate(followed)] + others


def _same(one: DyadState, other: DyadState) -> bool:
    return max(abs(one.a - other.a), abs(one.b - other.b)) < _SAME


def _described(state: DyadState, share: float) -> dict[str, Any]:
    denser = None if state.a == state.b else 1 if state.a > state.b else 2
    return {"denser": denser, **asdict(state), "stable": state.stable, "share": share}
