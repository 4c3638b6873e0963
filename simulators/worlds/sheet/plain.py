"""The camera's picture the plain way: every sub-pixel of the panel, the sheet in time, every node at every pixel.

It shares truths with `simulators.worlds.sheet.light`, and none of its roads: no bands, no tables of phasors, no Newton.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.fringing import SUB_PIXELS, blurred
from simulators.physics.sheet.equation import evolve
from simulators.worlds.hologram.truth import reference_phase
from simulators.worlds.parts.sensor import Region
from simulators.worlds.sheet.light import SheetLight
from simulators.worlds.sheet.panels import place_weights
from simulators.worlds.sheet.parameters import SheetParameters
from simulators.worlds.sheet.sample import Sample
from simulators.worlds.sheet.truth import sheet_truth

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_LIFETIMES = 40.0


def plain_pump(p: SheetParameters, light: SheetLight, phase: Array, scale: float) -> Complex:
    """Field (rows, columns) of places for a panel's phases (rows, columns), rad, at the drive power."""
    image = light.pump_image
    fields = np.exp(1j * scale * blurred(phase, image.down, image.across).reshape(phase.shape[0] * SUB_PIXELS, -1))
    lit = image.light.repeat(SUB_PIXELS, 0).repeat(SUB_PIXELS, 1).astype(np.complex128)
    sigma = p.optics.pump_blur / p.sample.node
    truth = sheet_truth(p).pump_image
    rows, columns = (
        place_weights(places, pixels, SUB_PIXELS, p.slm.node_pixels, shift, truth.scale, sigma)
        for places, pixels, shift in zip(p.places, (p.slm.rows, p.slm.columns), truth.shift, strict=True)
    )
    return np.asarray(rows @ (lit * fields) @ columns.T + image.rest)


def plain_rest(p: SheetParameters, sample: Sample, V: Complex, P: Complex) -> Complex:
    """Amplitudes (rows, columns) of the mesa, followed in time from the dark, by the classical Runge-Kutta method."""
    sheet = sample.sheet
    flat = evolve(np.zeros(sheet.shape), V.reshape(sheet.shape), P.reshape(sheet.shape), sheet,
                  _LIFETIMES / float(np.min(sheet.gamma)), dt=0.05)  # fmt: skip
    return flat.reshape(p.mesa)


def plain_electrons(
    p: SheetParameters, light: SheetLight, field: Complex, region: Region, reference_w: float, duration_s: float
) -> Array:
    """Electrons (rows, columns) of amplitudes (rows, columns) of all places; a path without phase, a steady laser."""
    from scipy.special import ndtr  # a seventh of a second, which every process of a bench would pay

    truth, c = sheet_truth(p), p.camera
    row, column, rows, columns = region
    places, pitch = light.places_px()
    sigma = p.optics.camera_blur / p.sample.node * pitch
    at_one = p.electrons_at_one * truth.collection * (truth.gamma / p.sample.gamma) * duration_s
    down, across = row + np.arange(rows, dtype=np.float64), column + np.arange(columns, dtype=np.float64)

    def seen(at: Array, middle: float) -> Array:
        return np.asarray(ndtr((at - middle + pitch / 2) / sigma) - ndtr((at - middle - pitch / 2) / sigma))

    E = np.zeros((rows, columns), np.complex128)
    for psi, (y, x) in zip(field.ravel(), places, strict=True):
        E += math.sqrt(at_one) * psi * seen(down, y)[:, None] * seen(across, x)[None, :]
    waist = p.reference.waist / c.pitch
    away = (down - c.axis_row)[:, None] ** 2 + (across - c.axis_column)[None, :] ** 2
    peak = 2 * p.reference.transmission * p.optics.camera_attenuation / math.pi * (c.pitch / p.reference.waist) ** 2
    power = peak * light.electrons_per_joule * reference_w * duration_s * np.exp(-2 * away / waist**2)
    R = np.sqrt(power) * np.exp(1j * reference_phase(p, down, across))
    carrier = truth.light.reference.carrier
    fringes = np.sinc(carrier[0]) * np.sinc(carrier[1])
    return np.asarray(np.abs(E) ** 2 + power + 2 * fringes * (E * R.conj()).real)
