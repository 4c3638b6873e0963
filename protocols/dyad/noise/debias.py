"""Fair bits of unfair ones: von Neumann's pairs, Peres's iteration of them, and hashing by a random Toeplitz matrix.

The first two need independent bits of one probability, whatever it is, so they take each dyad by itself. The third
needs only a bound of the min-entropy, and a seed of its own.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

from labctl.client import ConfigurationError
from simulators.physics.compiled import kernel

Bits = npt.NDArray[np.uint8]
Method = Literal["none", "von-neumann", "peres", "toeplitz"]
METHODS: tuple[str, ...] = get_args(Method)

PERES_DEPTH = 12
"""Iterations: of fair bits all but (3/4)^12 = 3 % come out again."""

HASH_BLOCK = 8192
"""Bits that one Toeplitz matrix takes."""

HASH_SECURITY = 64
"""Bits that a block gives up, so that what is left differs from fair bits by at most 2^-32 (leftover hash lemma)."""


def extract(states: npt.NDArray[np.bool_], method: Method, entropy: float, rng: np.random.Generator) -> Bits:
    """Bits (k,) of 0 and 1 from the states (frames, dyads) of dyads.

    entropy: bits of min-entropy in a raw bit, which `toeplitz` counts on; rng: its seed, which must not come from the
    dyads. `none` gives frame after frame; von Neumann and Peres dyad after dyad.
    """
    raw = states.astype(np.uint8)
    if method == "none":
        return np.ascontiguousarray(raw).ravel()
    if method == "toeplitz":
        return toeplitz(raw.ravel(), entropy, rng)
    if method not in METHODS:
        raise ConfigurationError(f"debias: {method}; allowed: {', '.join(METHODS)}")
    of_one = von_neumann if method == "von-neumann" else peres
    return np.concatenate([of_one(np.ascontiguousarray(column)) for column in raw.T])


def von_neumann(bits: Bits) -> Bits:
    """The first bit of each pair of unlike ones (von Neumann, 1951): a quarter of fair bits."""
    pairs = bits[: len(bits) // 2 * 2].reshape(-1, 2)
    return np.ascontiguousarray(pairs[pairs[:, 0] != pairs[:, 1], 0])


def peres(bits: Bits, depth: int = PERES_DEPTH) -> Bits:
    """von Neumann's bits, and those of what he leaves: which pairs are unlike, and what the like ones are.

    Iterated, it gives all the entropy there is (Peres, Annals of Statistics 20, 590, 1992).
    """
    return _peres(bits, depth)


@kernel
def _peres(bits: npt.NDArray[np.uint8], depth: int) -> npt.NDArray[np.uint8]:
    out = np.empty(bits.size, np.uint8)
    store = np.empty((depth + 1) * bits.size + 2, np.uint8)  # all sequences; a level holds no more than the one before
    begins = np.zeros(1 << (depth + 1), np.int64)
    sizes = np.zeros(1 << (depth + 1), np.int64)
    store[: bits.size] = bits
    sizes[0], used, made = bits.size, bits.size, 0
    # A tree in the order of its levels: the children of k are 2k + 1 and 2k + 2. The order of what comes out must not
    # depend on the bits, and this one does not.
    for k in range((1 << depth) - 1):
        pairs = sizes[k] // 2
        if pairs == 0:
            continue
        first, unlike = begins[k], used
        alike, kept = used + pairs, 0
        for j in range(pairs):
            a, b = store[first + 2 * j], store[first + 2 * j + 1]
            store[unlike + j] = a ^ b
            if a == b:
                store[alike + kept] = a
                kept += 1
            else:
                out[made] = a
                made += 1
        begins[2 * k + 1], sizes[2 * k + 1] = unlike, pairs
        begins[2 * k + 2], sizes[2 * k + 2] = alike, kept
        used = alike + kept
    return out[:made].copy()


def toeplitz(bits: Bits, entropy: float, rng: np.random.Generator) -> Bits:
    """Blocks of 8,192 bits times a random Toeplitz matrix over GF(2), the same one for all (Krawczyk, 1994).

    entropy: of min-entropy in each bit, between 0 and 1; a block of n gives n·entropy - 64 bits. What is left over at
    the end is not used. ConfigurationError if there is too little for one bit.
    """
    kept = math.floor(HASH_BLOCK * entropy) - HASH_SECURITY
    blocks = bits[: len(bits) // HASH_BLOCK * HASH_BLOCK].reshape(-1, HASH_BLOCK)
    if not 0.0 < entropy <= 1.0 or kept < 1 or not len(blocks):
        raise ConfigurationError(
            f"toeplitz: {len(bits):,} bits of min-entropy {entropy:.3g}; allowed: {HASH_BLOCK:,} bits or more, of more "
            f"than {HASH_SECURITY / HASH_BLOCK:.2g}; measure more frames, or calibrate the dyads"
        )
    seed = rng.integers(0, 2, HASH_BLOCK + kept - 1).astype(np.float64)
    # Sums of up to 8,192 ones by Fourier transform are exact to far less than one half.
    sums = fftconvolve(blocks.astype(np.float64), seed[None], mode="full", axes=1)
    whole = np.rint(sums[:, HASH_BLOCK - 1 : HASH_BLOCK - 1 + kept]).astype(np.int64)
    return np.asarray(whole & 1, np.uint8).ravel()
