"""Training of ten cells on digits, one epoch at a time, so that it can be watched, kept and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.nep.images.adam import Adam, Plain
from protocols.nep.images.inputs import DIGITS, Encoded
from protocols.nep.images.network import Answers, CellNetwork, Train
from protocols.nep.images.recipe import Recipe
from simulators.physics.sheet.cells import CellSolver, Rule

Array = NDArray[np.float64]

REFRESH = 400
"""Images for which an inverse serves; V changes by little meanwhile."""

LARGEST_LOSS = 0.9
"""Share of an epoch's images that may not settle before training gives up."""

_SHORTEST = 10
"""The average reaches back over at most a tenth of the updates so far."""

_STATE = ("V", "w", "mean_V", "mean_w", "shift")


class EpochReport(NamedTuple):
    """After an epoch (counted from 1): mean cost; share that was right, on the way; images left out of updates because
    a cell did not settle; seconds, of the clock and of the processor."""

    epoch: int
    cost: float
    accuracy: float
    unsettled: int
    seconds: float
    cpu_s: float


class CellTrainer:
    """One training run. Everything random comes from the seed; threads change nothing but the time."""

    def __init__(
        self,
        data: Encoded,
        solvers: tuple[CellSolver, CellSolver],
        recipe: Recipe,
        rule: Rule,
        train: Train,
        seed: int,
        threads: int = 1,
        patient: bool = False,
    ) -> None:
        """solvers: for training, and for judging. patient: an epoch of which hardly any image settles is no error.

        Raises `ConfigurationError` if images do not fit the cell or do not fill a batch.
        """
        solver, self._judging = solvers
        if data.x.shape[1] != solver.nodes:
            raise ConfigurationError(
                f"images of {data.x.shape[1]} pixels on cells of {solver.nodes} nodes; allowed: as many of both"
            )
        if len(data) < recipe.batch:
            raise ConfigurationError(f"batch={recipe.batch}: only {len(data)} images; allowed: up to as many")
        self.data, self.recipe, self.rule, self.train, self._patient = data, recipe, rule, train, patient
        self.rng = np.random.default_rng([seed, solver.nodes])
        shape = (DIGITS, solver.nodes)
        V = np.full(shape, float(recipe.V_start))
        w = recipe.w_mean + recipe.w_std * self.rng.standard_normal(shape)
        self.network, self._threads = CellNetwork(solver, V, w, threads), threads
        self.mean_V, self.mean_w = V.copy(), w.copy()
        rates = (recipe.rate_V, recipe.rate_w if train == "Vw" else 0.0)
        self._optimiser = (Adam if recipe.optimiser == "adam" else Plain)((V, w), rates)
        self.epoch = self.updates = 0

    def run_epoch(self) -> EpochReport:
        """All images once, in a new order; those left over from whole batches wait for the next.

        Raises `ConfigurationError` if most images do not settle, or V or w is no number any more.
        """
        begun, cpu = time.perf_counter(), time.process_time()
        r, data, net = self.recipe, self.data, self.network
        order = self.rng.permutation(len(data))
        factor = r.decay**self.epoch
        cost, right, unsettled, batches = 0.0, 0, 0, len(data) // r.batch
        every = max(1, REFRESH // r.batch)
        for k in range(batches):
            if k % every == 0:
                net.refresh()
            else:
                net.follow()
            chosen = order[k * r.batch : (k + 1) * r.batch]
            learnt = net.learn(data.x[chosen], data.labels[chosen], self.rule, r.gain)
            self._update(learnt.V, learnt.w, factor)
            cost, right, unsettled = cost + learnt.cost, right + learnt.right, unsettled + learnt.unsettled
        self.epoch += 1
        seen = batches * r.batch
        if unsettled > LARGEST_LOSS * seen and not self._patient:
            raise ConfigurationError(
                f"epoch {self.epoch}: {unsettled} of {seen} images did not settle (pumps above the bistability "
                f"threshold, or V far in the band: {net.V.min():.3g} to {net.V.max():.3g}); choose smaller rates "
                "(rate_V, rate_w), weights (w_std) or g"
            )
        return EpochReport(
            self.epoch, cost / batches, right / seen, unsettled, time.perf_counter() - begun, time.process_time() - cpu
        )

    def _update(self, descent_V: Array, descent_w: Array, factor: float) -> None:
        r, net = self.recipe, self.network
        if not (np.isfinite(descent_V).all() and np.isfinite(descent_w).all()):
            raise ConfigurationError(
                f"epoch {self.epoch + 1}: a gradient is no number; choose smaller rates (rate_V={r.rate_V:g}, "
                f"rate_w={r.rate_w:g}) or a smaller gain ({r.gain:g})"
            )
        self._optimiser.step((descent_V, descent_w), factor)
        if self.train == "Vw":
            net.w *= 1 - factor * r.rate_w * r.shrink
        if r.V_floor is not None:
            np.maximum(net.V, r.V_floor, out=net.V)
        self.updates += 1
        # early on, averages reach back over fewer updates: not to where training began
        new = max(1 - r.averaging, _SHORTEST / (self.updates + _SHORTEST))
        self.mean_V += new * (net.V - self.mean_V)
        self.mean_w += new * (net.w - self.mean_w)

    def judge(self, x: NDArray[np.float32]) -> Answers:
        """What the cells answer to images (n, nodes), with the average of parameters."""
        with CellNetwork(self._judging, self.mean_V, self.mean_w, self._threads) as judged:
            judged.shift = self.network.shift
            judged.refresh()
            return judged.answers(x)

    def close(self) -> None:
        """End its threads."""
        self.network.close()

    def state(self) -> dict[str, Any]:
        """Everything from which `restore` goes on as if nothing had been."""
        arrays = {
            "V": self.network.V, "w": self.network.w, "mean_V": self.mean_V, "mean_w": self.mean_w,
            "shift": self.network.shift,
        }  # fmt: skip
        kept = {f"optimiser_{name}": value for name, value in self._optimiser.state.items()}
        return {
            **{name: a.copy() for name, a in arrays.items()},
            **kept,
            "epoch": self.epoch,
            "updates": self.updates,
            "order": self.rng,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises `ConfigurationError` for a state of another network, or with numbers that are none; it is not used."""
        shape = self.network.V.shape
        for name, value in state.items():
            array = np.asarray(value) if isinstance(value, np.ndarray) else np.zeros(())
            if name in _STATE and array.shape != shape:
                raise ConfigurationError(f"checkpoint: {name} of shape {array.shape}; this network has {shape}")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = int(np.count_nonzero(~np.isfinite(array)))
                raise ConfigurationError(
                    f"checkpoint: {name} has {bad} values that are no numbers; it is spoilt and was left as it is. "
                    "Restore it from a copy, or begin the run anew with --anew"
                )
        self.network.V[:], self.network.w[:] = state["V"], state["w"]
        self.network.shift = np.array(state["shift"])
        self.mean_V, self.mean_w = np.array(state["mean_V"]), np.array(state["mean_w"])
        names = {name.removeprefix("optimiser_"): v for name, v in state.items() if name.startswith("optimiser_")}
        self._optimiser.restore(names)
        self.epoch, self.updates, self.rng = int(state["epoch"]), int(state["updates"]), state["order"]


def standard_error(values: Array, trials: int) -> float:
    """Of the mean of accuracies, by their scatter; of a single one, by its number of images."""
    if len(values) > 1:
        return float(values.std(ddof=1) / math.sqrt(len(values)))
    p = float(values[0])
    return math.sqrt(max(p * (1 - p), 1 / trials) / trials)
