"""The hologram of a lattice of spots whose intensities are set finely: the phase of a few plane waves added up.

    phi(r) = arg sum_k w_k exp(i theta_k + i k_k r)

Where the spots' phases theta_k are those of a pattern by weighted Gerchberg-Saxton iterations, such a sum is about its
fixed point (Di Leonardo et al., Opt. Express 15, 1913, 2007). They stay as they are from then on, so that intensities
are smooth functions of the weights; these are chosen such that the computed intensities are the wanted ones.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calibration.spot_hologram import SpotPattern
from labctl.client import CalibrationError, LimitError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

PREPARED = 8
"""Gerchberg-Saxton iterations in the computer: spots' phases hardly change any more."""
_MOST_STEPS = 60
_CLOSE = 2e-5
"""Relative deviation of computed intensities that is close enough: a tenth of what gray levels of 8 bits leave."""
_REMEMBERED = 5
"""Steps before this one that tell how intensities answer to weights."""


class SpotSum:
    """Spots at units (m, 2) of (rows, columns) for a panel (rows, columns); a unit is lambda f over ``size`` pixels of it.

    Rows and columns of the panel are summed one after the other: many spots share a row or a column of the lattice.
    """

    def __init__(self, panel: tuple[int, int], size: int, units: Array) -> None:
        rows, self._row = np.unique(units[:, 0], return_inverse=True)
        columns, self._column = np.unique(units[:, 1], return_inverse=True)
        y, x = (np.arange(n) - (n - 1) / 2 for n in panel)
        self._down = np.exp(2j * math.pi / size * np.outer(y, rows)).astype(np.complex64)
        self._across = np.exp(2j * math.pi / size * np.outer(columns, x)).astype(np.complex64)

    def waves(self, amplitudes: Complex) -> NDArray[np.complex64]:
        """Of modulus 1 (rows, columns): exp(i phi) of waves with these amplitudes (m,)."""
        lattice = np.zeros((self._down.shape[1], self._across.shape[0]), np.complex64)
        np.add.at(lattice, (self._row, self._column), amplitudes.astype(np.complex64))
        field = self._down @ (lattice @ self._across)
        return np.asarray(field / np.abs(field))

    def fields(self, waves: NDArray[np.complex64]) -> Complex:
        """Fields (m,) that light of an even beam and of these phases (rows, columns) makes at the spots; their squares
        add up to the share of the light that they get."""
        found = self._down.conj().T @ (waves @ self._across.conj().T)
        return np.asarray(found[self._row, self._column] / waves.size, np.complex128)


class SpotHologram:
    """Patterns of one lattice of spots, each of an intensity of its own.

    theta: phases (m,) of the spots, which stay.
    """

    def __init__(self, panel: tuple[int, int], size: int, units: Array, theta: Array) -> None:
        self._sum = SpotSum(panel, size, units)
        self.theta = theta
        self._weights = np.zeros(len(units))
        self.efficiency = 0.0
        """Share of the light that goes to the spots of the pattern made last, by calculation."""

    @classmethod
    def made(cls, panel: tuple[int, int], size: int, units: Array, rng: np.random.Generator) -> SpotHologram:
        """One with phases theta (m,) of its own: where many spots get most of the light.

        Raises ConfigurationError, by `SpotPattern`, for spots that cannot be.
        """
        start = SpotPattern(panel, size, units, rng)
        start.prepare(PREPARED)
        spots = SpotSum(panel, size, units).fields(np.exp(1j * start.phase).astype(np.complex64))
        return cls(panel, size, units, np.angle(spots))

    def phase(self, powers: Array) -> Array:
        """The pattern (rows, columns), rad from 0 to 2 pi, whose spots have these relative powers (m,), all positive.

        Raises LimitError for other powers, CalibrationError if none is found for powers so uneven.
        """
        powers = np.asarray(powers, np.float64)
        if powers.shape != self.theta.shape or not np.all(np.isfinite(powers)) or powers.min() <= 0:
            raise LimitError(
                f"powers {powers.shape} from {np.min(powers):.3g}: {len(self.theta)} positive numbers are needed, one "
                "for each spot"
            )
        wanted = np.log(powers / powers.mean())
        turn = np.exp(1j * self.theta)
        weights = self._weights  # logarithms of amplitudes
        steps: list[tuple[Array, Array]] = []
        for _ in range(_MOST_STEPS):
            waves = self._sum.waves(np.exp(weights) * turn)
            found = np.abs(self._sum.fields(waves)) ** 2
            lacking = wanted - np.log(found / found.mean())
            if np.abs(lacking).max() < _CLOSE:
                self._weights = weights
                self.efficiency = float(found.sum())
                return np.asarray(np.mod(np.angle(waves), 2 * math.pi), np.float64)
            steps = [*steps[-_REMEMBERED:], (weights, 0.5 * lacking)]
            weights = _next(steps)
        raise CalibrationError(
            f"no hologram has spots so uneven ({np.exp(wanted.min()):.3g} to {np.exp(wanted.max()):.3g} of their mean; "
            f"computed powers stay {np.abs(lacking).max():.1e} off): ask for smaller differences, or choose fewer spots"
        )


def _next(steps: list[tuple[Array, Array]]) -> Array:
    """Anderson's acceleration (J. ACM 12, 547, 1965) of the iteration weights + step, from the last few of both."""
    weights, step = steps[-1]
    if len(steps) > 1:
        moved = np.diff(np.stack([w for w, _ in steps]), axis=0).T
        changed = np.diff(np.stack([s for _, s in steps]), axis=0).T
        share = np.linalg.lstsq(changed, step, rcond=1e-10)[0]
        weights = weights - moved @ share
        step = step - changed @ share
    found = weights + step
    return np.asarray(found - found.mean())
