"""Light of the hologram table on its camera: the panel's and the reference's, as coherent as their paths are still."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.frozen import unlike
from simulators.physics.source_light import mean_of_tones, tone_moments, warm
from simulators.worlds.hologram.parameters import HologramParameters
from simulators.worlds.hologram.truth import HiddenTable, hidden_table, panel_wavefront
from simulators.worlds.hologram.view import Means, View
from simulators.worlds.parts.exposure import exposure_instants, flicker_in, flicker_states
from simulators.worlds.parts.panel import NOTICEABLE_RAD, Panel
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.truth import DRIFT_STEP_S, HOUR_S, dust_shade

_MOST_VIEWS = 3
_NEARLY_AT_REST_RAD = 0.2


class HologramLight:
    """Follows the panel, and keeps what regions of the camera see of it."""

    def __init__(self, p: HologramParameters, panel: Panel) -> None:
        self._p = p
        self._panel = panel
        self._truth = hidden_table(p)
        self._pupil = pupil(p)
        self._states = flicker_states(self._truth.panel)
        self._views: OrderedDict[Region, View] = OrderedDict()
        self._step = 0
        panel.listeners.append(self)

    # --- following the panel --------------------------------------------------------------------------------------

    def region_changes(self, old: NDArray[np.float64], new: NDArray[np.float64], row: int, column: int) -> None:
        """Mark rows whose light changes: fringing fields reach one further."""
        changed = np.flatnonzero((old != new).any(axis=1))
        for view in self._views.values():
            for reach in (-1, 0, 1):
                view.stale[np.clip(row + changed + reach, 0, len(view.stale) - 1)] = True

    def patches_change(
        self, panel_phase: NDArray[np.float64], origins: NDArray[np.int32], values: NDArray[np.float64]
    ) -> None:
        """Mark rows whose light changes."""
        height = values.shape[1]
        for view in self._views.values():
            for row in np.unique(origins[:, 0]):
                view.stale[max(row - 1, 0) : row + height + 1] = True

    # --- light ----------------------------------------------------------------------------------------------------

    def on_camera(
        self, region: Region, start_s: float, duration_s: float, pump_w: float, reference_w: float
    ) -> NDArray[np.float64]:
        """Mean power (rows, columns) on each pixel of a region during an exposure, W, before the camera's filters.

        pump_w: emitted towards the panel; reference_w: on the reference's arm.
        """
        self._panel.rest(start_s)
        view = self._view(region, start_s)
        signal_w = pump_w * self._p.beam.transmission * (not self._p.beam.blocked)
        reference_w *= not self._p.reference.blocked
        both = signal_w > 0 and reference_w > 0
        power: NDArray[np.float64] = np.zeros(region[2:])
        if signal_w > 0:
            intensity, product = self._mean(view, start_s, duration_s, both)
            power += signal_w * intensity
            if product is not None:
                path = path_factor(self._truth, start_s, duration_s, self._p.noise)
                power += 2 * math.sqrt(signal_w * reference_w) * (product * np.conj(path)).real
        if reference_w > 0:
            power += reference_w * view.reference_intensity()
        return np.maximum(power, 0.0) * (view.area_m2 * power_factor(self._p, self._truth, start_s, duration_s))

    def pump_in_states(self, region: Region, start_s: float) -> NDArray[np.float64]:
        """Share (states, rows, columns) of the power emitted that falls on each pixel, in each state of the flicker.

        At this moment, also of a panel in motion, which has one state. `flicker_weights` says how states mix.
        """
        self._panel.rest(start_s)
        view = self._view(region, start_s)
        moving = self._panel.moving and self._panel.largest_motion(start_s) > NOTICEABLE_RAD
        means = view.at(self._panel.phase_image(start_s), False) if moving else view.targets(self._panel.phase, False)
        passed = self._p.beam.transmission * (not self._p.beam.blocked)
        return means.intensity * (view.area_m2 * passed)

    def flicker_weights(self, start_s: float, duration_s: float) -> NDArray[np.float64]:
        """How the states (states,) of the panel's flicker mix in an exposure."""
        return flicker_in(self._truth.panel, start_s, duration_s).weights

    def power_factor(self, start_s: float, duration_s: float) -> float:
        """Power of the laser in an exposure relative to what it is set to."""
        return power_factor(self._p, self._truth, start_s, duration_s)

    def _mean(
        self, view: View, start_s: float, duration_s: float, both: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.complex128] | None]:
        """|E|^2 and E R* over an exposure: flicker about the targets, and motion towards them without it."""
        panel, weights = self._panel, flicker_in(self._truth.panel, start_s, duration_s).weights
        known = view.targets(panel.phase, both)
        parts: list[tuple[float, Means, int]] = [(w, known, s) for s, w in enumerate(weights)]
        farthest = panel.largest_motion(start_s) if panel.moving else 0.0
        if farthest > NOTICEABLE_RAD:
            calm = farthest < _NEARLY_AT_REST_RAD
            fastest_s = duration_s if calm else panel.fastest_motion_s(start_s)
            times_s, shares = exposure_instants(duration_s, fastest_s)
            parts += [
                (w / shares.sum(), view.at(panel.phase_image(start_s + t), both), 0)
                for t, w in zip(times_s, shares, strict=True)
            ]
            parts.append((-1.0, known, 0))
        intensity = sum((w * m.intensity[s] for w, m, s in parts), np.zeros(known.intensity.shape[1:]))
        if not both:
            return intensity, None
        products = [(w, m.product[s]) for w, m, s in parts if m.product is not None]
        return intensity, sum((w * e for w, e in products), np.zeros(intensity.shape, np.complex128))

    def _view(self, region: Region, time_s: float) -> View:
        step = math.floor(time_s / DRIFT_STEP_S)
        if step != self._step:
            self._step = step
            self._views.clear()
        if region not in self._views:
            self._make_view(region)
            if len(self._views) > _MOST_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(region)
        return self._views[region]

    def _make_view(self, region: Region) -> View:
        step = self._step
        kelvin = self._truth.kelvin((step + 0.5) * DRIFT_STEP_S if step else 0.0)
        down, across = (kelvin * drift for drift in self._truth.geometry.pointing_m_per_kelvin)
        scale = 1 - self._truth.phase_per_kelvin * kelvin
        self._views[region] = View(self._p, self._truth, self._pupil, region, (down, across), scale, self._states)
        return self._views[region]

    # --- frozen state ---------------------------------------------------------------------------------------------

    def frozen(self) -> dict[str, Any]:
        """What regions of the camera know of the panel, as plain values."""
        return {"step": self._step, "views": [[list(region), view.frozen()] for region, view in self._views.items()]}

    def thaw(self, kept: Any) -> None:
        """Go on from `frozen`, on a panel that was thawed before. Raises ConfigurationError if it does not fit."""
        self._step = int(kept["step"])
        self._views.clear()
        for (row, column, rows, columns), state in kept["views"][:_MOST_VIEWS]:
            c = self._p.camera
            if (
                min(row, column) < -c.rows - c.columns
                or min(rows, columns) < 1
                or max(rows, columns) > c.rows + c.columns
            ):
                raise unlike(f"a region of {rows}x{columns} at {row}, {column}")
            self._make_view((row, column, rows, columns)).thaw(state)


def pupil(p: HologramParameters) -> NDArray[np.complex64]:
    """Field (rows, columns) on the panel: squares add up to the share of the beam that falls on it."""
    truth = hidden_table(p)
    shares = []
    for count, shift_m in zip((p.slm.rows, p.slm.columns), truth.beam.shift_m, strict=True):
        edges = (np.arange(count + 1) - count / 2) * p.slm.pitch - shift_m
        shares.append(0.5 * np.diff([math.erf(math.sqrt(2) * x / truth.beam.waist_m) for x in edges]))
    shade = dust_shade(p.slm.rows, p.slm.columns, truth.panel.dust)
    field = np.sqrt(shares[0][:, None] * shares[1][None, :]) * shade * np.exp(1j * panel_wavefront(p))
    return np.asarray(field, np.complex64)


def path_factor(truth: HiddenTable, start_s: float, duration_s: float, noise: bool) -> complex:
    """Mean of exp(i phase) of the reference's path over an exposure, relative to bench time 0."""
    r = truth.reference
    phase, spread = r.drift_rad_per_s * (start_s + duration_s / 2), (r.drift_rad_per_s * duration_s) ** 2 / 12
    if noise and r.path_amplitude > 0:
        for hz, at in zip(r.path_hz, r.path_phases, strict=True):
            mean, square = tone_moments(start_s, duration_s, hz, at, r.path_amplitude)
            phase += mean
            spread += square - mean**2
    return complex(math.exp(-spread / 2) * np.exp(1j * phase))


def power_factor(p: HologramParameters, truth: HiddenTable, start_s: float, duration_s: float) -> float:
    """Power of the laser in an exposure relative to what it is set to."""
    t, middle_s = truth.laser, start_s + duration_s / 2
    factor = warm(middle_s, t.warm_up, t.warm_up_s) * math.exp(t.drift_per_hour * middle_s / HOUR_S)
    if p.noise:
        factor *= 1 + mean_of_tones(start_s, duration_s, t.slow_hz, t.slow_phases, t.slow_amplitude)
    return factor
