"""How the power of a supercontinuum wanders: slow noise as a function of time, pulse noise, warm-up and drift.

All are means over an exposure, so two detectors that look at the same time see the same.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.counter_random import standard_normal


def octaves(lowest_hz: float, highest_hz: float, tones: int, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies (tones,) of a noise with the same power in every octave; shares: (tones,) of 0 to 1, where in it."""
    return np.asarray(lowest_hz * (highest_hz / lowest_hz) ** ((np.arange(tones) + shares) / tones))


@kernel
def mean_of_tones(
    start_s: float,
    duration_s: float,
    frequencies_hz: NDArray[np.float64],
    phases: NDArray[np.float64],
    amplitude: float,
) -> float:
    """Mean over an exposure of sum_k amplitude sin(2 pi f_k t + phase_k)."""
    total = 0.0
    for k in range(len(frequencies_hz)):
        half = math.pi * frequencies_hz[k] * duration_s
        within = math.sin(half) / half if half > 1e-9 else 1.0
        total += within * math.sin(2 * math.pi * frequencies_hz[k] * start_s + half + phases[k])
    return amplitude * total


@kernel
def tone_moments(
    start_s: float, duration_s: float, frequency_hz: float, phase: float, amplitude: float
) -> tuple[float, float]:
    """Mean and mean square over an exposure of amplitude sin(2 pi f t + phase)."""
    half = math.pi * frequency_hz * duration_s
    middle = 2 * math.pi * frequency_hz * start_s + half + phase
    within = math.sin(half) / half if half > 1e-9 else 1.0
    twice = math.sin(2 * half) / (2 * half) if half > 1e-9 else 1.0
    return amplitude * within * math.sin(middle), 0.5 * amplitude**2 * (1 - twice * math.cos(2 * middle))


@kernel
def pulse_noise(key: np.uint64, start_ns: int, sigma: float, slices: int) -> NDArray[np.float64]:
    """Relative power (slices,) of an exposure that begins at ``start_ns``: 1 and noise, independent in each slice."""
    out = np.empty(slices)
    for k in range(slices):
        out[k] = 1.0 + sigma * standard_normal(key, start_ns, start_ns >> 32, k, 0)
    return out


def warm(time_s: float, missing: float, time_constant_s: float) -> float:
    """Share of the power a source gives that lacks ``missing`` of it when switched on at time 0."""
    return 1 - missing * math.exp(-time_s / time_constant_s) if time_constant_s > 0 else 1.0
