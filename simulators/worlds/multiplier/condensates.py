"""The modes in which condensates stand in the multiplier's light: what they do, and what the camera sees of them.

The strip's field is imaged on them, macro-pixel by macro-pixel, and the couplings' macro-pixels are what light passes
from one to the other; where these are, `OscillatorParameters` says. In "shot" every exposure adds up shots that are all
seeded alike; in "injection" condensates run by themselves, and an exposure is much longer than what they need to come
to rest. The camera sees each one's light in its band of rows, by the strip's wavelength, with the reference's fringes:
of a shot, the reference is a pulse as long as the shot and its decay.
"""

from __future__ import annotations

import cmath
import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key
from simulators.physics.domino.injection import Course, mean_of_run
from simulators.physics.domino.shots import Seen, Shot, propagators, seen_of_shots, vacuum
from simulators.physics.fringing import SUB_PIXELS
from simulators.physics.vector_matrix import image_weights
from simulators.worlds.hologram.light import power_factor
from simulators.worlds.multiplier.light import Exposure, MultiplierLight
from simulators.worlds.multiplier.view import Geometry, geometry
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.threads import one_thread

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


class CondensateLight(MultiplierLight):
    """Light of condensates in place of the light that the couplings let through."""

    _J: Complex | None = None
    _region: Region | None = None
    _shape: Array

    def region_changes(self, *_: object) -> None:
        """Couplings are looked at anew."""
        super().region_changes()
        self._J = None

    def patches_change(self, *_: object) -> None:
        """Couplings are looked at anew."""
        super().patches_change()
        self._J = None

    # --- what acts on condensates -----------------------------------------------------------------------------------

    def couplings_now(self, e: Exposure) -> Complex:
        """J (sites, sites) in an exposure."""
        if self.couplings_move(e):
            return self._averaged(self.couplings_panel.phase_image(e.middle_s), float(e.scales.mean()))
        if self._J is None:
            states = [self._averaged(self.couplings_panel.phase, scale) for scale in self.scales()]
            self._J = np.stack(states)
        if len(self._J) == 1:
            return np.asarray(self._J[0])
        low, high = self.scales()
        scale = float(e.scales.mean())
        turned = self._J * np.exp(-1j * math.pi * (np.array([low, high]) - 1))[:, None, None]
        share = (scale - low) / (high - low)
        return np.asarray(((1 - share) * turned[0] + share * turned[1]) * np.exp(1j * math.pi * (scale - 1)))

    def _averaged(self, phase: Array, scale: float) -> Complex:
        """Means of what macro-pixels let pass."""
        o = self.p.oscillators
        field = self.couplings.field(phase, scale, 0.0)
        n, part = o.sites, SUB_PIXELS
        first_row, first_column = o.first_row * part, o.first_column * part
        used = field[first_row : first_row + n * o.rows * part, first_column : first_column + n * o.columns * part]
        blocks = used.reshape(n, o.rows * part, n, o.columns * part).astype(np.complex128)
        full = o.coupling * cmath.rect(1.0, -o.path_phase) / self.p.coupling.fill_factor
        return np.asarray(full * blocks.mean(axis=(1, 3)))

    def drive(self, e: Exposure) -> Complex:
        """Field (sites,) that the strip sends to each condensate, in units of the field of a full macro-pixel."""
        p, o = self.p, self.p.oscillators
        u = (e.weights @ self.on_couplings(e.strip).T).astype(np.complex128)
        first = o.first_column * SUB_PIXELS
        blocks = u[first : first + o.sites * o.columns * SUB_PIXELS].reshape(o.sites, -1)
        peak = (2 / math.pi) ** 0.25 / math.sqrt(p.beam.waist) * p.slm.fill_factor
        full = peak * math.sqrt(p.beam.transmission * p.slm.reflectance)
        power = e.signal_w * power_factor(p, self.truth.light, e.start_s, e.duration_s)
        return np.asarray(blocks.mean(axis=1) / full * math.sqrt(power / o.seed_power))

    # --- what they do -----------------------------------------------------------------------------------------------

    def seen(self, e: Exposure) -> tuple[Seen, float]:
        """Integrals over an exposure, and how long there is light and reference in it, t0."""
        p, o = self.p, self.p.oscillators
        shots = o.shots if p.mode == "shot" else 1
        noise = vacuum(noise_key(p.seed, "condensates"), e.number, shots, o.sites, o.polaritons)
        J, drive = self.couplings_now(e), self.drive(e)
        if p.mode == "shot":
            shot, flow = Shot(o.gate, 1.0, o.tail), propagators(J, o.gate)
            found = seen_of_shots(flow, drive[None, :] + noise * p.noise, shot)
            # No detector sees the vacuum, also as the gate has changed it.
            empty = seen_of_shots(flow, np.eye(o.sites, dtype=np.complex128), shot).density
            density = found.density - empty * (o.shots * p.noise / (2 * o.polaritons))
            return Seen(found.amplitude, density), o.shots * (o.gate + o.tail)
        gains, detunings = o.gain + self.truth.gains, self.truth.detunings
        mean = mean_of_run(gains, detunings, J, drive, noise[0], Course(0.05, o.settle, o.average))
        lasting = e.duration_s / o.t0_s
        return Seen(mean.amplitude * lasting, mean.density * lasting), lasting

    # --- on the camera ----------------------------------------------------------------------------------------------

    def electrons(self, region: Region, exposures: list[Exposure]) -> Array:
        """Mean photoelectrons (exposures, rows, columns)."""
        at = geometry(self.p, region)
        if region != self._region:
            self._region, self._shape = region, self._rows_of_sites(at)
        with one_thread():
            return np.stack([self._picture(region, at, e) for e in exposures])

    def _picture(self, region: Region, at: Geometry, e: Exposure) -> Array:
        """Electrons (rows, columns): n |E|^2 of condensates, n' |R|^2 of the reference, and their fringes."""
        p, o = self.p, self.p.oscillators
        seen, lasting = self.seen(e)
        reference_w = e.reference_w * power_factor(p, self.truth.light, e.start_s, e.duration_s)
        other = self.reference(region, at) * math.sqrt(reference_w * e.duration_s * self.electrons_per_joule)
        seen_with = other * self.coherence(e)
        # A polariton leaves as a photon once in a lifetime, and t0 is two.
        per_unit = 2 * o.polaritons * o.collection * o.attenuation * p.camera.quantum_efficiency
        shape, across = self._shape, self._across(at, e)
        density = ((shape @ seen.density) * shape).sum(axis=1).real
        amplitude = shape @ seen.amplitude / math.sqrt(lasting)
        fringe = 2 * math.sqrt(per_unit) * (amplitude[:, None] * across * seen_with.conj()).real
        nodes = per_unit * density[:, None] * across**2 + fringe + np.abs(other) ** 2
        by_pixel = nodes.reshape(-1, len(at.weights), nodes.shape[1])
        return np.asarray(np.maximum(np.einsum("rnc,n->rc", by_pixel, at.weights), 0) * p.camera.pitch**2)

    def _rows_of_sites(self, at: Geometry) -> Array:
        """Amplitudes (rows x n, sites) of each one's light along the camera's rows, of squares that add up to 1."""
        p, o = self.p, self.p.oscillators
        image = image_weights(at.y_m, self.couplings.y_m, p.optics.row_blur)
        band = (np.arange(len(self.couplings.y_m)) // SUB_PIXELS - o.first_row) // o.rows
        inside = band[:, None] == np.arange(o.sites)[None, :]
        height_m = o.rows * p.coupling.pitch * p.optics.row_magnification
        return np.asarray(image @ inside.astype(np.float64) / math.sqrt(height_m))

    def _across(self, at: Geometry, e: Exposure) -> Array:
        """Amplitudes (rows x n, columns) of a spot around the line of zero frequency."""
        spot = self.p.oscillators.spot
        away_m = at.x_m[None, :] + at.tilt_m[:, None] - self.pointing_m(e.middle_s)
        return np.asarray((2 / math.pi) ** 0.25 / math.sqrt(spot) * np.exp(-((away_m / spot) ** 2)))
