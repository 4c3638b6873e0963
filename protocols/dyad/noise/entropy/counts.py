"""Min-entropy from counts in a sequence of bits: most common value, collisions, Markov chain, compression.

NIST SP 800-90B (January 2018), Sections 6.3.1 to 6.3.4, for two symbols. Each is in bits a bit, and a lower bound at
99 % where the standard has one. ``bits`` is (n,) uint8 of 0 and 1 throughout.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from simulators.physics.compiled import kernel

Bits = npt.NDArray[np.uint8]

Z_99 = 2.5758293035489008
"""Of the standard normal distribution: two-sided 99 %."""

CHAIN = 128
"""Length of the sequences whose probability the Markov estimate looks at."""

WORD = 6
"""Bits of a word of the compression estimate."""

LEARNING = 1000
"""Words that only fill its dictionary."""

_WORDS = 1 << WORD
_SPREAD = 0.5907  # of the log distances of words, which depend on one another (step 5 of 6.3.4)


def upper_bound(p: float, n: int) -> float:
    """Of a probability measured as ``p`` in n trials; at most 1."""
    return min(1.0, p + Z_99 * math.sqrt(p * (1.0 - p) / (n - 1)))


def most_common_value(bits: Bits) -> float:
    """Section 6.3.1: how frequent the more frequent symbol is."""
    ones = int(np.count_nonzero(bits))
    return abs(math.log2(upper_bound(max(ones, len(bits) - ones) / len(bits), len(bits))))


def collision(bits: Bits) -> float:
    """Section 6.3.2: how soon a symbol comes again, after two bits or three.

    The mean of that is 2 + 2p(1-p): so much is left, for two symbols, of the incomplete gamma function of step 6.
    """
    twos, threes = _collisions(bits)
    count = twos + threes
    mean = (2 * twos + 3 * threes) / count
    variance = (twos * (2 - mean) ** 2 + threes * (3 - mean) ** 2) / (count - 1)
    bound = mean - Z_99 * math.sqrt(variance / count)
    p = 0.5 + math.sqrt(max(0.0, 1.25 - 0.5 * bound))
    return abs(math.log2(min(1.0, p)))


@kernel
def _collisions(bits: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """How many collisions after two and after three bits; one that the end cuts off does not count."""
    twos, threes, at = 0, 0, 0
    while at + 1 < bits.size:
        if bits[at] == bits[at + 1]:
            twos += 1
            at += 2
        elif at + 2 < bits.size:
            threes += 1
            at += 3
        else:
            break
    return twos, threes


def markov(bits: Bits) -> float:
    """Section 6.3.3: the most likely sequence of 128 bits of a first-order Markov chain with the measured transitions.

    Without a confidence interval, as in the standard.
    """
    before, after = bits[:-1], bits[1:]
    p = np.empty((2, 2))
    for k in (0, 1):
        follow = after[before == k]
        p[k, 1] = np.count_nonzero(follow) / len(follow) if len(follow) else 0.0
        p[k, 0] = 1.0 - p[k, 1] if len(follow) else 0.0
    one = np.count_nonzero(bits) / len(bits)
    with np.errstate(divide="ignore"):
        first, step = np.log2([1.0 - one, one]), np.log2(p)
    # Where a transition never occurs, what needs it is impossible; 0 times -inf does not come up.
    candidates = (
        first[0] + (CHAIN - 1) * step[0, 0],
        first[0] + CHAIN // 2 * step[0, 1] + (CHAIN // 2 - 1) * step[1, 0],
        first[0] + step[0, 1] + (CHAIN - 2) * step[1, 1],
        first[1] + step[1, 0] + (CHAIN - 2) * step[0, 0],
        first[1] + CHAIN // 2 * step[1, 0] + (CHAIN // 2 - 1) * step[0, 1],
        first[1] + (CHAIN - 1) * step[1, 1],
    )
    return min(1.0, max(0.0, -float(max(candidates)) / CHAIN))


def compression(bits: Bits) -> float:
    """Section 6.3.4: how far back words of six bits were last seen (Maurer's statistic)."""
    count = len(bits) // WORD
    words = bits[: count * WORD].reshape(count, WORD) @ (1 << np.arange(WORD - 1, -1, -1))
    logs = np.log2(_distances(words)[LEARNING:])
    tested = count - LEARNING
    mean = float(logs.mean())
    spread = _SPREAD * math.sqrt(max(0.0, float((logs**2).sum()) / (tested - 1) - mean**2))
    bound = mean - Z_99 * spread / math.sqrt(tested)
    if _expected(1 / _WORDS, count) <= bound:
        return 1.0  # no word is favoured: step 8
    if bound <= 0:
        return 0.0
    p = brentq(lambda p: _expected(p, count) - bound, 1 / _WORDS, 1.0, xtol=1e-14, rtol=1e-14)
    return max(0.0, -math.log2(p) / WORD)


def _distances(words: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """To the last place of the same word; where there is none, to the beginning."""
    order = np.argsort(words, kind="stable")
    same = words[order][1:] == words[order][:-1]
    distance = np.arange(1, len(words) + 1)
    distance[order[1:][same]] = np.diff(order)[same]
    return distance


def _expected(p: float, count: int) -> float:
    """Mean log2 distance where one word has probability p and the others share the rest (step 7)."""
    rest = (1.0 - p) / (_WORDS - 1)
    return _share(p, count) + (_WORDS - 1) * _share(rest, count)


def _share(z: float, n: int) -> float:
    """G(z) of step 7: words of probability z. The double sum over t and u is ordered by u, how often each u occurs."""
    if z <= 0.0 or z >= 1.0:
        return 0.0  # a word that is never there, or at a distance of one, whose logarithm is zero
    u = np.arange(1, n + 1)
    terms = np.log2(u) * np.exp((u - 1) * math.log1p(-z))
    inner = float(terms[:-1] @ (n - np.maximum(LEARNING, u[:-1])))
    return z * (z * inner + float(terms[LEARNING:].sum())) / (n - LEARNING)
