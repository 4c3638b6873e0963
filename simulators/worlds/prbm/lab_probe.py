"""What a detector sees on a table with hidden imperfections: the plain road to its light.

The mean over an exposure is taken in three states of the panel's flicker, weighted so that mean and mean square of the
flicker over this exposure come out right (Chebyshev's rule; exact to the fifth order over whole periods):

    P = sum_k w_k P_k(targets) + sum_q w_q P_0(phases at t_q) - P_0(targets)

Flicker of a pixel in motion is that of its target, and the motion is seen without flicker; the product of both is left
out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.far_field import intensity, row_fields
from simulators.physics.fourier_plane import NODES_PER_PIXEL, gauss_legendre
from simulators.physics.fringing import blurred
from simulators.physics.source_light import tone_moments
from simulators.worlds.prbm.optics import Optics, Window
from simulators.worlds.prbm.panel import Panel
from simulators.worlds.prbm.probe import exposure_instants
from simulators.worlds.prbm.truth import PanelTruth

_OUTER_STATE = math.sqrt(3) / 2
"""Chebyshev node of three, in amplitudes of the flicker."""


class Flicker(NamedTuple):
    """States of the flicker (relative change of every phase) and their weights in an exposure."""

    states: NDArray[np.float64]
    weights: NDArray[np.float64]


def flicker_states(truth: PanelTruth) -> NDArray[np.float64]:
    """Relative changes of phase at which light is worked out; the first is none."""
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


class LabProbe:
    """Light on one window of the focal plane."""

    def __init__(self, optics: Optics, truth: PanelTruth, panel: Panel, window: Window) -> None:
        self._optics = optics
        self._truth = truth
        self._panel = panel
        self._window = window
        order = 1 if window.point else NODES_PER_PIXEL
        nodes, self._node_weights = gauss_legendre(order)
        self._nodes_m = 0.5 * window.width_m * nodes

    def reference(
        self, start_s: float, duration_s: float, shares: NDArray[np.float64], gains: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Mean power (rows, columns) on each pixel during an exposure, W.

        shares: (samples,) of full power at `Optics.samples_m`. gains: (bands,) relative power of each band's slice.
        """
        coupling = self._optics.coupling(shares) * gains[self._optics.slices][:, None]
        targets = self._optics.lit(self._panel.phase)
        flicker = flicker_in(self._truth, start_s, duration_s)
        power = np.zeros(self._window.x_m.shape)
        for state, weight in zip(flicker.states, flicker.weights, strict=True):
            power += weight * self._power(targets, state, coupling)
        if self._panel.moving:
            fastest_s = self._panel.fastest_motion_s(start_s)
            power -= self._power(targets, 0.0, coupling)
            for elapsed_s, weight in zip(*exposure_instants(duration_s, fastest_s), strict=True):
                phase = self._optics.lit(self._panel.phase_image(start_s + elapsed_s))
                power += weight * self._power(phase, 0.0, coupling)
        return power

    def _power(self, phase: NDArray[np.float64], state: float, coupling: NDArray[np.float64]) -> NDArray[np.float64]:
        """Power (rows, columns) for phases (rows + 2, columns) of the gray table in one state of the flicker."""
        optics, window = self._optics, self._window
        inner = blurred(phase, optics.down, optics.across)[1:-1]
        driven = inner + state * phase[1:-1, None, :, None]
        phasors = np.exp(1j * optics.scale[:, None, None, None] * driven)
        power = np.zeros(window.x_m.shape)
        for place in np.ndindex(*window.x_m.shape):
            for node_m, node_weight in zip(self._nodes_m, self._node_weights, strict=True):
                x_m, y_m = float(window.x_m[place] + node_m), float(window.y_m[place])
                fields, apart = row_fields(
                    x_m, y_m, optics.kappa, optics.pupil, phasors, optics.panel, optics.unmodulated
                )
                for part in (fields, apart):
                    one = intensity(optics.amplitude * part, y_m, optics.kappa, optics.panel.pitch_m, coupling)
                    power[place] += node_weight * one
        return power * window.area_m2
