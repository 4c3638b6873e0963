"""Off-axis holograms: the product of two waves from the side band of their fringes.

A wave R = |R| exp(2 pi i f.p + i phi) with a carrier f (fringes per pixel, rows and columns) meets a wave S. Of the
fringes S*R + S R* the first is moved to the middle of the Fourier plane by the carrier and let through by a Gaussian;
what remains is S*R without its carrier, as fine as the Gaussian is wide (Takeda, JOSA 72, 156 (1982)).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]

EDGE_WIDTHS = 3
"""Standard deviations of the filter that an image loses at each edge."""


def filter_px(carrier: tuple[float, float]) -> float:
    """Standard deviation of the filter, pixels: resolves three fringes, and lets e^-17 of the constant light pass."""
    return 1.0 / (math.hypot(*carrier) * 1.08)


def side_band(fringes: Array, carrier: tuple[float, float], first: tuple[int, int] = (0, 0)) -> NDArray[np.complex128]:
    """S*R without its carrier (rows, columns) from fringes (rows, columns); first: row and column of their corner, from
    which the carrier's phase is counted. Within `EDGE_WIDTHS` of `filter_px` from an edge it is not to be used."""
    width = filter_px(carrier)
    rows, columns = (np.arange(n) + at for n, at in zip(fringes.shape, first, strict=True))
    turned = fringes * np.exp(-2j * math.pi * (carrier[0] * rows[:, None] + carrier[1] * columns[None, :]))
    real, imaginary = (gaussian_filter(part, width, mode="nearest") for part in (turned.real, turned.imag))
    return np.asarray(real + 1j * imaginary)


def brightest_carrier(fringes: Array) -> tuple[tuple[float, float], float]:
    """Carrier (rows, columns; fringes per pixel, columns' >= 0) of the strongest fringes, and their share of all power.

    The share is that of a disc of a third of the carrier around it, on both sides of the Fourier plane.
    """
    shaped = (fringes - fringes.mean()) * np.outer(*(np.hanning(n) for n in fringes.shape))
    size = tuple(2 * n for n in fringes.shape)
    spectrum = np.abs(np.fft.rfft2(shaped, size)) ** 2
    f_rows, f_columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :]
    least = 3.0 / min(fringes.shape)  # what is broader than that is no fringe
    spectrum[np.hypot(f_rows, f_columns) < least] = 0.0
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    peak = float(f_rows[row, 0]), float(f_columns[0, column])
    # Between samples by the centre of gravity of the peak, which is wider than they are apart.
    near = spectrum * (np.hypot(f_rows - peak[0], f_columns - peak[1]) < 2.5 / min(fringes.shape))
    total = near.sum()
    if total <= 0:
        return (0.0, 0.0), 0.0
    peak = float((near * f_rows).sum() / total), float((near * f_columns).sum() / total)
    inside = np.hypot(f_rows - peak[0], f_columns - peak[1]) < math.hypot(*peak) / 3
    return peak, float(spectrum[inside].sum() / spectrum.sum())


def plane_fit(phase: Array, weight: Array) -> tuple[float, float, float]:
    """Piston, and slopes along rows and columns (rad per pixel), of a phase (rows, columns) from its middle."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in phase.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    terms = np.stack([np.ones(phase.size), y.ravel(), x.ravel()], axis=1) * weight.reshape(-1, 1)
    found, *_ = np.linalg.lstsq(terms, phase.ravel() * weight.ravel(), rcond=None)
    return float(found[0]), float(found[1]), float(found[2])


def unwrapped_map(phase: Array) -> Array:
    """Phase (rows, columns) without jumps, for one that is smooth: from its middle along a row, then along columns."""
    middle = phase.shape[0] // 2
    out = np.unwrap(phase, axis=0)
    line = np.unwrap(phase[middle])
    return np.asarray(out + (line - out[middle])[None, :])
