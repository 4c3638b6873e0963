"""The restricted Boltzmann machine in exact arithmetic: what the optics must reproduce.

Pure functions on arrays. Spins are ±1, visible v (N_v) and hidden h (N_h), couplings W of shape (N_v, N_h),
fields a (N_v,) and b (N_h,); arXiv 2508.20472, supplement VI:

    H = -Σ W_ij v_i h_j - a·v - b·h,    L_j = Σ_i W_ij v_i + b_j,    P(h_j = 1 | v) = 1/(1 + e^{-2L_j/T}).

Energies, fields and the temperature T share one dimensionless unit. The half step from hidden to visible is
the same with the roles exchanged: pass ``W.T``, the hidden spins and a.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]
SpinArray = npt.NDArray[np.int8]
Real = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]

MAX_ENUMERATED_SPINS = 16
"""Largest N_v that `visible_distribution` enumerates (65,536 states)."""

_STATES_AT_A_TIME = 4096


def local_fields(W: Real, v: Real, b: Real) -> FloatArray:
    """Local fields L_j = Σ_i W_ij v_i + b_j.

    ``v`` is (N_v,) or a batch (n, N_v); the result is (N_h,) or (n, N_h). Raises ValueError if shapes
    disagree.
    """
    n_visible, n_hidden = _shape_of(W)
    if v.ndim not in (1, 2) or v.shape[-1] != n_visible:
        raise ValueError(f"v has shape {v.shape}; W of shape {W.shape} needs ({n_visible},) or (n, {n_visible})")
    if b.shape != (n_hidden,):
        raise ValueError(f"b has shape {b.shape}; W of shape {W.shape} needs ({n_hidden},)")
    fields: FloatArray = v.astype(np.float64) @ W.astype(np.float64) + b
    return fields


def probability_up(L: Real | float, temperature: float | FloatArray) -> FloatArray:
    """P(spin = +1) = 1/(1 + e^{-2L/T}) for local fields L of any shape, at one temperature or one for each
    (supplement VI).

    Free of overflow for every finite L. Raises ValueError unless the temperature is positive and finite.
    """
    _check_temperature(temperature)
    # A quotient beyond the largest float becomes infinite, and expit of infinity is the right limit.
    with np.errstate(over="ignore"):
        return np.asarray(expit(2.0 * (np.asarray(L, np.float64) / temperature)), np.float64)


def unbiased_probability_up(L: Real, temperature: float | FloatArray, noise: Real) -> FloatArray:
    """What to draw spins by when L is measured with Gaussian noise of known standard deviation (of L's shape).

    The mean of P over the noise is P + s^2/2 P'' + ..., with s = 2 noise/T and derivatives in 2 L/T: a machine that
    is a little too warm. Drawing by P - s^2/2 P'', with P'' = P (1 - P) (1 - 2P), gives P up to terms in s^4. Noise
    above s = 1.4, where the expansion ends, is corrected as if it were that. Result in 0 to 1.
    """
    up = probability_up(L, temperature)
    variance = np.minimum((2.0 * np.asarray(noise) / temperature) ** 2, 2.0)
    return np.asarray(np.clip(up - 0.5 * variance * up * (1.0 - up) * (1.0 - 2.0 * up), 0.0, 1.0))


def sample_spins(
    L: Real, temperature: float | FloatArray, rng: np.random.Generator, noise: Real | None = None
) -> SpinArray:
    """Draw a spin for every local field: +1 where a uniform of ``rng`` lies below `probability_up`, else -1.

    noise: standard deviation of measured fields, of L's shape, whose warming is taken back (`unbiased_probability_up`).

    Consumes exactly one uniform per spin, in C order, so that two machines given the same generator and the
    same fields draw the same spins. Returns int8 of the shape of L.
    """
    up = probability_up(L, temperature) if noise is None else unbiased_probability_up(L, temperature, noise)
    return np.where(rng.random(L.shape) < up, 1, -1).astype(np.int8)


def energy(W: Real, a: Real, b: Real, v: Real, h: Real) -> FloatArray:
    """H = -Σ W_ij v_i h_j - a·v - b·h.

    ``v`` (N_v,) with ``h`` (N_h,) gives shape (), batches (n, N_v) with (n, N_h) give (n,).
    """
    _check_visible_bias(W, a)
    fields = local_fields(W, v, b)
    if h.shape != fields.shape:
        raise ValueError(f"h has shape {h.shape}; W of shape {W.shape} and v of shape {v.shape} need {fields.shape}")
    return np.asarray(-(fields * h).sum(axis=-1) - v.astype(np.float64) @ a, np.float64)


def log_unnormalised_visible(W: Real, a: Real, b: Real, v: Real, temperature: float) -> FloatArray:
    """ln of the unnormalised P(v) = e^{a·v/T} Π_j 2cosh(L_j/T), the hidden spins summed out.

    ``v`` (N_v,) gives shape (), a batch (n, N_v) gives (n,). Free of overflow.
    """
    _check_temperature(temperature)
    _check_visible_bias(W, a)
    x = local_fields(W, v, b) / temperature
    return np.asarray(v.astype(np.float64) @ a / temperature + np.logaddexp(x, -x).sum(axis=-1), np.float64)


def visible_distribution(W: Real, a: Real, b: Real, temperature: float) -> tuple[SpinArray, FloatArray]:
    """P(v) by enumeration: states (2^N_v, N_v) int8 and their probabilities (2^N_v,), which sum to one.

    In state k spin i is +1 where bit i of k is set. Raises ValueError above `MAX_ENUMERATED_SPINS` spins.
    """
    n_visible, _ = _shape_of(W)
    if n_visible > MAX_ENUMERATED_SPINS:
        raise ValueError(
            f"{n_visible} visible spins: 2^{n_visible} states are too many; at most {MAX_ENUMERATED_SPINS}"
        )
    bits = (np.arange(2**n_visible)[:, None] >> np.arange(n_visible)) & 1
    states = (2 * bits - 1).astype(np.int8)
    log_weight = np.concatenate(
        [
            log_unnormalised_visible(W, a, b, states[k : k + _STATES_AT_A_TIME], temperature)
            for k in range(0, len(states), _STATES_AT_A_TIME)
        ]
    )
    weight = np.exp(log_weight - log_weight.max())
    return states, weight / weight.sum()


def gibbs_chain_visible(
    W: Real,
    a: Real,
    b: Real,
    starts: Real,
    iterations: int,
    temperature: float,
    rng: np.random.Generator,
) -> SpinArray:
    """Block Gibbs sampling v → h → v in exact arithmetic: the visible spins after every iteration.

    ``starts`` is (N_v,) or (n, N_v), independent chains; the result is (iterations + 1, …) int8 with the
    starts first. Each iteration consumes one uniform per hidden spin, then one per visible spin
    (`sample_spins`).
    """
    if iterations < 0:
        raise ValueError(f"{iterations} iterations; at least 0")
    _check_visible_bias(W, a)
    chain = np.empty((iterations + 1, *starts.shape), np.int8)
    chain[0] = starts
    for k in range(iterations):
        h = sample_spins(local_fields(W, chain[k], b), temperature, rng)
        chain[k + 1] = sample_spins(local_fields(W.T, h, a), temperature, rng)
    return chain


def _shape_of(W: Real) -> tuple[int, int]:
    if W.ndim != 2:
        raise ValueError(f"W has shape {W.shape}; it must be (N_v, N_h)")
    return W.shape[0], W.shape[1]


def _check_visible_bias(W: Real, a: Real) -> None:
    n_visible, _ = _shape_of(W)
    if a.shape != (n_visible,):
        raise ValueError(f"a has shape {a.shape}; W of shape {W.shape} needs ({n_visible},)")


def _check_temperature(temperature: float | FloatArray) -> None:
    if not np.all((np.asarray(temperature) > 0.0) & np.isfinite(temperature)):
        raise ValueError(f"temperature {temperature}; it must be positive and finite")
