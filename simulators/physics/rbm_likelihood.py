"""The partition function of a restricted Boltzmann machine, and with it the likelihood of images.

Exact, by enumeration of the smaller layer, up to `MAX_ENUMERATED_UNITS` units there; beyond, annealed importance
sampling (Salakhutdinov, Murray, ICML 2008, "On the quantitative analysis of deep belief networks"). Spins are ±1;
arrays as in `simulators.physics.rbm`: W (N_v, N_h), a (N_v,), b (N_h,), T one dimensionless temperature. Logarithms are
natural: likelihoods are in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from simulators.physics.compiled import kernel
from simulators.physics.rbm import FloatArray, Real, log_unnormalised_visible

Float32 = npt.NDArray[np.float32]

MAX_ENUMERATED_UNITS = 22
"""Largest smaller layer that `log_partition` enumerates: 4 million states, some 2 s with 49 units in the other."""

_UNITS_PER_LOGARITHM = 512
"""Factors 1 + e^(-2|x|), at most 2 each, whose product stays a finite number."""

_GRAY_BITS = 12
"""Spins flipped one at a time before the fields are summed afresh, so that rounding does not pile up."""

_RESAMPLINGS = 1000


@dataclass(frozen=True)
class LogPartition:
    """ln Z with its standard error.

    value, error: nats; the error is 0 where Z is exact. log_weights: (runs,) of annealed importance sampling, whose
    mean exponential is Z; empty where Z is exact. effective_runs: (Σw)²/Σw² of these, `runs` at best.

    The error is a bootstrap over the runs. It does not contain what no run has met: where the runs miss a mode of the
    machine, ln Z comes out too small, likelihoods too large, and the error stays small. Slower annealing shows it.
    """

    value: float
    error: float
    log_weights: FloatArray
    effective_runs: float

    @property
    def exact(self) -> bool:
        """Whether Z was summed over all states."""
        return self.log_weights.size == 0


def log_likelihoods(W: Real, a: Real, b: Real, v: Real, temperature: float, log_z: float) -> FloatArray:
    """ln P(v) of every image: ``v`` (n, N_v) gives (n,) in nats; log_z is ln Z at this temperature."""
    return np.asarray(log_unnormalised_visible(W, a, b, v, temperature) - log_z, np.float64)


# --- exact ------------------------------------------------------------------------------------------------------------


def enumerable(W: Real) -> bool:
    """Whether `log_partition` can sum over all states of the smaller layer."""
    return int(min(W.shape)) <= MAX_ENUMERATED_UNITS


def log_partition(W: Real, a: Real, b: Real, temperature: float) -> LogPartition:
    """ln Z, Z = Σ_v Σ_h e^{-H/T}, by enumeration of the smaller layer; the other is summed out: Π 2cosh.

    Raises ValueError above `MAX_ENUMERATED_UNITS` units in the smaller layer.
    """
    if not enumerable(W):
        raise ValueError(
            f"layers of {W.shape[0]} and {W.shape[1]} units: 2^{min(W.shape)} states are too many; at most "
            f"{MAX_ENUMERATED_UNITS} units in the smaller layer, else annealed_log_partition"
        )
    summed = W.shape[0] <= W.shape[1]
    couplings, own, others = (W, a, b) if summed else (W.T, b, a)
    value = _enumerate(
        np.ascontiguousarray(couplings, np.float64) / temperature,
        np.asarray(own, np.float64) / temperature,
        np.asarray(others, np.float64) / temperature,
        min(_GRAY_BITS, couplings.shape[0]),
    )
    return LogPartition(float(value), 0.0, np.empty(0), 0.0)


def log_partition_reference(W: Real, a: Real, b: Real, temperature: float) -> float:
    """The same by numpy, state by state of the visible layer: the plain reference of the compiled sum."""
    n = W.shape[0]
    states = 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1
    return float(logsumexp(log_unnormalised_visible(W, a, b, states, temperature)))


@kernel
def _enumerate(W: FloatArray, a: FloatArray, b: FloatArray, low: int) -> float:
    """ln Σ_s e^{a·s} Π_o 2cosh(b_o + Σ_i W_io s_i) over all s of ±1: W (n, m), a (n,), b (m,).

    The first ``low`` spins run through a Gray code, in which one spin flips from state to state.
    """
    n, m = W.shape
    fields = np.empty(m)
    top, total = -np.inf, 0.0
    for block in range(1 << (n - low)):
        linear = 0.0
        fields[:] = b
        for i in range(n):
            up = i >= low and (block >> (i - low)) & 1 == 1
            linear += a[i] if up else -a[i]
            for o in range(m):
                fields[o] += W[i, o] if up else -W[i, o]
        for state in range(1 << low):
            value = linear
            for first in range(0, m, _UNITS_PER_LOGARITHM):
                product = 1.0
                for o in range(first, min(first + _UNITS_PER_LOGARITHM, m)):
                    x = abs(fields[o])
                    value += x
                    product *= 1.0 + math.exp(-2.0 * x)
                value += math.log(product)
            if value > top:
                total = total * math.exp(top - value) + 1.0
                top = value
            else:
                total += math.exp(value - top)
            flipped, following = 0, state + 1
            while following & 1 == 0 and flipped < low:
                following >>= 1
                flipped += 1
            if flipped < low:
                step = -2.0 if ((state ^ (state >> 1)) >> flipped) & 1 == 1 else 2.0
                linear += step * a[flipped]
                for o in range(m):
                    fields[o] += step * W[flipped, o]
    return float(top + math.log(total))


# --- annealed importance sampling ----------------------------------------------------------------------------------


def base_rates(v: Real, temperature: float, limit: float = 0.95) -> FloatArray:
    """Fields (N_v,) of the machine without couplings that has the data's mean spins: where annealing begins.

    Means are limited to ±``limit``, so that a spin that never changes in the data can still flip.
    """
    mean = np.clip(np.asarray(v, np.float64).mean(axis=0), -limit, limit)
    return np.asarray(temperature * np.arctanh(mean), np.float64)


def annealing_betas(steps: int) -> FloatArray:
    """Inverse temperatures (steps + 1,) from 0 to 1 in equal steps.

    Salakhutdinov and Murray, section 6, crowd theirs towards 1. From base rates on, machines trained on digits gain
    most of their weight early: equal steps halve the scatter of ln Z at the same number of steps.
    """
    return np.linspace(0.0, 1.0, steps + 1)


def annealed_log_partition(
    W: Real,
    a: Real,
    b: Real,
    temperature: float,
    base: Real,
    rng: np.random.Generator,
    steps: int = 1000,
    runs: int = 100,
    between: Callable[[], object] = lambda: None,
) -> LogPartition:
    """ln Z by annealed importance sampling (Salakhutdinov, Murray 2008, section 4).

    ``runs`` chains go from the machine with visible fields ``base`` (N_v,) and no couplings to this one in ``steps``
    steps, p_k(v) ∝ e^{((1 - β_k) base + β_k a)·v/T} Π_j 2cosh(β_k L_j/T), one Gibbs iteration at each. A chain's weight
    is Π_k p*_k(v_k)/p*_{k-1}(v_k). ``between`` is called after every step. Sampling is in single precision.
    """
    W32, base32 = np.asarray(W, np.float32) / np.float32(temperature), np.asarray(base, np.float32) / temperature
    a32, b32 = np.asarray(a, np.float32) / np.float32(temperature), np.asarray(b, np.float32) / np.float32(temperature)
    n_visible, n_hidden = W32.shape
    start = np.asarray(base, np.float64) / temperature
    towards = np.asarray(a, np.float64) / temperature - start
    v: Float32 = np.empty((runs, n_visible), np.float32)
    h: Float32 = np.empty((runs, n_hidden), np.float32)
    visible: Float32 = np.empty_like(v)
    hidden: Float32 = np.empty_like(h)
    u_visible: Float32 = np.empty_like(v)
    u_hidden: Float32 = np.empty_like(h)
    log_w = np.full(runs, n_hidden * math.log(2.0) + float(np.logaddexp(start, -start).sum()))
    betas = annealing_betas(steps)
    visible[:] = base32
    rng.random(out=u_visible, dtype=np.float32)
    draw_spins(visible, u_visible, v)
    for k in range(1, steps + 1):
        np.matmul(v, W32, out=hidden)
        hidden += b32
        log_w += (betas[k] - betas[k - 1]) * (v @ towards)
        rng.random(out=u_hidden, dtype=np.float32)
        weigh_and_draw(hidden, betas[k - 1], betas[k], u_hidden, log_w, h)
        if k < steps:  # after the last weight nothing is left to be drawn
            np.matmul(h, W32.T, out=visible)
            visible += a32
            visible *= np.float32(betas[k])
            visible += np.float32(1.0 - betas[k]) * base32
            rng.random(out=u_visible, dtype=np.float32)
            draw_spins(visible, u_visible, v)
        between()
    return _averaged(log_w, np.random.default_rng(runs))


def _averaged(log_w: FloatArray, rng: np.random.Generator) -> LogPartition:
    top = log_w.max()
    w = np.exp(log_w - top)
    chosen = rng.integers(0, len(w), (_RESAMPLINGS, len(w)))
    error = float(np.log(w[chosen].mean(axis=1)).std(ddof=1))
    return LogPartition(float(top + math.log(w.mean())), error, log_w, float(w.sum() ** 2 / (w**2).sum()))


@kernel
def weigh_and_draw(
    fields: Float32, before: float, after: float, uniform: Float32, log_w: FloatArray, spins: Float32
) -> None:
    """Add Σ_j ln[cosh(after·L_j) / cosh(before·L_j)] to ``log_w`` (runs,), and draw the hidden spins at ``after``.

    fields, uniform, spins: (runs, N_h), L_j in units of T, numbers of [0, 1), and the drawn ±1.
    """
    runs, n = fields.shape
    for r in range(runs):
        gained = 0.0
        for first in range(0, n, _UNITS_PER_LOGARITHM):
            above, below = 1.0, 1.0
            for j in range(first, min(first + _UNITS_PER_LOGARITHM, n)):
                x = abs(fields[r, j])
                down = math.exp(-2.0 * after * x)
                gained += (after - before) * x
                above *= 1.0 + down
                below *= 1.0 + math.exp(-2.0 * before * x)
                against = uniform[r, j] * (1.0 + down) >= 1.0  # of the spin that follows its field
                spins[r, j] = 1.0 if (fields[r, j] >= 0.0) != against else -1.0
            gained += math.log(above / below)
        log_w[r] += gained


@kernel
def draw_spins(fields: Float32, uniform: Float32, spins: Float32) -> None:
    """Spins ±1 of fields in units of T, each with its number of [0, 1); all (runs, N)."""
    runs, n = fields.shape
    for r in range(runs):
        for i in range(n):
            against = uniform[r, i] * (1.0 + math.exp(-2.0 * abs(fields[r, i]))) >= 1.0
            spins[r, i] = 1.0 if (fields[r, i] >= 0.0) != against else -1.0


def weigh_and_draw_reference(
    fields: Float32, before: float, after: float, uniform: Float32, log_w: FloatArray, spins: Float32
) -> None:
    """`weigh_and_draw` by numpy."""
    L = fields.astype(np.float64)
    log_w += (np.logaddexp(after * L, -after * L) - np.logaddexp(before * L, -before * L)).sum(axis=1)
    draw_spins_reference(np.asarray(after * L), uniform, spins)


def draw_spins_reference(fields: Float32 | FloatArray, uniform: Float32, spins: Float32) -> None:
    """`draw_spins` by numpy: along the field where the number lies below 1/(1 + e^{-2|L|})."""
    x = np.asarray(fields, np.float64)
    along = uniform < 1.0 / (1.0 + np.exp(-2.0 * np.abs(x)))
    spins[...] = np.where((x >= 0.0) == along, 1.0, -1.0)
