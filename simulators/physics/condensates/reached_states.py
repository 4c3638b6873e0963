"""Where dyads that grow from noise end: at rest, in which states and how often, or in an oscillation.

States that are followed from those of equal sites (`asymmetric_dyads`) end where sites are too unlike. What is left
there is found as a dyad finds it, by Eq. (1) from noise, and verified by Newton's method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.physics.condensates.asymmetric_dyads import signed_state
from simulators.physics.condensates.dyad_kernel import evolve_dyads
from simulators.physics.condensates.dyad_states import Dyad, growth_rate, newton
from simulators.physics.condensates.dyads import DyadState, NoSuchState, check_coupling
from simulators.physics.condensates.equation import Complex, seeds

Array = NDArray[np.float64]

_NOISE = 0.01
_STEP = 0.25
"""Phase in a step: amplitudes are wanted, not orientations alone."""
_MOMENT, _STILL = 3.7, 1e-8
"""A dyad at rest changes by less than that in a moment. Both times are whole steps: steps of another length have other
states at rest."""
_NEAR = 1e-3
"""From where integration ends to the state itself: what steps of a finite length make of it."""
_FIRST, _LONGEST = 50.0, 5000.0
"""Times that dyads have; each is twice the one before."""


@dataclass(frozen=True)
class Reached:
    """Stable states that dyads came to rest in, each with the share of them, the most frequent first; and the share
    that was still moving in the end."""

    states: tuple[tuple[DyadState, float], ...]
    moving: float


def vacuum_growth_rate(dyad: Dyad) -> float:
    """Growth rate of amplitudes from no light at all: positive where a dyad condenses."""
    gamma_1, gamma_2, g_1, g_2, _, J = (float(value) for value in dyad.arrays)
    matrix = np.array(
        [[(1 - 1j * g_1) * gamma_1 - 1, (1 - 1j * g_1) * J], [(1 - 1j * g_2) * J, (1 - 1j * g_2) * gamma_2 - 1]]
    )
    return float(np.linalg.eigvals(matrix).real.max())


def reached_states(dyad: Dyad, rng: np.random.Generator, trials: int = 32) -> Reached:
    """Where so many dyads (numbers, J of either sign) come to rest, and how many do not within a time of some 10,000.

    Raises NoSuchState where they do not condense.
    """
    gamma_1, gamma_2, g_1, g_2, xi, J = (float(value) for value in dyad.arrays)
    check_coupling(J)
    if vacuum_growth_rate(dyad) <= 0:
        raise NoSuchState(
            f"gamma = {gamma_1:g} and {gamma_2:g} at the two sites are below their threshold: there is no condensate; "
            "pump harder"
        )
    gain = max(gamma_1, gamma_2)
    density = (gain + abs(J) - 1) / ((1 - abs(J)) * xi)
    dt = _STEP / (max(abs(g_1), abs(g_2)) * gain + density + gain)
    psi, duration = seeds(trials, 2, _NOISE, rng), _FIRST
    while True:
        psi = evolve_dyads(psi, (gamma_1, gamma_2), (g_1, g_2), xi, J, dt * round(duration / dt), dt)
        before = _unphased(psi, J)
        psi = evolve_dyads(psi, (gamma_1, gamma_2), (g_1, g_2), xi, J, dt * round(_MOMENT / dt), dt)
        state = _unphased(psi, J)
        still = (np.abs(state - before) < _STILL * np.maximum(1.0, np.abs(state))).all(axis=1)
        duration *= 2
        if still.all() or duration > _LONGEST:
            return _counted(state[still], Dyad(gamma_1, gamma_2, g_1, g_2, xi, abs(J)), J, trials)


def _unphased(psi: Complex, J: float) -> Array:
    """(a, b, theta) of dyads (n, 2); for J < 0 with the sign of psi_2 turned, which makes J positive."""
    size = np.abs(psi)
    turned = psi[:, 1] * math.copysign(1.0, J)
    return np.stack((size[:, 0], size[:, 1], np.angle(turned * psi[:, 0].conj())), axis=1)


def _counted(ends: Array, dyad: Dyad, J: float, trials: int) -> Reached:
    """Ends (n, 3) of dyads at rest, by the states that Newton's method finds there."""
    found: list[tuple[Array, int]] = []
    for end in ends:
        for k, (state, count) in enumerate(found):
            if np.abs(state - end).max() < _NEAR:
                found[k] = state, count + 1
                break
        else:
            exact = newton(end, dyad)
            if exact is not None and np.abs(exact - end).max() < _NEAR and growth_rate(exact, dyad) < 0:
                found.append((exact, 1))
    found.sort(key=lambda pair: -pair[1])
    states = tuple((signed_state(state, dyad, J), count / trials) for state, count in found)
    return Reached(states, 1 - sum(count for _, count in found) / trials)
