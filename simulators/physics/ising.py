"""The Ising model in exact arithmetic: what sampled energies and magnetisations must agree with.

H = -sum over bonds J_ij s_i s_j - sum h_i s_i over spins s = +-1, each bond once. Energies, J and the temperature T
share one unit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ellipk, logsumexp

from simulators.physics.compiled import kernel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CRITICAL_TEMPERATURE = 2.0 / math.log(1.0 + math.sqrt(2.0))
"""Of the square lattice with J = 1: 2.2692 (Onsager 1944)."""

MAX_ENUMERATED_SPINS = 24


def torus_bonds(side: int) -> IntArray:
    """Bonds (2 side^2, 2) of the periodic square lattice, each once; spin number = side * row + column.

    On a side of 2 the two bonds around join the same spins, which then are coupled twice.
    """
    spin = np.arange(side * side).reshape(side, side)
    ends = [np.stack([spin, np.roll(spin, -1, axis)], axis=-1).reshape(-1, 2) for axis in (1, 0)]
    return np.concatenate(ends)


def energies(bonds: IntArray, weights: FloatArray, fields: FloatArray, spins: NDArray[np.int8]) -> FloatArray:
    """H (...,) of spins (..., N); bonds (n, 2), weights (n,), fields (N,)."""
    pairs = np.einsum(
        "...b,...b,b->...", spins[..., bonds[:, 0]], spins[..., bonds[:, 1]], np.asarray(weights, np.float64)
    )
    return np.asarray(-pairs - spins @ np.asarray(fields, np.float64))


def enumerated(bonds: IntArray, weights: FloatArray, fields: FloatArray) -> tuple[FloatArray, NDArray[np.int32]]:
    """Energies and sums of spins of all 2^N states, (2^N,) each, in the order of the Gray code.

    Raises ValueError above `MAX_ENUMERATED_SPINS` spins.
    """
    n = len(fields)
    if n > MAX_ENUMERATED_SPINS:
        raise ValueError(f"{n} spins: 2^{n} states are too many; at most {MAX_ENUMERATED_SPINS}")
    couplings = np.zeros((n, n))
    np.add.at(couplings, (bonds[:, 0], bonds[:, 1]), weights)
    np.add.at(couplings, (bonds[:, 1], bonds[:, 0]), weights)
    return _walked(couplings, np.asarray(fields, np.float64))


@kernel
def _walked(couplings: FloatArray, fields: FloatArray) -> tuple[FloatArray, NDArray[np.int32]]:
    n = len(fields)
    states = 1 << n
    energy = np.empty(states)
    total = np.empty(states, np.int32)
    s = -np.ones(n)
    local = fields - couplings.sum(axis=1)
    e = -0.5 * (s * (local - fields)).sum() - (s * fields).sum()
    m = -n
    energy[0], total[0] = e, m
    for k in range(1, states):
        flip = 0
        while not (k >> flip) & 1:
            flip += 1
        e += 2.0 * s[flip] * local[flip]
        s[flip] = -s[flip]
        m += 2 * round(s[flip])
        for other in range(n):
            local[other] += 2.0 * couplings[flip, other] * s[flip]
        energy[k], total[k] = e, m
    return energy, total


def exact_averages(energy: FloatArray, total: NDArray[np.int32], n: int, temperature: float) -> dict[str, float]:
    """E per spin, m = <|M|>/N, C, chi and U4 of a machine of n spins from all its states (`enumerated`).

    C = var(E_total)/(N T^2), chi = N(<m^2> - <|m|>^2)/T, U4 = 1 - <m^4>/(3 <m^2>^2).
    """
    log_weight = -energy / temperature
    p = np.exp(log_weight - logsumexp(log_weight))
    m = np.abs(total) / n
    e = float(p @ energy)
    m1, m2, m4 = (float(p @ m**k) for k in (1, 2, 4))
    return {
        "E": e / n,
        "m": m1,
        "C": float(p @ (energy - e) ** 2) / (n * temperature**2),
        "chi": n * (m2 - m1**2) / temperature,
        "U4": 1.0 - m4 / (3.0 * m2**2),
    }


def kaufman(side: int, temperature: float) -> tuple[float, float]:
    """Energy and heat capacity per spin of the periodic side x side lattice with J = 1 (Kaufman 1949, Eq. 87).

    From the exact partition function by fourth-order differences in 1/T.
    """
    k, step, n = 1.0 / temperature, 1e-3, side * side
    z = [_kaufman_log_z(side, k + i * step) for i in (-2, -1, 0, 1, 2)]
    slope = (z[0] - 8 * z[1] + 8 * z[3] - z[4]) / (12 * step)
    curvature = (-z[0] + 16 * z[1] - 30 * z[2] + 16 * z[3] - z[4]) / (12 * step**2)
    return float(-slope) / n, float(k**2 * curvature) / n


def _kaufman_log_z(side: int, k: float) -> np.longdouble:
    """ln Z = ln 1/2 (2 sinh 2K)^(N/2) (Y1 + Y2 + Y3 + Y4) in extended precision."""
    wide = np.longdouble
    K = wide(k)
    r = np.arange(2 * side)
    gamma = np.arccosh(np.maximum(np.cosh(2 * K) ** 2 / np.sinh(2 * K) - np.cos(wide(np.pi) * r / side), wide(1)))
    gamma[0] = 2 * K + np.log(np.tanh(K))  # changes its sign at the critical point
    half = side * gamma / 2
    log_cosh = np.logaddexp(half, -half)
    size = np.abs(half)
    with np.errstate(divide="ignore"):
        log_sinh = size + np.log1p(-np.exp(-2 * size))
    odd, even = r % 2 == 1, r % 2 == 0
    terms = [log_cosh[odd].sum(), log_sinh[odd].sum(), log_cosh[even].sum(), log_sinh[even].sum()]
    signs = [1, 1, 1, 1 if half[0] >= 0 else -1]
    # Y4 carries the sign of gamma_0: minus above the critical temperature.
    largest = max(terms)
    total = sum(sign * np.exp(term - largest) for sign, term in zip(signs, terms, strict=True))
    return wide(-np.log(wide(2))) + wide(side * side) / 2 * np.log(2 * np.sinh(2 * K)) + largest + np.log(total)  # type: ignore[no-any-return]


def onsager_energy(temperature: float) -> float:
    """Energy per spin of the infinite square lattice with J = 1 (Onsager 1944, Eq. 116)."""
    k = 1.0 / temperature
    modulus = 2 * math.sinh(2 * k) / math.cosh(2 * k) ** 2
    return -1 / math.tanh(2 * k) * (1 + 2 / math.pi * (2 * math.tanh(2 * k) ** 2 - 1) * float(ellipk(modulus**2)))


def spontaneous_magnetisation(temperature: float) -> float:
    """m of the infinite square lattice with J = 1 (Yang 1952): (1 - sinh(2/T)^-4)^(1/8), 0 above critical."""
    if temperature >= CRITICAL_TEMPERATURE:
        return 0.0
    return float((1 - math.sinh(2 / temperature) ** -4) ** 0.125)
