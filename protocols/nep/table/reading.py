"""A frame as complex fields of places: fringes demodulated by one weighted sum for every place.

    counts = |R|^2 + |E|^2 + 2 Re(E R*),    E = sum_k psi_k A_k

A_k is the image of a node, a square as wide as the distance of nodes, blurred. Weights are those of least squares for a
place and its eight neighbours, so that light that an image lets into its neighbour is not counted to it; light without
fringes is told by a term of its own for each, and for each border, where images of two of them overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from simulators.physics.compiled import kernel
from simulators.physics.processors import processors

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_AT_ONCE = 16
"""Frames that one thread reads."""
_MARGIN = 0.4
"""Of a node, that is looked at around its own square: beyond, next neighbours but one are seen."""


class Places(NamedTuple):
    """Where places are on the camera: row and column of the middle of all, pixels from one to the next, turn (rad, from
    rows to columns), whether columns are mirrored, and blur of their images, nodes."""

    row: float
    column: float
    pitch: float
    turn: float = 0.0
    mirrored: bool = False
    blur: float = 0.2

    def at(self, shape: tuple[int, int]) -> Array:
        """Rows and columns (2, down, across) of places."""
        y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
        down = (math.cos(self.turn) * y + math.sin(self.turn) * x) * self.pitch
        across = (math.cos(self.turn) * x - math.sin(self.turn) * y) * self.pitch
        return np.stack([self.row + down, self.column + (-across if self.mirrored else across)])


@dataclass(frozen=True, eq=False)
class Reader:
    """origins: (places, 2) first row and column of each window in the frame. weights: (places, size, size), whose sum
    with counts is a place's field in root counts, once ``bias`` (places,), that of the reference alone, is taken off.
    shape: of places."""

    origins: NDArray[np.int64]
    weights: NDArray[np.complex64]
    bias: Complex
    shape: tuple[int, int]

    def fields(self, frames: NDArray[Any]) -> Complex:
        """(frames, down, across) of frames (frames, rows, columns)."""
        out = np.empty((len(frames), len(self.weights)), np.complex128)
        parts = [slice(first, first + _AT_ONCE) for first in range(0, len(frames), _AT_ONCE)]
        with ThreadPoolExecutor(processors()) as pool:
            list(pool.map(lambda part: _weighted(frames[part], self.origins, self.weights, out[part]), parts))
        return (out - self.bias).reshape(len(frames), *self.shape)


def profile(away: Array, pitch: float, blur: float) -> Array:
    """Amplitude of a node's image so many pixels from its middle. blur: in nodes."""
    if blur == 0:
        return (np.abs(away) < pitch / 2).astype(np.float64)
    sigma = blur * pitch
    return np.asarray(ndtr((away + pitch / 2) / sigma) - ndtr((away - pitch / 2) / sigma))


def make_reader(
    places: Places,
    shape: tuple[int, int],
    dark: NDArray[np.bool_],
    carrier: tuple[float, float],
    reference: Array,
    offset: float,
    alive: Callable[[], None] = lambda: None,
) -> Reader:
    """For places in frames of which the reference alone gives counts ``reference`` (rows, columns), besides an offset.

    dark: (down, across) places that never have light. carrier: fringes per pixel. alive: is called now and then.
    """
    at = places.at(shape)
    half = math.ceil((0.5 + _MARGIN) * places.pitch)
    size = 2 * half + 1
    corner = np.floor(at.reshape(2, -1).T + 0.5).astype(np.int64) - half
    corner = np.clip(corner, 0, np.array(reference.shape) - size)
    weights = np.zeros((len(corner), size, size), np.complex128)
    root = np.sqrt(np.maximum(reference, 1e-9))
    for k in range(len(corner)):
        i, j = divmod(k, shape[1])
        if dark[i, j]:
            continue
        alive()
        r, c = corner[k, 0] + np.arange(size), corner[k, 1] + np.arange(size)
        waves = np.exp(-2j * math.pi * (carrier[0] * r[:, None] + carrier[1] * c[None, :]))
        waves *= root[np.ix_(r, c)]
        terms, images = [], {}
        for di, dj in _AROUND:
            a, b = i + di, j + dj
            if not (0 <= a < shape[0] and 0 <= b < shape[1]) or dark[a, b]:
                continue
            image = profile(r - at[0, a, b], places.pitch, places.blur)[:, None]
            image = image * profile(c - at[1, a, b], places.pitch, places.blur)[None, :]
            fringes = (2 * image * waves).ravel()
            terms += [fringes.real, -fringes.imag, (image**2).ravel()]
            images[di, dj] = image.ravel()
        terms += [images[one] * images[other] for one, other in _BORDERS if one in images and other in images]
        seen = _pinv(np.stack(terms, axis=1))
        weights[k] = (seen[0] + 1j * seen[1]).reshape(size, size)
    single: NDArray[np.complex64] = weights.astype(np.complex64)
    alone = np.empty((1, len(corner)), np.complex128)
    _weighted((reference + offset)[None], corner, single, alone)
    return Reader(corner, single, alone[0], shape)


_AROUND = [(0, 0)] + [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
_BORDERS = [((i, j), (i + a, j + b)) for i, j in _AROUND for a, b in ((0, 1), (1, 0)) if max(i + a, j + b) < 2]


def _pinv(terms: Array) -> Array:
    """First two rows of the least-squares inverse; offsets are known, so there is no constant."""
    scale = np.maximum(np.sqrt((terms**2).sum(axis=0)), 1e-12)
    gram = (terms / scale).T @ (terms / scale)
    gram[np.diag_indices_from(gram)] += 1e-6
    return np.asarray((np.linalg.solve(gram, (terms / scale).T) / scale[:, None])[:2])


@kernel
def _weighted(frames: NDArray[Any], origins: NDArray[np.int64], weights: NDArray[np.complex64], out: Complex) -> None:
    """out (frames, places): sums of frames (frames, rows, columns) in windows at origins, with weights."""
    places, height, width = weights.shape
    for f in range(len(frames)):
        for b in range(places):
            r, c = origins[b, 0], origins[b, 1]
            re, im = np.float32(0.0), np.float32(0.0)
            for i in range(height):
                for j in range(width):
                    value = np.float32(frames[f, r + i, c + j])
                    re += weights[b, i, j].real * value
                    im += weights[b, i, j].imag * value
            out[f, b] = complex(re, im)
