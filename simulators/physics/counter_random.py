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

from simulators.physics.compiled import kernel

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


@kernel
def philox(key: np.uint64, a: int, b: int, c: int, d: int) -> tuple[np.uint64, np.uint64]:
    """128 random bits, as two 64-bit words, for the counter (a, b, c, d), each taken modulo 2^32."""
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
def poisson(mean: float, key: np.uint64, a: int, b: int, c: int) -> float:
    """One Poisson number of the given mean for the counter (a, b, c); exact for every mean up to 1e15.

    Inversion below 10, Hoermann's transformed rejection PTRS (Insurance: Math. and Economics 12, 39, 1993) above.
    """
    if not mean > 0.0:
        return 0.0
    if mean < 10.0:
        u, _ = uniforms(key, a, b, c, 0)
        term = math.exp(-mean)
        total = term
        count = 0.0
        while u > total and count < 200.0:
            count += 1.0
            term *= mean / count
            total += term
        return count
    slam = math.sqrt(mean)
    loglam = math.log(mean)
    bb = 0.931 + 2.53 * slam
    aa = -0.059 + 0.02483 * bb
    invalpha = 1.1239 + 1.1328 / (bb - 3.4)
    vr = 0.9277 - 3.6224 / (bb - 2.0)
    draw = 1
    while True:
        u, v = uniforms(key, a, b, c, draw)
        draw += 1
        u -= 0.5
        us = 0.5 - abs(u)
        k = math.floor((2.0 * aa / us + bb) * u + mean + 0.43)
        if us >= 0.07 and v <= vr:
            return k
        if k < 0.0 or (us < 0.013 and v > us):
            continue
        accept = math.log(v) + math.log(invalpha) - math.log(aa / (us * us) + bb)
        if accept <= -mean + k * loglam - math.lgamma(k + 1.0):
            return k


@kernel
def normal_map(key: np.uint64, row: int, column: int, rows: int, columns: int) -> NDArray[np.float64]:
    """Standard normal number of every pixel of a region, fixed for the key: a detector's permanent pattern."""
    out = np.empty((rows, columns))
    for r in range(rows):
        for c in range(columns):
            out[r, c] = standard_normal(key, row + r, column + c, 0, 0)
    return out
