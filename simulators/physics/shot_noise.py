"""Poisson numbers of many pixels at once: those of `counter_random.poisson`, worked out side by side.

Most pixels need one comparison, some the logarithm of the distribution, few another draw. Each of these steps is taken
for all pixels that need it together, in loops without branches, so that the compiler works on several at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import inline, kernel
from simulators.physics.counter_random import fill_uniforms, poisson_from

BATCH = 512
"""Pixels worked on at a time."""

_LEAST = 10.0
"""Mean below which a number is found by inversion; and numbers up to which Stirling's series is not good enough."""
_HALF_LOG_TURN = 0.5 * math.log(2 * math.pi)


@kernel
def fill_logarithms(count: int, x: NDArray[np.float64], e: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Natural logarithms of the first numbers x > 0, good to 1e-15 (Cephes); x and e are memory, x is overwritten."""
    bits = x.view(np.int64)
    for i in range(count):  # m 2^e with m from sqrt(1/2) to sqrt(2)
        shifted = bits[i] - 0x3FE6A09E667F3BCD
        e[i] = np.float64(shifted >> 52)
        bits[i] = (shifted & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD
    for i in range(count):
        t = x[i] - 1.0
        z = t * t
        p = 1.01875663804580931796e-4 * t + 4.97494994976747001425e-1
        p = p * t + 4.70579119878881725854e0
        p = p * t + 1.44989225341610930846e1
        p = p * t + 1.79368678507819816313e1
        p = p * t + 7.70838733755885391666e0
        q = t + 1.12873587189167450590e1
        q = q * t + 4.52279145837532221105e1
        q = q * t + 8.29875266912776603211e1
        q = q * t + 7.11544750618563894466e1
        q = q * t + 2.31251620126765340583e1
        y = t * (z * p / q) - e[i] * 2.121944400546905827679e-4 - 0.5 * z
        out[i] = t + y + e[i] * 0.693359375


@inline
def _padded(count: int) -> int:
    """Up to which loops go over memory that is long enough: what is left over would be worked out one by one."""
    return (count + 7) & ~7


@kernel
def fill_poisson(
    key: np.uint64,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    c: int,
    count: int,
    mean: NDArray[np.float64],
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    work: NDArray[np.float64],
    places: NDArray[np.int64],
) -> None:
    """Replace the first of ``mean`` (BATCH,) by Poisson numbers of counters (a, b, c, ...), 0 where it is not above 0.

    one, other: the counters' first uniform numbers, which are overwritten. work: (5, BATCH), places: (3, BATCH) memory.
    Numbers are those of `counter_random.poisson`, but for roundings of logarithms, which decide once in 1e10.
    """
    lam, found, x, e, here = work[0], work[1], work[2], work[3], work[4]
    at, row, column = places[0], places[1], places[2]
    left = 0
    for i in range(count):
        m = mean[i]
        if m >= _LEAST:
            at[left] = i
            left += 1
        elif m > 0.0:
            mean[i] = poisson_from(m, one[i], other[i], key, a[i], b[i], c)
        else:
            mean[i] = 0.0
    if left < count:
        for i in range(left):
            one[i], other[i] = one[at[i]], other[at[i]]
    for i in range(left):
        lam[i] = mean[at[i]]
    draw = 0
    while left:
        # Hoermann's PTRS, as in `poisson_from`. x: 0 for numbers that are taken at once.
        for i in range(_padded(left)):
            u = one[i] - 0.5
            bb = 0.931 + 2.53 * math.sqrt(lam[i])
            aa = -0.059 + 0.02483 * bb
            vr = 0.9277 - 3.6224 / (bb - 2.0)
            us = 0.5 - abs(u)
            k = np.floor((2.0 * aa / us + bb) * u + lam[i] + 0.43)
            found[i] = k
            taken = (us >= 0.07) & (other[i] <= vr)
            lost = (k < 0.0) | ((us < 0.013) & (other[i] > us))
            x[i] = 0.0 if taken else (2.0 if lost else 1.0)
        # Without branches, which would be guessed wrong: all numbers are put down, and some are overwritten later.
        again = 0
        for i in range(left):
            row[again] = i
            again += x[i] != 0.0
        for i in range(left):
            mean[at[i]] = found[i]
        unsure = 0
        for j in range(again):
            i = row[j]
            found[unsure], one[unsure], other[unsure], here[unsure] = found[i], one[i], other[i], lam[i]
            at[j], lam[j] = at[i], lam[i]
            row[unsure] = j
            unsure += x[i] == 1.0
        for j in range(_padded(unsure)):
            us = 0.5 - abs(one[j] - 0.5)
            bb = 0.931 + 2.53 * math.sqrt(here[j])
            aa = -0.059 + 0.02483 * bb
            invalpha = 1.1239 + 1.1328 / (bb - 3.4)
            k = max(found[j], 1.0)
            x[j] = other[j] * invalpha * math.sqrt(k) / (aa / (us * us) + bb)
            one[j] = k / here[j]
        fill_logarithms(_padded(unsure), x, e, other)
        fill_logarithms(_padded(unsure), one, e, x)
        for j in range(_padded(unsure)):
            k = max(found[j], 1.0)
            s = 1.0 / (k * k)
            series = ((-1.0 / 1680.0 * s + 1.0 / 1260.0) * s - 1.0 / 360.0) * s + 1.0 / 12.0
            x[j] = (k - here[j]) - k * x[j] - _HALF_LOG_TURN - series / k - other[j]
        for j in range(unsure):
            if found[j] <= _LEAST:
                k, m = found[j], here[j]
                x[j] = -m + k * math.log(m) - math.lgamma(k + 1.0) - other[j] + 0.5 * math.log(max(k, 1.0))
        for j in range(unsure):
            i = row[j]
            mean[at[i]] = found[j]
            at[i] = -1 if x[j] >= 0.0 else at[i]
        left = 0
        for i in range(again):
            keep = at[i] >= 0
            at[left], lam[left] = at[i], lam[i]
            left += keep
        draw += 1
        for i in range(left):
            row[i], column[i] = a[at[i]], b[at[i]]
        fill_uniforms(key, row, column, c, draw, _padded(left), one, other)
