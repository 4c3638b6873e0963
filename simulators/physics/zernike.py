"""Zernike polynomials in Noll's order, each of rms 1 over the unit disc (R. J. Noll, JOSA 66, 207 (1976))."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = {
    1: "piston", 2: "tilt x", 3: "tilt y", 4: "defocus", 5: "astigmatism 45", 6: "astigmatism 0", 7: "coma y",
    8: "coma x", 9: "trefoil y", 10: "trefoil x", 11: "spherical",
}  # fmt: skip


def noll_indices(j: int) -> tuple[int, int]:
    """Radial and azimuthal order (n, m) of Noll's j = 1, 2, ...; m < 0 are the sines. ValueError below 1."""
    if j < 1:
        raise ValueError(f"Noll's index {j}: it counts from 1")
    n = 0
    left = j - 1
    while left > n:
        n += 1
        left -= n
    m = n % 2 + 2 * ((left + (n + 1) % 2) // 2)
    return n, m if j % 2 == 0 else -m


def zernike(j: int, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Polynomial j at points (x, y) in units of the disc's radius; also beyond the disc, where it goes on."""
    n, m = noll_indices(j)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    radial = np.zeros(np.shape(radius))
    for k in range((n - abs(m)) // 2 + 1):
        weight = (-1) ** k * math.comb(n - k, k) * math.comb(n - 2 * k, (n - abs(m)) // 2 - k)
        radial += weight * radius ** (n - 2 * k)
    if m == 0:
        return np.asarray(math.sqrt(n + 1) * radial)
    around = np.cos(m * angle) if m > 0 else np.sin(-m * angle)
    return np.asarray(math.sqrt(2 * (n + 1)) * radial * around)


def zernikes(indices: Iterable[int], x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Several at once: (polynomials, *points)."""
    return np.stack([zernike(j, x, y) for j in indices])
