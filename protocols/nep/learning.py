"""From measured contrasts to updates of the potential and the weights, Eqs. (11) and (12), one epoch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.nep.loop import Loop, NudgePlan, measured_descent, require_good
from protocols.nep.network import Network
from simulators.physics.sheet.equation import Array, Complex
from simulators.physics.sheet.nudge import output_cost

Trained = Literal["off", "real", "imaginary", "complex"]

_BETAS = 0.9, 0.999
_TINY = 1e-8


@dataclass(frozen=True)
class Recipe:
    """What is trained and how.

    V, w: which of their parts. rate_V, rate_w: of an update; decay: their factor from one epoch to the next. update:
    after every sample, every ``batch`` samples or every epoch, with the mean or the sum over those. V_min, V_max: what
    the potential's real part is kept within. gain_max: what its imaginary part is kept below, since a sheet with more
    gain than loss has no steady state.
    """

    V: Trained = "real"
    w: Trained = "real"
    optimiser: Literal["sgd", "adam"] = "sgd"
    rate_V: float = 0.1
    rate_w: float = 0.1
    decay: float = 1.0
    update: Literal["sample", "batch", "epoch"] = "epoch"
    batch: int = 10
    reduction: Literal["mean", "sum"] = "mean"
    V_min: float = -np.inf
    V_max: float = np.inf
    gain_max: float = np.inf

    def groups(self, count: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Samples of each update of an epoch; in a random order, unless all are in one."""
        if self.update == "epoch":
            yield np.arange(count)
            return
        order, size = rng.permutation(count), 1 if self.update == "sample" else self.batch
        for first in range(0, count, size):
            yield order[first : first + size]


class Epoch(NamedTuple):
    """Of the free phases of an epoch: mean cost of a good sample, share of all that were right, and how many were no
    good and left out of updates."""

    cost: float
    accuracy: float
    left_out: int


@dataclass(eq=False)
class Learner:
    """A potential (*shape) and weights (K,) that learn."""

    network: Network
    recipe: Recipe
    V: Complex
    w: Complex
    epoch: int = 0
    updates: int = 0
    moments: dict[str, Array] = field(default_factory=dict)

    def run_epoch(
        self,
        loop: Loop,
        X: Complex,
        targets: Array,
        plan: NudgePlan,
        rng: np.random.Generator,
        P: Complex | None = None,
    ) -> Epoch:
        """Measure all samples X (samples, K) with targets (samples, n), and update. P: pump beside the inputs'."""
        cost, right, left_out = 0.0, 0, 0
        for which in self.recipe.groups(len(X), rng):
            pumps = self.network.pumps(self.w, X[which])
            if P is not None:
                pumps = pumps + (P if len(P) == 1 else P[which])
            free, nudged = loop.phases(self.V, pumps, targets[which], plan)
            found, good = measured_descent(free, nudged, plan)
            left_out += int((~good).sum())
            outputs, wanted = free.outputs(plan.outputs, loop.sheet)[good], targets[which][good]
            cost += float(output_cost(outputs, wanted, plan.cost, plan.gain).sum())
            right += int(is_right(outputs, wanted, plan.cost, span_of(targets)).sum())
            if not good.any():
                raise ConfigurationError(
                    f"epoch {self.epoch + 1}: no sample of an update has a steady state to rely on (pumps above the "
                    "bistability threshold, or no convergence); choose smaller rates, weights or g. The run goes on "
                    "from its last checkpoint with labctl resume"
                )
            share = 1.0 if self.recipe.reduction == "sum" else 1.0 / good.sum()
            self.step(share * found.V.sum(axis=0), share * found.weights(X[which], self.network.spots).sum(axis=0))
        self.epoch += 1
        return Epoch(cost / max(len(X) - left_out, 1), right / len(X), left_out)

    def step(self, dV: Complex, dw: Complex) -> None:
        """One update along descents (*shape) and (K,)."""
        r = self.recipe
        self.updates += 1
        scale = r.decay**self.epoch
        self.V = self.V + scale * r.rate_V * self._moved("V", _part(dV, r.V))
        self.w = self.w + scale * r.rate_w * self._moved("w", _part(dw, r.w))
        if r.V != "off" and (r.V_min > -np.inf or r.V_max < np.inf):
            self.V = np.clip(self.V.real, r.V_min, r.V_max) + 1j * self.V.imag
        if r.V in ("imaginary", "complex"):
            self.V = self.V.real + 1j * np.minimum(self.V.imag, r.gain_max)
        if not (np.isfinite(self.V).all() and np.isfinite(self.w).all()):
            raise ConfigurationError(
                f"epoch {self.epoch + 1}: an update is not finite; choose smaller rates. The run goes on from its last "
                "checkpoint with labctl resume"
            )

    def _moved(self, name: str, gradient: Complex) -> Complex:
        if self.recipe.optimiser == "sgd":
            return gradient
        parts = np.stack([gradient.real, gradient.imag])
        first = self.moments.get(f"{name}_1", np.zeros_like(parts))
        second = self.moments.get(f"{name}_2", np.zeros_like(parts))
        first = _BETAS[0] * first + (1 - _BETAS[0]) * parts
        second = _BETAS[1] * second + (1 - _BETAS[1]) * parts**2
        self.moments[f"{name}_1"], self.moments[f"{name}_2"] = first, second
        even = [m / (1 - b**self.updates) for m, b in zip((first, second), _BETAS, strict=True)]
        step = even[0] / (np.sqrt(even[1]) + _TINY)
        return np.asarray(step[0] + 1j * step[1])

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        kept = {f"moment_{name}": value for name, value in self.moments.items()}
        return {"V": self.V, "w": self.w, "epoch": self.epoch, "updates": self.updates, **kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """From a checkpoint. Raises ConfigurationError if it has numbers that are none, or does not fit."""
        for name, now in (("V", self.V), ("w", self.w)):
            kept = np.asarray(state[name])
            if kept.shape != now.shape:
                raise ConfigurationError(f"the checkpoint's {name} has the shape {kept.shape}; needed: {now.shape}")
        moments = {k.removeprefix("moment_"): np.asarray(v) for k, v in state.items() if k.startswith("moment_")}
        for name, values in {"V": state["V"], "w": state["w"], **moments}.items():
            bad = int((~np.isfinite(values)).sum())
            if bad:
                raise ConfigurationError(
                    f"the checkpoint's {name} holds {bad} numbers that are none or infinite; it is left as it is: "
                    "bring a whole one beside the run, or begin the run anew with --anew"
                )
        self.V, self.w = np.array(state["V"]), np.array(state["w"])
        self.epoch, self.updates = int(state["epoch"]), int(state["updates"])
        self.moments = moments


def judged(
    outputs: Array, good: NDArray[np.bool_], targets: Array, cost: str, gain: float, suffix: str = ""
) -> dict[str, Any]:
    """Results of outputs (samples, n): mean cost of good samples, share of all that are good and right, and how many
    are no good, if any. Raises ConfigurationError where that is more than half of them."""
    if not 2 * good.sum() >= len(good):
        require_good(good)
    costs = output_cost(outputs[good], targets[good], cost, gain)
    right = is_right(np.where(good[:, None], outputs, 0.0), targets, cost) & good
    found: dict[str, Any] = {
        f"cost{suffix}": float(costs.mean()) if good.any() else float("nan"),
        f"accuracy{suffix}": float(right.mean()),
    }
    return found | ({f"unsettled{suffix}": int((~good).sum())} if not good.all() else {})


def is_right(outputs: Array, targets: Array, cost: str, span: float | None = None) -> NDArray[np.bool_]:
    """Samples (samples,) whose outputs are nearer to their targets than half of the targets' span, or, for "cce", whose
    brightest output is the right one."""
    if cost == "cce":
        return np.asarray(outputs.argmax(axis=1) == targets.argmax(axis=1))
    reach = (span_of(targets) if span is None else span) / 2
    return np.asarray((np.abs(outputs - targets) < reach).all(axis=1))


def span_of(targets: Array) -> float:
    """From the least to the largest target; 1 where they are all alike."""
    return (float(np.ptp(targets)) if targets.size else 0.0) or 1.0


def _part(x: Complex, which: Trained) -> Complex:
    if which == "off":
        return np.zeros_like(x)
    return np.asarray({"real": x.real + 0j, "imaginary": 1j * x.imag, "complex": x}[which])
