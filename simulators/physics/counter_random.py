"""Random numbers addressed by where they are used, not by when: Philox 4x32-10 (Salmon et al., SC 2011).

A detector's noise is a function of (seed, device, exposure number, pixel), so it depends neither on the order of
calls nor on the region read out nor on how devices are spread over processes.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import inline, kernel

_LOW = np.uint64(0xFFFFFFFF)
_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_S32 = np.uint64(32)
_S11 = np.uint64(11)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2^-53


@lru_cache(maxsize=1024)
def noise_key(seed: int, device: str, purpose: str = "") -> np.uint64:
    """64-bit key of a noise source: the world's seed, the device and what the noise is for."""
    digest = hashlib.blake2b(f"{seed}/{device}/{purpose}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


@inline
def absorbed_philox(key: np.uint64, a: int, b: int, c: int, d: int) -> tuple[np.uint64, np.uint64]:
    """`philox` for loops in which many are to run side by side."""
    c0 = np.uint64(a) & _LOW
    c1 = np.uint64(b) & _LOW
    c2 = np.uint64(c) & _LOW
    c3 = np.uint64(d) & _LOW
    k0 = key & _LOW
    k1 = key >> _S32
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _S32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _S32) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0 | (c1 << _S32), c2 | (c3 << _S32)


@kernel
def philox(key: np.uint64, a: int, b: int, c: int, d: int) -> tuple[np.uint64, np.uint64]:
    """128 random bits, as two 64-bit words, for the counter (a, b, c, d), each taken modulo 2^32."""
    return absorbed_philox(key, a, b, c, d)


@kernel
def uniforms(key: np.uint64, a: int, b: int, c: int, d: int) -> tuple[float, float]:
    """Two uniform numbers in (0, 1) for one counter."""
    x, y = philox(key, a, b, c, d)
    return (float(x >> _S11) + 0.5) * _TO_UNIT, (float(y >> _S11) + 0.5) * _TO_UNIT


@kernel
def standard_normal(key: np.uint64, a: int, b: int, c: int, d: int) -> float:
    """One standard normal number for one counter (Box-Muller)."""
    u, v = uniforms(key, a, b, c, d)
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)


@kernel
def fill_uniforms(
    key: np.uint64,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    c: int,
    d: int,
    count: int,
    one: NDArray[np.float64],
    other: NDArray[np.float64],
) -> None:
    """`uniforms` of the first counters (a, b, c, d), a and b arrays; written so that many run side by side."""
    for i in range(count):
        x, y = absorbed_philox(key, a[i], b[i], c, d)
        one[i] = (float(x >> _S11) + 0.5) * _TO_UNIT
        other[i] = (float(y >> _S11) + 0.5) * _TO_UNIT


@kernel
def normals_of(
    count: int, one: NDArray[np.float64], other: NDArray[np.float64], short: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Box-Muller's number from the first uniform ones and others, in single precision; short: (2, count) memory.

    Logarithm and cosine are polynomials (Cephes), good to 1e-7; written so that many run side by side.
    """
    mantissa = short[0]
    radius: NDArray[np.float32] = short[1]
    bits = mantissa.view(np.int32)
    for i in range(count):
        mantissa[i] = np.float32(one[i])
    for i in range(count):  # ln of m 2^e with m from sqrt(1/2) to sqrt(2)
        shifted = bits[i] - np.int32(0x3F3504F3)
        e = np.float32(shifted >> np.int32(23))
        bits[i] = (shifted & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3)
        radius[i] = e
    for i in range(count):
        e, x = radius[i], mantissa[i] - np.float32(1.0)
        z = x * x
        y = np.float32(7.0376836292e-2) * x - np.float32(1.1514610310e-1)
        y = y * x + np.float32(1.1676998740e-1)
        y = y * x - np.float32(1.2420140846e-1)
        y = y * x + np.float32(1.4249322787e-1)
        y = y * x - np.float32(1.6668057665e-1)
        y = y * x + np.float32(2.0000714765e-1)
        y = y * x - np.float32(2.4999993993e-1)
        y = y * x + np.float32(3.3333331174e-1)
        y = y * x * z - np.float32(0.5) * z - np.float32(2.12194440e-4) * e
        logarithm = x + y + np.float32(0.693359375) * e
        square = np.float32(-2.0) * logarithm
        radius[i] = np.sqrt(square if square > np.float32(0.0) else np.float32(0.0))
    for i in range(count):
        turns = np.float32(other[i] - 0.5)  # cos(2 pi v) = -cos(2 pi (v - 1/2))
        quarter = np.rint(np.float32(4.0) * turns)
        x = np.float32(1.5707963267948966) * (np.float32(4.0) * turns - quarter)
        z = x * x
        s = np.float32(-1.9515295891e-4) * z + np.float32(8.3321608736e-3)
        s = x + x * z * (s * z - np.float32(1.6666654611e-1))
        c = np.float32(2.443315711809948e-5) * z - np.float32(1.388731625493765e-3)
        c = np.float32(1.0) - np.float32(0.5) * z + z * z * (c * z + np.float32(4.166664568298827e-2))
        turn = np.int32(quarter)
        value = s if turn & 1 else c
        radius[i] *= value if (turn + 1) & 2 else -value
    return radius


@kernel
def poisson(mean: float, key: np.uint64, a: int, b: int, c: int) -> float:
    """One Poisson number of the given mean for the counter (a, b, c); exact for every mean up to 1e15."""
    if not mean > 0.0:
        return 0.0
    u, v = uniforms(key, a, b, c, 0)
    return poisson_from(mean, u, v, key, a, b, c)


@kernel
def poisson_from(mean: float, u: float, v: float, key: np.uint64, a: int, b: int, c: int) -> float:
    """`poisson`, mean > 0, given the counter's first uniform numbers.

    Inversion below 10, Hoermann's transformed rejection PTRS (Insurance: Math. and Economics 12, 39, 1993) above, of
    which what is seldom needed is worked out only then.
    """
    if mean < 10.0:
        if u <= 1.0 - mean:  # <= exp(-mean)
            return 0.0
        term = math.exp(-mean)
        total = term
        count = 0.0
        while u > total and count < 200.0:
            count += 1.0
            term *= mean / count
            total += term
        return count
    bb = 0.931 + 2.53 * math.sqrt(mean)
    aa = -0.059 + 0.02483 * bb
    vr = 0.9277 - 3.6224 / (bb - 2.0)
    draw = 0
    while True:
        u -= 0.5
        us = 0.5 - abs(u)
        k = math.floor((2.0 * aa / us + bb) * u + mean + 0.43)
        if us >= 0.07 and v <= vr:
            return k
        if k >= 0.0 and (us >= 0.013 or v <= us):
            invalpha = 1.1239 + 1.1328 / (bb - 3.4)
            accept = math.log(v * invalpha / (aa / (us * us) + bb))
            if accept <= -mean + k * math.log(mean) - math.lgamma(k + 1.0):
                return k
        draw += 1
        u, v = uniforms(key, a, b, c, draw)


@kernel
def normal_map(key: np.uint64, row: int, column: int, rows: int, columns: int) -> NDArray[np.float64]:
    """Standard normal number of every pixel of a region, fixed for the key: a detector's permanent pattern."""
    out = np.empty((rows, columns))
    for r in range(rows):
        for c in range(columns):
            out[r, c] = standard_normal(key, row + r, column + c, 0, 0)
    return out
