"""Instants of an exposure, and states of the panel's flicker in it, at which light is worked out."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fourier_plane import gauss_legendre
from simulators.physics.source_light import tone_moments
from simulators.worlds.parts.truth import PanelTruth

_OUTER_STATE = math.sqrt(3) / 2
"""Chebyshev node of three, in amplitudes of the flicker."""


class Flicker(NamedTuple):
    """States (n,) of the flicker, each a relative change of every phase, and their weights (n,) in an exposure."""

    states: NDArray[np.float64]
    weights: NDArray[np.float64]


def flicker_states(truth: PanelTruth) -> NDArray[np.float64]:
    """Relative changes of phase (3,), or (1,) without flicker, at which light is worked out; the first is none."""
    amplitude = math.sqrt(2) * truth.flicker_share
    return np.array([0.0, -1.0, 1.0]) * amplitude * _OUTER_STATE if amplitude else np.zeros(1)


def flicker_in(truth: PanelTruth, start_s: float, duration_s: float) -> Flicker:
    """States and weights for one exposure."""
    states = flicker_states(truth)
    if len(states) == 1:
        return Flicker(states, np.ones(1))
    amplitude = math.sqrt(2) * truth.flicker_share
    mean, square = tone_moments(start_s, duration_s, truth.flicker_hz, truth.flicker_phase, amplitude)
    outer = states[2]
    odd, even = mean / (2 * outer), square / (2 * outer**2)
    return Flicker(states, np.array([1 - 2 * even, even - odd, even + odd]))


def exposure_instants(duration_s: float, fastest_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre instants (n,) after the start of an exposure, s, and their weights (n,), of sum 1.

    So many, 64 at most, that a motion with the time constant ``fastest_s`` is resolved.
    """
    nodes, weights = gauss_legendre(min(2 + math.ceil(duration_s / fastest_s), 64))
    return 0.5 * duration_s * (nodes + 1), weights
