"""What noising does to one unit, averaged over all trajectories: its Fokker-Planck equation under a bias that fades.

While couplings are zero units do not know of each other, so that their joint moments are products of these. Training
on them is training on infinitely many noising trajectories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from simulators.physics.compiled import kernel
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
    mean, square, slopes = (np.empty((_STEPS + 1, _BIASES)) for _ in range(3))
    for k, moment in ((x, mean), (x * x, square), (slope, slopes)):
        moment[0] = p @ k
    _fade(p, own, x, slope, biases, times, mean, square, slopes)
    rest = np.exp(-(own - own.min()))
    log_rest = -(own - own.min()) - np.log(rest.sum() * spacing)
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


@kernel
def _fade(
    p: Array, own: Array, x: Array, slope: Array, biases: Array, times: Array, mean: Array, square: Array, slopes: Array
) -> None:
    """Probabilities p (M, cells) of all biases through all steps, in place, and their moments (T, M)."""
    cells, spacing, dt = len(x), x[1] - x[0], times[1] - times[0]
    rate = dt / spacing**2
    up, down, upper = np.empty(cells), np.empty(cells), np.empty(cells)
    for m in range(len(biases)):
        q = p[m]
        for k in range(1, len(times)):
            bias = biases[m] * (1 - times[k] / times[-1])
            for i in range(cells - 1):
                z = own[i + 1] - own[i] + bias * spacing
                up[i] = rate * (1 - z / 2 if abs(z) < 1e-6 else z / math.expm1(z))
                down[i] = up[i] + rate * z
            # Elimination and substitution: row i is -up[i - 1], 1 + up[i] + down[i - 1], -down[i]
            pivot = 1 + up[0]
            upper[0] = -down[0] / pivot
            q[0] /= pivot
            for i in range(1, cells):
                pivot = 1 + down[i - 1] + (up[i] if i < cells - 1 else 0.0) + up[i - 1] * upper[i - 1]
                upper[i] = -down[i] / pivot if i < cells - 1 else 0.0
                q[i] = (q[i] + up[i - 1] * q[i - 1]) / pivot
            for i in range(cells - 2, -1, -1):
                q[i] -= upper[i] * q[i + 1]
            first, second, third = 0.0, 0.0, 0.0
            for i in range(cells):
                first += q[i] * x[i]
                second += q[i] * x[i] * x[i]
                third += q[i] * slope[i]
            mean[k, m], square[k, m], slopes[k, m] = first, second, third
