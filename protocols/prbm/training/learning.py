"""How far a machine has learnt: the likelihood of images that it was trained on and of others, reconstruction."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from protocols.prbm.model import RBM
from protocols.prbm.training.data import TrainingData
from simulators.physics.rbm import local_fields, sample_spins
from simulators.physics.rbm_likelihood import (
    LogPartition,
    annealed_log_partition,
    base_rates,
    enumerable,
    log_likelihoods,
    log_partition,
)

R = TypeVar("R")

CAREFUL = (1, 4, 20)
"""Times as many steps of annealing that are tried where it counts: for the trained machine."""

_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Standing:
    """A machine beside its data.

    log_likelihood: nats per training image; error: its standard error by the partition function's, 0 where that is
    exact. held_out: of images that training did not see, nan without any; held_out_error: that of their mean as a
    sample of all such images. reconstruction: share of a training image's spins that are wrong after one iteration
    h, v from it. effective_runs: of annealed importance sampling, nan where Z is exact.
    """

    log_likelihood: float
    error: float
    held_out: float
    held_out_error: float
    reconstruction: float
    effective_runs: float


class Judge:
    """Judges machines by the same data, with random numbers of its own."""

    def __init__(self, data: TrainingData, temperature: float, seed: int, steps: int, runs: int) -> None:
        """steps, runs: of annealed importance sampling, where no layer is small enough to be enumerated."""
        self._data, self._temperature, self._seed = data, temperature, seed
        self._steps, self._runs = steps, runs

    def standing(self, rbm: RBM, careful: bool = False) -> Standing:
        """Where a machine stands; careful: annealed as slowly as it takes, see `CAREFUL`."""
        rng = np.random.default_rng([self._seed, 2])
        machine = rbm.weights, rbm.visible_bias, rbm.hidden_bias
        T, spins, others = self._temperature, self._data.spins, self._data.held_out
        z: LogPartition
        if enumerable(rbm.weights):
            z = log_partition(*machine, T)
        else:
            z = self._annealed(rbm, CAREFUL if careful else CAREFUL[:1], rng)
        held_out = np.full(2, np.nan) if others is None else log_likelihoods(*machine, others, T, z.value)
        h = sample_spins(local_fields(rbm.weights, spins, rbm.hidden_bias), T, rng)
        mean = np.tanh(local_fields(rbm.weights.T, h, rbm.visible_bias) / T)
        return Standing(
            log_likelihood=float(log_likelihoods(*machine, spins, T, z.value).mean()),
            error=z.error,
            held_out=float(held_out.mean()),
            held_out_error=float(held_out.std(ddof=1) / np.sqrt(len(held_out))) if len(held_out) > 1 else np.nan,
            reconstruction=float(0.5 * (1.0 - (spins * mean).mean())),
            effective_runs=np.nan if z.exact else z.effective_runs,
        )

    def _annealed(self, rbm: RBM, slower: tuple[int, ...], rng: np.random.Generator) -> LogPartition:
        """ln Z by annealing, more slowly until at least half of the runs count."""
        machine = rbm.weights, rbm.visible_bias, rbm.hidden_bias
        for factor in slower:
            z = annealed_log_partition(
                *machine, self._temperature, self._base(rbm), rng, factor * self._steps, self._runs
            )
            if z.effective_runs >= 0.5 * self._runs:
                break
        return z

    def _base(self, rbm: RBM) -> NDArray[np.float64]:
        """Where annealing begins: the data's means, but for a machine without fields. That is as much the negatives'
        as the images', and runs that begin near the images would not get there."""
        if rbm.visible_bias.any() or rbm.hidden_bias.any():
            return base_rates(self._data.spins, self._temperature)
        return np.zeros(rbm.n_visible)


def evaluation_epochs(epochs: int, count: int) -> NDArray[np.int64]:
    """Epochs after which a machine is judged, at most ``count``: closer together at first, the last among them."""
    return np.unique(np.geomspace(1, epochs, max(count, 2)).round().astype(np.int64))


def while_renewing(renew: Callable[[], object], work: Callable[[], R]) -> R:
    """The result of ``work``, done in another thread while this one calls ``renew`` several times a second."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(work)
        while True:
            try:
                return waiting.result(timeout=_LOOK_EVERY_S)
            except TimeoutError:
                if waiting.done():  # the work's own
                    raise
                renew()
