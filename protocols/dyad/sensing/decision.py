"""Whether p_1 has changed: counts against a reference that is uncertain and drifts, at a stated false-alarm rate.

A count of k ones in n trials is judged by z = (k / n - p) / sd, where p is the reference and

    sd^2 = p (1 - p) / n + variance of p,

with the drift since p was last measured in it. Far from few trials z is normal where nothing is disturbed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

_FLAT = 2.0
"""Probits beyond which a curve is flat, and is no probit's any more."""
_DRIFTS = np.concatenate([[0.0], np.geomspace(1e-8, 1e-2, 37)])
"""Variances of p_1 from one reference to the next that are tried."""


def threshold(false_alarm: float, dyads: int = 1) -> float:
    """|z| that one of so many undisturbed dyads exceeds with this probability (Sidak, J. Am. Stat. Assoc. 62, 626)."""
    each = -math.expm1(math.log1p(-false_alarm) / dyads)
    return float(-ndtri(each / 2))


class Reference(NamedTuple):
    """p_1 where nothing is disturbed (blocks, n), as known after each block, and its variance there."""

    p: Array
    variance: Array


def follow(ones: Array, trials: Array, drift: float) -> tuple[Reference, float]:
    """Reference of p_1 that walks at random, from counts of blocks (blocks, n) in trials (blocks,) each.

    drift: variance of the walk from block to block. By Kalman's filter (J. Basic Eng. 82, 35, 1960): what comes later
    is not in a reference. Also the log-likelihood of the counts, by which drifts are compared.
    """
    p, variance = np.empty(ones.shape), np.empty(ones.shape)
    log = 0.0
    for block, n in enumerate(trials):
        seen = (ones[block] + 0.5) / (n + 1)
        if block == 0:
            p[0], variance[0] = seen, seen * (1 - seen) / n
            continue
        before = variance[block - 1] + drift
        # The noise of the count by what is expected of it: its own count would pull it to the edges.
        expected = np.clip(p[block - 1], 0.5 / n, 1 - 0.5 / n)
        spread = before + expected * (1 - expected) / n
        away = seen - p[block - 1]
        log += float((-0.5 * away**2 / spread - 0.5 * np.log(spread)).sum())
        p[block] = p[block - 1] + before / spread * away
        variance[block] = before * (1 - before / spread)
    return Reference(p, variance), log


def likeliest_drift(series: list[tuple[Array, Array]]) -> float:
    """The drift, common to all dyads, that explains series of blocks (ones, trials) best."""
    logs = [sum(follow(ones, trials, float(q))[1] for ones, trials in series) for q in _DRIFTS]
    return float(_DRIFTS[int(np.argmax(logs))])


def scores(ones: Array, trials: Array | float, p: Array, variance: Array) -> Array:
    """z of counts against references p of some variance; shapes are those of numpy's broadcasting."""
    expected = np.clip(p, 0.5 / (trials + 1), 1 - 0.5 / (trials + 1))
    return np.asarray((ones / trials - p) / np.sqrt(expected * (1 - expected) / trials + variance))


class Response(NamedTuple):
    """How a dyad answers: p_1 where nothing is disturbed, and the slope dp_1 / d ln r_gamma where it is fair, as a
    probit's."""

    p: float
    slope: float

    def at(self, shift: Array | float) -> Array:
        """p_1 after a shift of ln r_gamma."""
        return np.asarray(ndtr(ndtri(self.p) + math.sqrt(2 * math.pi) * self.slope * np.asarray(shift)))


def slopes(x: Array, ones: Array, trials: Array, x_sd: float) -> tuple[Array, Array]:
    """Slopes (n,) of probits dp_1 / d ln r_gamma, and their standard errors, by weighted least squares.

    ones: (k, n) in trials (k,) at shifts x (k,) of ln r_gamma, which are set with an error x_sd.
    """
    p = (ones + 0.5) / (trials[:, None] + 1)
    z = ndtri(p)
    count_error = np.sqrt(p * (1 - p) / trials[:, None]) / _density(z)
    steep = np.polyfit(x, z, 1)[0]
    weight = 1 / (count_error**2 + (steep * x_sd) ** 2)
    total = weight.sum(axis=0)
    away = x[:, None] - (weight * x[:, None]).sum(axis=0) / total
    length = (weight * away**2).sum(axis=0)
    width = math.sqrt(2 * math.pi)
    return np.asarray((weight * away * z).sum(axis=0) / length / width), np.asarray(1 / np.sqrt(length) / width)


def shift_between(
    p: float, p_error: float, ones: Array, trials: Array, slope: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Shifts of ln r_gamma (k,) that explain ones in trials (k,) where p was before, standard errors, and which counts
    are far enough from 0 and 1 to tell."""
    seen = (ones + 0.5) / (trials + 1)
    z, before = ndtri(seen), float(ndtri(p))
    error = np.hypot(np.sqrt(seen * (1 - seen) / trials) / _density(z), p_error / _density(np.array(before)))
    width = math.sqrt(2 * math.pi) * slope
    return np.asarray((z - before) / width), np.asarray(error / abs(width)), np.abs(z) < _FLAT


def _density(z: Array) -> Array:
    return np.asarray(np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi))


def detected(response: Response, shift: Array | float, trials: Array | float, variance: float, bound: float) -> Array:
    """Probability that |z| of a dyad exceeds a bound after a shift of ln r_gamma, in the normal approximation.

    variance: of the reference, drift included.
    """
    n = np.asarray(trials, np.float64)
    p, after = response.p, response.at(shift)
    still = np.sqrt(p * (1 - p) / n + variance)
    moved = np.sqrt(after * (1 - after) / n + variance)
    up, down = (after - p - bound * still) / moved, (p - after - bound * still) / moved
    return np.asarray(ndtr(up) + ndtr(down))


def smallest_shift(response: Response, trials: float, variance: float, bound: float, wanted: float = 0.95) -> float:
    """The smallest shift of ln r_gamma that is detected with the wanted probability, in the direction where p_1 has
    more room; infinite if p_1 has too little."""
    sign = 1.0 if (response.p < 0.5) == (response.slope > 0) else -1.0
    low, high = 0.0, 8.0 / abs(response.slope)
    if float(detected(response, sign * high, trials, variance, bound)) < wanted:
        return math.inf
    for _ in range(50):
        middle = 0.5 * (low + high)
        enough = float(detected(response, sign * middle, trials, variance, bound)) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def pump_equivalent(g: float, coupling: float) -> float:
    """Shift of ln r_gamma for one of ln g that does the same to p_1: g^2 / ((1 + g^2) (1 - |J|)), by Eq. (5)."""
    return g**2 / ((1 + g**2) * (1 - abs(coupling)))
