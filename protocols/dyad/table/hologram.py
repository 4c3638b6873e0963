"""The hologram of a lattice of spots whose intensities are set finely: the phase of a few plane waves added up.

    phi(r) = arg sum_k w_k exp(i theta_k + i k_k r)

Where the spots' phases theta_k are those of a pattern by weighted Gerchberg-Saxton iterations, such a sum is about its
fixed point (Di Leonardo et al., Opt. Express 15, 1913, 2007). They stay as they are from then on, so that intensities
are smooth functions of the weights; these are chosen such that the computed intensities are the wanted ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

from calibration.spot_hologram import SpotPattern
from labctl.client import CalibrationError, LimitError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_BLAS = ThreadpoolController()
"""Products of matrices are taken by one thread: they are small, and others that wait for more work would spin."""

PREPARED = 8
"""Gerchberg-Saxton iterations in the computer: spots' phases hardly change any more."""
_RENEWED_S = 0.3
_MOST_STEPS = 25
_CLOSE = 2e-5
"""Largest relative deviation of computed intensities that is close enough: a tenth of what 8 bits of gray leave."""
_TOO_FAR = 1e-3
"""The same that is not accepted. Between them intensities jump: pixels at a dark point of the sum turn at once."""
_REMEMBERED = 5
"""Steps before this one that tell how intensities answer to weights."""


class SpotSum:
    """Spots at units (m, 2) of (rows, columns) for a panel (rows, columns); a unit is lambda f over ``size`` pixels.

    Rows and columns of the panel are summed one after the other: many spots share a row or a column of the lattice.
    """

    def __init__(self, panel: tuple[int, int], size: int, units: Array) -> None:
        rows, self._row = np.unique(units[:, 0], return_inverse=True)
        columns, self._column = np.unique(units[:, 1], return_inverse=True)
        y, x = (np.arange(n) - (n - 1) / 2 for n in panel)
        self._down = np.exp(2j * math.pi / size * np.outer(y, rows)).astype(np.complex64)
        self._across = np.exp(2j * math.pi / size * np.outer(columns, x)).astype(np.complex64)

    def waves_of(self, amplitudes: Complex) -> NDArray[np.complex64]:
        """The sum (rows, columns) of waves with these amplitudes (m,)."""
        lattice = np.zeros((self._down.shape[1], self._across.shape[0]), np.complex64)
        np.add.at(lattice, (self._row, self._column), amplitudes.astype(np.complex64))
        with _BLAS.limit(limits=1, user_api="blas"):
            return np.asarray(self._down @ (lattice @ self._across))

    def waves(self, amplitudes: Complex) -> NDArray[np.complex64]:
        """Of modulus 1 (rows, columns): exp(i phi) of waves with these amplitudes (m,)."""
        field = self.waves_of(amplitudes)
        return np.asarray(field / np.abs(field))

    def sums(self, light: NDArray[np.complex64]) -> Complex:
        """What light (rows, columns) on the panel adds up to at the spots (m,)."""
        with _BLAS.limit(limits=1, user_api="blas"):
            found = self._down.conj().T @ (light @ self._across.conj().T)
        return np.asarray(found[self._row, self._column], np.complex128)

    def fields(self, waves: NDArray[np.complex64], beam: NDArray[np.float32] | None = None) -> Complex:
        """Fields (m,) that light of these phases (rows, columns) makes at the spots, relative to all of it in one.

        beam: (rows, columns) amplitude on the panel; even if not told.
        """
        return self.sums(waves) / waves.size if beam is None else self.sums(waves * beam) / float(beam.sum())


@dataclass(frozen=True)
class Beam:
    """Light on the panel: 1/e^2 radius, and its middle (rows, columns) from the panel's, in pixels."""

    waist_px: float
    row_px: float = 0.0
    column_px: float = 0.0

    def amplitude(self, panel: tuple[int, int]) -> NDArray[np.float32]:
        """(rows, columns), 1 in the middle of the beam."""
        y, x = (np.arange(n) - (n - 1) / 2 - off for n, off in zip(panel, (self.row_px, self.column_px), strict=True))
        down, across = (np.exp(-((v / self.waist_px) ** 2)) for v in (y, x))
        return np.asarray(down[:, None] * across[None, :], np.float32)


class SpotHologram:
    """Patterns of one lattice of spots, each of an intensity of its own.

    theta: phases (m,) of the spots, which stay.
    """

    def __init__(self, panel: tuple[int, int], size: int, units: Array, theta: Array) -> None:
        self.sum = SpotSum(panel, size, units)
        self._panel = panel
        self.theta = theta
        self.beam: Beam | None = None
        self._weights = np.zeros(len(units))
        self.efficiency = 0.0
        """What the spots of the pattern made last get together, relative to all light in one, by calculation."""

    @property
    def start(self) -> Array:
        """Logarithms of amplitudes (m,), those of the pattern made last, from which the next one is looked for."""
        return self._weights

    @start.setter
    def start(self, weights: Array) -> None:
        self._weights = weights

    @property
    def amplitude(self) -> NDArray[np.float32]:
        """The beam's (rows, columns); even if it is not known."""
        return np.ones(self._panel, np.float32) if self.beam is None else self.beam.amplitude(self._panel)

    @classmethod
    def made(
        cls,
        panel: tuple[int, int],
        size: int,
        units: Array,
        rng: np.random.Generator,
        renew: Callable[[], None] = lambda: None,
    ) -> SpotHologram:
        """One with phases theta (m,) of its own: where many spots get most of the light.

        renew: called all the while, since it takes seconds. Raises ConfigurationError, by `SpotPattern`, for spots that
        cannot be.
        """

        def iterated() -> Array:
            start = SpotPattern(panel, size, units, rng)
            start.prepare(PREPARED)
            return start.phase

        with ThreadPoolExecutor(1) as aside:
            pending = aside.submit(iterated)
            while not wait([pending], _RENEWED_S).done:
                renew()
        waves = np.exp(1j * pending.result()).astype(np.complex64)
        return cls(panel, size, units, np.angle(SpotSum(panel, size, units).fields(waves)))

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
        beam = None if self.beam is None else self.beam.amplitude(self._panel)
        steps: list[tuple[Array, Array]] = []
        off = math.inf
        for _ in range(_MOST_STEPS):
            waves = self.sum.waves(np.exp(weights) * turn)
            found = np.abs(self.sum.fields(waves, beam)) ** 2
            lacking = wanted - np.log(found / found.mean())
            if float(np.abs(lacking).max()) < off:
                off = float(np.abs(lacking).max())
                best, self._weights, self.efficiency = waves, weights, float(found.sum())
            if off < _CLOSE:
                break
            steps = [*steps[-_REMEMBERED:], (weights, 0.5 * lacking)]
            weights = _next(steps)
        if off > _TOO_FAR:
            self._weights = np.zeros_like(weights)
            raise CalibrationError(
                f"no hologram has spots so uneven ({np.exp(wanted.min()):.3g} to {np.exp(wanted.max()):.3g} of their "
                f"mean; computed powers stay {off:.1e} off): ask for smaller differences, or choose fewer spots"
            )
        return np.asarray(np.mod(np.angle(best), 2 * math.pi), np.float64)

    def learn_beam(self, phase: Array, powers: Array, renew: Callable[[], None] = lambda: None) -> Beam:
        """The beam on the panel, by what powers (m,) were seen of a pattern (rows, columns) that was made without one.

        Powers that are computed with it are nearest to those seen, but for a factor. It is used from then on.
        """
        waves = np.exp(1j * phase).astype(np.complex64)
        seen = np.log(np.maximum(powers, 1e-3 * powers.mean()))
        scale = min(self._panel)

        def off(parameters: Array) -> float:
            renew()
            beam = Beam(scale * math.exp(parameters[0]), scale * parameters[1], scale * parameters[2])
            found = np.log(np.abs(self.sum.fields(waves, beam.amplitude(self._panel))) ** 2)
            return float(np.median(np.abs(seen - found - np.median(seen - found))))

        start = np.array([math.log(0.45), 0.0, 0.0])
        simplex = np.vstack([start, start + np.diag([0.2, 0.05, 0.05])])
        found = minimize(
            off,
            start,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxfev": 90, "xatol": 3e-3, "fatol": 1e-4},
        ).x
        self.beam = Beam(scale * math.exp(found[0]), float(scale * found[1]), float(scale * found[2]))
        self._weights = np.zeros_like(self.theta)
        return self.beam


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
