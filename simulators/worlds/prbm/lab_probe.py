"""What a detector sees on a table with hidden imperfections, by a fast road and by the plain one.

The mean over an exposure is taken in three states of the panel's flicker, weighted so that mean and mean square of the
flicker over this exposure come out right (Chebyshev's rule; exact to the fifth order over whole periods):

    P = sum_k w_k P_k(targets) + sum_q w_q P_0(phases at t_q) - P_0(targets)

Flicker of a pixel in motion is that of its target, and the motion is seen without flicker; the product of both is left
out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.frozen import fill, unlike
from simulators.physics.far_field import intensity, row_fields
from simulators.physics.fourier_plane import NODES_PER_PIXEL, gauss_legendre
from simulators.physics.fringing import blurred
from simulators.physics.window_motion import add_motion
from simulators.physics.window_sums import (
    Coupled,
    bring_lines_up_to_date,
    follow,
    light_rows,
    mark,
    mark_patches,
    window_nodes,
)
from simulators.worlds.parts.exposure import exposure_instants, flicker_in, flicker_states
from simulators.worlds.parts.panel import Panel
from simulators.worlds.parts.truth import PanelTruth
from simulators.worlds.prbm.optics import Optics, Window
from simulators.worlds.prbm.wide_view import WideView
from simulators.worlds.prbm.window_plan import coupled_rows, is_narrow, nothing_kept, plan_window

_DARK = 1e-9
"""Of the brightest row's power: rows with less are left out."""

_NEARLY_AT_REST_RAD = 0.2
"""What moves less far than this in an exposure is averaged over it by two instants, to 1e-5 of the light."""

_SUMS = ("sums", "features", "fields", "lines", "shown", "first", "last", "stale")
"""Of what is kept, all but what is worked out from these or written before it is read."""


class LabProbe:
    """Light on one window of the focal plane.

    Narrow windows keep sums that follow the panel (`simulators.physics.window_sums`), of those rows that are lit; wide
    ones look at the whole panel anew (`simulators.physics.wide_frame`). `reference` takes the plain road and shares
    nothing with them but geometry, the pixels' motion and the instants of an exposure.
    """

    def __init__(self, optics: Optics, truth: PanelTruth, panel: Panel, window: Window) -> None:
        self._optics = optics
        self._truth = truth
        self._panel = panel
        self._window = window
        order = 1 if window.point else NODES_PER_PIXEL
        nodes, self._node_weights = gauss_legendre(order)
        self._nodes_m = 0.5 * window.width_m * nodes
        self.narrow = is_narrow(optics, window)
        self._rows = (0, 0)
        self._shares = np.empty(0)
        self._coupling = np.empty((0, 0))
        self._coupled: Coupled
        self._knows_nothing = True
        if self.narrow:
            panel.listeners.append(self)

    def close(self) -> None:
        """Stop following the panel."""
        if self in self._panel.listeners:
            self._panel.listeners.remove(self)

    # --- following the panel --------------------------------------------------------------------------------------

    def region_changes(self, old: NDArray[np.float64], new: NDArray[np.float64], row: int, column: int) -> None:
        """Note where targets change; they are looked at when light is asked for."""
        if self._rows[1]:
            mark(self._fast.plan, self._kept, row, column, *new.shape)

    def patches_change(
        self, panel_phase: NDArray[np.float64], origins: NDArray[np.int32], values: NDArray[np.float64]
    ) -> None:
        """Note where targets change."""
        if self._rows[1]:
            mark_patches(self._fast.plan, self._kept, origins, *values.shape[1:])

    # --- frozen state ---------------------------------------------------------------------------------------------

    def frozen(self, shares: NDArray[np.float64]) -> dict[str, Any]:
        """Sums, which keep the rounding of all changes; shares: of now."""
        kept = {name: getattr(self._kept, name) for name in _SUMS} if self.narrow and self._rows[1] else None
        return {
            "rows": list(self._rows),
            "lit": self._shares is shares,
            "knows_nothing": self._knows_nothing,
            "sums": kept,
        }

    def thaw(self, kept: Any, shares: NDArray[np.float64]) -> None:
        """Go on from `frozen`, on a panel that was thawed before. Raises ConfigurationError if it does not fit."""
        first, end = (int(n) for n in kept["rows"])
        if not 0 <= first <= end <= self._optics.rows:
            raise unlike(f"rows {first} to {end} of {self._optics.rows}")
        self._knows_nothing = bool(kept["knows_nothing"])
        if kept["lit"]:
            self._shares = shares
        if not end:
            return
        self._look_at(first, end)
        if kept["lit"]:
            self._coupling = self._optics.coupling(shares)[first:end]
            if self.narrow:
                self._coupled = coupled_rows(self._lit, self._coupling, self._fast)
        if self.narrow:
            for name in _SUMS:
                fill(getattr(self._kept, name), kept["sums"][name])
            self._kept.wanted[:] = self._kept.shown
            self._knows_nothing = bool(kept["knows_nothing"])

    # --- light ----------------------------------------------------------------------------------------------------

    def power(
        self, start_s: float, duration_s: float, shares: NDArray[np.float64], gains: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Mean power (rows, columns) on each pixel during an exposure, W; see `reference`."""
        self._light_with(shares)
        if not self._rows[1]:
            return np.zeros(self._window.x_m.shape)
        if not self.narrow:
            return self._wide.power(
                self._images(start_s, duration_s), self._coupling * gains[self._lit.slices][:, None]
            )
        plan, kept = self._fast.plan, self._kept
        follow(plan, kept, self._panel.phase, self._knows_nothing)
        self._knows_nothing = False
        bring_lines_up_to_date(plan, kept, self._coupled)
        row_gains = gains[self._lit.slices]
        flicker = flicker_in(self._truth, start_s, duration_s)
        nodes = window_nodes(kept, row_gains, flicker.weights)
        if self._panel.moving:
            add_motion(plan, kept, self._coupled, self._panel.motion(*self._instants(start_s, duration_s)),
                       row_gains, nodes)  # fmt: skip
        return self._fast.readout.pixels(nodes, self._window.area_m2)

    def _light_with(self, shares: NDArray[np.float64]) -> None:
        if shares is self._shares:
            return
        self._shares = shares
        coupling = self._optics.coupling(shares)
        lit = np.flatnonzero(coupling[:, 0] > _DARK * coupling[:, 0].max())
        first, end = (int(lit[0]), int(lit[-1]) + 1) if len(lit) else (0, 0)
        known, reached = self._rows[1] - self._rows[0], end - first
        if not reached:
            self._rows = 0, 0
            return
        if not (self._rows[0] <= first and end <= self._rows[1]) or known > 2 * reached:
            self._look_at(first, end)
        self._coupling = coupling[self._rows[0] : self._rows[1]]
        if self.narrow:
            self._coupled = coupled_rows(self._lit, self._coupling, self._fast)
            light_rows(self._kept, self._coupled)

    def _look_at(self, first: int, end: int) -> None:
        """Rows ``first`` to ``end`` - 1 of the optics from now on."""
        self._rows = first, end
        self._lit = self._optics.part(first, end)
        if not self.narrow:
            self._wide = WideView(self._lit, self._window, len(self._panel.phase))
        else:
            states = flicker_states(self._truth)
            self._fast = plan_window(self._lit, self._window, states, len(self._panel.phase))
            self._kept = nothing_kept(self._fast.plan)
            self._knows_nothing = True

    def _images(self, start_s: float, duration_s: float) -> Iterator[tuple[NDArray[np.float64], float, float]]:
        """Panel images of an exposure, states of the flicker and weights."""
        states, weights = flicker_in(self._truth, start_s, duration_s)
        if self._panel.moving:
            weights = weights - (states == 0.0)
        for state, weight in zip(states, weights, strict=True):
            yield self._panel.phase, state, weight
        if self._panel.moving:
            for time_s, weight in zip(*self._instants(start_s, duration_s), strict=True):
                yield self._panel.phase_image(time_s), 0.0, weight

    def reference(
        self, start_s: float, duration_s: float, shares: NDArray[np.float64], gains: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The same by the plain road, for any window.

        shares: (samples,) of full power at `Optics.samples_m`. gains: (bands,) relative power of each band's slice.
        """
        coupling = self._optics.coupling(shares) * gains[self._optics.slices][:, None]
        targets = self._optics.lit(self._panel.phase)
        flicker = flicker_in(self._truth, start_s, duration_s)
        power = np.zeros(self._window.x_m.shape)
        for state, weight in zip(flicker.states, flicker.weights, strict=True):
            power += weight * self._power(targets, state, coupling)
        if self._panel.moving:
            power -= self._power(targets, 0.0, coupling)
            for time_s, weight in zip(*self._instants(start_s, duration_s), strict=True):
                phase = self._optics.lit(self._panel.phase_image(time_s))
                power += weight * self._power(phase, 0.0, coupling)
        return power

    def _instants(self, start_s: float, duration_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gauss-Legendre instants of an exposure and their weights: two where all is nearly at rest."""
        if self._panel.largest_motion(start_s) < _NEARLY_AT_REST_RAD:
            nodes, weights = gauss_legendre(2)
            return start_s + 0.5 * duration_s * (nodes + 1), weights
        elapsed_s, weights = exposure_instants(duration_s, self._panel.fastest_motion_s(start_s))
        return start_s + elapsed_s, weights

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
