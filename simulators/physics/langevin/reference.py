"""Langevin dynamics (Eq. 1) in plain numpy and double precision, step by step: what the compiled kernel is held to.

Two schemes, each with one gradient a step:

- "euler": Euler and Maruyama, Eq. (3). ⟨x²⟩ at equilibrium is too large by a part that is linear in dt.
- "averaged": Leimkuhler and Matthews (Appl. Math. Res. eXpress 2013, 34), whose noise is the mean of that of this step
  and the next; averages at equilibrium are off by dt² only.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulators.physics.langevin.noise import normals
from simulators.physics.langevin.potential import LangevinError, Units, gradient

Array = NDArray[np.float64]
Scheme = Literal["euler", "averaged"]


def evolve_plainly(
    x: Array,
    units: Units,
    J: Array,
    biases: tuple[Array, Array],
    steps: int,
    dt: float,
    key: np.uint64,
    scheme: Scheme = "euler",
    first_trajectory: int = 0,
) -> Array:
    """States (trajectories, N) after ``steps`` from states x.

    biases: (N,) at the first step and after the last, between which they are changed in proportion to time. Noise is
    `normals` of the key.
    """
    x = np.array(x, np.float64)
    kick = np.sqrt(2 * units.mobility * units.temperature * dt)
    following = normals(key, 0, first_trajectory, len(x), len(units))
    for k in range(steps):
        noise, following = following, normals(key, k + 1, first_trajectory, len(x), len(units))
        b = biases[0] + (biases[1] - biases[0]) * (k / steps)
        if scheme == "averaged":
            noise = 0.5 * (noise + following)
        x += kick * noise - units.mobility * dt * gradient(x, units, J, b)
    return x


def evolve_injected(
    x: Array, units: Units, J: Array, b: Array, noise: Array, dt: float, scheme: Scheme = "euler"
) -> Array:
    """States (steps, N) of one trajectory after every step, from x (N,), with numbers (steps + 1, N) given as noise.

    They should be normal, of mean 0 and variance 1; "euler" leaves the last ones unused.
    """
    if noise.ndim != 2 or noise.shape[1] != len(units) or len(noise) < 2:
        raise LangevinError(f"noise: shape {noise.shape}; allowed: (steps + 1, {len(units)}), two rows or more")
    kick = np.sqrt(2 * units.mobility * units.temperature * dt)
    used = 0.5 * (noise[:-1] + noise[1:]) if scheme == "averaged" else noise[:-1]
    x, seen = np.array(x, np.float64), np.empty((len(noise) - 1, len(units)))
    for k, numbers in enumerate(used):
        x = x + kick * numbers - units.mobility * dt * gradient(x, units, J, b)
        seen[k] = x
    return seen
