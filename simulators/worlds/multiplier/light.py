"""Light of the multiplier on its camera: many exposures at once, and one the plain way.

A strip in motion, and both panels' flicker, are seen by the means of their phases where these change little in an
exposure, at some instants of it where they change more. Couplings in motion are taken as they are at the middle.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fourier_plane import gauss_legendre
from simulators.physics.source_light import tone_moments
from simulators.physics.vector_matrix import add_rows, exposed, image_weights
from simulators.worlds.hologram.light import path_factor, power_factor
from simulators.worlds.multiplier.panels import Couplings, Strip
from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.multiplier.truth import multiplier_truth
from simulators.worlds.multiplier.view import Geometry, Maps, column_phasors, geometry, reference_field
from simulators.worlds.parts.panel import NOTICEABLE_RAD, Panel
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.truth import DRIFT_STEP_S, PanelTruth
from simulators.worlds.table import LIGHT_M_S, PLANCK_J_S

Array = NDArray[np.float64]
Field = NDArray[np.complex64]

_MOST_MAPS = 2
_CALM_FLICKER_RAD = 0.08
"""Rms at a phase of pi, up to which flicker is seen by its mean: 0.3 % of the fringes are lost then, at most."""
_CALM_MOTION_RAD = 0.2
"""The same of a strip in motion."""
_MIDDLES = gauss_legendre(2)[0]


@dataclass(frozen=True, eq=False)
class Exposure:
    """What the strip shows in one exposure.

    weights: (instants,); strip: (instants, sub-pixels) its field for 1 W; scales: (instants,) of the couplings' phases.
    """

    number: int
    start_s: float
    duration_s: float
    signal_w: float
    reference_w: float
    weights: Array
    strip: Field
    scales: Array

    @property
    def middle_s(self) -> float:
        """Bench time."""
        return self.start_s + self.duration_s / 2


class MultiplierLight:
    """Follows both panels, and keeps the maps of what couplings show."""

    def __init__(self, p: MultiplierParameters, strip: Panel, couplings: Panel) -> None:
        self.p = p
        self.truth = multiplier_truth(p)
        self._strip_panel, self.couplings_panel = strip, couplings
        self.strip, self.couplings = Strip(p), Couplings(p)
        shift_px, scale = self.truth.registration
        self.image_m = self.strip.x_m * scale + shift_px * p.coupling.pitch
        image = image_weights(self.couplings.x_m, self.image_m, p.optics.column_blur) / math.sqrt(scale)
        self._image = image.indptr.astype(np.int32), image.indices.astype(np.int32), image.data.astype(np.complex64)
        per_photon = p.camera.quantum_efficiency * p.pump.wavelength / (PLANCK_J_S * LIGHT_M_S)
        self.electrons_per_joule = per_photon * p.optics.camera_attenuation
        self._maps: OrderedDict[tuple[int, int], Maps] = OrderedDict()
        self._references: OrderedDict[Region, Field] = OrderedDict()
        couplings.listeners.append(self)

    # --- following the couplings ----------------------------------------------------------------------------------

    def region_changes(self, *_: object) -> None:
        """Maps are worked out anew."""
        self._maps.clear()

    def patches_change(self, *_: object) -> None:
        """Maps are worked out anew."""
        self._maps.clear()

    # --- one exposure ---------------------------------------------------------------------------------------------

    def exposure(self, number: int, start_s: float, duration_s: float, signal_w: float, reference_w: float) -> Exposure:
        """What the strip shows from now on for so long. number: of the camera's. Powers: emitted into the two arms."""
        p, panel = self.p, self._strip_panel
        panel.rest(start_s)
        farthest = panel.largest_motion(start_s) if panel.moving else 0.0
        times_s, weights = self._instants(start_s, duration_s, farthest > _CALM_MOTION_RAD)
        within_s = duration_s if len(times_s) == 1 else 0.0
        kelvin = self._kelvin(start_s + duration_s / 2)
        strip = np.empty((len(times_s), len(self.strip.x_m)), np.complex64)
        scales = np.empty(len(times_s))
        for q, t in enumerate(times_s):
            phase = panel.phase
            if panel.moving:
                middles = t + 0.5 * within_s * _MIDDLES if within_s else (t,)
                phase = np.mean([panel.phase_image(float(at)) for at in middles], axis=0)
            strip[q] = self.strip.field(phase, self.strip_scale(t - within_s / 2, within_s))
            scales[q] = (1 + _flicker(self.truth.coupling, t - within_s / 2, within_s)) * kelvin
        signal_w *= not p.beam.blocked
        reference_w *= not p.reference.blocked
        return Exposure(number, start_s, duration_s, signal_w, reference_w, weights, strip, scales)

    def strip_scale(self, start_s: float, duration_s: float) -> float:
        """By which all phases of the strip are multiplied, in the mean."""
        return (1 + _flicker(self.truth.light.panel, start_s, duration_s)) * self._kelvin(start_s + duration_s / 2)

    def _instants(self, start_s: float, duration_s: float, moves: bool) -> tuple[Array, Array]:
        count = 1
        fastest_s = self._strip_panel.fastest_motion_s(start_s) if moves else 0.0
        if fastest_s > 0:
            count = 2 + math.ceil(duration_s / fastest_s)
        for panel in (self.truth.light.panel, self.truth.coupling):
            if math.pi * panel.flicker_share > _CALM_FLICKER_RAD:
                count = max(count, 2 + math.ceil(2 * panel.flicker_hz * duration_s))
        nodes, weights = gauss_legendre(min(count, 32))
        return start_s + 0.5 * duration_s * (np.asarray(nodes) + 1), np.asarray(weights / np.sum(weights))

    def _kelvin(self, time_s: float) -> float:
        """Scale of all phases by the room's temperature, which is followed in steps."""
        step = math.floor(time_s / DRIFT_STEP_S)
        kelvin = self.truth.light.kelvin((step + 0.5) * DRIFT_STEP_S if step else 0.0)
        return 1 - self.truth.light.phase_per_kelvin * kelvin

    def pointing_m(self, time_s: float) -> float:
        """Of the light behind the couplings; along rows the camera sees an image, which stays."""
        step = math.floor(time_s / DRIFT_STEP_S)
        kelvin = self.truth.light.kelvin((step + 0.5) * DRIFT_STEP_S if step else 0.0)
        return kelvin * self.truth.light.geometry.pointing_m_per_kelvin[1]

    # --- on the camera --------------------------------------------------------------------------------------------

    def electrons(self, region: Region, exposures: list[Exposure]) -> Array:
        """Mean photoelectrons (exposures, rows, columns)."""
        durations = np.array([e.duration_s for e in exposures])
        per_watt = durations * self.electrons_per_joule
        return np.asarray(self.on_camera(region, exposures) * per_watt[:, None, None])

    def on_camera(self, region: Region, exposures: list[Exposure]) -> Array:
        """Mean power (exposures, rows, columns) on each pixel, W, before the camera's filters."""
        out = np.zeros((len(exposures), *region[2:]))
        at = geometry(self.p, region)
        reference = self.reference(region, at)
        dark = np.zeros((1, *reference.shape), np.complex64)
        lit = [k for k, e in enumerate(exposures) if e.signal_w > 0]
        fields = dict(zip(lit, self.fields(region, at, [exposures[k] for k in lit]), strict=True))
        for k, e in enumerate(exposures):
            path = self.coherence(e)
            weights = e.weights if k in fields else np.ones(1)
            for weight, field in zip(weights, fields.get(k, dark), strict=True):
                exposed(field, reference, path, at.weights, weight * e.signal_w, weight * e.reference_w, out[k])
            out[k] *= power_factor(self.p, self.truth.light, e.start_s, e.duration_s)
        return np.asarray(np.maximum(out, 0.0) * self.p.camera.pitch**2)

    def coherence(self, e: Exposure) -> complex:
        """Of the reference with the light from the panels: phase of its path, and what an exposure and the width of
        pixels leave of fringes; rows of a pixel are seen by their nodes."""
        path = path_factor(self.truth.light, e.start_s, e.duration_s, self.p.noise)
        if self.p.camera.ideal:
            return path
        return path * float(np.sinc(self.truth.light.reference.carrier[1]))

    def reference(self, region: Region, at: Geometry) -> Field:
        """The reference's field, kept for some regions."""
        if region not in self._references:
            self._references[region] = reference_field(self.p, at, region)
            if len(self._references) > _MOST_MAPS:
                self._references.popitem(last=False)
        return self._references[region]

    def fields(self, region: Region, at: Geometry, exposures: list[Exposure]) -> list[Field]:
        """E (instants, rows x n, columns) of each exposure, for 1 W."""
        groups = [exposures] if exposures else []
        if any(self.couplings_move(e) for e in exposures):
            groups = [[e] for e in exposures]
        return [field for group in groups for field in self._together(region, at, group)]

    def couplings_move(self, e: Exposure) -> bool:
        panel = self.couplings_panel
        panel.rest(e.start_s)
        return panel.moving > 0 and panel.largest_motion(e.start_s) > NOTICEABLE_RAD

    def _together(self, region: Region, at: Geometry, exposures: list[Exposure]) -> list[Field]:
        p = self.p
        u = self.on_couplings(np.concatenate([e.strip for e in exposures]))
        scales = np.concatenate([e.scales for e in exposures])
        columns = len(at.x_m)
        turned = np.empty((len(u), len(scales), columns), np.complex64)
        first = 0
        for pointing_m, some in groupby(exposures, lambda e: self.pointing_m(e.middle_s)):
            phasors = column_phasors(p, at, self.couplings.x_m, pointing_m).T
            last = first + sum(len(e.weights) for e in some)
            turned[:, first:last] = u[:, first:last, None] * phasors[:, None, :]
            first = last
        maps = self._maps_for(region, at, exposures[0])
        found = maps.fields(turned.reshape(len(u), -1), np.repeat(scales, columns))
        by_instant = found.reshape(len(at.y_m), len(scales), columns).transpose(1, 0, 2)
        bounds = np.cumsum([0] + [len(e.weights) for e in exposures])
        return [np.ascontiguousarray(by_instant[a:b]) for a, b in pairwise(bounds)]

    def on_couplings(self, strip: Field) -> Field:
        """The strip's fields (instants, sub-pixels) imaged on the couplings: (sub-pixels, instants)."""
        u = np.empty((len(self.couplings.x_m), len(strip)), np.complex64)
        add_rows(*self._image, np.ascontiguousarray(strip.T), u)
        return u

    def _maps_for(self, region: Region, at: Geometry, e: Exposure) -> Maps:
        panel = self.couplings_panel
        if self.couplings_move(e):
            return Maps(self.p, self.couplings, at, panel.phase_image(e.middle_s), (float(e.scales.mean()),))
        key = (region[0], region[2])
        if key not in self._maps:
            self._maps[key] = Maps(self.p, self.couplings, at, panel.phase, self.scales())
            if len(self._maps) > _MOST_MAPS:
                self._maps.popitem(last=False)
        return self._maps[key]

    def scales(self) -> tuple[float, ...]:
        """Between which the couplings' phases are."""
        reach = math.sqrt(2) * self.truth.coupling.flicker_share + abs(self.truth.light.phase_per_kelvin)
        return (1 - 0.7 * reach, 1 + 0.7 * reach) if reach else (1.0,)


def _flicker(truth: PanelTruth, start_s: float, duration_s: float) -> float:
    """Relative change of a panel's phases, in the mean."""
    amplitude = math.sqrt(2) * truth.flicker_share
    if not amplitude:
        return 0.0
    return tone_moments(start_s, duration_s, truth.flicker_hz, truth.flicker_phase, amplitude)[0]
