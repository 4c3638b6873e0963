"""What training has to know of noising trajectories: sums over their steps, simulated or averaged over all there are.

For couplings J and biases b the reversed action (Eq. 7) of trajectories is, but for a constant and with mu = k_BT = 1,

    ∫ Σ_i (g_i + Σ_j J_ij x'_j + b_i)² dt / 4,      g = -Δx/dt + V_0'(x'),

quadratic in J and b. So it depends on trajectories by ⟨g xᵀ⟩, ⟨x xᵀ⟩, ⟨g⟩ and ⟨x⟩ alone, and so does its gradient,
Eqs (10, 11). V_0 is the energy of units without biases: the denoising computer has none of the image's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import Couplings, evolve
from simulators.physics.langevin.noising import noising
from simulators.physics.langevin.potential import Units

Array = NDArray[np.float64]
_CHUNK = 50
"""Steps whose states are kept at a time."""
REST = 0.5
"""Time (1/mu) for which units come to equilibrium with the image: they begin at its ⟨x⟩."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Integrals over a trajectory's time, averaged over trajectories: gx (N, N), ⟨g_i x_j⟩; xx (N, N); g, x (N,).

    duration: of a trajectory. The diagonal of gx is not used.
    """

    gx: NDArray[np.float32]
    xx: NDArray[np.float32]
    g: Array
    x: Array
    duration: float

    def plus(self, other: Sums, share: float) -> Sums:
        """The average of both, the other's weight ``share``."""
        a, b = 1 - share, share
        mixed = (np.asarray(a * getattr(self, f.name) + b * getattr(other, f.name)) for f in fields(self)[:4])
        gx, xx, g, x = mixed
        return Sums(gx.astype(np.float32), xx.astype(np.float32), g, x, self.duration)


def averaged(biases: Array, J2: float, J4: float, duration: float) -> Sums:
    """Over all noising trajectories of images that drive units by ``biases`` (images, N), which fade within duration.

    Units are independent given the image, so that joint moments are products of those of `noising`.
    """
    found = noising(J2, J4, float(np.abs(biases).max()), duration)
    n = biases.shape[1]
    weight = np.full(len(found.times), found.times[1])
    weight[[0, -1]] /= 2
    fading = 1 - found.times / duration
    gx, xx = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
    g, x, variance = np.zeros(n), np.zeros(n), np.zeros(n)
    with threadpool_limits(1, user_api="blas"):
        for b in biases:
            mean = found.at("mean", b)
            # d⟨x⟩/dt = -⟨V_0'⟩ - b(t), so that ⟨g⟩ = 2⟨V_0'⟩ + b(t).
            drift = 2 * found.at("slope", b) + fading[:, None] * b
            weighted = (mean * weight[:, None]).astype(np.float32)
            gx += drift.astype(np.float32).T @ weighted
            xx += mean.astype(np.float32).T @ weighted
            variance += weight @ (found.at("square", b) - mean**2)
            g += weight @ drift
            x += weight @ mean
    count = len(biases)
    xx[np.diag_indices(n)] += variance.astype(np.float32)
    return Sums(gx / np.float32(count), xx / np.float32(count), g / count, x / count, duration)


def sampled(biases: Array, units: Units, duration: float, dt: float, trajectories: int, seed: int, number: int) -> Sums:
    """Over simulated noising trajectories, so many of each image. number: of this call; each has noise of its own."""
    n = biases.shape[1]
    steps = max(round(duration / dt), 1)
    none = Couplings.of(np.zeros((n, n)))
    gx, xx = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
    g, x = np.zeros(n), np.zeros(n)
    linear, cubic = (2 * units.J2).astype(np.float32), (4 * units.J4).astype(np.float32)
    with threadpool_limits(1, user_api="blas"):
        for image, b in enumerate(biases):
            purpose = f"noising/{number}/{image}"
            start = np.tile(-np.cbrt(b / (4 * units.J4.mean() + 2 * abs(units.J2).mean())), (trajectories, 1))
            rest = max(round(REST / dt), 1)
            state = evolve(start, units, none, (b, b), rest, dt, noise_key(seed, purpose, "rest"))[0]
            for first in range(0, steps, _CHUNK):
                count = min(_CHUNK, steps - first)
                ramp = b * (1 - first / steps), b * (1 - (first + count) / steps)
                key = noise_key(seed, purpose, str(first))
                seen = evolve(state, units, none, ramp, count, dt, key, range(count + 1))
                state = seen[-1]
                after = seen[1:].reshape(-1, n)
                own = (linear + cubic * after * after) * after
                drift = own - np.diff(seen, axis=0).reshape(-1, n) / np.float32(dt)
                gx += drift.T @ after
                xx += after.T @ after
                g += drift.sum(axis=0, dtype=np.float64)
                x += after.sum(axis=0, dtype=np.float64)
    per = dt / (trajectories * len(biases))
    return Sums(gx * np.float32(per), xx * np.float32(per), g * per, x * per, steps * dt)
