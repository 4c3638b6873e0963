"""The two panels in the beam: which part of their light obeys gray levels, which does not, and the beam on them.

Sub-pixels tile a panel without gaps. What lies between pixels, the glass before them and light of the wrong
polarisation add a field that no gray level reaches; finer structure than a pixel goes past the camera.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fringing import SUB_PIXELS, neighbour_weights, sub_pixel_centres
from simulators.physics.vector_matrix import PHASORS, panel_field, strip_field
from simulators.worlds.hologram.truth import panel_wavefront
from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.multiplier.truth import multiplier_truth
from simulators.worlds.parts.truth import dust_shade
from simulators.worlds.parts.unmodulated import sub_pixels, unmodulated

Array = NDArray[np.float64]
Field = NDArray[np.complex64]


def _weights(sigma_px: float) -> Array:
    return neighbour_weights(sub_pixel_centres(SUB_PIXELS, 1.0), sigma_px)


class Strip:
    """The panel that carries the vector. Rows beside the line's middle count as they are lit."""

    def __init__(self, p: MultiplierParameters) -> None:
        truth = multiplier_truth(p).light
        slm, beam = p.slm, truth.beam
        self.x_m = sub_pixels(slm.columns, slm.pitch)
        rows_m = (np.arange(slm.rows) - (slm.rows - 1) / 2) * slm.pitch
        line = np.exp(-((rows_m / p.beam.line_waist) ** 2))
        line /= line.sum()
        self.row_weights = line * slm.fill_factor
        self.across = _weights(truth.panel.crosstalk_px[1])
        # Root of power per m, of 1 W that is sent; what misses the panel is lost.
        peak = (2 / math.pi) ** 0.25 / math.sqrt(beam.waist_m)
        profile = peak * np.exp(-(((self.x_m - beam.shift_m[1]) / beam.waist_m) ** 2))
        shade = line @ dust_shade(slm.rows, slm.columns, truth.panel.dust)
        shape = line @ panel_wavefront(p)
        by_pixel = shade * np.exp(1j * shape) * math.sqrt(p.beam.transmission * slm.reflectance)
        self.light: Field = (profile * np.repeat(by_pixel, SUB_PIXELS)).astype(np.complex64)
        still = unmodulated(slm, truth.panel, p.kappa)
        self.rest: Field = (still.still + still.glass * np.exp(1j * still.tilt[1] * self.x_m)).astype(np.complex64)

    def field(self, phase: Array, scale: float) -> Field:
        """Field (columns x M,) at its sub-pixels, root W / m. phase: (rows, columns), rad, multiplied by ``scale``."""
        out = np.empty(len(self.x_m), np.complex64)
        strip_field(phase, self.row_weights, self.across, scale, self.rest, self.light, PHASORS, out)
        return out


class Couplings:
    """The panel of couplings, in even light."""

    def __init__(self, p: MultiplierParameters) -> None:
        truth = multiplier_truth(p)
        slm, panel = p.coupling, truth.coupling
        self.x_m, self.y_m = sub_pixels(slm.columns, slm.pitch), sub_pixels(slm.rows, slm.pitch)
        self.down, self.across = (_weights(sigma) for sigma in panel.crosstalk_px)
        self.modulated = slm.fill_factor
        still = unmodulated(slm, panel, p.kappa)
        if still.glass and any(still.tilt):
            tilt = still.tilt[0] * self.y_m[:, None] + still.tilt[1] * self.x_m[None, :]
            self.rest: Field = (still.still + still.glass * np.exp(1j * tilt)).astype(np.complex64)
        else:
            self.rest = np.full((1, 1), still.still + still.glass, np.complex64)
        self.shape: Field | None = None
        if truth.wavefront.any() or len(panel.dust):
            shade = dust_shade(slm.rows, slm.columns, panel.dust)
            by_pixel = (shade * np.exp(1j * truth.wavefront)).astype(np.complex64)
            self.shape = by_pixel

    def field(self, phase: Array, scale: float, turn: float) -> Field:
        """Field (rows x M, columns x M) of 1, times exp(i turn).

        phase: (rows, columns), rad, multiplied by ``scale``.
        """
        out = np.empty((len(self.y_m), len(self.x_m)), np.complex64)
        panel_field(phase, self.down, self.across, scale, self.modulated, self.rest, turn, PHASORS, out)
        if self.shape is not None:
            rows, columns = self.shape.shape
            out.reshape(rows, SUB_PIXELS, columns, SUB_PIXELS)[:] *= self.shape[:, None, :, None]
        return out
