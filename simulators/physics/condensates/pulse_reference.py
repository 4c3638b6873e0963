"""Condensation of dyads in pump pulses, plainly: what `pulse_kernel.condense` is held to, number by number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.physics.condensates.equation import Complex
from simulators.physics.condensates.pulse import Pulse
from simulators.physics.counter_random import philox, standard_normal

Array = NDArray[np.float64]


def condense_plainly(
    settings: Array,
    gamma: Array,
    pulse: Pulse,
    quantum: float,
    key: np.uint64,
    exposures: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> Array:
    """As `pulse_kernel.condense`."""
    dyads, events = settings.shape[1], len(numbers)
    g, xi = settings[0:2].T, settings[2:4].T
    J = settings[4] + 1j * settings[5]
    psi = np.empty((events, dyads, 2), np.complex128)
    states = np.empty((2, events, dyads), np.uint64)
    for e in range(events):
        where = int(exposures[e]), int(numbers[e])
        for d in range(dyads):
            for s in range(2):
                parts = (standard_normal(key, *where, 2 * d + s, k) for k in (0, 1))
                psi[e, d, s] = np.sqrt(quantum / 4) * complex(*parts)
            states[:, e, d] = philox(key, *where, d, 0x0D7AD)

    def drift(psi: Complex, shape: float) -> Complex:
        density = np.abs(psi) ** 2
        seen = psi[..., ::-1] * J[:, None]
        return np.asarray(-1j * density * psi - psi + (1 - 1j * g) * (gamma * shape / (1 + xi * density) * psi + seen))

    shape, h = pulse.shape(), pulse.step
    out = np.zeros((events, dyads, 4))
    for t in range(pulse.steps):
        first, middle, last = shape[2 * t : 2 * t + 3]
        density = np.abs(psi) ** 2
        product = psi[..., 0] * psi[..., 1].conj()
        out += np.concatenate([density, product.real[..., None], product.imag[..., None]], axis=-1)
        size = np.sqrt((1 + gamma * first / (1 + xi * density)) * h * quantum / 2)
        k1 = drift(psi, first)
        k2 = drift(psi + h / 2 * k1, middle)
        k3 = drift(psi + h / 2 * k2, middle)
        k4 = drift(psi + h * k3, last)
        psi = psi + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4) + size * _coins(states)
    return out * h


def _coins(states: NDArray[np.uint64]) -> Complex:
    """Noise (events, dyads, 2) of a step in standard deviations of its parts; the generators (2, ...) go on."""
    a, b = states[0], states[1]
    a = a ^ (a << np.uint64(23))
    a = a ^ b ^ (a >> np.uint64(18)) ^ (b >> np.uint64(5))
    states[0], states[1] = states[1].copy(), a
    word = states[0] + states[1]
    parts = [(word >> np.uint64(16 * k)) & np.uint64(0xFFFF) for k in range(4)]
    heads = [(np.bitwise_count(part).astype(np.float64) - 8) / 2 for part in parts]
    return np.stack([heads[0] + 1j * heads[1], heads[2] + 1j * heads[3]], axis=-1)
