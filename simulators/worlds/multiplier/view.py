"""What camera rows and columns see: the linear map from the strip's field, worked out once for what couplings show.

With the couplings at rest the camera's field is linear in the strip's, so that the exposures of many vectors are one
product of matrices. The couplings' flicker, and the panel's temperature, multiply all their phases by 1 + e; the map is
known at two e, and in between by a straight line: exp(i e phi) is one to 1e-3, but for the common turn exp(i e pi).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fourier_plane import gauss_legendre
from simulators.physics.fringing import SUB_PIXELS
from simulators.physics.vector_matrix import add_rows, image_weights, low_rank
from simulators.worlds.hologram.truth import reference_phase
from simulators.worlds.multiplier.panels import Couplings
from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.multiplier.truth import multiplier_truth
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.threads import one_thread

Array = NDArray[np.float64]
Field = NDArray[np.complex64]

LOST = 1e-3
"""Of a map's root mean square, in its product: so much of one macro-pixel's field among thirty, at most."""


class Geometry(NamedTuple):
    """Where a region of the camera looks, n nodes to a pixel's rows.

    y_m: (rows x n,) on the couplings; tilt_m: (rows x n,) by how much their line of zero frequency lies beside the
    plan's, X; x_m: (columns,) X of pixels; wide_m: of a pixel along X; weights: (n,) of the nodes.
    """

    y_m: Array
    tilt_m: Array
    x_m: Array
    wide_m: float
    weights: Array


def geometry(p: MultiplierParameters, region: Region) -> Geometry:
    """Rows are an image and columns a transform; a rotation only shifts the transform from row to row."""
    g, c = multiplier_truth(p).light.geometry, p.camera
    row, column, rows, columns = region
    nodes, weights = (np.zeros(1), np.ones(1)) if c.ideal else gauss_legendre(2)
    down = (row + np.arange(rows)[:, None] + 0.5 * nodes).ravel() - c.axis_row - g.shift_px[0]
    across = (column + np.arange(columns)) - c.axis_column - g.shift_px[1]
    wide_m = c.pitch / g.scale
    return Geometry(
        y_m=down * wide_m / p.optics.row_magnification,
        tilt_m=math.tan(g.rotation_rad) * down * wide_m,
        x_m=np.asarray((-1 if g.flip else 1) * across * wide_m, np.float64),
        wide_m=0.0 if c.ideal else wide_m,
        weights=np.asarray(weights / weights.sum()),
    )


def spread_light(p: MultiplierParameters, y_m: Array) -> Array:
    """Amplitude (places,) of light spread along the couplings' columns, its square 1 in all, 1 / root m."""
    peak = (2 / math.pi) ** 0.25 / math.sqrt(p.optics.spread)
    return np.asarray(peak * np.exp(-(((y_m - multiplier_truth(p).spread_shift_m) / p.optics.spread) ** 2)))


def field_scale(p: MultiplierParameters, step_m: float) -> float:
    """Root of power per camera area for the sum over sub-pixels of u C, less what couplings and lenses lose."""
    through = p.coupling.reflectance * p.optics.transmission
    return step_m * math.sqrt(through / (p.optics.row_magnification * p.wavelength_focal_m2))


class Maps:
    """T of the couplings for some camera rows, in one state or two of their phases' scale: T = L R, R by state.

    Rows of a band are much alike, so few fields of ``left`` (rows x n, rank) tell all of them.
    """

    def __init__(
        self, p: MultiplierParameters, couplings: Couplings, at: Geometry, phase: Array, scales: tuple[float, ...]
    ) -> None:
        blur = image_weights(at.y_m, couplings.y_m, p.optics.row_blur).multiply(spread_light(p, couplings.y_m)[None, :])
        blur = blur.tocsr()
        sparse = blur.indptr.astype(np.int32), blur.indices.astype(np.int32), blur.data.astype(np.complex64)
        step_m = p.coupling.pitch / SUB_PIXELS
        aside = field_scale(p, step_m) * np.exp(-1j * p.kappa * at.tilt_m[:, None] * couplings.x_m[None, :])
        aside = aside.astype(np.complex64)
        self.scales = scales
        whole = np.empty((len(at.y_m), len(scales), len(couplings.x_m)), np.complex64)
        one = np.empty(aside.shape, np.complex64)
        for k, scale in enumerate(scales):
            add_rows(*sparse, couplings.field(phase, scale, -math.pi * (scale - 1)), one)
            whole[:, k] = one * aside
        with one_thread():
            self.left, right = low_rank(whole.reshape(len(at.y_m), -1), LOST)
        self._right = np.ascontiguousarray(right.reshape(-1, *whole.shape[1:]).transpose(1, 0, 2)).reshape(
            -1, len(couplings.x_m)
        )

    def fields(self, u: Field, scales: Array) -> Field:
        """E (rows x n, columns x exposures) of fields u (sub-pixels, columns x exposures), at a scale each
        (columns x exposures,)."""
        with one_thread():
            found = self._right @ u
            if len(self.scales) > 1:
                low, high = self.scales
                share = ((scales - low) / (high - low)).astype(np.float32)
                turn = np.exp(1j * math.pi * (scales - 1)).astype(np.complex64)
                rank = self.left.shape[1]
                found = found[:rank] * ((1 - share) * turn) + found[rank:] * (share * turn)
            return np.asarray(self.left @ found)


def column_phasors(p: MultiplierParameters, at: Geometry, x_m: Array, pointing_m: float) -> Field:
    """exp(-i kappa X x) (columns, sub-pixels), averaged over the columns of a pixel: its spot is much wider."""
    angle = p.kappa * x_m
    seen = np.sinc(angle * at.wide_m / (2 * math.pi))
    return np.asarray(seen * np.exp(-1j * (at.x_m - pointing_m)[:, None] * angle), np.complex64)


def reference_field(p: MultiplierParameters, at: Geometry, region: Region) -> Field:
    """The reference's (rows x n, columns), root W / m for 1 W, at time 0."""
    row, column, rows, columns = region
    n = len(at.weights)
    nodes = np.zeros(1) if n == 1 else 0.5 * gauss_legendre(n)[0]
    down = (row + np.arange(rows)[:, None] + nodes).ravel()
    across = np.arange(column, column + columns, dtype=np.float64)
    waist = p.reference.waist / p.camera.pitch
    peak = math.sqrt(2 * p.reference.transmission / math.pi) / p.reference.waist
    profile = [np.exp(-(((at_px - a) / waist) ** 2)) for at_px, a in
               ((down, p.camera.axis_row), (across, p.camera.axis_column))]  # fmt: skip
    size = peak * profile[0][:, None] * profile[1][None, :]
    return np.asarray(size * np.exp(1j * reference_phase(p, down, across)), np.complex64)
