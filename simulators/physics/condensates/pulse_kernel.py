"""Condensation of many dyads in pump pulses, with the noise of their growth, compiled.

    d psi = (Eq. 1 with gamma(t)) dt + dW,   <|dW|^2> = (1 + gain) dt / N0,   gain = gamma(t) / (1 + xi |psi|^2)

from the vacuum <|psi|^2> = 1 / (2 N0), which the same noise keeps up without pumping: spontaneous emission into the
condensate and the loss's own noise, N0 polaritons at |psi| = 1. What a detector integrates is handed out.

Runge-Kutta steps of the drift alternate with the noise of a step. Its parts are sums of 16 coins: all that matters of
them after some steps are mean and variance. Numbers are addressed by (key, exposure, event, dyad), so they depend
neither on the order of calls nor on what else is pumped.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel, reordering_kernel
from simulators.physics.condensates.dyad_kernel import slope
from simulators.physics.condensates.pulse import Pulse
from simulators.physics.counter_random import philox, standard_normal

Array = NDArray[np.float64]

LANES = 32

_FIELDS = 4


def condense(
    settings: Array,
    gamma: Array,
    pulse: Pulse,
    quantum: float,
    key: np.uint64,
    exposures: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> Array:
    """Condensations (events, dyads, 4): the integrals over the pulse, in units of t0, of |psi_1|^2, |psi_2|^2 and of
    the real and imaginary part of psi_1 psi_2*.

    settings: (6, dyads): g of both sites, xi of both, J's real and imaginary part. gamma: (events or 1, dyads, 2) on
    the plateau. quantum: 1 / N0; 0 is without noise, and then nothing grows from the dark. exposures, numbers:
    (events,) which exposure an event falls into, and which of it it is.
    """
    dyads, events = settings.shape[1], len(numbers)
    out = np.empty((events * dyads, _FIELDS))
    _condense(
        np.ascontiguousarray(settings, np.float64),
        np.ascontiguousarray(gamma, np.float64),
        pulse.shape(),
        pulse.step,
        quantum,
        key,
        np.asarray(exposures, np.int64),
        np.asarray(numbers, np.int64),
        out,
    )
    return out.reshape(events, dyads, _FIELDS)


@kernel
def vacuum(key: np.uint64, exposure: int, event: int, site: int, quantum: float) -> tuple[float, float]:
    """A site's field before anything is pumped: complex normal, <|psi|^2> = quantum / 2."""
    size = math.sqrt(quantum / 4.0)
    return (
        size * standard_normal(key, exposure, event, site, 0),
        size * standard_normal(key, exposure, event, site, 1),
    )


_EVEN = np.uint64(0x5555555555555555)
_PAIRS = np.uint64(0x3333333333333333)
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES = np.uint64(0x00FF00FF00FF00FF)
_S1, _S2, _S4, _S8 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(8)
_S17, _S18, _S23, _S26 = np.uint64(17), np.uint64(18), np.uint64(23), np.uint64(26)
_S16, _S32, _S48 = np.uint64(16), np.uint64(32), np.uint64(48)
_SIXTEEN = np.uint64(0xFFFF)


@reordering_kernel
def coins(word: np.uint64) -> np.uint64:
    """How many bits are set in each of the four 16-bit parts of a word, each in its part."""
    word = word - ((word >> _S1) & _EVEN)
    word = (word & _PAIRS) + ((word >> _S2) & _PAIRS)
    word = (word + (word >> _S4)) & _NIBBLES
    return (word + (word >> _S8)) & _BYTES


@reordering_kernel
def _condense(
    settings: Array,
    gamma: Array,
    shape: Array,
    h: float,
    quantum: float,
    key: np.uint64,
    exposures: NDArray[np.int64],
    numbers: NDArray[np.int64],
    out: Array,
) -> None:
    dyads, n = settings.shape[1], len(out)
    steps = (len(shape) - 1) // 2
    s, p = np.empty((4, LANES)), np.empty((10, LANES))
    sums, states = np.empty((4, LANES)), np.empty((2, LANES), np.uint64)
    half, third, sixth = h / 2, h / 3, h / 6
    # A part is (count - 8) / 2 standard deviations of sqrt((1 + gain) h quantum / 2).
    scale = math.sqrt(h * quantum / 2.0) / 2.0
    for first in range(0, n, LANES):
        count = min(LANES, n - first)
        for i in range(LANES):
            at = first + min(i, count - 1)
            event, dyad = at // dyads, at % dyads
            exposure, number = exposures[event], numbers[event]
            s[0, i], s[1, i] = vacuum(key, exposure, number, 2 * dyad, quantum)
            s[2, i], s[3, i] = vacuum(key, exposure, number, 2 * dyad + 1, quantum)
            states[0, i], states[1, i] = philox(key, exposure, number, dyad, 0x0D7AD)
            for k in range(2):
                p[k, i] = gamma[event if len(gamma) > 1 else 0, dyad, k]
            for k in range(4):
                p[k + 2, i] = settings[k, dyad]
            jr, ji = settings[4, dyad], settings[5, dyad]
            for k in range(2):
                p[6 + 2 * k, i], p[7 + 2 * k, i] = jr + p[2 + k, i] * ji, ji - p[2 + k, i] * jr
        sums[:] = 0.0
        for t in range(steps):
            f0, f1, f2 = shape[2 * t], shape[2 * t + 1], shape[2 * t + 2]
            for i in range(LANES):
                x, y, u, v = s[0, i], s[1, i], s[2, i], s[3, i]
                ga, gb, ta, tb, xa, xb, ar, ai, br, bi = (
                    p[0, i], p[1, i], p[2, i], p[3, i], p[4, i], p[5, i], p[6, i], p[7, i], p[8, i], p[9, i],
                )  # fmt: skip
                # xorshift128+ (Vigna, arXiv:1404.0390)
                a, b = states[0, i], states[1, i]
                a ^= a << _S23
                a = a ^ b ^ (a >> _S18) ^ (b >> np.uint64(5))
                states[0, i], states[1, i] = b, a
                word = coins(a + b)
                da, db = x * x + y * y, u * u + v * v
                size_a = scale * math.sqrt(1.0 + ga * f0 / (1.0 + xa * da))
                size_b = scale * math.sqrt(1.0 + gb * f0 / (1.0 + xb * db))
                dx, dy = slope(x, y, u, v, ga * f0, ta, xa, ar, ai)
                du, dv = slope(u, v, x, y, gb * f0, tb, xb, br, bi)
                sx, sy, su, sv = x + sixth * dx, y + sixth * dy, u + sixth * du, v + sixth * dv
                mx, my, mu, mv = x + half * dx, y + half * dy, u + half * du, v + half * dv
                dx, dy = slope(mx, my, mu, mv, ga * f1, ta, xa, ar, ai)
                du, dv = slope(mu, mv, mx, my, gb * f1, tb, xb, br, bi)
                sx, sy, su, sv = sx + third * dx, sy + third * dy, su + third * du, sv + third * dv
                mx, my, mu, mv = x + half * dx, y + half * dy, u + half * du, v + half * dv
                dx, dy = slope(mx, my, mu, mv, ga * f1, ta, xa, ar, ai)
                du, dv = slope(mu, mv, mx, my, gb * f1, tb, xb, br, bi)
                sx, sy, su, sv = sx + third * dx, sy + third * dy, su + third * du, sv + third * dv
                mx, my, mu, mv = x + h * dx, y + h * dy, u + h * du, v + h * dv
                dx, dy = slope(mx, my, mu, mv, ga * f2, ta, xa, ar, ai)
                du, dv = slope(mu, mv, mx, my, gb * f2, tb, xb, br, bi)
                s[0, i] = sx + sixth * dx + size_a * (np.float64(word & _SIXTEEN) - 8.0)
                s[1, i] = sy + sixth * dy + size_a * (np.float64((word >> _S16) & _SIXTEEN) - 8.0)
                s[2, i] = su + sixth * du + size_b * (np.float64((word >> _S32) & _SIXTEEN) - 8.0)
                s[3, i] = sv + sixth * dv + size_b * (np.float64(word >> _S48) - 8.0)
                sums[0, i] += da
                sums[1, i] += db
                sums[2, i] += x * u + y * v
                sums[3, i] += y * u - x * v
        for i in range(count):
            for k in range(4):
                out[first + i, k] = h * sums[k, i]
