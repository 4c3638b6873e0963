"""A pump pulse in time, in units of t0: how the pumping rises, stays and falls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pulse(NamedTuple):
    """All times in units of t0 = 2 tau_p. rise: from nothing to the plateau, and fall back, evenly. plateau: between.
    tail: after it, until the light of the condensates has left. dt: step of the integrator, at most."""

    rise: float
    plateau: float
    fall: float
    tail: float = 8.0
    dt: float = 0.1

    @property
    def duration(self) -> float:
        """Of what is integrated."""
        return self.rise + self.plateau + self.fall + self.tail

    @property
    def steps(self) -> int:
        """Of the integrator."""
        return max(1, int(np.ceil(self.duration / self.dt)))

    @property
    def step(self) -> float:
        """Length of one."""
        return self.duration / self.steps

    def shape(self) -> NDArray[np.float64]:
        """Pumping relative to the plateau (2 steps + 1,) at the beginning, in the middle and at the end of steps."""
        t = np.linspace(0.0, self.duration, 2 * self.steps + 1)
        end = self.rise + self.plateau
        up = np.clip(t / self.rise, 0, 1) if self.rise > 0 else np.ones_like(t)
        down = np.clip((end + self.fall - t) / self.fall, 0, 1) if self.fall > 0 else (t < end).astype(float)
        return np.asarray(up * down, np.float64)
