"""Light of the sheet on its camera: fields of nodes and windows, enlarged, with the reference's fringes.

A pixel sees the field at its middle; of fringes, it sees what its own width leaves of them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fourier_plane import gauss_legendre
from simulators.physics.source_light import tone_moments
from simulators.worlds.hologram.light import path_factor, power_factor
from simulators.worlds.hologram.truth import reference_phase
from simulators.worlds.parts.panel import NOTICEABLE_RAD, Panel
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.threads import one_thread
from simulators.worlds.parts.truth import DRIFT_STEP_S, PanelTruth
from simulators.worlds.plays import side_by_side
from simulators.worlds.sheet.exposure import Exposure, Pictures, Shown
from simulators.worlds.sheet.interference import STRIP, interfere
from simulators.worlds.sheet.panels import PotentialImage, PumpImage
from simulators.worlds.sheet.parameters import SheetParameters
from simulators.worlds.sheet.sample import Sample
from simulators.worlds.sheet.truth import sheet_truth
from simulators.worlds.table import LIGHT_M_S, PLANCK_J_S

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_MOST_VIEWS = 3
_NEAR = 2e-3
_REACH = 4.0
"""Of a blur in its sigmas."""


class View(NamedTuple):
    """Places on a region of the camera. corner: (places, 2) first row and column of each one's image; down, across:
    (places, size) its amplitude along rows and columns, the latter with zeros up to whole strips. reference: (2, rows,
    columns), root electrons per root J, real and imaginary parts."""

    corner: NDArray[np.int64]
    down: NDArray[np.float32]
    across: NDArray[np.float32]
    reference: NDArray[np.float32]


class SheetLight:
    """Follows both panels, and works out what the camera sees."""

    def __init__(self, p: SheetParameters, panel: Panel, projector: Panel) -> None:
        self.p, self.truth = p, sheet_truth(p)
        self._panel, self._projector = panel, projector
        self.pump_image, self.potential_image = PumpImage(p), PotentialImage(p)
        self.sample = Sample(p)
        self._views: OrderedDict[Region, View] = OrderedDict()
        self._lit: tuple[Array, Array] | None = None
        self.electrons_per_joule = p.camera.quantum_efficiency * p.pump.wavelength / (PLANCK_J_S * LIGHT_M_S)
        projector.listeners.append(self)

    # --- following the potential's panel --------------------------------------------------------------------------

    def region_changes(self, *_: object) -> None:
        """Its light is worked out anew."""
        self._lit = None

    def patches_change(self, *_: object) -> None:
        """Its light is worked out anew."""
        self._lit = None

    # --- one exposure ---------------------------------------------------------------------------------------------

    def exposure(
        self, number: int, start_s: float, duration_s: float, pump_w: float, reference_w: float, reservoir_w: float
    ) -> Exposure:
        """What is shown from now on for so long. Powers: emitted into the two arms, and on the potential's panel."""
        p = self.p
        for panel in (self._panel, self._projector):
            panel.rest(start_s)
        times_s, weights = self._instants(start_s, duration_s)
        # Flicker is fast: each instant has its mean over the part of the exposure that the instant stands for.
        edges_s = start_s + duration_s * np.concatenate([[0.0], np.cumsum(weights)])
        power = (
            pump_w * p.beam.transmission * (not p.beam.blocked) * power_factor(p, self.truth.light, start_s, duration_s)
        )
        size = math.sqrt(power / (p.beam.transmission * p.pump.drive_power))
        shown, potential = [], []
        for t, from_s, within_s in zip(times_s, edges_s[:-1].tolist(), np.diff(edges_s).tolist(), strict=True):
            scale = self._scale(self.truth.light.panel, from_s, within_s)
            phase = self._panel.phase_image(float(t)) if self._panel.moving else self._panel.phase
            shown.append(Shown(phase.astype(np.float32), scale, size))  # what is kept outlives what is shown
            light = self._light_at(float(t), self._scale(self.truth.projector, from_s, within_s))
            potential.append(self.sample.potential(light, reservoir_w, _step_s(float(t))))
        reference_w *= not p.reference.blocked
        return Exposure(number, start_s, duration_s, reference_w, weights, shown, np.stack(potential))

    def _instants(self, start_s: float, duration_s: float) -> tuple[Array, Array]:
        count = 1
        for panel in (self._panel, self._projector):
            if panel.moving and panel.largest_motion(start_s) > NOTICEABLE_RAD:
                fastest_s = panel.fastest_motion_s(start_s)
                count = max(count, 2 + math.ceil(duration_s / fastest_s) if fastest_s > 0 else 1)
        nodes, weights = gauss_legendre(min(count, 16))
        return start_s + 0.5 * duration_s * (np.asarray(nodes) + 1), np.asarray(weights / np.sum(weights))

    def _scale(self, panel: PanelTruth, start_s: float, duration_s: float) -> float:
        """By which all phases of a panel are multiplied: its flicker in the mean, and the room's temperature."""
        amplitude = math.sqrt(2) * panel.flicker_share
        flicker = (
            tone_moments(start_s, duration_s, panel.flicker_hz, panel.flicker_phase, amplitude)[0] if amplitude else 0
        )
        kelvin = self.truth.light.kelvin(_step_s(start_s + duration_s / 2))
        return (1 + flicker) * (1 - self.truth.light.phase_per_kelvin * kelvin)

    def _light_at(self, time_s: float, scale: float) -> Array:
        if self._projector.moving:
            return self.potential_image.light(self._projector.phase_image(time_s), scale)
        # Of a panel at rest, light follows the few parts in a thousand of the scale by a line.
        if self._lit is None:
            low, high = (self.potential_image.light(self._projector.phase, 1 + h) for h in (-_NEAR, _NEAR))
            self._lit = (low + high) / 2, (high - low) / (2 * _NEAR)
        return self._lit[0] + (scale - 1) * self._lit[1]

    # --- on the camera --------------------------------------------------------------------------------------------

    def electrons(self, region: Region, exposures: list[Exposure], threads: int = 1) -> Pictures:
        """Mean photoelectrons (rows, columns) of each exposure, of fields that are worked out by so many threads."""
        view = self._view(region)
        fields, densities = self.fields(exposures, threads)
        at_one = self.p.electrons_at_one * self.truth.collection * (self.truth.gamma / self.p.sample.gamma)
        c, carrier = self.p.camera, self.truth.light.reference.carrier
        seen = 1.0 if c.ideal else float(np.sinc(carrier[0]) * np.sinc(carrier[1]))
        firsts = np.cumsum([0] + [len(e.weights) for e in exposures])

        def see(k: int) -> Array:
            out = np.zeros(region[2:])
            e, first = exposures[k], int(firsts[k])
            size = math.sqrt(at_one * e.duration_s)
            power = power_factor(self.p, self.truth.light, e.start_s, e.duration_s)
            other = math.sqrt(e.reference_w * e.duration_s * power)
            path = path_factor(self.truth.light, e.start_s, e.duration_s, self.p.noise)
            for at, weight in enumerate(e.weights, first):
                interfere(  # type: ignore[no-untyped-call]
                    (size * fields[at]).astype(np.complex64).ravel(),
                    (size**2 * (densities[at] - np.abs(fields[at]) ** 2)).astype(np.float32).ravel(),
                    view.corner, view.down, view.across, view.reference, other, seen * path, float(weight), out,
                )  # fmt: skip

            return out

        return Pictures(len(exposures), see)

    def pumps(self, exposures: list[Exposure], threads: int = 1) -> Complex:
        """P at all places (instants of all exposures, rows, columns)."""

        def pump(shown: Shown) -> Complex:
            if not shown.size:
                return np.zeros(self.p.places, np.complex128)
            return shown.size * self.pump_image.field(shown.phase, shown.scale)

        return np.stack(side_by_side(pump, [s for e in exposures for s in e.shown], threads))

    def fields(self, exposures: list[Exposure], threads: int = 1) -> tuple[Complex, Array]:
        """Mean amplitude and density at all places (instants of all exposures, rows, columns)."""
        with one_thread():
            return self._fields(exposures, threads)

    def _fields(self, exposures: list[Exposure], threads: int) -> tuple[Complex, Array]:
        pump = self.pumps(exposures, threads)
        V = np.concatenate([e.potential for e in exposures])
        psi = np.zeros(pump.shape, np.complex128)
        lit = np.flatnonzero(np.abs(pump).reshape(len(pump), -1).any(axis=1))
        psi[:, 0] = self.p.sample.window * pump[:, 0]
        density = np.abs(psi) ** 2
        if len(lit):
            rest = self.sample.at_rest(V[lit], pump[lit, 2:], threads)
            psi[lit, 2:], density[lit, 2:] = rest.psi, rest.density
        return psi, density

    def places_px(self) -> tuple[Array, float]:
        """Row and column of places (places, 2) on the camera, and pixels from one to the next."""
        g, c = self.truth.light.geometry, self.p.camera
        rows, columns = self.p.places
        y, x = np.meshgrid(np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2, indexing="ij")
        pitch = self.p.node_px * g.scale
        turn = g.rotation_rad
        down = (math.cos(turn) * y + math.sin(turn) * x) * pitch
        across = (math.cos(turn) * x - math.sin(turn) * y) * pitch
        place = np.stack(
            [c.axis_row + g.shift_px[0] + down, c.axis_column + g.shift_px[1] + (-1 if g.flip else 1) * across]
        )
        return np.asarray(place.reshape(2, -1).T), pitch

    def _view(self, region: Region) -> View:
        if region not in self._views:
            self._views[region] = self._made(region)
            if len(self._views) > _MOST_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(region)
        return self._views[region]

    def _made(self, region: Region) -> View:
        p = self.p
        row, column, rows, columns = region
        places, pitch = self.places_px()
        sigma = p.optics.camera_blur / p.sample.node * pitch
        half = math.ceil(pitch / 2 + _REACH * sigma)
        corner = np.floor(places + 0.5).astype(np.int64) - half
        profiles = []
        for axis in (0, 1):
            away = corner[:, axis, None] + np.arange(2 * half + 1)[None, :] - places[:, axis, None]
            profiles.append(_profile(away, pitch, sigma).astype(np.float32))
        down, across = (
            np.arange(row, row + rows, dtype=np.float64),
            np.arange(column, column + columns, dtype=np.float64),
        )
        waist = p.reference.waist / p.camera.pitch
        peak = (
            2
            * p.reference.transmission
            * p.optics.camera_attenuation
            / math.pi
            * (p.camera.pitch / p.reference.waist) ** 2
        )
        shape = [np.exp(-(((at - a) / waist) ** 2)) for at, a in
                 ((down, p.camera.axis_row), (across, p.camera.axis_column))]  # fmt: skip
        size = math.sqrt(peak * self.electrons_per_joule) * shape[0][:, None] * shape[1][None, :]
        waves = size * np.exp(1j * reference_phase(p, down, across))
        strips = np.pad(profiles[1], ((0, 0), (0, -profiles[1].shape[1] % STRIP)))
        reference = np.stack([waves.real, waves.imag]).astype(np.float32)
        return View(corner - np.array([row, column]), profiles[0], strips, reference)


def _profile(away: Array, pitch: float, sigma: float) -> Array:
    """Amplitude at so many pixels from the middle of a node as wide as ``pitch``, blurred."""
    if sigma == 0:
        return (np.abs(away) < pitch / 2).astype(np.float64)
    from scipy.special import ndtr  # a seventh of a second, which every process of a bench would pay

    return np.asarray(ndtr((away + pitch / 2) / sigma) - ndtr((away - pitch / 2) / sigma))


def _step_s(time_s: float) -> float:
    """Bench time, in steps in which what drifts is followed."""
    step = math.floor(time_s / DRIFT_STEP_S)
    return (step + 0.5) * DRIFT_STEP_S if step else 0.0
