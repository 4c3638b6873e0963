"""Training a restricted Boltzmann machine one epoch at a time, so that it can be watched, kept and resumed.

`FastTrainer` is single precision, compiled or BLAS throughout. `PlainTrainer` is the recipe as one writes it down, in
double precision; what the chains see of the machine it takes from half steps that somebody else does: arithmetic, by
which the fast one is checked, or an optical table (`protocols.prbm.training.insitu`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import ConfigurationError
from protocols.prbm.model import RBM
from protocols.prbm.training.contrastive import MAX_STARTING_MEAN, EpochReport, TrainingSettings
from simulators.physics.compiled import kernel

Array = npt.NDArray[np.floating[Any]]
Real = float | np.float32
Float32 = npt.NDArray[np.float32]


_KEPT = ("W", "a", "b", "step_W", "step_a", "step_b", "chains")


class Trainer(ABC):
    """One training run: the machine so far, its momenta, the persistent chains and the random numbers.

    epoch: how many are done. Both kinds of trainer draw the same random numbers in the same order.
    """

    dtype: ClassVar[type[np.floating[Any]]]

    def __init__(self, spins: npt.NDArray[np.int8], settings: TrainingSettings) -> None:
        """spins: (n, N_v) of ±1, at least one batch. Raises `ConfigurationError` for other shapes or values."""
        if spins.ndim != 2 or spins.shape[1] < 1 or len(spins) < settings.batch_size:
            raise ConfigurationError(
                f"training spins: shape {spins.shape}; allowed: (n, N_v), n at least {settings.batch_size}"
            )
        if not np.isin(spins, (-1, 1)).all():
            raise ConfigurationError("training spins: values other than ±1; binarise the images first")
        self.settings = settings
        self.data = spins.astype(self.dtype)
        # SFC64 is numpy's fastest generator, and every update draws a batch of spins 2·gibbs_steps times.
        self.rng = np.random.Generator(np.random.SFC64(settings.seed))
        self.epoch = 0
        n_visible, n_hidden = spins.shape[1], settings.n_hidden
        start = self.rng.standard_normal((n_visible, n_hidden), np.float32) * np.float32(settings.initial_std)
        self.W: Array = start.astype(self.dtype)
        self.a: Array = self._visible_start().astype(self.dtype)
        self.b: Array = np.zeros(n_hidden, self.dtype)
        self.step_W: Array = np.zeros_like(self.W)
        self.step_a: Array = np.zeros_like(self.a)
        self.step_b: Array = np.zeros_like(self.b)
        self.chains: Array = np.zeros((settings.n_chains, n_visible), self.dtype)
        if settings.negative_start == "persistent":
            self.chains[:] = self._spins(np.zeros_like(self.chains))

    def _visible_start(self) -> Array:
        if not self.settings.fields or self.settings.field_start == "zero":
            return np.zeros(self.data.shape[1])
        mean = np.clip(self.data.mean(axis=0, dtype=np.float64), -MAX_STARTING_MEAN, MAX_STARTING_MEAN)
        # With mean 2p - 1, the log-odds (1/2) ln(p/(1 - p)) are its inverse hyperbolic tangent.
        return np.asarray(self.settings.temperature * np.arctanh(mean), np.float64)

    def _spins(self, mean: Array) -> Array:
        """Spins with the given means: +1 where 2u - 1 does not exceed the mean, which is P = (1 + mean)/2."""
        uniform = self.rng.random(mean.shape, np.float32)
        return np.where(mean >= 2.0 * uniform - 1.0, 1.0, -1.0).astype(self.dtype)

    @property
    def rbm(self) -> RBM:
        """The machine as it is now."""
        return RBM(self.W.astype(np.float64), self.a.astype(np.float64), self.b.astype(np.float64))

    def run_epoch(self) -> EpochReport:
        """All batches of one shuffle of the data."""
        s = self.settings
        updates = len(self.data) // s.batch_size
        shuffled = self.data[self.rng.permutation(len(self.data))]
        gap = np.zeros_like(self.W)
        for k in range(updates):
            batch = shuffled[k * s.batch_size : (k + 1) * s.batch_size]
            self._update(batch, s.rate_at(self.epoch), s.momentum_at(self.epoch), gap)
        self.epoch += 1
        return EpochReport(self.epoch, s.epochs, float(np.sqrt(np.mean(np.square(gap / updates)))))

    @abstractmethod
    def _update(self, batch: Array, rate: float, momentum: float, gap: Array) -> None:
        """Learn from one batch (batch_size, N_v), and add ⟨v h⟩_data - ⟨v h⟩_chains to ``gap`` (N_v, N_h)."""

    # --- keeping and resuming ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that the epochs to come depend on, between two epochs: arrays, numbers and text."""
        generator = json.dumps(self.rng.bit_generator.state, default=lambda array: array.tolist())
        return {name: getattr(self, name).copy() for name in _KEPT} | {"epoch": self.epoch, "generator": generator}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, of a run with the same data and settings.

        Raises ConfigurationError for the state of a machine of another size.
        """
        for name in _KEPT:
            kept, here = np.asarray(state[name]), getattr(self, name)
            if kept.shape != here.shape:
                raise ConfigurationError(f"kept training: {name} of shape {kept.shape}; allowed here: {here.shape}")
            here[...] = kept
        self.epoch = int(state["epoch"])
        generator = json.loads(str(state["generator"]))
        generator["state"] = {name: np.array(value, np.uint64) for name, value in generator["state"].items()}
        self.rng.bit_generator.state = generator


class FastTrainer(Trainer):
    """Exact arithmetic in single precision; nothing large is allocated per update."""

    dtype = np.float32

    def __init__(self, spins: npt.NDArray[np.int8], settings: TrainingSettings) -> None:
        super().__init__(spins, settings)
        n, chains = settings.batch_size, settings.n_chains
        n_visible, n_hidden = self.W.shape
        # Data above, chains below: both correlations are one product.
        self._v: Float32 = np.empty((n + chains, n_visible), np.float32)
        self._h: Float32 = np.empty((n + chains, n_hidden), np.float32)
        self._weighted: Float32 = np.empty_like(self._h)
        self._share = np.concatenate([np.full(n, 1 / n), np.full(chains, -1 / chains)]).astype(np.float32)
        self._v_chain, self._h_chain = self._v[n:], self._h[n:]
        self._v_chain[:] = self.chains
        self.chains = self._v_chain
        self._h_spin: Float32 = np.empty_like(self._h_chain)
        self._v_mean: Float32 = np.empty_like(self._v_chain)
        self._h_uniform: Float32 = np.empty_like(self._h_chain)
        self._v_uniform: Float32 = np.empty_like(self._v_chain)
        self._gradient: Float32 = np.empty((n_visible, n_hidden), np.float32)

    def _update(self, batch: Array, rate: float, momentum: float, gap: Array) -> None:
        s, n = self.settings, len(batch)
        self._v[:n] = batch
        if s.negative_start == "persistent":
            self._hidden_means(self._v, self._h)
            self._correlate()
            self._run_chains(last=False)
        else:
            self._hidden_means(self._v[:n], self._h[:n])
            if s.negative_start == "data":
                self._h_chain[:] = self._h[:n]
            else:
                self._v_mean.fill(0.0)
                self._draw(self._v_mean, self._v_uniform, self._v_chain)
                self._hidden_means(self._v_chain, self._h_chain)
            self._run_chains(last=True)
            self._correlate()
        single = np.float32
        move(self.W, self.step_W, self._gradient, gap, single(momentum), single(rate / s.temperature),
             single(rate * s.weight_decay))  # fmt: skip
        if s.fields:
            for field, step, gradient in ((self.a, self.step_a, self._field_v), (self.b, self.step_b, self._field_h)):
                step *= single(momentum)
                step += single(rate / s.temperature) * gradient
                field += step

    def _correlate(self) -> None:
        """Differences of correlations and of means between data and chains."""
        np.multiply(self._h, self._share[:, None], out=self._weighted)
        np.matmul(self._v.T, self._weighted, out=self._gradient)
        self._field_v = self._share @ self._v
        self._field_h = self._weighted.sum(axis=0)

    def _run_chains(self, last: bool) -> None:
        """Full iterations from the hidden means of the chains on; last: whether those at the end are wanted."""
        for k in range(self.settings.gibbs_steps):
            self._draw(self._h_chain, self._h_uniform, self._h_spin)
            np.matmul(self._h_spin, self.W.T, out=self._v_mean)
            self._v_mean += self.a
            self._v_mean *= np.float32(1.0 / self.settings.temperature)
            np.tanh(self._v_mean, out=self._v_mean)
            self._draw(self._v_mean, self._v_uniform, self._v_chain)
            if last or k + 1 < self.settings.gibbs_steps:
                self._hidden_means(self._v_chain, self._h_chain)

    def _hidden_means(self, v: Float32, out: Float32) -> None:
        np.matmul(v, self.W, out=out)
        out += self.b
        out *= np.float32(1.0 / self.settings.temperature)
        np.tanh(out, out=out)

    def _draw(self, mean: Float32, uniform: Float32, spins: Float32) -> None:
        """`_spins` without an allocation."""
        self.rng.random(out=uniform, dtype=np.float32)
        uniform *= np.float32(2.0)
        uniform -= np.float32(1.0)
        np.subtract(mean, uniform, out=spins)
        np.copysign(np.float32(1.0), spins, out=spins)


@kernel
def move(W: Array, step: Array, gradient: Array, gap: Array, momentum: Real, rate: Real, decay: Real) -> None:
    """step ← momentum·step + rate·gradient - decay·W, W ← W + step, gap ← gap + gradient; all (N_v, N_h)."""
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            step[i, j] = momentum * step[i, j] + rate * gradient[i, j] - decay * W[i, j]
            W[i, j] += step[i, j]
            gap[i, j] += gradient[i, j]


class HalfSteps(Protocol):
    """Mean spins of each layer given the other, of the machine that was programmed last."""

    def program(self, rbm: RBM) -> None:
        """Another machine of the same size."""

    def hidden(self, v: Array) -> Array:
        """Means (n, N_h) for visible spins (n, N_v)."""

    def visible(self, h: Array) -> Array:
        """Means (n, N_v) for hidden spins (n, N_h)."""


class Arithmetic:
    """Half steps in double precision: tanh(L/T)."""

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def program(self, rbm: RBM) -> None:
        """Another machine."""
        self._rbm = rbm

    def hidden(self, v: Array) -> Array:
        """Means (n, N_h) for visible spins (n, N_v)."""
        return np.asarray(np.tanh((v @ self._rbm.weights + self._rbm.hidden_bias) / self._temperature))

    def visible(self, h: Array) -> Array:
        """Means (n, N_v) for hidden spins (n, N_h)."""
        return np.asarray(np.tanh((h @ self._rbm.weights.T + self._rbm.visible_bias) / self._temperature))


class PlainTrainer(Trainer):
    """The recipe in double precision: of the data by ``positive`` half steps, of the chains by ``negative`` ones."""

    dtype = np.float64

    def __init__(
        self, spins: npt.NDArray[np.int8], settings: TrainingSettings, negative: HalfSteps, positive: HalfSteps
    ) -> None:
        super().__init__(spins, settings)
        self._negative, self._positive = negative, positive

    def _update(self, batch: Array, rate: float, momentum: float, gap: Array) -> None:
        s = self.settings
        for half_steps in (self._positive, self._negative):
            half_steps.program(self.rbm)
        h_data = self._positive.hidden(batch)
        # Chains that persist are looked at before they go on rather than after: they go on by the same hidden means,
        # so that each half step is done once.
        if s.negative_start == "persistent":
            v, h = self.chains.copy(), self._negative.hidden(self.chains)
            self.chains[:], _ = self._iterated(h, last=False)
        elif s.negative_start == "data":
            v, h = self._iterated(h_data, last=True)
        else:
            v = self._spins(np.zeros_like(self.chains))
            v, h = self._iterated(self._negative.hidden(v), last=True)
        gradient = batch.T @ h_data / len(batch) - v.T @ h / len(v)
        pull = rate / s.temperature
        self.step_W[:] = momentum * self.step_W + pull * gradient - rate * s.weight_decay * self.W
        self.W += self.step_W
        if s.fields:
            self.step_a[:] = momentum * self.step_a + pull * (batch.mean(axis=0) - v.mean(axis=0))
            self.step_b[:] = momentum * self.step_b + pull * (h_data.mean(axis=0) - h.mean(axis=0))
            self.a += self.step_a
            self.b += self.step_b
        gap += gradient

    def _iterated(self, h_mean: Array, last: bool) -> tuple[Array, Array]:
        """Visible spins after iterations from hidden means on, and the hidden means they give, if wanted at last."""
        steps = self.settings.gibbs_steps
        for k in range(steps):
            v = self._spins(self._negative.visible(self._spins(h_mean)))
            if last or k + 1 < steps:
                h_mean = self._negative.hidden(v)
        return v, h_mean


def train(
    spins: npt.NDArray[np.int8],
    settings: TrainingSettings | None = None,
    progress: Callable[[EpochReport], None] | None = None,
    threads: int = 1,
) -> RBM:
    """Train on ``spins``, (n, N_v) of ±1 with n at least one batch, and return the machine.

    Each update moves W by the momentum-averaged rate·((⟨v h⟩_data - ⟨v h⟩_chains)/T - decay·W) and the fields
    likewise without decay; h enters as its mean tanh(L/T). ``settings`` None means the defaults. The same
    spins, settings and one thread give the same machine on the same computer. ``progress`` is called after
    every epoch. ``threads`` limits the linear algebra while training runs. Raises `ConfigurationError` for
    wrong shapes or values.
    """
    trainer = FastTrainer(spins, settings or TrainingSettings())
    with threadpool_limits(limits=threads, user_api="blas"):
        while trainer.epoch < trainer.settings.epochs:
            report = trainer.run_epoch()
            if progress is not None:
                progress(report)
    return trainer.rbm
