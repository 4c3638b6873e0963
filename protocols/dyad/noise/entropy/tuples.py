"""Min-entropy from strings that are repeated: t-tuples and the longest repeated substring.

NIST SP 800-90B (January 2018), Sections 6.3.5 and 6.3.6, for two symbols. Strings are counted in the sorted suffixes of
the sequence: those that share their first w bits are the places of one string of w.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from protocols.dyad.noise.entropy.counts import upper_bound
from simulators.physics.compiled import kernel

Bits = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]

OFTEN = 35
"""A t-tuple counts where it is seen as often as this; the longest repeated substring begins where none is."""

_FIRST = 57  # bits that are compared in one number, beside six for the length that is left


def tuple_entropies(bits: Bits) -> tuple[float | None, float | None]:
    """Of the most frequent strings (6.3.5) and of longer ones, by how often they are repeated (6.3.6).

    The one is None where no symbol is seen 35 times, the other where no longer string is seen twice.
    """
    n = len(bits)
    most, pairs = _strings(_common_prefixes(bits, suffix_array(bits)))
    longest = len(most) - 1
    frequent = int(np.count_nonzero(most[1:] >= OFTEN))  # `most` falls with the length
    width = np.arange(1, longest + 1)
    tuples = repeated = None
    if frequent:
        w = width[:frequent]
        tuples = _entropy((most[1 : frequent + 1] / (n - w + 1)) ** (1 / w), n)
    if longest > frequent:
        w = width[frequent:].astype(np.float64)
        repeated = _entropy((pairs[frequent + 1 :] / ((n - w + 1) * (n - w) / 2)) ** (1 / w), n)
    return tuples, repeated


def _entropy(p: npt.NDArray[np.float64], n: int) -> float:
    return abs(math.log2(upper_bound(float(p.max()), n)))


def suffix_array(bits: Bits) -> IntArray:
    """Where the suffixes begin, sorted: prefixes of twice the length are compared each time (Manber, Myers, 1993)."""
    n = len(bits)
    left = np.minimum(n - np.arange(n), _FIRST)
    code = np.zeros(n, np.int64)
    for k in range(_FIRST):
        code[: max(n - k, 0)] |= bits[k:].astype(np.int64) << (_FIRST - 1 - k)
    key, compared = (code << 6) | left, _FIRST  # of two that agree as far as the shorter goes, that one is first
    while True:
        order = np.argsort(key, kind="stable")
        new = np.empty(n, np.int64)
        new[order] = np.concatenate(([0], np.cumsum(key[order][1:] != key[order][:-1])))
        if new[order[-1]] == n - 1:
            return order
        follow = np.zeros(n, np.int64)
        follow[: max(n - compared, 0)] = new[compared:] + 1
        key, compared = new * (n + 1) + follow, 2 * compared


@kernel
def _common_prefixes(bits: npt.NDArray[np.uint8], order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Bits that each suffix shares with the one sorted before it (Kasai et al., 2001); the first shares none."""
    n = bits.size
    rank = np.empty(n, np.int64)
    for k in range(n):
        rank[order[k]] = k
    shared = np.zeros(n + 1, np.int64)  # one more, 0, ends all strings
    h = 0
    for i in range(n):
        if rank[i] == 0:
            h = 0
            continue
        j = order[rank[i] - 1]
        while i + h < n and j + h < n and bits[i + h] == bits[j + h]:
            h += 1
        shared[rank[i]] = h
        h = max(h - 1, 0)
    return shared


@kernel
def _strings(shared: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """By length w, from 0 to that of the longest repeated string: how often the most frequent string of w bits is seen,
    and how many pairs of places hold the same w bits.

    Suffixes that share ``w`` bits lie side by side. A stack holds such groups, shorter below longer, as the array is
    passed; a group that ends has been counted for all lengths down to that of the one around it.
    """
    longest = shared.max()
    most = np.ones(longest + 1, np.int64)
    change = np.zeros(longest + 2)  # of the number of pairs, from one length to the next
    lengths = np.empty(longest + 2, np.int64)
    begins = np.empty(longest + 2, np.int64)
    lengths[0], begins[0], top = 0, 0, 0
    for k in range(1, shared.size):
        begin = k - 1
        while lengths[top] > shared[k]:
            begin = begins[top]
            length, count = lengths[top], k - begin
            top -= 1
            around = max(lengths[top], shared[k])
            most[length] = max(most[length], count)
            pairs = 0.5 * count * (count - 1)
            change[around + 1] += pairs
            change[length + 1] -= pairs
        if lengths[top] < shared[k]:
            top += 1
            lengths[top], begins[top] = shared[k], begin
    for w in range(longest - 1, -1, -1):
        most[w] = max(most[w], most[w + 1])
    return most, np.cumsum(change)[: longest + 1]
