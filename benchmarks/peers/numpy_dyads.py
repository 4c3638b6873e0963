"""Dyads by numpy alone, as carefully as that can be written: real parts beside imaginary ones, in place, in cache.

Eq. (1) of PRL 132, 096901, for equal parameters of all dyads, by the same steps as the compiled kernel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class NumpyDyads:
    """Batches of dyads; what a step needs is allocated once.

    gamma, g, xi, J: numbers. batch: dyads that are advanced together.
    """

    def __init__(self, gamma: float, g: float, xi: float, J: float, batch: int) -> None:
        self._gamma, self._g, self._xi, self._J = gamma, g, xi, J
        self._batch = batch
        # Part (real, imaginary), site, dyad.
        self._slopes = [np.empty((2, 2, batch)) for _ in range(4)]
        self._middle, self._pumped, self._work = (np.empty((2, 2, batch)) for _ in range(3))
        self._density, self._gain = np.empty((2, batch)), np.empty((2, batch))

    def evolve(self, psi: NDArray[np.complex128], duration: float, steps: int) -> NDArray[np.complex128]:
        """Amplitudes (n, 2) after ``duration``; n is a multiple of the batch."""
        out = np.empty_like(psi)
        for first in range(0, len(psi), self._batch):
            part = slice(first, first + self._batch)
            state = np.stack((psi[part].real.T, psi[part].imag.T))
            for _ in range(steps):
                self._step(state, duration / steps)
            out[part].real, out[part].imag = state[0].T, state[1].T
        return out

    def _step(self, state: Array, h: float) -> None:
        k1, k2, k3, k4 = self._slopes
        middle = self._middle
        self._slope(state, k1)
        np.multiply(k1, h / 2, out=middle)
        middle += state
        self._slope(middle, k2)
        np.multiply(k2, h / 2, out=middle)
        middle += state
        self._slope(middle, k3)
        np.multiply(k3, h, out=middle)
        middle += state
        self._slope(middle, k4)
        k2 += k3
        k2 *= 2
        k1 += k2
        k1 += k4
        k1 *= h / 6
        state += k1

    def _slope(self, s: Array, out: Array) -> None:
        density, gain, pumped, work = self._density, self._gain, self._pumped, self._work
        np.multiply(s, s, out=work)
        np.add(work[0], work[1], out=density)
        np.multiply(density, self._xi, out=gain)
        gain += 1.0
        np.divide(self._gamma, gain, out=gain)
        np.multiply(s, gain, out=pumped)
        np.multiply(s[:, ::-1], self._J, out=work)
        pumped += work
        np.subtract(pumped, s, out=out)
        np.multiply(s, density, out=work)
        pumped *= self._g
        work += pumped  # -i |psi|^2 psi and -i g (gain psi + J psi') turn alike
        out[0] += work[1]
        out[1] -= work[0]
