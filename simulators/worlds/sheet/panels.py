"""The two panels as the sheet sees them: a field for every place of the sample, and light that lifts its energy.

The pump's panel is imaged on the sheet by a relay; what a place is driven with is the mean, over the area of a node, of
the panel's field, blurred by the relay. Macro-pixels are the protocol's affair: the sheet sees sub-pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fringing import SUB_PIXELS, neighbour_weights, sub_pixel_centres
from simulators.worlds.hologram.truth import panel_wavefront
from simulators.worlds.parts.truth import dust_shade
from simulators.worlds.parts.unmodulated import sub_pixels, unmodulated
from simulators.worlds.sheet.parameters import SheetParameters
from simulators.worlds.sheet.pump_kernel import column_bands, imaged, row_bands
from simulators.worlds.sheet.truth import sheet_truth

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_FAINT = 1e-4
"""Of a sub-pixel's light: places that see less of it do not see it."""


class PumpImage:
    """Field at the places of the sample for a laser at ``pump.drive_power``: 1 for a full macro-pixel in its middle."""

    def __init__(self, p: SheetParameters) -> None:
        truth, slm = sheet_truth(p), p.slm
        beam, panel = truth.light.beam, truth.light.panel
        down, across = ((np.arange(n) - (n - 1) / 2) * slm.pitch for n in (slm.rows, slm.columns))
        away = (down - beam.shift_m[0])[:, None] ** 2 + (across - beam.shift_m[1])[None, :] ** 2
        shade = dust_shade(slm.rows, slm.columns, panel.dust)
        light = shade * np.exp(-away / beam.waist_m**2 + 1j * panel_wavefront(p))
        self.light = light.astype(np.complex64)
        centres = sub_pixel_centres(SUB_PIXELS, 1.0)
        self.down, self.across = (neighbour_weights(centres, sigma) for sigma in panel.crosstalk_px)
        sigma = p.optics.pump_blur / p.sample.node
        self.row_weights, self.column_weights = (
            place_weights(places, pixels, SUB_PIXELS, slm.node_pixels, shift, truth.pump_image.scale, sigma)
            for places, pixels, shift in zip(p.places, (slm.rows, slm.columns), truth.pump_image.shift, strict=True)
        )
        self.rest = self._unmodulated(p)
        self._bands = *row_bands(self.row_weights), *column_bands(self.column_weights, SUB_PIXELS)
        self._down, self._across = self.down.astype(np.float32), self.across.astype(np.float32)
        self._light = np.ascontiguousarray(self.light.real), np.ascontiguousarray(self.light.imag)

    def _unmodulated(self, p: SheetParameters) -> Complex:
        """Field (rows, columns) of places that no gray level reaches."""
        slm = p.slm
        still = unmodulated(slm, sheet_truth(p).light.panel, p.kappa)
        y_m, x_m = (sub_pixels(n, slm.pitch) for n in (slm.rows, slm.columns))
        tilt = np.exp(1j * (still.tilt[0] * y_m[:, None] + still.tilt[1] * x_m[None, :]))
        light = self.light.repeat(SUB_PIXELS, axis=0).repeat(SUB_PIXELS, axis=1)
        field = light * (still.still + still.glass * tilt) / slm.fill_factor
        return np.asarray(self.row_weights @ field @ self.column_weights.T, np.complex128)

    def field(self, phase: NDArray[np.floating[Any]], scale: float) -> Complex:
        """Of a panel's phases (rows, columns), rad, multiplied by ``scale``: (rows, columns) of places."""
        out = np.empty((len(self.row_weights), len(self.column_weights)), np.complex128)
        imaged(  # type: ignore[no-untyped-call]
            phase.astype(np.float32, copy=False), self._down, self._across, scale, *self._light, *self._bands, out
        )
        return out + self.rest


class PotentialImage:
    """Light (rows, columns) of the mesa's nodes, 1 for a panel that is bright everywhere, as carriers diffuse."""

    def __init__(self, p: SheetParameters) -> None:
        truth, panel = sheet_truth(p), p.projector
        self._extinction = panel.extinction
        sigma = p.reservoir.blur / p.sample.node
        rows, columns = (
            place_weights(places, pixels, 1, panel.node_pixels, shift, truth.potential_image.scale, sigma)
            for places, pixels, shift in zip(
                p.places, (panel.rows, panel.columns), truth.potential_image.shift, strict=True
            )
        )
        self._rows, self._columns = rows[2:], columns

    def light(self, phase: Array, scale: float) -> Array:
        """Of a panel's phases (rows, columns), rad, multiplied by ``scale``."""
        bright = self._extinction + (1 - self._extinction) * np.sin(0.5 * scale * phase) ** 2
        return np.asarray(self._rows @ bright @ self._columns.T)


def place_weights(
    places: int, pixels: int, parts: int, node_pixels: int, shift: float, scale: float, sigma: float
) -> Array:
    """(places, pixels x parts) share of each part of a panel's pixels in the mean over the length of a node.

    Places are one node apart, their middle is the panel's, whose image is shifted by ``shift`` nodes and scaled. sigma:
    of the Gaussian blur, nodes. Of an even panel, the sum is 1.
    """
    wide = scale / (node_pixels * parts)
    at = (np.arange(pixels * parts) - (pixels * parts - 1) / 2) * wide + shift
    edges = np.arange(places + 1) - places / 2
    if sigma > 0:
        from scipy.special import ndtr  # a seventh of a second, which every process of a bench would pay

        seen = wide * -np.diff(ndtr((at[None, :] - edges[:, None]) / sigma), axis=0)
    else:
        covered = np.clip((at[None, :] + wide / 2 - edges[:, None]) / wide, 0.0, 1.0)
        seen = wide * -np.diff(covered, axis=0)
    return np.where(seen > _FAINT * wide, seen, 0.0)
