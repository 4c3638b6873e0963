"""How irreversible denoising is: noising trajectories, and how probable their reversal is for a trained computer.

With steps of Euler's scheme, and μ = k_BT = 1, a trajectory ω of the fading image has (Eq. 13, nothing dropped)

    ln P_0[ω]/P_θ[ω̃] = -½ Σ Δx·(F_0(x) + F_θ(x')) + (dt/4) Σ (|F_θ(x')|² - |F_0(x)|²),    F = ∂V,

where the paper keeps the first sum, minus half of both heats. The average of ln P_0[ω] p_0(x(0)) / P_θ[ω̃] q(x(t_f)) is
a Kullback-Leibler divergence, and so not negative: p_0 is equilibrium with the image, q the one that denoising begins
with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import Couplings, evolve
from simulators.physics.langevin.noising import noising
from simulators.physics.langevin.potential import LangevinError, Units, gradient, own_gradient

Array = NDArray[np.float64]

_CHUNK = 100
_REST = 0.5


@dataclass(frozen=True, eq=False)
class Reversal:
    """Of trajectories (n,), in k_BT: terms of the identity above, and the mean of ln p_0(x(0)) - ln q(x(t_f)).

    identity_error: the largest difference of both sides, relative to the largest ln_ratio.
    """

    ln_ratio: Array
    half_heats: Array
    force_term: Array
    ends: Array
    identity_error: float


def reversal(
    drive: Array, units: Units, J: Array, b: Array, duration: float, dt: float, trajectories: int, seed: int
) -> Reversal:
    """Of the computer (J, b), by so many trajectories of each image, whose biases drive (images, N) fade.

    Units are alike, with mobility and temperature 1; others raise `LangevinError`. States are in single precision, and
    what is made of them in double.
    """
    alike = all(np.ptp(v) == 0 for v in (units.J2, units.J4)) and (units.mobility == 1).all()
    if not (alike and (units.temperature == 1).all()):
        raise LangevinError("units: not alike; allowed: the same J2 and J4, mobility 1 and temperature 1")
    found = noising(float(units.J2[0]), float(units.J4[0]), float(np.abs(drive).max()), duration)
    with threadpool_limits(1, user_api="blas"):
        parts = [_of_image(d, units, J, b, duration, dt, trajectories, seed, k) for k, d in enumerate(drive)]
    ends = [float((found.at("cross_entropy", d) - found.at("entropy", d)).sum()) for d in drive]
    ratio, heats, force = (np.concatenate([part[k] for part in parts]) for k in range(3))
    apart = float(np.abs(ratio - heats - force).max() / np.abs(ratio).max())
    return Reversal(ratio, heats, force, np.repeat(ends, trajectories), apart)


def _of_image(
    drive: Array, units: Units, J: Array, b: Array, duration: float, dt: float, trajectories: int, seed: int, image: int
) -> tuple[Array, Array, Array]:
    n, steps = len(units), max(round(duration / dt), 1)
    none = Couplings.of(np.zeros((n, n)))
    purpose = f"reversal/{image}"
    rest = max(round(_REST / dt), 1)
    start = np.zeros((trajectories, n))
    x = evolve(start, units, none, (drive, drive), rest, dt, noise_key(seed, purpose, "rest"))[0]
    ratio, heats, force = np.zeros(trajectories), np.zeros(trajectories), np.zeros(trajectories)
    for first in range(0, steps, _CHUNK):
        count = min(_CHUNK, steps - first)
        ramp = drive * (1 - first / steps), drive * (1 - (first + count) / steps)
        seen = evolve(x, units, none, ramp, count, dt, noise_key(seed, purpose, str(first)), range(count + 1))
        x = seen[-1]
        before, after = seen[:-1].astype(np.float64), seen[1:].astype(np.float64)
        fading = (1 - (first + np.arange(count)) / steps)[:, None, None] * drive
        F_0 = own_gradient(before, units) + fading
        F = gradient(after, units, J, b)
        moved = after - before
        heats -= 0.5 * (moved * (F_0 + F)).sum(axis=(0, 2))
        force += dt / 4 * (F * F - F_0 * F_0).sum(axis=(0, 2))
        ratio += ((dt * F - moved) ** 2 - (dt * F_0 + moved) ** 2).sum(axis=(0, 2)) / (4 * dt)  # Eqs (7), (6)
    return ratio, heats, force
