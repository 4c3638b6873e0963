"""How fast this computer's processor does the same arithmetic: one thread, single precision, numpy and its BLAS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

Spins = NDArray[np.float32]

_TRIES = 7
_TRIES_OF_LONG = 3


@dataclass(frozen=True)
class HalfSweep:
    """Seconds for one chain's half sweep between layers of n spins.

    product_s: fields of one chain, a matrix times a vector; batched_s: of each of a batch, a matrix times a matrix.
    chain_s, batch_s: the whole half sweep, with random numbers, by either way.
    """

    n: int
    product_s: float
    batched_s: float
    chain_s: float
    batch_s: float


@dataclass(frozen=True)
class Electronics:
    """Seconds for what light leaves to do: drawing a spin given its field, taking a number through a decoding stage."""

    draw_s: float
    stage_s: float


def draw(fields: Spins, rng: np.random.Generator) -> Spins:
    """Spins +-1 of the fields' shape at temperature 1: P = 1 / (1 + e^(-2 L))."""
    up = rng.random(fields.shape, np.float32) < expit(2.0 * fields)
    return np.where(up, np.float32(1), np.float32(-1))


def half_sweep(given: Spins, weights: Spins, bias: Spins, rng: np.random.Generator) -> Spins:
    """Spins of the other layer: given (inputs,) or (chains, inputs), weights (inputs, outputs), bias (outputs,)."""
    return draw(given @ weights + bias, rng)


def decode(intensities: Spins) -> Spins:
    """H^T I for a Hadamard matrix in its natural order and a power of two of intensities, in log2 n stages."""
    x = intensities.copy()
    half = 1
    while half < len(x):
        pairs = x.reshape(-1, 2, half)
        low, high = pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]
        pairs[:, 0], pairs[:, 1] = low, high
        half *= 2
    return x


def measure_half_sweeps(
    sizes: Sequence[int], batch: int, rng: np.random.Generator, try_s: float = 0.02
) -> list[HalfSweep]:
    """For each number of spins, the best of several tries: what the processor can do, whatever else it is doing.

    try_s: a try repeats what is shorter until it has taken so long.
    """
    found = []
    with threadpool_limits(limits=1):
        for n in sizes:
            weights = rng.normal(0, 1.4 / math.sqrt(n), (n, n)).astype(np.float32)
            bias = np.zeros(n, np.float32)
            one = draw(np.zeros(n, np.float32), rng)
            many = draw(np.zeros((batch, n), np.float32), rng)
            found.append(
                HalfSweep(
                    n,
                    product_s=_best_s(partial(np.matmul, one, weights), try_s),
                    batched_s=_best_s(partial(np.matmul, many, weights), try_s) / batch,
                    chain_s=_best_s(partial(half_sweep, one, weights, bias, rng), try_s),
                    batch_s=_best_s(partial(half_sweep, many, weights, bias, rng), try_s) / batch,
                )
            )
    return found


def measure_electronics(rng: np.random.Generator, try_s: float = 0.02, spins: int = 1 << 16) -> Electronics:
    """Per spin, and per number and stage, of a long vector of them."""
    with threadpool_limits(limits=1):
        fields = rng.normal(0, 1.4, spins).astype(np.float32)
        draw_s = _best_s(partial(draw, fields, rng), try_s) / spins
        stage_s = _best_s(partial(decode, fields), try_s) / (spins * math.log2(spins))
    return Electronics(draw_s, stage_s)


class HalfSweepTime:
    """Seconds for a half sweep of any n: between sizes measured as a power law; beyond, by the rate of the largest."""

    def __init__(self, sizes: Sequence[int], seconds: Sequence[float], draw_s: float) -> None:
        self._log_n, self._log_s = np.log(sizes), np.log(seconds)
        self._largest, self._draw_s = sizes[-1], draw_s
        self._per_square = max(seconds[-1] - sizes[-1] * draw_s, 0.0) / sizes[-1] ** 2

    def __call__(self, n: float) -> float:
        if n > self._largest:
            return self._per_square * n**2 + n * self._draw_s
        return float(np.exp(np.interp(math.log(n), self._log_n, self._log_s)))


def _best_s(work: Callable[[], object], try_s: float) -> float:
    """Seconds for one call."""
    work()
    begun = time.perf_counter()
    work()
    times = max(1, round(try_s / max(time.perf_counter() - begun, 1e-7)))
    best = math.inf
    for _ in range(_TRIES if times > 1 else _TRIES_OF_LONG):
        begun = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, (time.perf_counter() - begun) / times)
    return best
