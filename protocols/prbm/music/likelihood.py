"""How likely held-out music is, step by step: ln P(v(t) | v(1) ... v(t-1)) of an RNN-RBM.

Given the past, a step is an RBM with fields of its own, whose partition function is estimated by annealed importance
sampling (Salakhutdinov, Murray, ICML 2008) for all steps at once: the couplings are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from protocols.prbm.music.model import FloatArray, RnnRbm
from simulators.physics.rbm_likelihood import annealing_betas, draw_spins, weigh_and_draw

_RUNS_AT_A_TIME = 1024
"""Chains side by side; as many as stay in the processor's cache."""


@dataclass(frozen=True)
class StepLikelihood:
    """ln P per time step, nats.

    steps: (n,) of each. annealing_error: (n,) standard errors of ln Z alone. tunes: (n,) of which tune.
    """

    steps: FloatArray
    annealing_error: FloatArray
    tunes: NDArray[np.int64]

    @property
    def value(self) -> float:
        """Mean over the steps."""
        return float(self.steps.mean())

    @property
    def error(self) -> float:
        """Standard error of `value`."""
        return _error(self.steps, self.annealing_error, self.tunes)


@dataclass(frozen=True)
class HeldOutSteps:
    """Steps of held-out tunes at which models are compared: the tunes, and for each which steps."""

    rolls: Sequence[NDArray[np.int8]]
    at: Sequence[NDArray[np.int64]]

    @classmethod
    def of(cls, rolls: Sequence[NDArray[np.int8]], per_tune: int) -> HeldOutSteps:
        """``per_tune`` steps of every tune, evenly spread over it (all, if it is shorter)."""
        at = [np.unique(np.linspace(0, len(roll) - 1, per_tune).round().astype(np.int64)) for roll in rolls]
        return cls(rolls, at)


def step_likelihood(
    model: RnnRbm, held_out: HeldOutSteps, rng: np.random.Generator, annealing: int = 200, runs: int = 20
) -> StepLikelihood:
    """ln P(v(t) | past) of the chosen steps, each after the network listened to its whole past.

    annealing: steps from the independent keys to the RBM; runs: chains for each step of music. An estimate of ln Z is
    low on average by half its variance, so likelihoods are high by as much: hundredths of a nat with the defaults.
    """
    pasts = [model.listen(roll)[at] for roll, at in zip(held_out.rolls, held_out.at, strict=True)]
    v = np.concatenate([roll[at] for roll, at in zip(held_out.rolls, held_out.at, strict=True)]).astype(np.float64)
    a, b = model.fields(np.concatenate(pasts))
    log_z, annealing_error = annealed_log_partitions(model.weights, a, b, rng, annealing, runs)
    x = v @ model.weights + b
    steps = (a * v).sum(axis=1) + np.logaddexp(x, -x).sum(axis=1) - log_z
    tunes = np.repeat(np.arange(len(held_out.at)), [len(at) for at in held_out.at])
    return StepLikelihood(steps, annealing_error, tunes)


def gain(before: StepLikelihood, after: StepLikelihood) -> tuple[float, float]:
    """By how much the mean ln P of the same steps rose, and the standard error of that."""
    annealing_error = np.hypot(before.annealing_error, after.annealing_error)
    rise = after.steps - before.steps
    return float(rise.mean()), _error(rise, annealing_error, after.tunes)


def _error(steps: FloatArray, annealing_error: FloatArray, tunes: NDArray[np.int64]) -> float:
    """Of the mean of ``steps``, by the scatter between tunes, whose own steps are alike, and that of annealing."""
    n_tunes = int(tunes.max()) + 1
    residuals = np.bincount(tunes, steps - steps.mean())
    scatter = math.sqrt(float((residuals**2).sum()) * n_tunes / max(n_tunes - 1, 1))
    return math.hypot(scatter, float(np.linalg.norm(annealing_error))) / len(steps)


def annealed_log_partitions(
    W: FloatArray, a: FloatArray, b: FloatArray, rng: np.random.Generator, annealing: int, runs: int
) -> tuple[FloatArray, FloatArray]:
    """ln Z of RBMs that share W (N_v, N_h), with fields a (n, N_v) and b (n, N_h), and its standard errors: (n,), (n,).

    Annealing begins at independent visible spins in the fields a and switches W and b on, as p_k(v) ∝ e^{a·v}
    Π_j 2cosh(β_k L_j): only the hidden side is weighed. Temperature 1; sampling is in single precision.
    """
    betas = annealing_betas(annealing)
    W32 = W.astype(np.float32)
    per_part = max(1, _RUNS_AT_A_TIME // runs)
    log_z, error = np.empty(len(a)), np.empty(len(a))
    for first in range(0, len(a), per_part):
        part = slice(first, min(first + per_part, len(a)))
        own, others = (np.repeat(fields[part], runs, axis=0).astype(np.float32) for fields in (a, b))
        v, h = np.empty_like(own), np.empty_like(others)
        u_visible, u_hidden = np.empty_like(own), np.empty_like(others)
        log_w = np.logaddexp(own, -own).sum(axis=1, dtype=np.float64) + W.shape[1] * math.log(2.0)
        rng.random(out=u_visible, dtype=np.float32)
        draw_spins(own, u_visible, v)
        for k in range(1, len(betas)):
            rng.random(out=u_hidden, dtype=np.float32)
            weigh_and_draw(v @ W32 + others, betas[k - 1], betas[k], u_hidden, log_w, h)
            if k + 1 < len(betas):  # after the last weight nothing is left to be drawn
                rng.random(out=u_visible, dtype=np.float32)
                draw_spins(np.float32(betas[k]) * (h @ W32.T) + own, u_visible, v)
        weights = log_w.reshape(-1, runs)
        log_z[part] = logsumexp(weights, axis=1) - math.log(runs)
        relative = np.exp(weights - weights.max(axis=1, keepdims=True))
        error[part] = relative.std(axis=1, ddof=1) / relative.mean(axis=1) / math.sqrt(runs)
    return log_z, error
