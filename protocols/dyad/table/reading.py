"""Light of every site in every frame: the images of a dyad's two condensates, fitted side by side, by one weighted sum.

Weights are those of least squares for two point images in a window, so that neither site's light counts for the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import erf, ndtr

from labctl.client import CalibrationError
from simulators.physics.compiled import kernel

Array = NDArray[np.float64]

_MARGIN = 2.2
"""Of a window beyond the two places, in radii of the image."""
_READ_NOISE_E = 2.0


@dataclass(frozen=True, eq=False)
class Windows:
    """places: (n, 2, 2) of the sites in the region, px. radius_px: 1/e^2 radius of a point's image. origins: (n, 2)
    first row and column of each window. weights: (n, 2, height, width), whose sum with counts is a site's counts."""

    places: Array
    radius_px: float
    origins: NDArray[np.int64]
    weights: Array
    noise_e: Array

    def sums(self, frames: NDArray[Any]) -> Array:
        """Counts (frames, n, 2) of every site in frames (frames, rows, columns)."""
        out = np.empty((len(frames), *self.weights.shape[:2]))
        weighted_sums(frames, self.origins, self.weights, out)
        return out


def compile_kernels() -> None:
    """Have what reads frames compiled now: under control that may take longer than a lease. At once where it was."""
    places = np.zeros((1, 2, 2))
    windows = Windows(places, 1.0, np.zeros((1, 2), np.int64), np.zeros((1, 2, 1, 1)), np.zeros(1))
    for kind in ("u2", "f8"):
        frames = np.zeros((1, 1, 1), kind)
        windows.sums(frames)
        frames.setflags(write=False)  # as frames in shared memory are
        windows.sums(frames)


def fit_windows(mean: Array, places: Array, radius_px: float, electrons_per_count: float) -> Windows:
    """Windows for a region whose mean image above dark is known (rows, columns), counts.

    places: (n, 2, 2) about where the sites are. radius_px: about how large a point's image is. Both are fitted: the
    radius for all, a shift of all, since the condensates are where the pump's spots are. Raises CalibrationError where
    a window leaves the region, or no light is there.
    """
    margin = math.ceil(_MARGIN * radius_px)
    low, high = places.min(axis=1), places.max(axis=1)
    origins = np.floor(low).astype(np.int64) - margin
    height, width = (int(v) for v in np.ceil(high - low).max(axis=0) + 2 * margin + 1)
    size = np.array([height, width])
    if origins.min() < 0 or np.any(origins + size > mean.shape):
        raise CalibrationError(
            f"windows of {height}x{width} pixels around the dyads leave the region of {mean.shape[0]}x{mean.shape[1]}: "
            "the lattice leaves the camera, or is larger than planned"
        )
    cut = np.stack([mean[r : r + height, c : c + width] for r, c in origins])
    seen = cut.reshape(len(cut), -1)

    def residual(parameters: Array) -> Array:
        images = _images(places + parameters[:2], parameters[2], origins, height, width)
        left = seen - (images @ _amplitudes(images, seen)[..., None])[..., 0]
        return np.asarray(left.ravel() / max(float(seen.max()), 1e-9))

    fitted = least_squares(residual, [0.0, 0.0, radius_px], bounds=([-3, -3, 0.8], [3, 3, 4 * radius_px]))
    shift, radius = fitted.x[:2], float(fitted.x[2])
    images = _images(places + shift, radius, origins, height, width)
    amplitudes = _amplitudes(images, seen)
    if float(np.median(amplitudes.sum(axis=1))) * electrons_per_count < 5:
        raise CalibrationError(
            "no light of condensates where the pump's spots are: raise the pump's power, or look for what blocks the "
            "camera"
        )
    # Noise of a pixel: its light's, as it is on average, and the camera's own.
    expected = np.maximum((images @ amplitudes[..., None])[..., 0] * electrons_per_count, 0.0)
    precision = 1 / (expected + _READ_NOISE_E**2)
    normal = np.einsum("npk,np,npl->nkl", images, precision, images)
    weights = np.linalg.solve(normal, np.einsum("npk,np->nkp", images, precision))
    spread = np.linalg.inv(normal)
    noise = np.sqrt(spread[:, 0, 0] + spread[:, 1, 1] - 2 * spread[:, 0, 1])
    shaped = np.ascontiguousarray(weights.reshape(len(places), 2, height, width))
    return Windows(places + shift, radius, origins, shaped, noise)


def _images(places: Array, radius: float, origins: NDArray[np.int64], height: int, width: int) -> Array:
    """Two point images of one count each in every window: (n, pixels, 2)."""
    down = _profile(places[:, :, 0] - origins[:, None, 0], radius, height)
    across = _profile(places[:, :, 1] - origins[:, None, 1], radius, width)
    return np.asarray((down[:, :, :, None] * across[:, :, None, :]).reshape(len(places), 2, -1).transpose(0, 2, 1))


def _profile(place: Array, radius: float, count: int) -> Array:
    edges = np.arange(count + 1) - 0.5
    return np.asarray(0.5 * np.diff(erf((edges - place[..., None]) * math.sqrt(2) / radius), axis=-1))


def _amplitudes(images: Array, seen: Array) -> Array:
    normal = np.einsum("npk,npl->nkl", images, images)
    return np.asarray(np.linalg.solve(normal, np.einsum("npk,np->nk", images, seen)[..., None])[..., 0])


@kernel
def weighted_sums(frames: NDArray[Any], origins: NDArray[np.int64], weights: Array, out: Array) -> None:
    """out (frames, n, 2): sums of frames (frames, rows, columns) in windows at origins (n, 2), with weights (n, 2,
    height, width)."""
    height, width = weights.shape[2], weights.shape[3]
    for f in range(len(frames)):
        for d in range(len(origins)):
            r, c = origins[d, 0], origins[d, 1]
            first, second = 0.0, 0.0
            for i in range(height):
                for j in range(width):
                    value = float(frames[f, r + i, c + j])
                    first += weights[d, 0, i, j] * value
                    second += weights[d, 1, i, j] * value
            out[f, d, 0] = first
            out[f, d, 1] = second


def misread(intensity: Array, noise_e: Array) -> Array:
    """Probability (n,) that a state is told wrongly, from intensities (frames, n, 2).

    noise_e: (n,) standard deviation of a difference I_2 - I_1 by detection. A shot whose difference is d is told
    wrongly with probability Phi(-|d| / noise), as far as its neighbours in d are as frequent as it is. That densities
    of a dyad's condensates differ from shot to shot is no misreading. 1/2 where nothing differs.
    """
    difference = np.abs(intensity[..., 1] - intensity[..., 0])
    return np.asarray(ndtr(-difference / np.maximum(noise_e, 1e-9)).mean(axis=0))
