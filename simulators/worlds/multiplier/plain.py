"""The camera's picture the plain way: every sub-pixel of both panels, for every point of the camera, in one sum.

It shares truths, and how the panels' light is made up, with `simulators.worlds.multiplier.light`, and none of its
roads: no maps, no tables of phasors, no mean over a pixel's columns, no line between two states of flicker.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fourier_plane import gauss_legendre
from simulators.physics.fringing import SUB_PIXELS, blurred
from simulators.worlds.hologram.truth import reference_phase
from simulators.worlds.multiplier.panels import Couplings, Strip
from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.multiplier.truth import multiplier_truth
from simulators.worlds.parts.sensor import Region

Array = NDArray[np.float64]
Field = NDArray[np.complex128]

_NODES = 3
"""Of a camera pixel, along rows and columns."""


def plain_power(
    p: MultiplierParameters,
    strip_phase: Array,
    coupling_phase: Array,
    scales: tuple[float, float],
    region: Region,
    powers_w: tuple[float, float],
    path: complex = 1.0,
) -> Array:
    """Power (rows, columns) on pixels, W, of panels at rest, phases (rows, columns), rad, each times its scale.

    powers_w: emitted into strip and reference. path: phase of the reference's path, as `path_factor` has it.
    """
    c = p.camera
    row, column, rows, columns = region
    nodes, weights = (np.zeros(1), np.ones(1)) if c.ideal else gauss_legendre(_NODES)
    n = len(nodes)
    down = (row + np.arange(rows)[:, None] + 0.5 * nodes).ravel()
    across = (column + np.arange(columns)[:, None] + 0.5 * nodes).ravel()
    field = plain_field(p, strip_phase, coupling_phase, scales, down, across)
    r = p.reference
    peak = math.sqrt(2 * r.transmission / math.pi) / r.waist
    away = (down - c.axis_row)[:, None] ** 2 + (across - c.axis_column)[None, :] ** 2
    other = peak * np.exp(-away * (c.pitch / r.waist) ** 2 + 1j * reference_phase(p, down, across))
    both = 2 * math.sqrt(powers_w[0] * powers_w[1]) * (field * np.conj(other * path)).real
    total = powers_w[0] * np.abs(field) ** 2 + powers_w[1] * np.abs(other) ** 2 + both
    rule = np.asarray(weights / np.sum(weights))
    means = np.einsum("anbm,n,m->ab", total.reshape(rows, n, columns, n), rule, rule)
    return np.asarray(means * c.pitch**2)


def plain_field(
    p: MultiplierParameters,
    strip_phase: Array,
    coupling_phase: Array,
    scales: tuple[float, float],
    down: Array,
    across: Array,
) -> Field:
    """E (points down, points across), root W / m for 1 W, at camera rows and columns."""
    truth = multiplier_truth(p)
    g, o, strip, own = truth.light.geometry, p.optics, Strip(p), Couplings(p)
    edge = np.array([[0.0, 1.0, 0.0]])
    phases = blurred(strip_phase * scales[0], edge, strip.across)[:, 0].reshape(len(strip_phase), -1)
    v = strip.light * (strip.rest + strip.row_weights @ np.exp(1j * phases))
    shift_px, scale = truth.registration
    image_m = strip.x_m * scale + shift_px * p.coupling.pitch
    u = _seen(own.x_m, image_m, o.column_blur) @ v / math.sqrt(scale)
    turned = blurred(coupling_phase * scales[1], own.down, own.across).reshape(len(own.y_m), len(own.x_m))
    couplings = own.rest + own.modulated * np.exp(1j * turned)
    if own.shape is not None:
        couplings = couplings * own.shape.repeat(SUB_PIXELS, 0).repeat(SUB_PIXELS, 1)
    spread = (2 / math.pi) ** 0.25 / math.sqrt(o.spread) * np.exp(-(((own.y_m - truth.spread_shift_m) / o.spread) ** 2))
    lit = spread[:, None] * couplings * u[None, :]
    pixel_m = p.camera.pitch / g.scale
    rows_m = (down - p.camera.axis_row - g.shift_px[0]) * pixel_m
    columns_m = (across - p.camera.axis_column - g.shift_px[1]) * pixel_m * (-1 if g.flip else 1)
    by_row = _seen(rows_m / o.row_magnification, own.y_m, o.row_blur) @ lit
    by_row *= np.exp(-1j * p.kappa * math.tan(g.rotation_rad) * np.outer(rows_m, own.x_m))
    summed = by_row @ np.exp(-1j * p.kappa * np.outer(own.x_m, columns_m))
    through = p.coupling.reflectance * o.transmission
    step_m = p.coupling.pitch / SUB_PIXELS
    return np.asarray(summed * step_m * math.sqrt(through / (o.row_magnification * p.wavelength_focal_m2)))


def _seen(at_m: Array, sources_m: Array, sigma_m: float) -> Array:
    """Image (places, sources) by a blur, every source at every place; of none, by the line between two sources."""
    step, away = sources_m[1] - sources_m[0], at_m[:, None] - sources_m[None, :]
    if sigma_m == 0:
        return np.asarray(np.maximum(1 - np.abs(away) / step, 0.0))
    return np.asarray(step / (math.sqrt(2 * math.pi) * sigma_m) * np.exp(-(away**2) / (2 * sigma_m**2)))
