"""Condensation of a network of any number of sites in pump pulses, with noise: `pulse_kernel` beyond pairs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.condensates.network_kernel import step
from simulators.physics.condensates.pulse import Pulse
from simulators.physics.condensates.pulse_kernel import coins, vacuum
from simulators.physics.counter_random import philox

Array = NDArray[np.float64]

LANES = 16


def condense_network(
    settings: Array,
    gamma: Array,
    couplings: NDArray[np.complex128],
    pulse: Pulse,
    quantum: float,
    key: np.uint64,
    exposures: NDArray[np.int64],
    numbers: NDArray[np.int64],
    first_site: int = 0,
) -> tuple[Array, NDArray[np.complex128]]:
    """Integrals over the pulse, in units of t0: |psi_i|^2 (events, n), and psi_i psi_j* (events, links) of coupled
    pairs i < j in the order of `links`.

    settings: (2, n): g and xi. gamma: (events or 1, n) on the plateau. couplings: J (n, n). The others as in
    `pulse_kernel.condense`; first_site numbers the noise of several networks in one exposure.
    """
    from scipy.sparse import csr_matrix  # a fifth of a second, which every process of a bench would pay

    n, events = settings.shape[1], len(numbers)
    sparse = csr_matrix(couplings)
    pairs = links(couplings)
    density = np.empty((events, n))
    product = np.empty((2, events, len(pairs)))
    _condense(
        np.ascontiguousarray(settings, np.float64),
        np.ascontiguousarray(gamma, np.float64),
        sparse.indptr.astype(np.int64),
        sparse.indices.astype(np.int64),
        np.ascontiguousarray(sparse.data.real),
        np.ascontiguousarray(sparse.data.imag),
        pairs,
        pulse.shape(),
        pulse.step,
        quantum,
        key,
        np.asarray(exposures, np.int64),
        np.asarray(numbers, np.int64),
        first_site,
        density,
        product,
    )
    return density, np.asarray(product[0] + 1j * product[1])


def links(couplings: NDArray[np.complex128]) -> NDArray[np.int64]:
    """Pairs (links, 2) of sites i < j that see each other."""
    either = (couplings != 0) | (couplings.T != 0)
    return np.asarray(np.argwhere(np.triu(either, 1)), np.int64).reshape(-1, 2)


@reordering_kernel
def _condense(
    settings: Array,
    gamma: Array,
    start: NDArray[np.int64],
    column: NDArray[np.int64],
    jr: Array,
    ji: Array,
    pairs: NDArray[np.int64],
    shape: Array,
    h: float,
    quantum: float,
    key: np.uint64,
    exposures: NDArray[np.int64],
    numbers: NDArray[np.int64],
    first_site: int,
    density: Array,
    product: Array,
) -> None:
    n, events = settings.shape[1], len(numbers)
    steps = (len(shape) - 1) // 2
    s, work = np.empty((2, n, LANES)), np.empty((5, 2, n, LANES))
    states = np.empty((2, n, LANES), np.uint64)
    sums, cross = np.empty((n, LANES)), np.empty((2, len(pairs), LANES))
    sizes, pumped = np.empty((n, LANES)), np.empty((n, LANES))
    scale = math.sqrt(h * quantum / 2.0) / 2.0
    low = np.uint64(0xFFFF)
    for first in range(0, events, LANES):
        count = min(LANES, events - first)
        for k in range(LANES):
            event = first + min(k, count - 1)
            exposure, number = exposures[event], numbers[event]
            for i in range(n):
                pumped[i, k] = gamma[event if len(gamma) > 1 else 0, i]
                s[0, i, k], s[1, i, k] = vacuum(key, exposure, number, first_site + i, quantum)
                states[0, i, k], states[1, i, k] = philox(key, exposure, number, first_site + i, 0x5173)
        sums[:] = 0.0
        cross[:] = 0.0
        for t in range(steps):
            f = shape[2 * t]
            for i in range(n):
                xi = settings[1, i]
                for k in range(LANES):
                    d = s[0, i, k] * s[0, i, k] + s[1, i, k] * s[1, i, k]
                    sums[i, k] += d
                    sizes[i, k] = scale * math.sqrt(1.0 + pumped[i, k] * f / (1.0 + xi * d))
            for q in range(len(pairs)):
                i, j = pairs[q, 0], pairs[q, 1]
                for k in range(LANES):
                    cross[0, q, k] += s[0, i, k] * s[0, j, k] + s[1, i, k] * s[1, j, k]
                    cross[1, q, k] += s[1, i, k] * s[0, j, k] - s[0, i, k] * s[1, j, k]
            shapes = (f, shape[2 * t + 1], shape[2 * t + 2])
            step(s, settings, pumped, shapes, start, column, jr, ji, h, work)
            for i in range(n):
                for k in range(LANES):
                    a, b = states[0, i, k], states[1, i, k]  # xorshift128+
                    a ^= a << np.uint64(23)
                    a = a ^ b ^ (a >> np.uint64(18)) ^ (b >> np.uint64(5))
                    states[0, i, k], states[1, i, k] = b, a
                    word = coins(a + b)
                    s[0, i, k] += sizes[i, k] * (np.float64(word & low) - 8.0)
                    s[1, i, k] += sizes[i, k] * (np.float64((word >> np.uint64(16)) & low) - 8.0)
        for k in range(count):
            for i in range(n):
                density[first + k, i] = h * sums[i, k]
            for q in range(len(pairs)):
                product[0, first + k, q] = h * cross[0, q, k]
                product[1, first + k, q] = h * cross[1, q, k]
