"""Bands of a frame as complex fields: fringes of the reference, demodulated by one weighted sum for every band.

A band's counts are |R|^2 + |E|^2 + 2 Re(E R*). Weights are those of least squares for fringes beside anything smooth,
so that neither the reference's own light nor the band's counts as fringes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError
from simulators.physics.compiled import kernel

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class BandReader:
    """origins: (bands, 2) first row and column of each window in the frame. weights: (bands, height, width), whose sum
    with counts is a band's field in root counts. gain: electrons per count. read_e: read noise, rms electrons."""

    origins: NDArray[np.int64]
    weights: Complex
    gain: float
    offset: float
    read_e: float

    def fields(self, frames: NDArray[Any]) -> tuple[Complex, Array]:
        """E (bands, frames) of frames (frames, rows, columns), and the standard deviation (bands, frames) of its real
        and of its imaginary part that photons and read-out give."""
        found = np.empty((len(self.weights), len(frames)), np.complex128)
        light = np.empty(found.shape)
        weighted(frames, self.origins, self.weights, np.abs(self.weights) ** 2, found, light)
        squares = (np.abs(self.weights) ** 2).sum(axis=(1, 2))[:, None]
        variance = (light - self.offset * squares) / self.gain + (self.read_e / self.gain) ** 2 * squares
        return found, np.sqrt(np.maximum(variance, 0.0) / 2)


def band_reader(
    product: Complex, rows: Array, height: int, gain: float, offset: float, read_e: float
) -> tuple[BandReader, Array]:
    """Weights by what fringes look like, and how bright bands were (bands,), root counts.

    product: (rows, columns) E R* by camera pixel, from frames whose light was turned in phase step by step, all bands
    lit. rows: (bands,) middles of the bands in it. height: camera rows of a band that are used. Raises CalibrationError
    where a band leaves the region, or where no fringes are seen.
    """
    first = np.rint(rows - (height - 1) / 2).astype(np.int64)
    if first.min() < 0 or first.max() + height > len(product):
        raise CalibrationError(
            f"bands at camera rows {rows.min():.1f} to {rows.max():.1f} of the region leave its {len(product)}: mend "
            "[alignment.domino]"
        )
    cut = np.stack([product[r : r + height] for r in first])
    size = np.sqrt((np.abs(cut) ** 2).mean(axis=(1, 2)))
    weights = np.empty(cut.shape, np.complex128)
    smooth = _smooth(height, product.shape[1])
    for k, seen in enumerate(cut):
        fringes = (seen / max(float(size[k]), 1e-12)).ravel()
        inverse = np.linalg.pinv(np.column_stack([2 * fringes.real, -2 * fringes.imag, smooth]))
        weights[k] = (inverse[0] + 1j * inverse[1]).reshape(seen.shape)
    origins = np.stack([first, np.zeros_like(first)], axis=1)
    return BandReader(origins, weights, gain, offset, read_e), size


def compile_kernels() -> None:
    """Have what reads frames compiled now: under control that may take longer than a lease. At once where it was."""
    reader = BandReader(np.zeros((1, 2), np.int64), np.zeros((1, 1, 1), np.complex128), 1.0, 0.0, 0.0)
    for kind in ("u2", "f8"):
        frames = np.zeros((1, 1, 1), kind)
        reader.fields(frames)
        frames.setflags(write=False)  # as frames in shared memory are
        reader.fields(frames)


def _smooth(height: int, width: int) -> Array:
    """Light without fringes (pixels, terms): in every column a parabola along the rows."""
    along = np.linspace(-1.0, 1.0, height)
    shapes = np.stack([np.ones(height), along, along**2], axis=1)
    return np.asarray(np.einsum("rk,cd->rckd", shapes, np.eye(width)).reshape(height * width, -1))


@kernel
def weighted(
    frames: NDArray[Any], origins: NDArray[np.int64], weights: Complex, squares: Array, out: Complex, light: Array
) -> None:
    """out, light (bands, frames): sums of frames (frames, rows, columns) in windows at origins (bands, 2) with weights
    (bands, height, width), and with their squares."""
    bands, height, width = weights.shape
    for f in range(len(frames)):
        for b in range(bands):
            r, c = origins[b, 0], origins[b, 1]
            total, bright = 0.0j, 0.0
            for i in range(height):
                for j in range(width):
                    value = float(frames[f, r + i, c + j])
                    total += weights[b, i, j] * value
                    bright += squares[b, i, j] * value
            out[b, f] = total
            light[b, f] = bright
