"""Min-entropy from how well the next bit is predicted: windows, lags, Markov models, LZ78Y.

NIST SP 800-90B (January 2018), Sections 6.3.7 to 6.3.10, for two symbols. Each predictor counts the bits it gets right
and its longest run of them; the entropy follows from whichever is the better, over all or for a while (Eq. of step 5).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from protocols.dyad.noise.entropy.counts import upper_bound
from simulators.physics.compiled import kernel

Bits = npt.NDArray[np.uint8]
Score = tuple[int, int, int]
"""Predictions that were right, predictions, longest run of right ones."""

WINDOWS = np.array([63, 255, 1023, 4095])
LAGS = 128
DEPTH = 16
_MODEL_ENTRIES = 100_000
_DICTIONARY = 65_536


def most_common_in_window(bits: Bits) -> float:
    """Section 6.3.7: predicts the more frequent symbol of the last 63 to 4,095 bits."""
    return entropy_of(_windows(bits, WINDOWS))


def lag(bits: Bits) -> float:
    """Section 6.3.8: predicts the bit of one to 128 places before."""
    return entropy_of(_lags(bits))


def markov_models(bits: Bits) -> float:
    """Section 6.3.9: predicts by what followed the last one to 16 bits most often."""
    return entropy_of(_models(bits))


def lz78y(bits: Bits) -> float:
    """Section 6.3.10: as the Markov models, with a dictionary that ends when it is full."""
    return entropy_of(_dictionary(bits))


def entropy_of(score: Score) -> float:
    """Min-entropy of what is predicted so well: steps 5 to 7 of 6.3.7, the same for all four."""
    right, n, run = score
    overall = right / n
    p = max(0.5, upper_bound(overall, n) if right else 1 - 0.01 ** (1 / n))
    # The run decides only where so long a one were unlikely (1 %) at the rate of all.
    if p < 1.0 and _log_no_run(p, run + 1, n) > math.log(0.99):
        low, high = p, 1.0
        for _ in range(60):
            p = 0.5 * (low + high)
            if _log_no_run(p, run + 1, n) > math.log(0.99):
                low = p
            else:
                high = p
    return abs(math.log2(min(1.0, p)))


def _log_no_run(p: float, r: int, n: int) -> float:
    """Log of the probability of no run of r successes in n trials (Feller, XIII.7; step 6)."""
    q = 1.0 - p
    if q <= 0.0:
        return -math.inf
    x, last = 1.0, 0.0
    for _ in range(65):
        if x - last <= 1e-16 * x:
            break
        last = x
        x = min(1.0 / p, 1.0 + q * math.exp(r * math.log(p) + (r + 1) * math.log(x)))
    above, below = 1.0 - p * x, (r + 1 - r * x) * q
    if above <= 0.0 or below <= 0.0:
        return -math.inf
    return math.log(above) - math.log(below) - (n + 1) * math.log(x)


@kernel
def _windows(bits: npt.NDArray[np.uint8], windows: npt.NDArray[np.int64]) -> tuple[int, int, int]:
    ones = np.zeros(windows.size, np.int64)
    scores = np.zeros(windows.size, np.int64)
    winner, right, run, longest = 0, 0, 0, 0
    for i in range(bits.size):
        if i >= windows[0]:
            # An odd window has no tie. A predictor whose window is not full yet predicts nothing.
            guess = 1 if 2 * ones[winner] > windows[winner] else 0
            if i >= windows[winner] and guess == bits[i]:
                right += 1
                run += 1
                longest = max(longest, run)
            else:
                run = 0
            for j in range(windows.size):
                if i >= windows[j] and (1 if 2 * ones[j] > windows[j] else 0) == bits[i]:
                    scores[j] += 1
                    if scores[j] >= scores[winner]:
                        winner = j
        for j in range(windows.size):
            ones[j] += bits[i]
            if i >= windows[j]:
                ones[j] -= bits[i - windows[j]]
    return right, bits.size - windows[0], longest


@kernel
def _lags(bits: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
    scores = np.zeros(LAGS, np.int64)
    winner, right, run, longest = 0, 0, 0, 0
    for i in range(1, bits.size):
        if winner < i and bits[i - winner - 1] == bits[i]:
            right += 1
            run += 1
            longest = max(longest, run)
        else:
            run = 0
        for d in range(min(LAGS, i)):
            if bits[i - d - 1] == bits[i]:
                scores[d] += 1
                if scores[d] >= scores[winner]:
                    winner = d
    return right, bits.size - 1, longest


@kernel
def _models(bits: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
    counts = np.zeros((DEPTH, 1 << DEPTH, 2), np.int64)
    entries = np.zeros(DEPTH, np.int64)
    scores = np.zeros(DEPTH, np.int64)
    winner, right, run, longest = 0, 0, 0, 0
    past = np.int64(bits[0])  # the bits before, the last one lowest
    for i in range(2, bits.size):
        for d in range(min(DEPTH, i - 1)):
            seen = past & ((1 << (d + 1)) - 1)
            if counts[d, seen, bits[i - 1]] or entries[d] < _MODEL_ENTRIES:
                if not counts[d, seen, bits[i - 1]]:
                    entries[d] += 1
                counts[d, seen, bits[i - 1]] += 1
        past = ((past << 1) | bits[i - 1]) & ((1 << DEPTH) - 1)
        best, hit = winner, False
        for d in range(min(DEPTH, i)):
            seen = past & ((1 << (d + 1)) - 1)
            zeros, ones = counts[d, seen, 0], counts[d, seen, 1]
            if zeros + ones and (1 if ones >= zeros else 0) == bits[i]:
                hit = hit or d == best
                scores[d] += 1
                if scores[d] >= scores[winner]:
                    winner = d
        run = run + 1 if hit else 0
        right += 1 if hit else 0
        longest = max(longest, run)
    return right, bits.size - 2, longest


@kernel
def _dictionary(bits: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
    counts = np.zeros((DEPTH, 1 << DEPTH, 2), np.int64)
    size, right, run, longest = 0, 0, 0, 0
    past = np.int64(0)
    for i in range(DEPTH):
        past = (past << 1) | bits[i]
    for i in range(DEPTH + 1, bits.size):
        for d in range(DEPTH - 1, -1, -1):
            seen = past & ((1 << (d + 1)) - 1)
            known = counts[d, seen, 0] + counts[d, seen, 1] > 0
            if known or size < _DICTIONARY:
                size += 0 if known else 1
                counts[d, seen, bits[i - 1]] += 1
        past = ((past << 1) | bits[i - 1]) & ((1 << DEPTH) - 1)
        most, guess = 0, -1
        for d in range(DEPTH - 1, -1, -1):
            seen = past & ((1 << (d + 1)) - 1)
            zeros, ones = counts[d, seen, 0], counts[d, seen, 1]
            if max(zeros, ones) > most:
                most = max(zeros, ones)
                guess = 1 if ones >= zeros else 0
        if guess == bits[i]:
            right += 1
            run += 1
            longest = max(longest, run)
        else:
            run = 0
    return right, bits.size - DEPTH - 1, longest
