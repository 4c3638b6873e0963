"""What noising does to one unit, averaged over all trajectories: its Fokker-Planck equation under a bias that fades.

While couplings are zero units do not know of each other, so that their joint moments are products of these. Training
on them is training on infinitely many noising trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_banded

from simulators.physics.langevin.potential import LangevinError, Units

Array = NDArray[np.float64]

_CELLS = 241
_STEPS = 250
_BIASES = 97
_UNLIKELY = 30.0
"""Energy (k_BT) above the lowest at which the density is as good as zero."""


@dataclass(frozen=True, eq=False)
class Noising:
    """Moments of a unit of bias b₀ (1 - t/t_f) at the times of `times`, by b₀.

    biases: (M,) b₀, even and ascending. mean, square, slope: (T, M), ⟨x⟩, ⟨x²⟩ and ⟨2 J2 x + 4 J4 x³⟩. entropy,
    cross_entropy: (M,), -∫p ln p at the beginning, and -∫p ln q at the end with q the equilibrium without bias.
    """

    times: Array
    biases: Array
    mean: Array
    square: Array
    slope: Array
    entropy: Array
    cross_entropy: Array

    def at(self, name: str, biases: Array) -> Array:
        """A moment, (T, …) or, of entropies, (…), for units of the given b₀ (…)."""
        low, high = self.biases[0], self.biases[-1]
        if biases.size and (biases.min() < low - 1e-9 or biases.max() > high + 1e-9):
            raise LangevinError(f"biases {biases.min():g} to {biases.max():g}; worked out: {low:g} to {high:g}")
        table = np.asarray(getattr(self, name))
        return np.asarray(CubicSpline(self.biases, table, axis=-1)(biases))


def noising(J2: float, J4: float, largest_bias: float, duration: float) -> Noising:
    """Moments of units whose bias is at most ``largest_bias`` in size and fades within ``duration`` (1/mu).

    They begin at equilibrium with the bias. Backward Euler steps for drift and diffusion by Scharfetter and Gummel's
    fluxes, whose equilibrium is Boltzmann's at any spacing. Accurate to some 1e-3 of the largest mean.
    """
    Units.of(1, J2, J4)
    if not (np.isfinite(duration) and duration > 0 and np.isfinite(largest_bias) and largest_bias >= 0):
        raise LangevinError(f"largest_bias={largest_bias}, duration={duration}: allowed: 0 or more, above 0")
    largest = max(largest_bias, 1e-3)
    biases = np.linspace(-largest, largest, _BIASES)
    x = _cells(J2, J4, largest)
    own = (J2 + J4 * x * x) * x * x
    slope = (2 * J2 + 4 * J4 * x * x) * x
    p = np.exp(-(own + biases[:, None] * x) + (own + biases[:, None] * x).min(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    spacing = x[1] - x[0]
    entropy = -(p * np.log(np.maximum(p, 1e-300) / spacing)).sum(axis=1)
    times = np.linspace(0, duration, _STEPS + 1)
    rows = [p @ x], [p @ (x * x)], [p @ slope]
    for t in times[1:]:
        V = own + biases[:, None] * (1 - t / duration) * x
        p = np.stack([_implicit_step(q, v, spacing, times[1]) for q, v in zip(p, V, strict=True)])
        for kept, what in zip(rows, (x, x * x, slope), strict=True):
            kept.append(p @ what)
    rest = np.exp(-(own - own.min()))
    log_rest = -(own - own.min()) - np.log(rest.sum() * spacing)
    mean, square, slopes = (np.array(kept) for kept in rows)
    return Noising(times, biases, mean, square, slopes, entropy, -(p @ log_rest))


def _cells(J2: float, J4: float, force: float) -> Array:
    """Centres of cells as far as a unit gets."""
    far = 0.5
    while True:
        x = np.linspace(-far, far, 801)
        V = (J2 + J4 * x * x) * x * x - force * x
        if min(V[-1], V[0]) > V.min() + _UNLIKELY:
            return np.linspace(-far, far, _CELLS)
        far *= 1.1


def _implicit_step(p: Array, V: Array, spacing: float, dt: float) -> Array:
    """Probabilities (cells,) a step later in the potential V (cells,)."""
    difference = np.diff(V)
    up, down = _bernoulli(difference) / spacing**2, _bernoulli(-difference) / spacing**2
    bands = np.zeros((3, len(p)))
    bands[0, 1:] = -dt * down
    bands[2, :-1] = -dt * up
    bands[1] = 1.0
    bands[1, :-1] += dt * up
    bands[1, 1:] += dt * down
    return np.asarray(solve_banded((1, 1), bands, p, check_finite=False))


def _bernoulli(z: Array) -> Array:
    """z/(e^z - 1)."""
    small = np.abs(z) < 1e-6
    safe = np.where(small, 1.0, z)
    return np.where(small, 1 - z / 2, safe / np.expm1(safe))
