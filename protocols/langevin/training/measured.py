"""Training in situ: what noising does to units, as a computer's own readings say it.

Between units that are not coupled products of means are joint moments, and a unit's mean says by its drift what force
it feels: with mu = 1, d⟨x⟩/dt = -⟨V_0'⟩ - b(t), so that ⟨g⟩ = ⟨V_0'⟩ - d⟨x⟩/dt = -2 d⟨x⟩/dt - b(t). Neither J2 nor J4
need be known, nor what lines do to their neighbours; how units differ from each other is trained around.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.langevin.computer import BoardComputer, Computer, Stage
from protocols.langevin.training.sums import REST, Sums

Array = NDArray[np.float64]
_TIMES = 41


def measured(computer: Computer, drive: Array, duration: float, repeats: int) -> Sums:
    """Of one image, whose biases drive (N,) fade; those beyond the computer's range are clipped to it."""
    largest = computer.bias_range if isinstance(computer, BoardComputer) else np.inf
    b = np.clip(drive, -largest, largest)
    times = np.linspace(0, duration, _TIMES)
    none = np.zeros(len(b))
    x = computer.run([Stage(REST, None, b), Stage(duration, None, b, tuple(times), none)], repeats)
    if isinstance(computer, BoardComputer):
        b = np.asarray(computer.programmed[-1].biases)  # as it was rounded
    mean = x.mean(axis=0, dtype=np.float64)
    variance = x.var(axis=0, dtype=np.float64)
    g = -2 * np.gradient(mean, times, axis=0, edge_order=2) - (1 - times / duration)[:, None] * b
    weight = np.full(_TIMES, times[1])
    weight[[0, -1]] /= 2
    weighted = mean * weight[:, None]
    xx = mean.T @ weighted
    xx[np.diag_indices(len(b))] += weight @ variance
    return Sums((g.T @ weighted).astype(np.float32), xx.astype(np.float32), weight @ g, weight @ mean, duration)
