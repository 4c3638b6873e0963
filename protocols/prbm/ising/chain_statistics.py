"""Averages of correlated samples with error bars that have the correlation in them.

Series are (sweeps, chains). What is discarded at their beginning, and how long blocks must be, follows from the
integrated autocorrelation time (Sokal, "Monte Carlo methods in statistical mechanics", 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_WINDOW = 5.0
"""Of the sum over lags, in autocorrelation times (Sokal's c)."""
_BURN_IN = 20.0
"""Autocorrelation times after which a start is forgotten to e^-20."""
_DRAWS = 400
"""Of the bootstrap: its errors are then known to 4 %."""
_BLOCK = 4.0
"""Autocorrelation times, tau_int, that make blocks as good as independent."""


def autocorrelation_time(series: FloatArray) -> float:
    """Integrated autocorrelation time tau = 1/2 + sum of rho(t), in sweeps, of (sweeps, chains); 1/2 if constant.

    About the mean of all chains, so that chains which stay apart show as correlation. The sum ends at the first lag
    beyond 5 tau.
    """
    n = len(series)
    apart = series - series.mean()
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(apart, size, axis=0)) ** 2
    covariance = np.fft.irfft(power.sum(axis=1), size)[:n] / (n - np.arange(n))
    if not covariance[0] > 1e-14 * max(float(np.abs(series).max()) ** 2, 1e-300):
        return 0.5
    times = np.cumsum(covariance / covariance[0]) - 0.5
    beyond = np.flatnonzero(np.arange(n) >= _WINDOW * times)
    return max(float(times[beyond[0]] if len(beyond) else times[-1]), 0.5)


def cautious(tau: float, samples: int) -> float:
    """tau plus its own standard error, tau sqrt(2 (2 W + 1) / n) with W = 5 tau (Sokal): short chains tell it too
    short, and errors that believe them are too small."""
    return tau * (1.0 + math.sqrt(2.0 * (2.0 * _WINDOW * tau + 1.0) / samples))


@dataclass(frozen=True)
class Kept:
    """What of some series is averaged.

    first: sweep from which on. tau: largest autocorrelation time of the series, in sweeps. long_enough: whether what
    was discarded and what was kept are both as long as the autocorrelation time asks for.
    """

    first: int
    tau: float
    long_enough: bool


def equilibrium(series: Sequence[FloatArray]) -> Kept:
    """Where equilibrium begins: 20 autocorrelation times of the slowest of some series, half of them at most."""
    sweeps = len(series[0])
    tau = max(autocorrelation_time(s[sweeps // 4 :]) for s in series)
    first = min(math.ceil(_BURN_IN * tau), sweeps // 2)
    chains = series[0].shape[1]
    enough = first >= _BURN_IN * tau and (sweeps - first) * chains >= 50 * tau
    return Kept(first, tau, enough)


def blocked(series: FloatArray, tau: float) -> FloatArray:
    """Means over blocks (blocks, ...) of (sweeps, chains, ...), each of 8 tau_int or a whole chain's sweeps."""
    sweeps = len(series)
    length = min(max(math.ceil(2 * _BLOCK * tau), 1), sweeps)
    count = sweeps // length
    used = series[sweeps - count * length :]  # what does not fill a block is left out at the beginning
    means = used.reshape(count, length, *series.shape[1:]).mean(axis=1)
    return np.asarray(means.reshape(-1, *series.shape[2:]))


def from_blocks(blocks: FloatArray, estimate: Callable[[FloatArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
    """An estimate from means, (..., quantities) to (..., estimates), and its standard error, from independent blocks
    (blocks, quantities).

    The error is the bootstrap's: the scatter of what as many blocks, drawn anew from these, would give. The bias of
    order 1/blocks that a nonlinear estimate has is the jackknife's, and taken away. nan errors for a single block.
    """
    n = len(blocks)
    whole = np.asarray(estimate(blocks.mean(axis=0)))
    if n < 2:
        return whole, np.full_like(whole, np.nan)
    without = estimate((blocks.sum(axis=0) - blocks) / (n - 1))
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), _DRAWS) / n
    spread = estimate(weights @ blocks).std(axis=0, ddof=1) * math.sqrt(n / (n - 1))
    return n * whole - (n - 1) * without.mean(axis=0), np.asarray(spread)


@dataclass(frozen=True)
class Averages:
    """Of one machine at one temperature, with standard errors: E per spin, m, C, chi, U4 (see `averages`).

    tau: autocorrelation time in sweeps. first: sweeps discarded. independent: samples that the kept ones are worth.
    """

    E: float
    E_err: float
    m: float
    m_err: float
    C: float
    C_err: float
    chi: float
    chi_err: float
    U4: float
    U4_err: float
    tau: float
    first: int
    independent: float
    long_enough: bool


QUANTITIES = ("E", "m", "C", "chi", "U4")


def averages(
    energy: FloatArray, magnetisation: FloatArray, n: int, temperature: float, quantum: float, kept: Kept
) -> Averages:
    """E = <H>/N, m = <|M|>/N, C = var(H)/(N T^2), chi = N (<m^2> - <|m|>^2)/T, U4 = 1 - <m^4>/(3 <m^2>^2).

    energy, magnetisation: H and M (sweeps, chains) of n spins. quantum: the energy of the smallest excitation.

    Variances are made of rare excitations, and samples that happen to miss them have small errors, too. One that was
    not seen, a little beyond the greatest that was (half a quantum, three spins), is not known to be absent: one in all
    independent samples is in the errors. Without it chi of a cold 4 x 4 lattice was off by more than four of its errors
    in every tenth run; with it in one of some hundred.
    """
    e = energy[kept.first :] / n
    m = np.abs(magnetisation[kept.first :]) / n
    taus = [cautious(autocorrelation_time(x), e.size) for x in (e, m, m**2)]
    tau = max(taus)
    independent = e.size / (2 * tau)
    powers = _powers(e, m)

    def estimate(mean: FloatArray) -> FloatArray:
        e1, e2, m1, m2, m4 = np.moveaxis(mean, -1, 0)
        cumulant = 1 - m4 / (3 * np.maximum(m2, 1e-300) ** 2)
        variances = n * (e2 - e1**2) / temperature**2, n * (m2 - m1**2) / temperature
        return np.stack([e1, m1, *variances, np.where(m2 > 0, cumulant, 0.0)], axis=-1)

    found, errors = from_blocks(blocked(powers, tau), estimate)
    flip = 2.0 / n
    once = np.array(
        [
            quantum / n,
            flip,
            quantum**2 / (n * temperature**2),
            n * flip**2 / temperature,
            2 * flip**2,
        ]
    )
    mean = powers.mean(axis=(0, 1))
    unseen = _powers(e.max() + 0.5 * quantum / n, max(m.min() - 3 * flip, 0.0))
    moved = np.abs(estimate(mean + (unseen - mean) / (independent + 1)) - estimate(mean))
    errors = np.hypot(errors, np.maximum(once / independent, moved))
    # Blocks are few where chains are slow; the autocorrelation time then knows the error of a mean better.
    for k, series in ((0, e), (1, m)):
        errors[k] = max(errors[k], float(series.std()) * math.sqrt(2 * taus[k] / series.size))
    pairs = {
        name: value
        for k, quantity in enumerate(QUANTITIES)
        for name, value in ((quantity, float(found[k])), (f"{quantity}_err", float(errors[k])))
    }
    return Averages(**pairs, tau=tau, first=kept.first, independent=independent, long_enough=kept.long_enough)


def _powers(e: FloatArray | float, m: FloatArray | float) -> FloatArray:
    """What all quantities follow from the means of."""
    return np.stack([e, np.square(e), m, np.square(m), np.power(m, 4)], axis=-1)
