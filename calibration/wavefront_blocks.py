"""Phases of a wave at the centres of a panel's blocks, from the light of whole blocks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calibration.superpixels import Layout, Products
from calibration.wavefront_fit import BELIEVED_RAD, smooth_phase, unwrapped, weighted_fit
from labctl.client import CalibrationError

Array = NDArray[np.float64]

WITHIN = 0.03
"""Standard uncertainty of a block's phase, rad, besides noise. Look-up tables differ by 1 % from tile to tile of a
panel, and a blaze's phase by pi times as much; a phase table in force makes it less."""

_REFINEMENTS = 4
"""Each leaves a tenth of what the one before left."""
_SAMPLES = 8
"""Of a block, down and across, over which its light is averaged."""


def block_phases(products: Products, layout: Layout) -> tuple[Array, Array]:
    """Phase (R, C) of each block relative to its reference, without jumps, and its standard uncertainty from noise."""
    size = np.abs(products.value)
    measured = np.isfinite(size)
    error = np.where(measured, products.noise / np.maximum(np.where(measured, size, 1.0), 1e-12), 0.0)
    phase = np.where(measured, np.angle(np.where(measured, products.value, 1.0)), 0.0)
    error = np.minimum(error, math.pi / math.sqrt(3))
    # The reference's own phase is nothing by definition; its noise is that of all others.
    error[~measured] = float(np.median(error[measured]))
    if (error < BELIEVED_RAD).mean() < 0.5:
        raise CalibrationError(
            f"{int((error >= BELIEVED_RAD).sum())} of {error.size} blocks have no light that interferes: check what "
            "covers the panel, the SLM, and whether the beam is coherent over it; or choose fewer blocks"
        )
    return unwrapped(phase, error, layout.reference, layout.together), error


def at_centres(layout: Layout, phase: Array, error: Array, products: NDArray[np.complex128]) -> tuple[Array, Array]:
    """Phases at the blocks' centres (R, C), and of every panel pixel: the smooth wave through them.

    What is measured is the phase of a block's light altogether: of a wave that bends, seen with an amplitude that falls
    off towards the panel's edge. Both are known well enough to be taken into account.
    """
    rows, columns = (_within_blocks(e) for e in (layout.row_edges, layout.column_edges))
    amplitude = np.exp(_log_amplitude(layout, products, rows, columns))
    weights, n = np.hypot(error, WITHIN), _SAMPLES
    shape = (phase.shape[0], n, phase.shape[1], n)
    found = phase
    for _ in range(_REFINEMENTS):
        wave = smooth_phase(*layout.centres_px, found, weights, rows, columns).reshape(shape)
        centre = smooth_phase(*layout.centres_px, found, weights, *layout.centres_px)
        light = np.exp(1j * (wave - centre[:, None, :, None])) * amplitude.reshape(shape)
        found = phase - np.angle(light.sum(axis=(1, 3)))
        # Only differences from the reference are measured.
        row, column = layout.reference
        found = found - (found[row, column] if layout.together else found[:, column : column + 1])
    every = np.arange(len(layout.blaze), dtype=np.float64), np.arange(layout.blaze.shape[1], dtype=np.float64)
    lit = np.clip(every[0], layout.row_edges[0], layout.row_edges[-1] - 1), every[1]
    return found, smooth_phase(*layout.centres_px, found, weights, *lit)


def _within_blocks(edges: NDArray[np.int64]) -> Array:
    """Panel rows, or columns, evenly spread over each block: (blocks x _SAMPLES,)."""
    share = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    return np.asarray((edges[:-1, None] + np.diff(edges)[:, None] * share - 0.5).ravel())


def _log_amplitude(layout: Layout, products: NDArray[np.complex128], rows: Array, columns: Array) -> Array:
    """Of the light (rows, columns) at panel pixels: a quadratic through the blocks'."""
    size = np.abs(products)
    good = np.isfinite(size) & (size > 0)
    (y0, x0), scale = ((e[0] + e[-1]) / 2 for e in (layout.row_edges, layout.column_edges)), len(columns) / 2

    def terms(at_rows: Array, at_columns: Array) -> Array:
        y, x = np.meshgrid((at_rows - y0) / scale, (at_columns - x0) / scale, indexing="ij")
        return np.stack([np.ones_like(x), x, y, x**2, x * y, y**2])

    own = terms(*layout.centres_px)[:, good]
    found, _, _ = weighted_fit(own, np.log(size[good]), size[good].max() / size[good])
    return np.asarray(np.tensordot(found, terms(rows, columns), 1))
